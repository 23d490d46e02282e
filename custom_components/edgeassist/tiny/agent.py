"""EdgeAssist Tiny as a conversation agent: asks the box, calls Home Assistant's intents, and says what came of it.

What the model is not for goes to Home Assistant's own sentences, of automations and of intents: these are exact.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from homeassistant.components import conversation
from homeassistant.core import HomeAssistant
from homeassistant.helpers import intent

from ..const import DOMAIN
from . import said
from .hearing import Heard, Why
from .intents import Missing, Plan
from .judging import Talk
from .registries import area_of_speaker, home_of
from .turn import Outcome, Question, Told, begin, end
from .words import Language

Ask = Callable[[dict[str, Any]], Awaitable[str]]

_LOGGER = logging.getLogger(__name__)
# Set while an automation acts on its sentence: it may ask this agent in turn, which then leaves automations alone.
_handed_on: ContextVar[bool] = ContextVar("edgeassist_tiny_handed_on", default=False)


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
    home = home_of(hass)
    area_id, device_id = area_of_speaker(hass, user_input)
    questions = begin(user_input.text, user_input.language, home, area_id)
    outcomes: list[Outcome] = []
    for question in questions:
        if question.heard.why:
            return await _hand_on(hass, user_input, chat_log, question.heard, question.heard.why)
        outcome = end(question, await ask(question.request), home, area_id)
        if isinstance(outcome, Why):
            return await _hand_on(hass, user_input, chat_log, question.heard, outcome)
        outcomes.append(outcome)
    lacking = [
        each
        for each in outcomes
        if isinstance(each, Missing) or (isinstance(each, Told) and not each.readings)
    ]
    # Nothing of a sentence is done unless all of it can be.
    if lacking:
        outcomes = lacking[:1]
        if response := await _in_own_sentences(hass, user_input, chat_log):
            return _result(response, user_input, chat_log)
    response = intent.IntentResponse(language=user_input.language)
    words: list[str] = []
    for question, outcome in zip(questions, outcomes, strict=False):
        words.append(await _come_of(hass, outcome, question, user_input, device_id, area_id, response))
    if response.response_type is not intent.IntentResponseType.ERROR:
        response.async_set_speech(" ".join(words) if questions[0].heard.language == "en" else "".join(words))
    return _result(response, user_input, chat_log)


async def _come_of(
    hass: HomeAssistant,
    outcome: Outcome,
    question: Question,
    user_input: conversation.ConversationInput,
    device_id: str | None,
    area_id: str | None,
    response: intent.IntentResponse,
) -> str:
    """Do what is to be done, note it in the response, and return what is said."""
    language: Language = question.heard.language
    match outcome:
        case Plan():
            return await _do(hass, outcome, language, user_input, device_id, area_id, response)
        case Told() if outcome.readings:
            response.response_type = intent.IntentResponseType.QUERY_ANSWER
            entities = [reading.thing.entity_id for reading in outcome.readings]
            response.async_set_states([state for each in entities if (state := hass.states.get(each))])
            return said.told(outcome, language)
        case Talk():
            response.response_type = intent.IntentResponseType.QUERY_ANSWER
            return outcome.text
    words = said.missing(outcome, language) if isinstance(outcome, Missing) else said.told(outcome, language)
    response.async_set_error(intent.IntentResponseErrorCode.NO_VALID_TARGETS, words)
    return words


async def _do(
    hass: HomeAssistant,
    plan: Plan,
    language: Language,
    user_input: conversation.ConversationInput,
    device_id: str | None,
    area_id: str | None,
    response: intent.IntentResponse,
) -> str:
    """Call the intents of a plan, one after the other, and return what is said."""
    own: list[str] = []
    for call in plan.calls:
        slots = {name: {"value": value, "text": str(value)} for name, value in call.slots.items()}
        if area_id:
            slots["preferred_area_id"] = {"value": area_id, "text": area_id}
        try:
            done = await intent.async_handle(
                hass,
                DOMAIN,
                call.intent,
                slots,
                user_input.text,
                user_input.context,
                user_input.language,
                assistant=conversation.DOMAIN,
                device_id=device_id,
                satellite_id=user_input.satellite_id,
                conversation_agent_id=user_input.agent_id,
            )
        except intent.IntentError as error:
            _LOGGER.debug("%s with %s: %s", call.intent, call.slots, error)
            words = said.failed(plan.things, language)
            response.async_set_error(intent.IntentResponseErrorCode.FAILED_TO_HANDLE, words)
            return words
        response.success_results += done.success_results
        response.failed_results += done.failed_results
        response.matched_states += done.matched_states
        if text := done.speech.get("plain", {}).get("speech"):
            own.append(text)
    # Home Assistant's own words, where an intent has some, are English.
    return " ".join(own) if own and language == "en" else said.done(plan, language)


async def _hand_on(
    hass: HomeAssistant,
    user_input: conversation.ConversationInput,
    chat_log: conversation.ChatLog,
    heard: Heard,
    why: Why,
) -> conversation.ConversationResult:
    """Try Home Assistant's own sentences, which match exactly what is said; its agent's guesses are not wanted here."""
    _LOGGER.debug("Handed on (%s): %s", why, user_input.text)
    if why is Why.LANGUAGE:
        return await conversation.async_converse(
            hass,
            text=user_input.text,
            conversation_id=chat_log.conversation_id,
            context=user_input.context,
            language=user_input.language,
            agent_id=conversation.HOME_ASSISTANT_AGENT,
            device_id=user_input.device_id,
            satellite_id=user_input.satellite_id,
            extra_system_prompt=user_input.extra_system_prompt,
        )
    response = await _in_own_sentences(hass, user_input, chat_log)
    if response is None:
        response = intent.IntentResponse(language=user_input.language)
        response.async_set_error(
            intent.IntentResponseErrorCode.NO_INTENT_MATCH, said.not_understood(why, heard.language)
        )
    return _result(response, user_input, chat_log)


async def _in_own_sentences(
    hass: HomeAssistant, user_input: conversation.ConversationInput, chat_log: conversation.ChatLog
) -> intent.IntentResponse | None:
    """Return what came of it where an automation's sentence, or one of an intent, is just what was said."""
    if not _handed_on.get():
        token = _handed_on.set(True)
        try:
            text = await conversation.async_handle_sentence_triggers(hass, user_input, chat_log)
        finally:
            _handed_on.reset(token)
        if text is not None:
            response = intent.IntentResponse(language=user_input.language)
            response.async_set_speech(text)
            return response
    return await conversation.async_handle_intents(hass, user_input, chat_log)


def _result(
    response: intent.IntentResponse,
    user_input: conversation.ConversationInput,
    chat_log: conversation.ChatLog,
) -> conversation.ConversationResult:
    chat_log.async_add_assistant_content_without_tools(
        conversation.AssistantContent(
            agent_id=user_input.agent_id, content=response.speech.get("plain", {}).get("speech", "")
        )
    )
    return conversation.ConversationResult(response=response, conversation_id=chat_log.conversation_id)
