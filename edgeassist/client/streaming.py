"""An answer as it comes, for programs with an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Self

from edgeassist.client.answers import AnyEvent, Restarted
from edgeassist.client.result import Answer
from edgeassist.client.tools import ToolCall
from edgeassist.errors import CancelledRequestError, DeadlineExceededError, EngineCrashedError
from edgeassist.protocol.events import Called, Chunk, Done, Failed, Reasoning

# What the device gets beyond a time limit to say itself that it passed.
GRACE_S = 2.0


class AsyncStream:
    """An answer as it comes: its texts, by iterating over it, or its `events()`.

    It asks when the iteration begins, and a request whose stream is left is cancelled. `async with` makes
    sure that it is left.

    Attributes:
        text: The text so far.
        reasoning: What the model has thought before it, so far.
        tool_calls: What it has called so far.
    """

    def __init__(self, events: AsyncGenerator[AnyEvent], limit_s: float | None) -> None:
        self.text = ""
        self.reasoning = ""
        self.tool_calls: tuple[ToolCall, ...] = ()
        self._events = events
        self._limit_s = limit_s
        self._until: float | None = None
        self._answer: Answer | None = None
        self._left = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> AsyncGenerator[str]:
        return self._texts()

    async def events(self) -> AsyncGenerator[AnyEvent]:
        """Yield `Accepted`, `Progress`, `Reasoning`, `Chunk`, `Called`, `Restarted` and, at last, `Done`.

        Raises:
            EdgeAssistError: The request failed; the class and `code` tell why.
        """
        try:
            while (event := await self.next_event()) is not None:
                yield event
        finally:
            await self.aclose()

    async def result(self) -> Answer:
        """Wait for the end, and return the whole answer.

        Raises:
            EdgeAssistError: The request failed, or the stream was left before its end.
        """
        while await self.next_event() is not None:
            pass
        if self._answer is None:
            raise CancelledRequestError("the stream was left before the answer was complete")
        return self._answer

    async def next_event(self) -> AnyEvent | None:
        """Return the next event; None after the end."""
        if self._answer is not None or self._left:
            return None
        try:
            event = await self._await_event()
        except StopAsyncIteration:
            return None
        except BaseException:
            self._left = True
            raise
        match event:
            case Chunk():
                self.text += event.text
            case Reasoning():
                self.reasoning += event.text
            case Called():
                self.tool_calls += (ToolCall.of(event),)
            case Restarted():
                self.text, self.reasoning, self.tool_calls = "", "", ()
            case Done():
                self._answer = Answer.of(event)
                self.text, self.tool_calls = event.text, self._answer.tool_calls
            case Failed():
                self._left = True
                raise event.error()
            case _:
                pass
        return event

    async def next_text(self) -> str | None:
        """Return the next text; None after the end.

        Raises:
            EngineCrashedError: The device began again, and its answer is another: the texts so far are void.
        """
        while (event := await self.next_event()) is not None:
            if isinstance(event, Chunk):
                return event.text
            if isinstance(event, Restarted):
                await self.aclose()
                raise EngineCrashedError(
                    "the device was restarted, and answers otherwise than before: forget the text so far and "
                    "ask again, or read events()"
                )
        return None

    async def aclose(self) -> None:
        """Leave the answer; what is not complete is cancelled on the device."""
        self._left = True
        await self._events.aclose()

    async def _texts(self) -> AsyncGenerator[str]:
        try:
            while (text := await self.next_text()) is not None:
                yield text
        finally:
            await self.aclose()

    async def _await_event(self) -> AnyEvent:
        if self._limit_s is None:
            return await anext(self._events)
        if self._until is None:
            self._until = asyncio.get_running_loop().time() + self._limit_s + GRACE_S
        try:
            async with asyncio.timeout_at(self._until):
                return await anext(self._events)
        except TimeoutError:
            raise DeadlineExceededError(
                f"the device did not end the answer within timeout_s, {self._limit_s:g} s"
            ) from None
