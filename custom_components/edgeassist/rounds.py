"""Asks a model, does what it calls, and asks again with the results, until it has said something."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Set
from contextlib import aclosing
from typing import Any

from homeassistant.components import conversation
from homeassistant.helpers import llm
from homeassistant.util import dt as dt_util

from .entity import EdgeAssistEntity
from .events import Called, Chunk, Done, Reasoning, Restarted
from .failures import Failure, Why
from .layout import Layout
from .messages import Written, halved_results, messages_of, questions
from .tools import Tools

# How often a model may be asked before it has to say something.
MAX_ROUNDS = 10
# What fits if less of it is said. An answer may be too large, too, and would be so again: only of long
# requests, as far as a box usually takes them.
_OVERFLOW = frozenset({Why.CONTEXT_OVERFLOW})
_TOO_LONG = _OVERFLOW | {Why.TOO_LARGE}
_LONG = 100_000


class Converses(EdgeAssistEntity):
    """An entity whose model may call Home Assistant's tools."""

    async def async_converse(self, chat_log: conversation.ChatLog, fields: Mapping[str, Any]) -> None:
        """Answer the last question of a chat log, in it.

        Args:
            chat_log: With its system prompt, and its API if the model may call tools.
            fields: More of each request: how the model answers, and how urgent it is.

        Raises:
            Failure: It was not answered, and why.
        """
        tools = self._tools(chat_log.llm_api)
        # All calls of this turn: name and arguments, as they were written.
        made: set[tuple[str, str]] = set()
        stuck = False
        for number in range(1, MAX_ROUNDS + 1):
            closing = stuck or number == MAX_ROUNDS
            more: dict[str, Any] = {"tools": tools.wire} if tools.wire else {}
            if closing and tools.wire:
                more["tool_choice"] = "none"
            count = len(made)
            await self._round({**fields, **more}, tools, chat_log, made)
            # A small model likes to call again what it has just called. It is asked for words then.
            stuck = len(made) == count and chat_log.content[-1].role != "assistant"
            if closing or not (stuck or chat_log.unresponded_tool_results):
                break
        self._end(chat_log, acted=bool(made))

    def _end(self, chat_log: conversation.ChatLog, *, acted: bool) -> None:
        """See to it that an answer ends the turn; one who has done something may say nothing."""
        last = chat_log.content[-1]
        if not acted and not (last.role == "assistant" and last.content):
            raise Failure(Why.NO_WORDS)
        if last.role != "assistant":
            chat_log.async_add_assistant_content_without_tools(
                conversation.AssistantContent(agent_id=self.entity_id, content="")
            )

    async def _round(
        self,
        fields: dict[str, Any],
        tools: Tools,
        chat_log: conversation.ChatLog,
        made: set[tuple[str, str]],
    ) -> None:
        """Ask once; again with less of what was said before, and of tools' results, if that does not fit."""
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
            deltas = self._deltas({**fields, "messages": messages}, tools, made, forgive)
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
        self, fields: dict[str, Any], tools: Tools, made: set[tuple[str, str]], forgive: Set[Why]
    ) -> AsyncGenerator[conversation.AssistantContentDeltaDict]:
        """Ask, and yield the answer as Home Assistant's chat log takes it.

        Calls come with the end, a token or two behind the last of them: Home Assistant does at once what is
        called. Nobody would hear of it if the answer then failed, or if the box began again and called again.
        """
        yield {"role": "assistant"}
        said = False
        calls: list[Called] = []
        async with aclosing(self.async_ask(fields, forgive=forgive)) as events:
            async for event in events:
                match event:
                    case Reasoning():
                        yield {"thinking_content": event.text}
                    case Chunk():
                        said = True
                        yield {"content": event.text}
                    case Called():
                        key = (event.name, event.arguments)
                        if key in made or key in map(_key, calls):
                            break  # it would go on like this; what it has called anew counts
                        calls.append(event)
                    case Restarted() if said:
                        raise Failure(Why.RESTARTED)  # what was said can't be taken back
                    case Restarted():
                        calls = []
                    case Done():
                        calls += event.calls[len(calls) :]
                    case _:
                        pass
        if calls:
            made.update(map(_key, calls))
            yield {"tool_calls": [tools.input_of(call) for call in calls], "native": Written.of(calls)}

    def _tools(self, api: llm.APIInstance | None) -> Tools:
        """Return the API's tools.

        Raises:
            Failure: The model takes none, or not as many.
        """
        info = self.box.info
        try:
            tools = Tools(self.hass, api)
        except Failure as failure:
            self.async_report(failure)
            raise
        if tools.wire and info is not None and not info.takes("tools"):
            failure = Failure(Why.MODEL_WITHOUT_TOOLS, {"model": info.model or ""})
            self.async_report(failure)
            raise failure
        return tools


def _key(call: Called) -> tuple[str, str]:
    return call.name, call.arguments
