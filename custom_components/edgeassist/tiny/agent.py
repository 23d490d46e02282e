"""EdgeAssist Tiny as a conversation agent: asks the box, calls intents, and says what came of it.

What the model is not for goes to Home Assistant's own sentences, of automations and of intents, which are
exact.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from homeassistant.components import conversation
from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant
from homeassistant.helpers import intent

from . import said
from .hearing import Heard, Why
from .intents import Call, Missing, Plan
from .judging import Talk
from .registries import area_of_speaker, home_of
from .turn import Outcome, Told, begin, end
from .words import Language

Ask = Callable[[dict[str, Any]], Awaitable[str]]

_LOGGER = logging.getLogger(__name__)
_PLATFORM = "edgeassist"
# Set while an automation acts on its sentence: if it asks this agent in turn, no automation is asked again.
_in_automation: ContextVar[bool] = ContextVar("edgeassist_tiny_in_automation", default=False)


async def async_answer(
    hass: HomeAssistant,
    ask: Ask,
    user_input: conversation.ConversationInput,
    chat_log: conversation.ChatLog,
) -> conversation.ConversationResult:
    """Answer what was said.

    Args:
        hass: Home Assistant.
        ask: Gives the model's whole answer to the fields of a prompt. What it raises is raised.
        user_input: What was said.
        chat_log: Where the answer is noted.
    """
    return await _Turn(hass, user_input, chat_log).answer(ask)


class _Turn:
    """What somebody said, once, and what comes of it."""

    def __init__(
        self, hass: HomeAssistant, user_input: conversation.ConversationInput, chat_log: conversation.ChatLog
    ) -> None:
        self._hass = hass
        self._input = user_input
        self._chat_log = chat_log
        self._area_id, self._device_id = area_of_speaker(hass, user_input)
        self._response = intent.IntentResponse(language=user_input.language)

    async def answer(self, ask: Ask) -> conversation.ConversationResult:
        home = home_of(self._hass)
        outcomes: list[Outcome] = []
        language: Language = "en"
        for question in begin(self._input.text, self._input.language, home, self._area_id):
            language = question.heard.language
            outcome: Outcome | None = question.settled or question.heard.why
            if outcome is None:
                outcome = end(question, await ask(question.request), home, self._area_id)
            if isinstance(outcome, Why):
                return await self._hand_on(question.heard, outcome)
            outcomes.append(outcome)
        # Nothing of a sentence is done unless all of it can be.
        if lacking := next(filter(_lacks, outcomes), None):
            return await self._lacking(lacking, language)
        spoken = []
        for outcome in outcomes:
            spoken.append(await self._come_of(outcome, language))
            if self._response.response_type is intent.IntentResponseType.ERROR:
                return self._result()
        self._response.async_set_speech((" " if language == "en" else "").join(spoken))
        return self._result()

    async def _come_of(self, outcome: Outcome, language: Language) -> str:
        """Do what is to be done, note it in the response, and return what is said."""
        if isinstance(outcome, Plan):
            return await self._do(outcome, language)
        self._response.response_type = intent.IntentResponseType.QUERY_ANSWER
        if not isinstance(outcome, Told):
            return outcome.text if isinstance(outcome, Talk) else ""
        entities = [reading.thing.entity_id for reading in outcome.readings]
        self._response.async_set_states(
            [state for each in entities if (state := self._hass.states.get(each))]
        )
        return said.told(outcome, language)

    async def _do(self, plan: Plan, language: Language) -> str:
        """Call the intents of a plan, one after the other, and return what is said."""
        own: list[str] = []
        # Home Assistant passes over what is unavailable, and reports it as done.
        unreached = [thing for thing in plan.things if thing.state == STATE_UNAVAILABLE]
        words = said.unreached(unreached, language)
        if unreached and len(unreached) == len(plan.things):
            self._response.async_set_error(intent.IntentResponseErrorCode.FAILED_TO_HANDLE, words)
            return words
        for call in plan.calls:
            try:
                done = await self._call(call)
            except intent.IntentError as error:
                _LOGGER.debug("%s with %s: %s", call.intent, call.slots, error)
                words = said.failed(plan.things, language)
                self._response.async_set_error(intent.IntentResponseErrorCode.FAILED_TO_HANDLE, words)
                return words
            self._response.success_results += done.success_results
            self._response.failed_results += done.failed_results
            self._response.matched_states += done.matched_states
            if text := done.speech.get("plain", {}).get("speech"):
                own.append(text)
        # What an intent says itself is English.
        done = " ".join(own) if own and language == "en" else said.done(plan, language)
        return f"{done}{' ' if language == 'en' else ''}{words}" if words else done

    async def _call(self, call: Call) -> intent.IntentResponse:
        slots = {name: {"value": value, "text": str(value)} for name, value in call.slots.items()}
        if self._area_id:
            slots["preferred_area_id"] = {"value": self._area_id, "text": self._area_id}
        return await intent.async_handle(
            self._hass,
            _PLATFORM,
            call.intent,
            slots,
            self._input.text,
            self._input.context,
            self._input.language,
            assistant=conversation.DOMAIN,
            device_id=self._device_id,
            satellite_id=self._input.satellite_id,
            conversation_agent_id=self._input.agent_id,
        )

    async def _lacking(self, outcome: Outcome, language: Language) -> conversation.ConversationResult:
        """Say what lacks, if Home Assistant's own sentences don't know better."""
        if response := await self._in_own_sentences():
            return self._result(response)
        words = said.missing(outcome, language) if isinstance(outcome, Missing) else ""
        if isinstance(outcome, Told):
            words = said.told(outcome, language)
        self._response.async_set_error(intent.IntentResponseErrorCode.NO_VALID_TARGETS, words)
        return self._result()

    async def _hand_on(self, heard: Heard, why: Why) -> conversation.ConversationResult:
        """Try Home Assistant's own sentences; its agent's guesses only in languages of its own."""
        _LOGGER.debug("Handed on (%s): %s", why, self._input.text)
        if why is Why.LANGUAGE:
            return await conversation.async_converse(
                self._hass,
                text=self._input.text,
                conversation_id=self._chat_log.conversation_id,
                context=self._input.context,
                language=self._input.language,
                agent_id=conversation.HOME_ASSISTANT_AGENT,
                device_id=self._input.device_id,
                satellite_id=self._input.satellite_id,
                extra_system_prompt=self._input.extra_system_prompt,
            )
        if response := await self._in_own_sentences():
            return self._result(response)
        self._response.async_set_error(
            intent.IntentResponseErrorCode.NO_INTENT_MATCH, said.not_understood(why, heard.language)
        )
        return self._result()

    async def _in_own_sentences(self) -> intent.IntentResponse | None:
        """Return what came of it where an automation's sentence, or an intent's, is just what was said."""
        if not _in_automation.get():
            token = _in_automation.set(True)
            try:
                text = await conversation.async_handle_sentence_triggers(
                    self._hass, self._input, self._chat_log
                )
            finally:
                _in_automation.reset(token)
            if text is not None:
                self._response.async_set_speech(text)
                return self._response
        return await conversation.async_handle_intents(self._hass, self._input, self._chat_log)

    def _result(self, response: intent.IntentResponse | None = None) -> conversation.ConversationResult:
        response = response or self._response
        self._chat_log.async_add_assistant_content_without_tools(
            conversation.AssistantContent(
                agent_id=self._input.agent_id, content=response.speech.get("plain", {}).get("speech", "")
            )
        )
        return conversation.ConversationResult(
            response=response, conversation_id=self._chat_log.conversation_id
        )


def _lacks(outcome: Outcome) -> bool:
    return isinstance(outcome, Missing) or (isinstance(outcome, Told) and not outcome.readings)
