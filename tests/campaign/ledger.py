"""What was asked, what was heard of it, and what was broken meanwhile. Sans-I/O: time is passed in."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from tests.campaign.asking import Ask
from tests.campaign.plan import Profile

ENDS = frozenset({"done", "error"})
BARE = "text"


class Hurt(StrEnum):
    """What a fault breaks; what it does not break must not show."""

    ENGINE = "engine"
    DAEMON = "daemon"
    BROKER = "broker"
    # The daemon's connection, and the clients'.
    LINK = "link"
    CLIENTS = "clients"
    DISK = "disk"


@dataclass(slots=True)
class Trouble:
    """A fault that was done.

    Attributes:
        until: When the device answered again and all clients were back.
        recovered_s: From its beginning to the first text of a prompt that was asked then; None: never.
    """

    fault: str
    hurts: frozenset[Hurt]
    at: float
    until: float = math.inf
    recovered_s: float | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """A message of an answer.

    Attributes:
        link: Which connection of the client's it came on.
        dup: MQTT's flag: the broker may have sent it before.
        type: The event's type; BARE for bare text.
        seq: The event's number; -1 for bare text.
        text: What it holds of the answer.
        repeat: Whether it says itself that it is said again.
        digest: Equal for equal bytes.
        extra: What else is judged: `finish_reason`, `session`, a decision's pick.
    """

    at: float
    link: int
    dup: bool
    type: str
    seq: int
    text: str
    code: str | None
    repeat: bool
    digest: bytes
    extra: tuple[str, ...] = ()

    @property
    def ends(self) -> bool:
        """Whether it is a terminal event."""
        return self.type in ENDS


@dataclass(slots=True)
class Entry:
    """One request.

    Attributes:
        asked: When it was published, and on which of the client's connections; several if it was asked again.
        acknowledged: When the broker said that it has it.
        resent: How often paho may have published it again by itself, since a connection broke before PUBACK.
        cancelled: When its client cancelled it.
    """

    ask: Ask
    profile: Profile
    asked: list[tuple[float, int]] = field(default_factory=list)
    acknowledged: list[float] = field(default_factory=list)
    resent: int = 0
    cancelled: float | None = None
    heard: list[Heard] = field(default_factory=list)

    @property
    def ended_at(self) -> float | None:
        """When its first end was heard."""
        return next((each.at for each in self.heard if each.ends), None)

    @property
    def begun_at(self) -> float:
        """When it was asked first."""
        return self.asked[0][0]

    @property
    def last_at(self) -> float:
        """When something happened to it last."""
        times = [each.at for each in self.heard[-1:]] + [at for at, _ in self.asked[-1:]]
        return max(times + self.acknowledged[-1:])


class Ledger:
    """All requests whose fate is not settled, and all troubles."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.troubles: list[Trouble] = []
        # What came of requests that are settled, or were never made: client and payload.
        self.strays: list[tuple[float, str, str]] = []
        # When the device said whether what is accepted outlives it, and what it said.
        self.durable: list[tuple[float, bool]] = []

    def open(self, ask: Ask, profile: Profile) -> Entry:
        """Begin to keep account of a request."""
        entry = self.entries[ask.id] = Entry(ask, profile)
        return entry

    def hear(  # noqa: D417 - the others are as in `Heard`
        self, topic: str, payload: bytes, *, at: float, link: int, dup: bool, client: str
    ) -> Entry | None:
        """Take a message on one of a client's reply topics; return what it belongs to.

        Args:
            topic: `…/<id>`, or `…/<id>/end` for the end of bare text.
            client: Whose it is.
        """
        levels = topic.split("/")
        request = levels[-2] if levels[-1] == "end" else levels[-1]
        entry = self.entries.get(request)
        if entry is None:
            self.strays.append((at, client, f"{topic} {payload[:200].decode(errors='replace')}"))
            return None
        bare = entry.ask.bare and levels[-1] != "end"
        heard = _bare(payload, at, link, dup=dup) if bare else _event(payload, at, link, dup=dup)
        entry.heard.append(heard)
        return entry

    def unended(self) -> Iterator[Entry]:
        """Yield what has no end yet."""
        return (entry for entry in self.entries.values() if entry.ended_at is None)

    def settled(self, before: float) -> list[Entry]:
        """Take out what has ended and of which nothing came since then."""
        found = [
            each for each in self.entries.values() if each.ended_at is not None and each.last_at < before
        ]
        for each in found:
            del self.entries[each.ask.id]
        return found

    def said_durable(self, since: float, until: float) -> bool:
        """Whether the device said, all of that time, that it keeps what it accepts, if it said anything."""
        before = [said for at, said in self.durable if at < since][-1:]
        return all(before + [said for at, said in self.durable if since <= at <= until])

    def troubled(self, since: float, until: float, *hurts: Hurt) -> bool:
        """Whether something that breaks one of these (none given: anything) was done between two moments."""
        return bool(self.between(since, until, *hurts))

    def faults(self, since: float, until: float, *hurts: Hurt) -> list[str]:
        """Return which faults (that break one of these) were done between two moments, each once."""
        return list(dict.fromkeys(each.fault for each in self.between(since, until, *hurts)))

    def between(self, since: float, until: float, *hurts: Hurt) -> list[Trouble]:
        """Return what was done between two moments that breaks one of these (none given: anything)."""
        return [
            each
            for each in self.troubles
            if each.at <= until and each.until >= since and (not hurts or not each.hurts.isdisjoint(hurts))
        ]


def _bare(payload: bytes, at: float, link: int, *, dup: bool) -> Heard:
    return Heard(at, link, dup, BARE, -1, payload.decode(), None, repeat=False, digest=_digest(payload))


def _event(payload: bytes, at: float, link: int, *, dup: bool) -> Heard:
    document: dict[str, Any] = json.loads(payload)
    extra = [str(document[name]) for name in ("finish_reason", "session") if name in document]
    answers = document.get("answers") or {}
    extra += [str(answer.get("choice")) for answer in answers.values()]
    return Heard(
        at=at,
        link=link,
        dup=dup,
        type=str(document["type"]),
        seq=int(document["seq"]),
        text=str(document.get("text", "")),
        code=document.get("code"),
        repeat=document.get("repeat") is True,
        digest=_digest(payload),
        extra=tuple(extra),
    )


def _digest(payload: bytes) -> bytes:
    return blake2b(payload, digest_size=8).digest()
