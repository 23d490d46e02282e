"""The numbers of one answer's events, and what its chunks come to. Sans-I/O."""

from __future__ import annotations

from tests.campaign.ledger import Entry, Heard, Hurt, Ledger
from tests.campaign.rules import SEQ_AFTER_START, Rules, Wrong, expected


class Order:
    """Follows the events of one answer, as they were heard.

    Attributes:
        wrong: What must not be, and why.
    """

    def __init__(self, entry: Entry, ledger: Ledger, rules: Rules) -> None:
        self._entry = entry
        self._ledger = ledger
        self._rules = rules
        self.wrong: list[tuple[Wrong, str]] = []
        # Of this run of the request: what was heard, the last of it, and the chunks' text; None after a gap.
        self._known: dict[int, Heard] = {}
        self._last: Heard | None = None
        self._text: str | None = ""
        # Whether two boxes answer at once, since it was asked again before they had told each other: events
        # don't say whose they are.
        self._mixed = False

    def take(self, each: Heard) -> None:
        """Take the next; not an end that says that it is said again."""
        if each.type == "accepted" and self._may_begin(each):
            # In a fleet another box may have it.
            goes_on = self._rules.fleet and self._last is not None and not self._last.ends
            self._mixed = self._mixed or (goes_on and asked_again(self._entry, each))
            self._begin()
        if self._mixed:
            return
        known = self._known.get(each.seq)
        if each.seq <= self._seq and known is not None and known.digest == each.digest:
            may = each.ends or twice(known, each, self._ledger) or asked_again(self._entry, each)
            if not may:
                self.wrong.append((Wrong.DOUBLED_EVENT, f"{name(each)} came twice"))
            self._last, self._text = each, None
            return
        if self._last is not None and each.seq <= self._seq:
            self._check_anew(self._last, each)
            self._begin()
        if each.seq > self._seq + 1:
            self._text = None
            if not self._may_lack(each):
                self.wrong.append((Wrong.GAP, f"{name(each)} after seq {self._seq}"))
        self._known[each.seq] = self._last = each
        self._join(each)

    @property
    def _seq(self) -> int:
        return -1 if self._last is None else self._last.seq

    def _may_begin(self, each: Heard) -> bool:
        """Whether another run of the request begins, byte for byte as the one before, perhaps."""
        if self._rules.fleet:
            # Another box has it: it was handed over, or its box is dead.
            return True
        last, reruns = self._last, self._entry.ask.reruns
        return reruns and last is not None and self._ledger.troubled(last.at, each.at, Hurt.ENGINE)

    def _begin(self) -> None:
        """Another run of the request begins."""
        self._known, self._last, self._text = {}, None, ""

    def _join(self, each: Heard) -> None:
        if each.type == "chunk" and self._text is not None:
            self._text += each.text
        if each.type == "done" and self._text and self._text != expected(self._entry.ask):
            self.wrong.append((Wrong.TEXT, f"chunks {self._text[-40:]!r}"))

    def _check_anew(self, last: Heard, first: Heard) -> None:
        """A second run: somebody must have asked, or the daemon begun anew."""
        entry = self._entry
        if asked_again(entry, first) or first.ends:  # ends are counted elsewhere
            return
        # Only who asked for that begins anew with another engine.
        mortal = (Hurt.DAEMON, Hurt.ENGINE) if entry.ask.reruns else (Hurt.DAEMON,)
        died = self._ledger.troubled(entry.begun_at, first.at, *mortal)
        said = any(each.type in {"chunk", "done"} for each in entry.heard if each.at <= last.at)
        if not died or (said and not self._rules.fleet and not entry.ask.reruns):
            self.wrong.append((Wrong.BEGAN_ANEW, f"{name(first)} after {name(last)}"))
        elif said and (first.type, first.seq) != ("accepted", 0):
            self.wrong.append((Wrong.BEGAN_ANEW, f"{name(first)} after {name(last)}, and not accepted"))

    def _may_lack(self, each: Heard) -> bool:
        """Whether what comes before it may be missing: its client, or its broker, was away."""
        entry, last = self._entry, self._last
        since, link = entry.asked[0] if last is None else (last.at, last.link)
        away = link != each.link and entry.profile.clean
        broke = self._ledger.troubled(since, each.at, Hurt.BROKER)
        # Said again, alone, to somebody who asked again.
        again = each.ends and asked_again(entry, each)
        return away or broke or again or self._after_start(each)

    def _after_start(self, each: Heard) -> bool:
        """Whether it is the end that a start gave to what it could not answer any more."""
        died = self._ledger.troubled(self._entry.begun_at, each.at, Hurt.DAEMON)
        return died and each.ends and each.seq >= SEQ_AFTER_START


def asked_again(entry: Entry, heard: Heard) -> bool:
    """Whether its client had asked more than once by then."""
    return entry.resent > 0 or sum(at <= heard.at for at, _ in entry.asked) > 1


def twice(first: Heard, second: Heard, ledger: Ledger) -> bool:
    """Whether QoS 1 may have delivered it twice: a connection broke between."""
    broke = ledger.troubled(first.at, second.at, Hurt.LINK, Hurt.CLIENTS, Hurt.BROKER)
    return second.dup or first.link != second.link or broke


def name(heard: Heard) -> str:
    """Return what it is, for a person."""
    return f"{heard.type} {heard.seq}" if heard.code is None else f"{heard.type} {heard.seq} ({heard.code})"
