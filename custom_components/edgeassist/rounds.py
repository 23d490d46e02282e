"""Asks a model, does what it calls, and asks again with the results, until it has said something."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Set
from contextlib import aclosing
from typing import Any

from homeassistant.components import conversation
from homeassistant.util import dt as dt_util

from . import chatting, looking
from .answer import Answer, key_of
from .confirming import ActsOnQuestionError, Turn, Voice
from .const import LOGGER
from .entity import EdgeAssistEntity
from .failures import Failure, Why
from .invented import InventedCallError
from .layout import Layout
from .messages import Written, halved_results, messages_of, questions
from .sentences import async_sentence
from .telling import told_plainly
from .tools import Tools

# How often a model may be asked before it has to say something.
MAX_ROUNDS = 10
# After so many, a model is not tried with tools where words are wanted; and for how long.
MOST_SLIPS = 2
REMEMBERED_S = 3600.0
# What fits if less of it is said. An answer may be too large, too, and would be so again: only of long
# requests, as far as a box usually takes them.
_OVERFLOW = frozenset({Why.CONTEXT_OVERFLOW})
_TOO_LONG = _OVERFLOW | {Why.TOO_LARGE}
_LONG = 100_000


class Converses(EdgeAssistEntity):
    """An entity whose model may call Home Assistant's tools."""

    # How often in a row which model has written code, or a call, where words were wanted.
    _slips: tuple[str, int] = ("", 0)
    # When it did last, by the event loop's clock.
    _slipped_at: float = 0.0

    async def async_converse(
        self, chat_log: conversation.ChatLog, fields: Mapping[str, Any], voice: Voice | None = None
    ) -> None:
        """Answer the last question of a chat log, in it.

        Args:
            chat_log: With its system prompt, and its API if the model may call tools.
            fields: More of each request: how the model answers, and how urgent it is.
            voice: How it is said; None where the answer is the model's own whatever it is.

        Raises:
            Failure: It was not answered, and why.
        """
        tools = self._tools(chat_log)
        turn = _turn(voice, tools)
        if turn is not None and await self._at_once(chat_log, tools, turn, fields):
            return
        # All calls of this turn: name and arguments, as they were written.
        made: set[tuple[str, str]] = set()
        stuck = False
        chosen = {} if turn is None or turn.called else tools.chosen
        for number in range(1, MAX_ROUNDS + 1):
            closing = stuck or number == MAX_ROUNDS
            wordy = closing or (turn is not None and turn.chats)
            more = _tool_fields(tools, {"tool_choice": "none"} if wordy else chosen)
            count, begin = len(made), len(chat_log.content)
            try:
                await self._round({**fields, **more}, tools, chat_log, made, turn)
            except (InventedCallError, ActsOnQuestionError) as mistake:
                if turn is None:
                    raise
                LOGGER.debug("%s: %s %s", self.entity_id, type(mistake).__name__, mistake)
                choice = None if closing else turn.second_try(mistake)
                chosen = {"tool_choice": choice}
                if choice is None:
                    self._note_slip(turn)
                    await self._say_otherwise(chat_log, tools, turn, fields)
                    return
                continue
            chosen = {}
            if turn is not None:
                turn.note(chat_log.content[begin:])
                if turn.confirmation:
                    await self._confirm(chat_log, turn)
                    return
            # A small model likes to call again what it has just called. It is asked for words then.
            stuck = len(made) == count and chat_log.content[-1].role != "assistant"
            if closing or not (stuck or chat_log.unresponded_tool_results):
                break
        if turn is not None and turn.sentence and not _has_words(chat_log):
            await self._confirm(chat_log, turn)
        self._slips = ("", 0) if turn is not None and turn.wants_words else self._slips
        self._end(chat_log, acted=bool(made))

    async def _at_once(
        self, chat_log: conversation.ChatLog, tools: Tools, turn: Turn, fields: Mapping[str, Any]
    ) -> bool:
        """Answer without the model's choice among tools, where that is known to be better; whether it was.

        Where the call that a command plainly is has failed, the model goes on as if it had made it.

        Raises:
            Failure: It was not answered, and why.
        """
        slips = self._slips == (self._model, MOST_SLIPS)
        lately = self.hass.loop.time() - self._slipped_at < REMEMBERED_S
        if turn.wants_words and slips and lately:
            await self._say_otherwise(chat_log, tools, turn, fields)
            return True
        call = tools.call
        if call is None or not turn.confirms:
            return False

        async def deltas() -> AsyncGenerator[conversation.AssistantContentDeltaDict]:
            yield {"role": "assistant"}
            yield {"tool_calls": [call]}

        begin = len(chat_log.content)
        turn.check([call.tool_name])
        async for _ in chat_log.async_add_delta_content_stream(self.entity_id, deltas()):
            pass
        turn.note(chat_log.content[begin:])
        if turn.confirmation:
            await self._confirm(chat_log, turn)
        return turn.confirmation is not None

    def _note_slip(self, turn: Turn) -> None:
        if turn.wants_words:
            model, slips = self._slips
            self._slips = self._model, min(slips + 1, MOST_SLIPS) if model == self._model else 1
            self._slipped_at = self.hass.loop.time()

    async def _say_otherwise(
        self, chat_log: conversation.ChatLog, tools: Tools, turn: Turn, fields: Mapping[str, Any]
    ) -> None:
        """Say what the model did not: an answer without what made it write code, or what was done.

        Raises:
            Failure: There is nothing to say, and why.
        """
        said = next(each.content for each in reversed(chat_log.content) if each.role == "user")
        readings = tools.readings if turn.asks else None
        if readings and turn.language and (words := told_plainly(readings, said, turn.language)):
            await self._speak(chat_log, words)
            return
        if readings:
            system, asked = looking.PROMPT, f"{readings}\n\n{said}"
        elif turn.wants_words:
            system, asked = chatting.PROMPT, said
        else:
            await self._confirm(chat_log, turn)
            return
        messages = [{"role": "system", "content": system}, {"role": "user", "content": asked}]
        nothing = Tools(self.hass, None, said)
        deltas = self._deltas({**fields, "messages": messages}, nothing, set(), frozenset(), turn)
        try:
            async with aclosing(deltas):
                async for _ in chat_log.async_add_delta_content_stream(self.entity_id, deltas):
                    pass
        except InventedCallError:
            raise turn.failure from None
        self._end(chat_log, acted=False)

    async def _confirm(self, chat_log: conversation.ChatLog, turn: Turn) -> None:
        """Say what was done, as if the model had, and what was not.

        Raises:
            Failure: Nothing was, and why.
        """
        said = [turn.sentence]
        if said == [None]:
            raise turn.failure
        if turn.failed:
            said.append(await async_sentence(self.hass, turn.failure, turn.language or ""))
        await self._speak(chat_log, " ".join(filter(None, said)))

    async def _speak(self, chat_log: conversation.ChatLog, words: str) -> None:
        """Say something as if the model had."""

        async def deltas() -> AsyncGenerator[conversation.AssistantContentDeltaDict]:
            yield {"role": "assistant"}
            yield {"content": words}

        async for _ in chat_log.async_add_delta_content_stream(self.entity_id, deltas()):
            pass

    def _end(self, chat_log: conversation.ChatLog, *, acted: bool) -> None:
        """See to it that an answer ends the turn; one who has done something may say nothing."""
        if not acted and not _has_words(chat_log):
            raise Failure(Why.NO_WORDS)
        if chat_log.content[-1].role != "assistant":
            chat_log.async_add_assistant_content_without_tools(
                conversation.AssistantContent(agent_id=self.entity_id, content="")
            )

    async def _round(
        self,
        fields: dict[str, Any],
        tools: Tools,
        chat_log: conversation.ChatLog,
        made: set[tuple[str, str]],
        turn: Turn | None,
    ) -> None:
        """Ask once; again with less of what was said before, and of tools' results, if that does not fit.

        Raises:
            Failure: It was not answered, and why.
            InventedCallError: It is to be spoken, and is a call that was written as text.
            ActsOnQuestionError: It calls what must not be called for a question.
        """
        layout = Layout(chat_log.content[0].content, chat_log.extra_system_prompt)
        turns = questions(chat_log.content)
        most: int | None = None
        while True:
            messages = messages_of(chat_log.content, layout, dt_util.as_local, turns=turns, most=most)
            half = halved_results(messages)
            forgive = frozenset[Why]()
            if turns > 1 or half is not None:
                size = sum(len(message["content"] or "") for message in messages)
                forgive = _TOO_LONG if size > _LONG else _OVERFLOW
            deltas = self._deltas({**fields, "messages": messages}, tools, made, forgive, turn)
            try:
                async with aclosing(deltas):
                    async for _ in chat_log.async_add_delta_content_stream(self.entity_id, deltas):
                        pass
            except Failure as failure:
                if failure.why not in forgive:
                    raise
                if turns > 1:
                    turns //= 2
                else:
                    most = half
            else:
                return

    async def _deltas(
        self,
        fields: dict[str, Any],
        tools: Tools,
        made: set[tuple[str, str]],
        forgive: Set[Why],
        turn: Turn | None,
    ) -> AsyncGenerator[conversation.AssistantContentDeltaDict]:
        """Ask, and yield the answer as Home Assistant's chat log takes it.

        Calls come with the end, a token or two behind the last of them: Home Assistant does at once what is
        called. Nobody would hear of it if the answer then failed, or if the box began again and called again.
        """
        yield {"role": "assistant"}
        answer = Answer(made, tools.names if turn is not None and turn.spoken else None)
        async with aclosing(self.async_ask(fields, forgive=forgive)) as events:
            async for event in events:
                if delta := answer.take(event):
                    yield delta
                if answer.goes_round:
                    break
        if rest := answer.words.rest():
            yield {"content": rest}
        if calls := answer.calls:
            inputs = [tools.input_of(call) for call in calls]
            if turn is not None:
                turn.check(each.tool_name for each in inputs)
            made.update(map(key_of, calls))
            yield {"tool_calls": inputs, "native": Written.of(calls)}

    def _tools(self, chat_log: conversation.ChatLog) -> Tools:
        """Return the tools of a chat log's API.

        Raises:
            Failure: The model takes none, or not as many.
        """
        info = self.box.info
        try:
            said = next((each.content for each in reversed(chat_log.content) if each.role == "user"), "")
            tools = Tools(self.hass, chat_log.llm_api, said)
        except Failure as failure:
            self.async_report(failure)
            raise
        if tools.wire and info is not None and not info.takes("tools"):
            failure = Failure(Why.MODEL_WITHOUT_TOOLS, {"model": info.model or ""})
            self.async_report(failure)
            raise failure
        return tools


def _turn(voice: Voice | None, tools: Tools) -> Turn | None:
    if voice is None or not tools.wire:
        return None
    knows = tools.readings is not None
    return Turn(voice, tools.called_by, knows=knows, unavailable=tools.unavailable)


def _tool_fields(tools: Tools, chosen: Mapping[str, Any]) -> dict[str, Any]:
    return {"tools": tools.wire, **chosen} if tools.wire else {}


def _has_words(chat_log: conversation.ChatLog) -> bool:
    last = chat_log.content[-1]
    return last.role == "assistant" and bool(last.content)
