"""What an earlier run of the daemon left: what waited runs, what had begun ends, ends are said again.

Sans-I/O; time is passed in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from edgeassist.errors import DeadlineExceededError, EdgeAssistError, InterruptedRequestError
from edgeassist.protocol.asking import OnCrash
from edgeassist.protocol.events import Done, Failed, parse_event, said_again
from edgeassist.serving.caller import Caller
from edgeassist.serving.journal import Found, Journal
from edgeassist.serving.record import Record
from edgeassist.serving.request import AnyRequest
from edgeassist.serving.returning import INTERRUPTED
from edgeassist.serving.sink import Sink

log = logging.getLogger(__name__)

# A request that so many starts have found may be what ends the daemon; an end may be one that the broker
# does not take.
MOST_STARTS = 3


@dataclass(frozen=True, slots=True)
class Restored:
    """A request as its transport makes it again.

    Attributes:
        asked: What was asked, or why that can't be asked any more, such as a topic that is not allowed now.
        caller: By whom.
        sink: Where its events go, the refusal too.
    """

    asked: AnyRequest | EdgeAssistError
    caller: Caller
    sink: Sink


# Makes a request of a `Durable.origin` and the id that it has; None where it can't be read.
Restore = Callable[[bytes, str], Restored | None]


class Recovering(Protocol):
    """What a recovery needs of `Requests`."""

    def recall(self, found: Found, done: Done, now: float) -> None:
        """Answer repeats of a request that has ended."""
        ...

    def resume(self, asked: AnyRequest, caller: Caller, record: Record, found: Found, now: float) -> None:
        """Let a request wait again."""
        ...

    def give_up(
        self,
        asked: AnyRequest | None,
        caller: Caller,
        record: Record,
        found: Found,
        error: EdgeAssistError,
    ) -> None:
        """End a request that was accepted and can't be answered."""
        ...


@dataclass(frozen=True, slots=True)
class Recovery:
    """Takes up what was found, in the order in which it came.

    Attributes:
        requests: Has what goes on.
        journal: Is told what became of it.
        restore: Makes requests again.
    """

    requests: Recovering
    journal: Journal
    restore: Restore

    def take_up(self, found: Iterable[Found], now: float) -> None:
        """Take them up, before anything new comes."""
        counts = {"answered again": 0, "waiting": 0}
        for each in sorted(found, key=lambda each: (-each.ended_s if each.end else 0.0, each.number)):
            try:
                counts["answered again" if each.end is not None else "waiting"] += self._take(each, now)
            except Exception:  # one that can't be taken up must not keep the others from it
                log.exception("request %s of an earlier run could not be taken up", each.entry.key.name)
                self.journal.forget(each.number)
        if any(counts.values()):
            log.info(
                "taken up from before the start: %s", ", ".join(f"{n} {what}" for what, n in counts.items())
            )

    def _take(self, found: Found, now: float) -> bool:
        """Take one up; False where there was nothing to do, or it had to be dropped."""
        if found.end is not None:
            return self._say_again(found, now)
        restored = self.restore(found.entry.origin, found.entry.key.name)
        if restored is None:
            log.warning("request %s of an earlier run can't be read, and is dropped", found.entry.key.name)
            self.journal.forget(found.number)
            return False
        record = Record(restored.sink, self.journal, None, number=found.number)
        asked, caller = restored.asked, restored.caller
        if isinstance(asked, EdgeAssistError):
            self.requests.give_up(None, caller, record, found, asked)
        elif (error := _hopeless(asked, found)) is not None:
            self.requests.give_up(asked, caller, record, found, error)
        else:
            self.requests.resume(asked, caller, record, found, now)
        return True

    def _say_again(self, found: Found, now: float) -> bool:
        end = parse_event(found.end or b"")
        if not isinstance(end, Done | Failed):
            raise TypeError(f"{end.type} is no end")
        if isinstance(end, Done):
            self.requests.recall(found, end, now)
        if found.delivered:
            return False
        restored = None
        if found.starts <= MOST_STARTS:
            restored = self.restore(found.entry.origin, found.entry.key.name)
        if restored is None:
            log.warning("the end of request %s could not be delivered, and is dropped", end.id)
            self.journal.forget(found.number)
            return False
        restored.sink.send(said_again(end), on_heard=lambda heard: self._heard(found.number, heard=heard))
        return True

    def _heard(self, number: int, *, heard: bool) -> None:
        if heard:
            self.journal.deliver(number)


def _hopeless(asked: AnyRequest, found: Found) -> EdgeAssistError | None:
    """Return why a request that had not ended can't go on; None where it can."""
    if found.elapsed_s >= found.entry.timeout_s:
        return DeadlineExceededError(
            f"not complete after {found.entry.timeout_s:g} s: the device was away meanwhile"
        )
    if found.began and asked.on_crash is OnCrash.ERROR:
        return InterruptedRequestError(INTERRUPTED)
    if found.starts > MOST_STARTS:
        return InterruptedRequestError(
            f"the device was restarted {found.starts} times before it could answer: ask again"
        )
    return None
