"""A request that has not ended, what of its answer waits for the caller, and a timer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from edgeassist.client.answers import AnswerStream, AnyEvent
from edgeassist.errors import BrokerError
from edgeassist.protocol.events import Chunk, Progress, Reasoning
from edgeassist.protocol.packets import Outbound

# How many events of one answer may wait for a caller before chunks are joined.
MOST_WAITING = 64


class Events:
    """What waits for a caller; one who is slow gets longer chunks."""

    def __init__(self) -> None:
        self._waiting: deque[AnyEvent | BrokerError] = deque()
        self._news = asyncio.Event()

    def put(self, event: AnyEvent | BrokerError) -> None:
        """Let an event wait; beyond MOST_WAITING, texts are joined and progress is forgotten."""
        last = self._waiting[-1] if len(self._waiting) >= MOST_WAITING else None
        if isinstance(last, Progress):
            self._waiting.pop()
        elif isinstance(event, Progress) and last is not None:
            return
        elif isinstance(event, Chunk) and isinstance(last, Chunk):
            self._waiting[-1] = Chunk(id=event.id, seq=event.seq, text=last.text + event.text)
            return
        elif isinstance(event, Reasoning) and isinstance(last, Reasoning):
            self._waiting[-1] = Reasoning(id=event.id, seq=event.seq, text=last.text + event.text)
            return
        self._waiting.append(event)
        self._news.set()

    def __len__(self) -> int:
        return len(self._waiting)

    async def get(self) -> AnyEvent | BrokerError:
        """Wait for the next."""
        while not self._waiting:
            self._news.clear()
            await self._news.wait()
        return self._waiting.popleft()


@dataclass
class Request:
    """A request without its terminal event yet; `message` is published again when the link comes back.

    Attributes:
        heard: Whether the device has said anything of it.
        streams: Whether the device says that it has accepted it.
        asked_at: When it was published last.
    """

    id: str
    message: Outbound
    stream: AnswerStream = field(default_factory=AnswerStream)
    events: Events = field(default_factory=Events)
    heard: bool = False
    streams: bool = True
    asked_at: float = 0.0


class Timer:
    """Calls once after a time, unless it is cancelled before; starting it again does not prolong it."""

    def __init__(self, seconds: float, expire: Callable[[], None]) -> None:
        self._seconds = seconds
        self._expire = expire
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, unless it runs."""
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_later(self._seconds, self._ring)

    def cancel(self) -> None:
        """Stop, if it runs."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _ring(self) -> None:
        self._handle = None
        self._expire()
