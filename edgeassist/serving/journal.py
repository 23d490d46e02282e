"""What serving needs of a journal: a request's fate is written down, and found again after a restart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from edgeassist.serving.caller import Key


@dataclass(frozen=True, slots=True)
class Durable:
    """What a transport gives with a request that a restart must not lose.

    Attributes:
        origin: Of what it can make request, caller and sink again, in another process too.
        on_safe: Called once, when the request's fate is safe: it was refused, has ended, or is written down.
            Called too where nothing can be written down.
        named: Whether whoever asked has given it its id. Of another one nothing is said before it is safe:
            the transport may bring it again, and it would get another id.
        again: Whether the transport brings it again, since nobody has told it that its fate is safe.
    """

    origin: bytes
    on_safe: Callable[[], None]
    named: bool = True
    again: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A request as it is written down.

    Attributes:
        key: Its caller and id.
        fingerprint: Tells a repeat from another request of the same key.
        origin: As its transport gave it.
        timeout_s: How long it may take in all, from now.
    """

    key: Key
    fingerprint: bytes
    origin: bytes
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Found:
    """A request that an earlier run of the daemon has left.

    Attributes:
        number: What the journal calls it; later ones are larger.
        entry: As it was written down.
        elapsed_s: Seconds since then.
        began: Whether text of the answer had gone out.
        starts: How many starts have found it before it ended, or its end before that was delivered.
        end: The terminal event as it is sent; None while it had none.
        ended_s: Seconds since that.
        delivered: Whether the end is known to be with whoever asked.
    """

    number: int
    entry: Entry
    elapsed_s: float
    began: bool
    starts: int
    end: bytes | None = None
    ended_s: float = 0.0
    delivered: bool = False


class Journal(Protocol):
    """Takes what happens to requests. It never raises: what can't be written down is lost with the daemon."""

    def accept(self, entry: Entry, on_safe: Callable[[], None]) -> int | None:
        """Write a request down; return what it is called from now on, None where it is not written.

        Args:
            entry: The request.
            on_safe: Called once, when it is written for good, or can't be.
        """
        ...

    def had_begun(self, key: Key, fingerprint: bytes) -> bool:
        """Whether text of a request had gone out when the daemon died, before it was written down."""
        ...

    def keeps(self, number: int) -> bool:
        """Whether the request is written for good, and has no end yet: the next start finds it."""
        ...

    def begin(self, number: int) -> None:
        """Note that text of its answer goes out, so that the next start knows of it; waits for no disk."""
        ...

    def end(self, number: int, end: bytes, then: Callable[[], None], *, replayed: bool) -> None:
        """Note its end, and call `then` once that outlives this process; a moment later at most.

        Args:
            number: The request.
            end: The terminal event.
            then: Says it to whoever asked.
            replayed: Whether the end is wanted for repeats of the request, after it was delivered too.
        """
        ...

    def deliver(self, number: int) -> None:
        """Note that whoever asked has the end."""
        ...

    def forget(self, number: int) -> None:
        """Drop a request that nobody can be told of."""
        ...


class NoJournal:
    """Nothing outlives the daemon."""

    def accept(self, entry: Entry, on_safe: Callable[[], None]) -> int | None:
        """Write nothing (`Journal.accept`)."""
        del entry
        on_safe()
        return None

    def had_begun(self, key: Key, fingerprint: bytes) -> bool:
        """Say that nothing is known (`Journal.had_begun`)."""
        del key, fingerprint
        return False

    def keeps(self, number: int) -> bool:
        """Say that nothing is kept (`Journal.keeps`)."""
        del number
        return False

    def begin(self, number: int) -> None:
        """Note nothing (`Journal.begin`)."""

    def end(self, number: int, end: bytes, then: Callable[[], None], *, replayed: bool) -> None:
        """Let it be said (`Journal.end`)."""
        del number, end, replayed
        then()

    def deliver(self, number: int) -> None:
        """Note nothing (`Journal.deliver`)."""

    def forget(self, number: int) -> None:
        """Note nothing (`Journal.forget`)."""
