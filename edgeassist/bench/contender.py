"""A side of the comparison, and how its answers are collected."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import psutil

from edgeassist.bench.replies import End, Reply, Text
from edgeassist.errors import ModelError

# Concurrent clients, and slots of each side.
CLIENTS = 4
LOAD_S = 600.0
# Far longer than any answer should take; only catches one that never comes.
TIMEOUT_S = 1800


@dataclass(frozen=True, slots=True)
class Exchange:
    """An earlier question and its answer."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision that a client wants.

    Attributes:
        state: What the questions are about.
        questions: By name, as a request has them.
        percents: Whether a side that can only write tells the probability of each option, as decisions do, or
            no more than the picks.
    """

    state: str
    questions: Mapping[str, Any]
    percents: bool


@dataclass(frozen=True, slots=True)
class Question:
    """A client's question; decoding is greedy.

    Attributes:
        prompt: The user's message.
        max_tokens: The most tokens of the answer.
        system: The system prompt; empty for the one the side was started with.
        session: The conversation's name; empty for none. A side that keeps sessions ignores `history`.
        history: The conversation's earlier exchanges.
        schema: What the answer may be, as a JSON Schema; None: anything, and as long as it may be.
        tools: One of them is called, as OpenAI writes them; empty: none.
        decision: What is decided instead of answering the prompt; None: nothing.
        judged: What it says counts, not how fast: it may end by itself, has no thoughts before it, and
            comes out the same each time.
    """

    prompt: str
    max_tokens: int
    system: str = ""
    session: str = ""
    history: tuple[Exchange, ...] = ()
    schema: dict[str, Any] | None = None
    tools: tuple[dict[str, Any], ...] = ()
    decision: Decision | None = None
    judged: bool = False

    @property
    def is_free(self) -> bool:
        """Whether the answer may be anything, so that it can be kept from ending."""
        return not self.judged and self.schema is None and not self.tools and self.decision is None


class Contender(Protocol):
    """A server under test that can be restarted."""

    @property
    def name(self) -> str:
        """The name shown in tables."""

    @property
    def processes(self) -> Mapping[str, psutil.Process]:
        """The processes that use CPU while it answers, including this one, by name."""

    @property
    def resident_bytes(self) -> int:
        """Resident memory of its own processes."""

    async def start(self, system: str = "") -> float:
        """Restart, wait until ready, and return the seconds from start to ready.

        Args:
            system: The system prompt to configure.

        Raises:
            EdgeAssistError: It does not start; the message has the end of its log.
        """

    async def settle(self) -> None:
        """Wait until its background work is done."""

    async def stop(self) -> None:
        """End all its processes."""

    async def build(self) -> str:
        """Return its version, as it reports it."""

    def ask(self, question: Question, client: int) -> AsyncGenerator[Text | End]:
        """Ask, and yield texts as they arrive, then the end. Closing the generator early cancels the answer.

        Args:
            question: The question.
            client: Index of the client that asks, from 0 to `CLIENTS` - 1.

        Raises:
            EdgeAssistError: The request failed.
        """


class Listener:
    """Collects an answer in the background. An async context manager; leaving it cancels the answer.

    Args:
        contender: The side to ask.
        question: The question.
        client: Index of the client that asks.
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
        """Cancel the answer if it is still running."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.exception()  # mark it as retrieved: `reach` has raised it already

    async def reach(self, count: int) -> None:
        """Wait until `count` texts have arrived or the answer has ended; raise the request's error if any."""
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
    """Ask all at once, each from its own client; return the answers in the same order."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(collect(contender, question, client), name=f"ask-{client}")
                for client, question in enumerate(questions)
            ]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
