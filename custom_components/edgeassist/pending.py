"""A request that has no end yet, and what of its answer waits. Imports nothing of Home Assistant."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .events import AnswerStream, Chunk, Event, Progress, Reasoning
from .failures import Failure
from .topics import Kind

# How many events of one answer may wait before texts are joined.
MOST_WAITING = 64
# How often a request is asked again that a restart of the box interrupted.
MOST_INTERRUPTIONS = 3


@dataclass
class Request:
    """A request without its end.

    Attributes:
        payload: Published again, byte for byte, when the link comes back.
        streams: Whether the box says anything before the end: at once, that it has accepted it.
        heard: Whether it has.
        again: Whether it was asked once more because it had not.
        interruptions: How often it was asked again because the box was restarted while it answered.
        asked_at: When it was published last, on the event loop's clock.
    """

    id: str
    topic: str
    payload: str
    streams: bool
    asked_at: float = 0.0
    stream: AnswerStream = field(default_factory=AnswerStream)
    waiting: list[Event | Failure] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    heard: bool = False
    again: bool = False
    interruptions: int = 0

    @classmethod
    def of(cls, fields: Mapping[str, Any], topic: str, kind: Kind, limit_s: float) -> Request:
        """Return a request with these fields, under an id that nobody guesses."""
        key = secrets.token_hex(8)
        payload = json.dumps(
            {"id": key, **fields, "timeout_s": limit_s}, ensure_ascii=False, separators=(",", ":")
        )
        streams = kind == "prompt" and fields.get("stream") is not False
        # Half a character, which JSON can write, can't be published.
        return cls(key, topic, payload.encode(errors="replace").decode(), streams)

    def may_begin_anew(self) -> bool:
        """Whether it is asked again after a restart of the box; counts how often."""
        self.interruptions += 1
        return self.interruptions <= MOST_INTERRUPTIONS

    def put(self, event: Event | Failure) -> None:
        """Let it wait for who asked; who is slow gets longer texts and less progress."""
        last = self.waiting[-1] if len(self.waiting) >= MOST_WAITING else None
        if isinstance(last, Progress):
            self.waiting.pop()
        elif isinstance(event, Progress) and last is not None:
            return
        elif isinstance(event, Chunk | Reasoning) and type(event) is type(last):
            self.waiting[-1] = type(event)(event.id, event.seq, last.text + event.text)
            return
        self.waiting.append(event)
        self.news.set()

    async def get(self) -> Event | Failure:
        """Wait for the next."""
        while not self.waiting:
            self.news.clear()
            await self.news.wait()
        return self.waiting.pop(0)
