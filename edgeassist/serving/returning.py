"""Requests that an earlier run has left, as `recovery.Recovery` takes them up. Sans-I/O."""

from __future__ import annotations

from collections.abc import Callable

from edgeassist.errors import EdgeAssistError, InterruptedRequestError, InvalidRequestError
from edgeassist.protocol.events import Done
from edgeassist.serving.admission import Admission, taken
from edgeassist.serving.caller import Caller
from edgeassist.serving.endings import Endings, log_of
from edgeassist.serving.engines import Engines
from edgeassist.serving.journal import Found, Journal
from edgeassist.serving.kinds import Kinds
from edgeassist.serving.record import Record
from edgeassist.serving.replay import Replays
from edgeassist.serving.request import AnyRequest, Request
from edgeassist.serving.streams import Streams

INTERRUPTED = "the device was restarted while it answered: ask again"
# What an earlier run said of a request had smaller numbers, and as large ones are still expected in packets.
SEQ_AFTER_START = 1_000_000


class Returning:
    """Lets them wait again, or end.

    Args:
        admission: The requests that have not ended.
        engines: Which model is served.
        kinds: What it can do.
        replays: Answer the repeats of what has ended.
        streams: Begins streams.
        endings: End requests.
        journal: Has written them down.
        add: Takes one that waits again.
        clock: Seconds of one monotonic clock.
    """

    def __init__(
        self,
        *,
        admission: Admission,
        engines: Engines,
        kinds: Kinds,
        replays: Replays,
        streams: Streams,
        endings: Endings,
        journal: Journal,
        add: Callable[[Request], None],
        clock: Callable[[], float],
    ) -> None:
        self._admission = admission
        self._engines = engines
        self._kinds = kinds
        self._replays = replays
        self._streams = streams
        self._endings = endings
        self._journal = journal
        self._add = add
        self._clock = clock

    def recall(self, found: Found, done: Done, now: float) -> None:
        """Answer repeats of a request that has ended."""
        self._replays.remember(found.entry.key, found.entry.fingerprint, done, now - found.ended_s)

    def resume(self, asked: AnyRequest, caller: Caller, record: Record, found: Found, now: float) -> None:
        """Let a request wait again, in its place by its age; it counts for no quota."""
        entry, arrived = found.entry, now - found.elapsed_s
        stream = self._streams.begin(asked.id, record, arrived, chunks=asked.streams, metadata=asked.metadata)
        deadline = arrived + entry.timeout_s
        request = Request(asked, caller, entry.fingerprint, stream, record, arrived, deadline)
        known = self._admission.find(entry.key)
        if known is not None and known.fingerprint == entry.fingerprint:  # asked again since
            self._journal.forget(found.number)
            return
        try:
            if known is not None:
                raise InvalidRequestError(taken(asked.id))
            self._kinds.check_model(asked, self._engines.model)
            self._kinds.check_session(request, self._admission)
        except EdgeAssistError as error:
            self.give_up(asked, caller, record, found, error)
            return
        log_of(asked.id, "waits again, from before the start")
        self._add(request)

    def give_up(
        self,
        asked: AnyRequest | None,
        caller: Caller,
        record: Record,
        found: Found,
        error: EdgeAssistError,
    ) -> None:
        """End a request that was accepted and can't be answered."""
        metadata = None if asked is None else asked.metadata
        stream = self._streams.begin(
            found.entry.key.name, record, self._clock(), first_seq=SEQ_AFTER_START, metadata=metadata
        )
        self._endings.refuse(found.entry.key.name, caller, record, stream, error, asked=asked)

    def interrupt(self, asked: AnyRequest, caller: Caller, record: Record) -> None:
        """End a request whose answer an earlier run had begun, and that comes again."""
        stream = self._streams.begin(
            asked.id, record, self._clock(), first_seq=SEQ_AFTER_START, metadata=asked.metadata
        )
        error = InterruptedRequestError(INTERRUPTED)
        self._endings.refuse(asked.id, caller, record, stream, error, asked=asked)
