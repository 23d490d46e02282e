"""A side of the comparison, and how its answers are listened to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import psutil

from edgeassist.bench.replies import End, Reply, Text
from edgeassist.errors import ModelError

# How many clients ask at once, and how many answers a side can work on at once.
CLIENTS = 4
LOAD_S = 600.0
# Far more than any answer should take: whoever measures wants to know that one never came.
TIMEOUT_S = 1800


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was asked before, and answered."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Question:
    """What a client asks for, greedily.

    Attributes:
        prompt: The text.
        max_tokens: The most tokens of the answer.
        system: The system prompt; empty for the one that the side is started with.
        session: The name of the conversation; empty for none. A side that remembers it needs no `history`.
        history: What was said in it before.
    """

    prompt: str
    max_tokens: int
    system: str = ""
    session: str = ""
    history: tuple[Exchange, ...] = ()


class Contender(Protocol):
    """Something that answers, and can be started afresh."""

    @property
    def name(self) -> str:
        """How it is called in tables."""

    @property
    def processes(self) -> Mapping[str, psutil.Process]:
        """What computes while it answers, this process included; by name."""

    @property
    def resident_bytes(self) -> int:
        """What its own processes have in memory."""

    async def start(self, system: str = "") -> float:
        """Start, ending what runs first, and wait until it can answer; return the seconds that took.

        Args:
            system: The system prompt that it is configured with.

        Raises:
            EdgeAssistError: It does not start; the message has the end of its log.
        """

    async def settle(self) -> None:
        """Wait until it has nothing left to do but to answer."""

    async def stop(self) -> None:
        """End all its processes."""

    async def build(self) -> str:
        """Return its version, in its own words."""

    def ask(self, question: Question, client: int) -> AsyncGenerator[Text | End]:
        """Ask, and yield what arrives, the end last. Whoever closes the generator early cancels the answer.

        Args:
            question: What.
            client: Whose connection, from 0 to `CLIENTS` - 1.

        Raises:
            EdgeAssistError: It ends in an error.
        """


class Listener:
    """An answer that is listened to beside other work. An async context manager; leaving it cancels.

    Args:
        contender: Who is asked.
        question: What.
        client: By whom.
    """

    def __init__(self, contender: Contender, question: Question, client: int = 0) -> None:
        self._contender = contender
        self._question = question
        self._client = client
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.texts: list[Text] = []
        self.end: End | None = None

    async def __aenter__(self) -> Self:
        """Ask."""
        self._task = asyncio.create_task(self._listen(), name=f"listen-{self._client}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel what has not ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.exception()  # whoever waited was told; nobody else asks for it

    async def reach(self, count: int) -> None:
        """Wait for so many texts; returns at the end of the answer too, and raises what went wrong."""
        while len(self.texts) < count and self._task is not None and not self._task.done():
            self._news.clear()
            await self._news.wait()
        if self._task is not None and self._task.done():
            self._task.result()

    async def _listen(self) -> None:
        try:
            async with aclosing(self._contender.ask(self._question, self._client)) as events:
                async for event in events:
                    if isinstance(event, End):
                        self.end = event
                    else:
                        self.texts.append(event)
                    self._news.set()
        finally:
            self._news.set()


async def collect(contender: Contender, question: Question, client: int = 0) -> Reply:
    """Ask, and return the whole answer."""
    texts: list[Text] = []
    end: End | None = None
    begun = time.perf_counter()
    async with aclosing(contender.ask(question, client)) as events:
        async for event in events:
            if isinstance(event, End):
                end = event
            else:
                texts.append(event)
    if end is None:
        raise ModelError(f"{contender.name}: the answer ended without an end")
    return Reply(begun, tuple(texts), end)


async def collect_all(contender: Contender, questions: list[Question]) -> list[Reply]:
    """Ask them all at once, each by another client, and return the answers in the same order."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(collect(contender, question, client), name=f"ask-{client}")
                for client, question in enumerate(questions)
            ]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
