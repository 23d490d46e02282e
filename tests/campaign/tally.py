"""The figures of a campaign, and the histories of what went wrong. Sans-I/O."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.campaign.ledger import Entry, Heard, Hurt, Ledger, Trouble
from tests.campaign.rules import Rules, Wrong
from tests.campaign.verdict import Verdict, judge

# So many histories are kept: the first ones tell most.
MOST_HISTORIES = 40
MOST_LINES = 60
# Faults of so many seconds before a request belong to its history.
_BEFORE_S = 5.0
_AFTER = 3


@dataclass(frozen=True, slots=True)
class History:
    """What went wrong with one request, and everything that is known of it.

    Attributes:
        lines: Each with seconds since the request was made.
    """

    id: str
    wrong: list[str]
    lines: list[str]


@dataclass(slots=True)
class Tally:
    """Counts verdicts.

    Attributes:
        kinds: How many requests of which kind were made.
        ends: How many requests ended with which code, or `done`.
        wrong: How often what must not be has been.
        by_fault: The same for each fault that was done meanwhile.
    """

    rules: Rules
    asked: int = 0
    accepted: int = 0
    refused: int = 0
    unkept: int = 0
    missed: int = 0
    undurable: int = 0
    unanswered: int = 0
    repeats: int = 0
    answers: int = 0
    redelivered: int = 0
    reconsidered: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    wrong: Counter[Wrong] = field(default_factory=Counter)
    by_fault: dict[str, Counter[Wrong]] = field(default_factory=dict)
    asked_by_fault: Counter[str] = field(default_factory=Counter)
    histories: list[History] = field(default_factory=list)

    def add(self, entries: list[Entry], ledger: Ledger, now: float) -> None:
        """Judge requests, and count them."""
        for entry in entries:
            self._count(judge(entry, ledger, now, self.rules), ledger, now)

    def _count(self, verdict: Verdict, ledger: Ledger, now: float) -> None:
        entry = verdict.entry
        self.asked += 1
        self.accepted += verdict.accepted
        self.refused += verdict.refused
        self.unkept += verdict.unkept
        self.missed += verdict.missed
        self.undurable += verdict.undurable
        self.repeats += verdict.repeats
        self.answers += verdict.answers
        self.redelivered += verdict.redelivered
        self.reconsidered += verdict.reconsidered
        self.kinds[entry.ask.kind] += 1
        end = next((each for each in entry.heard if each.ends), None)
        if end is not None:
            self.ends[end.code or end.type] += 1
        elif not verdict.accepted:
            self.unanswered += 1
        faults = ledger.faults(entry.begun_at, entry.ended_at or now)
        # What has no end was lost, most likely, at the first that may lose something after its last word.
        fatal = ledger.faults(entry.last_at, now, Hurt.DAEMON, Hurt.BROKER, Hurt.LINK)
        self.asked_by_fault.update(faults)
        for wrong, _ in verdict.wrong:
            self.wrong[wrong] += 1
            for fault in (fatal or faults)[:1] if wrong is Wrong.NO_END else faults:
                self.by_fault.setdefault(fault, Counter())[wrong] += 1
        if verdict.wrong and len(self.histories) < MOST_HISTORIES:
            self.histories.append(history(verdict, ledger, now))

    def document(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {
            "asked": self.asked,
            "accepted": self.accepted,
            "refused": self.refused,
            "unkept": self.unkept,
            "missed": self.missed,
            "undurable": self.undurable,
            "unanswered": self.unanswered,
            "repeats": self.repeats,
            "answered_again": self.answers,
            "redelivered": self.redelivered,
            "reconsidered": self.reconsidered,
            "kinds": dict(self.kinds),
            "ends": dict(self.ends),
            "wrong": {str(each): self.wrong[each] for each in Wrong},
            "by_fault": {
                fault: {str(each): count for each, count in counts.items()}
                for fault, counts in self.by_fault.items()
            },
            "asked_by_fault": dict(self.asked_by_fault),
            "histories": [
                {"id": each.id, "wrong": each.wrong, "lines": each.lines} for each in self.histories
            ],
        }


def history(verdict: Verdict, ledger: Ledger, now: float) -> History:
    """Return everything that is known of a request, in order."""
    entry = verdict.entry
    begun = entry.begun_at
    until = max((entry.last_at, *(each.at for each in entry.heard)))
    moments = [
        *((at, f"asked, on its connection {link}") for at, link in entry.asked),
        *((at, "the broker has it") for at in entry.acknowledged),
        *((at, "cancelled") for at in [entry.cancelled] if at is not None),
        *((each.at, _said(each)) for each in entry.heard),
    ]
    # Of what never ended, only what came next is of interest.
    later = [each for each in ledger.troubles if each.at > until][: 0 if entry.ended_at else _AFTER]
    for trouble in ledger.troubles:
        if begun - _BEFORE_S <= trouble.at <= until or trouble in later:
            moments.append((trouble.at, f"FAULT {trouble.fault}"))
            if trouble.until <= now:
                moments.append((trouble.until, _recovered(trouble)))
    lines = [f"{at - begun:8.3f} s  {words}" for at, words in sorted(moments)]
    facts = f"{entry.ask.kind}, a client with {entry.profile.words}"
    if entry.resent:
        facts += f"; paho may have sent it again {entry.resent} times"
    return History(
        entry.ask.id, [f"{wrong}: {why}" for wrong, why in verdict.wrong], [facts, *lines[:MOST_LINES]]
    )


def _recovered(trouble: Trouble) -> str:
    took = "never" if trouble.recovered_s is None else f"after {trouble.recovered_s:.2f} s"
    return f"{trouble.fault}: answers again {took}, all clients are back"


def _said(heard: Heard) -> str:
    marks = [
        f"{heard.type} {heard.seq}",
        *([heard.code] if heard.code else []),
        *(["repeat"] if heard.repeat else []),
        *(["DUP"] if heard.dup else []),
        f"on connection {heard.link}",
    ]
    return " ".join(marks)
