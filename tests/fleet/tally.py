"""What a crowd heard: what was lost, how long boxes were idle while requests waited. Sans-I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

ENDS = frozenset({"done", "error"})


@dataclass(slots=True)
class Asked:
    """One request, in seconds of one clock.

    Attributes:
        text: What has to come.
        asked_at: When it was published.
        ends: What ended it, each with the time; one is right.
        accepted: By which boxes, in order.
    """

    text: str
    asked_at: float
    ends: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)

    def hear(self, event: dict[str, Any], now: float) -> bool:
        """Take one of its events; return whether that is its first end."""
        if event["type"] == "accepted":
            self.accepted.append(event["device"])
        elif event["type"] in ENDS and not (self.ends and "repeat" in event):
            self.ends.append((now, event))
            return len(self.ends) == 1
        return False

    @property
    def ran(self) -> tuple[float, float] | None:
        """From when to when a slot was busy with it; None where it did not come to that."""
        if not self.ends or self.ends[0][1]["type"] != "done":
            return None
        at, done = self.ends[0]
        timings = done["timings"]
        return at - (timings["total_ms"] - timings["queue_ms"]) / 1000, at


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of all requests.

    Attributes:
        lost: Without an end.
        doubled: With more than one.
        wrong: Ended with another text than they had to.
        errors: By code.
        moved: Accepted by more than one box.
        by_box: How many each box answered.
        seconds: From the first request until none waited any more.
        ended: How many ended in this time.
        idle: Which share of all slots' time in it nothing ran.
        ran_ms: How long an answer ran, on average: more than it was to cost where the machine was too slow.
    """

    asked: int
    lost: int
    doubled: int
    wrong: int
    errors: dict[str, int]
    moved: int
    by_box: dict[str, int]
    seconds: float
    ended: int
    idle: float
    ran_ms: float = 0.0

    @property
    def per_s(self) -> float:
        """Answers per second while requests waited."""
        return self.ended / self.seconds if self.seconds else 0.0


def count(requests: Iterable[Asked], slots: int) -> Tally:
    """Count what became of requests that had so many slots in all."""
    requests = list(requests)
    firsts = [each.ends[0][1] for each in requests if each.ends]
    done = [event for event in firsts if event["type"] == "done"]
    begin, end = _crowded(requests)
    runs = [each.ran for each in requests if each.ran is not None]
    busy = sum(_overlap(each.ran, begin, end) for each in requests)
    return Tally(
        asked=len(requests),
        lost=sum(not each.ends for each in requests),
        doubled=sum(len(each.ends) > 1 for each in requests),
        wrong=sum(
            each.ends[0][1]["text"] != each.text
            for each in requests
            if each.ends and each.ends[0][1]["type"] == "done"
        ),
        errors=dict(Counter(event["code"] for event in firsts if event["type"] == "error")),
        moved=sum(len(set(each.accepted)) > 1 for each in requests),
        by_box=dict(sorted(Counter(event["device"] for event in done).items())),
        seconds=end - begin,
        ended=sum(begin < each.ends[0][0] <= end for each in requests if each.ends),
        idle=1 - busy / (slots * (end - begin)) if end > begin else 0.0,
        ran_ms=1000 * fmean(until - since for since, until in runs) if runs else 0.0,
    )


def _crowded(requests: list[Asked]) -> tuple[float, float]:
    """From the first start until the last one that waited started: the crowd never lets the queue run dry."""
    runs = [ran for each in requests if (ran := each.ran) is not None]
    if not runs:
        return 0.0, 0.0
    return min(each.asked_at for each in requests), max(start for start, _ in runs)


def _overlap(span: tuple[float, float] | None, begin: float, end: float) -> float:
    return 0.0 if span is None else max(0.0, min(span[1], end) - max(span[0], begin))
