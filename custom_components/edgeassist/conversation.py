"""Conversation agents: what is said in Home Assistant, answered by the model of a box."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from homeassistant.components import conversation
from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import CONF_LLM_HASS_API, CONF_PROMPT, MATCH_ALL
from homeassistant.core import HomeAssistant
from homeassistant.helpers import intent
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from . import EdgeAssistConfigEntry
from .confirming import Voice
from .const import CONF_CONFIRM, DOMAIN, SUBENTRY_CONVERSATION
from .done import language_of
from .failures import Failure
from .options import model_fields
from .rounds import Converses
from .sentences import async_sentence
from .tiny.agent import async_answer as async_tiny_answer


async def async_setup_entry(
    hass: HomeAssistant, entry: EdgeAssistConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Set up the agents of a box."""
    for subentry in entry.subentries.values():
        if subentry.subentry_type == SUBENTRY_CONVERSATION:
            async_add_entities([Agent(entry, subentry)], config_subentry_id=subentry.subentry_id)


# Who has told a light to go on and saw nothing has gone to the switch by then.
_COMMAND_S = 20.0


class Agent(Converses, conversation.ConversationEntity):
    """An agent. What goes wrong is said by it, in the user's language."""

    _attr_supports_streaming = True

    def __init__(self, entry: EdgeAssistConfigEntry, subentry: ConfigSubentry) -> None:
        super().__init__(entry, subentry)
        self._apis: list[str] = subentry.data.get(CONF_LLM_HASS_API) or []

    @property
    def supported_languages(self) -> list[str] | Literal["*"]:
        """Which languages it understands: that is the model's to say."""
        return MATCH_ALL

    @property
    def supported_features(self) -> conversation.ConversationEntityFeature:
        """Whether it controls the home: by its tools, or by the actions of EdgeAssist Tiny."""
        controls = bool(self._apis) or self.box.is_tiny
        return conversation.ConversationEntityFeature(
            conversation.ConversationEntityFeature.CONTROL if controls else 0
        )

    async def _async_handle_message(
        self, user_input: conversation.ConversationInput, chat_log: conversation.ChatLog
    ) -> conversation.ConversationResult:
        """Answer what was said."""
        try:
            if obstacle := self.box.obstacle:
                self.async_report(obstacle)
                raise obstacle
            if self.box.is_tiny:
                return await async_tiny_answer(
                    self.hass, partial(self._text, user_input), user_input, chat_log
                )
            await chat_log.async_provide_llm_data(
                user_input.as_llm_context(DOMAIN),
                self._apis,
                self.subentry.data.get(CONF_PROMPT),
                user_input.extra_system_prompt,
            )
            fields = {**model_fields(self.subentry.data), "priority": _priority(user_input)}
            await self.async_converse(chat_log, fields, self._voice(user_input, chat_log))
        except conversation.ConverseError as error:
            return error.as_conversation_result()
        except Failure as failure:
            return await self._say(failure, user_input, chat_log)
        return conversation.async_get_result_from_chat_log(user_input, chat_log)

    def _voice(self, user_input: conversation.ConversationInput, chat_log: conversation.ChatLog) -> Voice:
        language = language_of(user_input.language)
        told = (user_input.text, self.subentry.data.get(CONF_PROMPT), user_input.extra_system_prompt)
        return Voice(
            said=user_input.text,
            language=language,
            # Who has begun the conversation with instructions of its own may want more than a confirmation.
            confirms=language is not None
            and self.subentry.data.get(CONF_CONFIRM, True)
            and not user_input.extra_system_prompt,
            degrees=self.hass.config.units.temperature_unit,
            wants_code=any("json" in each.casefold() for each in told if each),
            replies=_has_asked(chat_log),
        )

    async def _text(self, user_input: conversation.ConversationInput, fields: dict[str, Any]) -> str:
        """Ask for a text in one piece, for EdgeAssist Tiny's part.

        Raises:
            Failure: It was not answered, and why.
        """
        urgent = {**fields, "priority": _priority(user_input)}
        return (await self.async_answer(urgent, limit_s=_COMMAND_S)).text

    async def _say(
        self, failure: Failure, user_input: conversation.ConversationInput, chat_log: conversation.ChatLog
    ) -> conversation.ConversationResult:
        """Return a failure as what is said."""
        sentence = await async_sentence(self.hass, failure, user_input.language)
        response = intent.IntentResponse(language=user_input.language)
        response.async_set_error(intent.IntentResponseErrorCode.FAILED_TO_HANDLE, sentence)
        if chat_log.content[-1].role == "tool_result":
            # Most templates of models refuse a user's words right behind those of a tool.
            chat_log.async_add_assistant_content_without_tools(
                conversation.AssistantContent(agent_id=self.entity_id, content=sentence)
            )
        return conversation.ConversationResult(response=response, conversation_id=chat_log.conversation_id)


def _has_asked(chat_log: conversation.ChatLog) -> bool:
    """Return whether the last answer ended in a question."""
    answers = [each.content for each in chat_log.content if each.role == "assistant"]
    return bool(answers) and (answers[-1] or "").rstrip().endswith(("?", "？"))


def _priority(user_input: conversation.ConversationInput) -> str:
    """Somebody stands in front of a satellite; who types, or an automation, can wait."""
    return "high" if user_input.device_id or user_input.satellite_id else "normal"
