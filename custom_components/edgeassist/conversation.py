"""Conversation agents: what is said in Home Assistant, answered by the model of a box."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Set
from contextlib import aclosing
from typing import Any, Literal

from homeassistant.components import conversation
from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import CONF_LLM_HASS_API, CONF_PROMPT, MATCH_ALL
from homeassistant.core import HomeAssistant
from homeassistant.helpers import intent, llm
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.util import dt as dt_util

from . import EdgeAssistConfigEntry
from .const import DOMAIN, SUBENTRY_CONVERSATION
from .entity import EdgeAssistEntity
from .events import Called, Chunk, Done, Reasoning, Restarted
from .failures import Failure, Why
from .layout import Layout
from .messages import Written, arguments_of, messages_of, questions
from .options import model_fields
from .sentences import async_sentence
from .tools import Tools

# How often a model may call tools before it has to say something.
MAX_ROUNDS = 10


async def async_setup_entry(
    hass: HomeAssistant, entry: EdgeAssistConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Set up the agents of a box."""
    for subentry in entry.subentries.values():
        if subentry.subentry_type == SUBENTRY_CONVERSATION:
            async_add_entities([Agent(entry, subentry)], config_subentry_id=subentry.subentry_id)


class Agent(EdgeAssistEntity, conversation.ConversationEntity):
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
                from .tiny.agent import async_answer as async_tiny_answer  # noqa: PLC0415

                return await async_tiny_answer(self.hass, self._text, user_input, chat_log)
            await chat_log.async_provide_llm_data(
                user_input.as_llm_context(DOMAIN),
                self._apis,
                self.subentry.data.get(CONF_PROMPT),
                user_input.extra_system_prompt,
            )
            await self._converse(user_input, chat_log)
        except conversation.ConverseError as error:
            return error.as_conversation_result()
        except Failure as failure:
            return await self._say(failure, user_input, chat_log)
        return conversation.async_get_result_from_chat_log(user_input, chat_log)

    async def _converse(
        self, user_input: conversation.ConversationInput, chat_log: conversation.ChatLog
    ) -> None:
        """Ask until the model has said something, and do what it calls meanwhile.

        Raises:
            Failure: It has not, and why.
        """
        tools = self._tools(chat_log.llm_api)
        for round_ in range(MAX_ROUNDS):
            fields: dict[str, Any] = {
                **model_fields(self.subentry.data),
                # Somebody stands in front of a satellite; who types, or an automation, can wait.
                "priority": "high" if user_input.device_id or user_input.satellite_id else "normal",
            }
            if tools.wire:
                fields["tools"] = tools.wire
                if round_ == MAX_ROUNDS - 1:
                    fields["tool_choice"] = "none"
            await self._round(fields, tools, chat_log)
            if not chat_log.unresponded_tool_results:
                break
        last = chat_log.content[-1]
        # One who has done something may leave it at that.
        if last.role == "user" or (last.role == "assistant" and not last.content and round_ == 0):
            raise Failure(Why.NO_WORDS)

    async def _round(self, fields: dict[str, Any], tools: Tools, chat_log: conversation.ChatLog) -> None:
        """Ask once; again with less of what was said before, if that does not fit."""
        layout = Layout(chat_log.content[0].content, chat_log.extra_system_prompt)
        turns = questions(chat_log.content)
        while True:
            messages = messages_of(chat_log.content, layout, dt_util.as_local, turns=turns)
            forgive = {Why.CONTEXT_OVERFLOW} if turns > 1 else set()
            deltas = self._deltas({**fields, "messages": messages}, tools, forgive)
            try:
                async with aclosing(deltas):
                    async for _ in chat_log.async_add_delta_content_stream(self.entity_id, deltas):
                        pass
            except Failure as failure:
                if failure.why not in forgive:
                    raise
                turns //= 2
            else:
                return

    async def _deltas(
        self, fields: dict[str, Any], tools: Tools, forgive: Set[Why]
    ) -> AsyncGenerator[conversation.AssistantContentDeltaDict]:
        """Ask, and yield the answer as Home Assistant's chat log takes it."""
        yield {"role": "assistant"}
        async with aclosing(self.async_ask(fields, forgive=forgive)) as events:
            async for event in events:
                match event:
                    case Reasoning():
                        yield {"thinking_content": event.text}
                    case Chunk():
                        yield {"content": event.text}
                    case Called():
                        yield {"tool_calls": [_input_of(event, tools)]}
                    case Restarted():
                        # What was said, or done, can't be taken back.
                        raise Failure(Why.RESTARTED)
                    case Done():
                        yield {"native": Written.of(event)}
                    case _:
                        pass

    def _tools(self, api: llm.APIInstance | None) -> Tools:
        """Return the API's tools.

        Raises:
            Failure: The model takes none, or not as many.
        """
        tools = Tools(api)
        info = self.box.info
        if tools.wire and info is not None and not info.takes("tools"):
            failure = Failure(Why.MODEL_WITHOUT_TOOLS, {"model": info.model or ""})
            self.async_report(failure)
            raise failure
        return tools

    async def _text(self, fields: dict[str, Any]) -> str:
        """Ask for a text in one piece, for EdgeAssist Tiny's part.

        Raises:
            Failure: It was not answered, and why.
        """
        return (await self.async_answer(fields)).text

    async def _say(
        self, failure: Failure, user_input: conversation.ConversationInput, chat_log: conversation.ChatLog
    ) -> conversation.ConversationResult:
        """Return a failure as what is said."""
        response = intent.IntentResponse(language=user_input.language)
        response.async_set_error(
            intent.IntentResponseErrorCode.FAILED_TO_HANDLE,
            await async_sentence(self.hass, failure, user_input.language),
        )
        return conversation.ConversationResult(response=response, conversation_id=chat_log.conversation_id)


def _input_of(call: Called, tools: Tools) -> llm.ToolInput:
    return llm.ToolInput(id=call.call, tool_name=tools.tool_name(call.name), tool_args=arguments_of(call))
