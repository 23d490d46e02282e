"""What the journal is told of one request, on the way of its events to its sink. Sans-I/O."""

from __future__ import annotations

from collections.abc import Callable

from edgeassist.protocol.events import AnyEvent, Called, Chunk, Done, Failed
from edgeassist.serving.caller import Key
from edgeassist.serving.journal import Durable, Entry, Journal
from edgeassist.serving.sink import OnSettled, Sink


class Record:
    """A `Sink` before a request's own: an end goes out when it is written down, and not before.

    So a daemon that is killed has either not said the end, and does so after its start, or knows that it may
    have, and says it again as a repeat.

    Args:
        sink: The request's own.
        journal: Is told.
        durable: What the transport gave; None for a request whose fate is the daemon's.
        number: What the journal calls it already, of one that a restart found.
    """

    def __init__(
        self, sink: Sink, journal: Journal, durable: Durable | None, *, number: int | None = None
    ) -> None:
        self._sink = sink
        self._journal = journal
        self._durable = durable
        self._number = number
        self._began = False
        self._admitted = False
        self._said = False
        self._when_said: Callable[[], None] | None = None
        # What is said once its fate is safe; None where nothing has to wait.
        self._unsaid: list[AnyEvent] | None = None
        # None once its fate is safe.
        self._waiting: list[Callable[[], None]] | None = None if durable is None else [durable.on_safe]

    def admit(self, key: Key, fingerprint: bytes, timeout_s: float) -> None:
        """Write down that the request will be answered."""
        self._admitted = True
        if self._durable is not None:
            entry = Entry(key, fingerprint, self._durable.origin, timeout_s)
            self._unsaid = None if self._durable.named else []
            self._number = self._journal.accept(entry, self._safe)

    @property
    def written(self) -> bool:
        """Whether the request is written down, or about to be."""
        return self._number is not None

    @property
    def began(self) -> bool:
        """Whether text or calls of its answer have gone out."""
        return self._began

    @property
    def kept(self) -> bool:
        """Whether the next start of the daemon finds the request."""
        return self._number is not None and self._journal.keeps(self._number)

    def when_safe(self, call: Callable[[], None]) -> None:
        """Call it when the request's fate is safe; at once, if it is."""
        if self._waiting is None:
            call()
        else:
            self._waiting.append(call)

    def when_said(self, call: Callable[[], None]) -> None:
        """Call it when the end has been said; at once, if it has."""
        if self._said:
            call()
        else:
            self._when_said = call

    @property
    def wants_progress(self) -> bool:
        """As the request's sink (`Sink.wants_progress`)."""
        return self._sink.wants_progress

    @property
    def chunk_bytes(self) -> int:
        """As the request's sink (`Sink.chunk_bytes`)."""
        return self._sink.chunk_bytes

    @property
    def escaped(self) -> bool:
        """As the request's sink (`Sink.escaped`)."""
        return self._sink.escaped

    @property
    def event_bytes(self) -> int | None:
        """As the request's sink (`Sink.event_bytes`)."""
        return self._sink.event_bytes

    @property
    def congested(self) -> bool:
        """As the request's sink (`Sink.congested`)."""
        return self._sink.congested

    def send(
        self, event: AnyEvent, on_settled: OnSettled | None = None, on_heard: OnSettled | None = None
    ) -> None:
        """Pass an event on; an end when it is written down."""
        del on_settled, on_heard
        if isinstance(event, Done | Failed):
            self._end(event)
            return
        if self._unsaid is None:
            self._pass(event)
        else:
            self._unsaid.append(event)

    def _pass(self, event: AnyEvent) -> None:
        """Let an event go out, and before the first text of an answer have it noted that it begins."""
        if isinstance(event, Chunk | Called) and not self._began:
            self._began = True
            if self._number is not None:
                self._journal.begin(self._number)
        self._sink.send(event)

    def _end(self, end: Done | Failed) -> None:
        number = self._number
        if number is not None:

            def say() -> None:
                self._say_held()
                self._say(end, on_heard=lambda heard: self._heard(number, heard=heard))

            self._journal.end(number, end.payload(), say, replayed=isinstance(end, Done))
        elif self._waiting is not None and not self._admitted:
            self._say(end, lambda _delivered: self._safe())
        else:
            self._say(end)

    def _say(
        self, end: Done | Failed, on_settled: OnSettled | None = None, on_heard: OnSettled | None = None
    ) -> None:
        self._sink.send(end, on_settled, on_heard)
        self._said = True
        if self._when_said is not None:
            self._when_said()

    def _heard(self, number: int, *, heard: bool) -> None:
        if heard:
            self._journal.deliver(number)

    def _say_held(self) -> None:
        unsaid, self._unsaid = self._unsaid or [], None
        for event in unsaid:
            self._pass(event)

    def _safe(self) -> None:
        self._say_held()
        waiting, self._waiting = self._waiting or [], None
        for call in waiting:
            call()
