"""Where a request's events go. Every transport has a sink of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from edgeassist.protocol.events import AnyEvent

# Told once what became of an end: whether whoever asked has it, as far as the transport can tell.
OnSettled = Callable[[bool], None]


class Sink(Protocol):
    """Takes the events of one request, in order; the last is `done` or `error`.

    A request may end in `send`'s caller's stack, so `send` never raises and never calls back.
    """

    @property
    def wants_progress(self) -> bool:
        """Whether it has a use for `accepted`, `progress` and `reasoning`; else these are not numbered."""
        ...

    @property
    def chunk_bytes(self) -> int:
        """The most bytes of UTF-8 in one chunk, at least 4 (escaped: 6): a character is never cut."""
        ...

    @property
    def escaped(self) -> bool:
        """Whether `chunk_bytes` counts the text as JSON escapes it."""
        ...

    @property
    def event_bytes(self) -> int | None:
        """The most bytes of an event's payload; None: any number. It decides what a call is cut into."""
        ...

    @property
    def congested(self) -> bool:
        """True while text should wait: later chunks then get longer instead of piling up."""
        ...

    def send(
        self, event: AnyEvent, on_settled: OnSettled | None = None, on_heard: OnSettled | None = None
    ) -> None:
        """Pass an event on, or drop it where that can't be done any more.

        Args:
            event: What to say.
            on_settled: Given with an end where what becomes of it matters, which is so for requests that came
                with a `Durable`: called later, and not from within.
            on_heard: Likewise, once nothing is left to be done for the end to be heard: later than that where
                the transport says it again.
        """
        ...
