"""How far a long work on a model's files is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

# A person, or a client over MQTT, needs no more reports than this.
_LEAST_GAP_S = 0.25
# The rate is that of about the last seconds, not of all the time since the start.
_RATE_S = 3.0


@dataclass(frozen=True, slots=True)
class Progress:
    """What is being done, and how far it is.

    Attributes:
        text: What is being done, such as "getting model.gguf".
        done_bytes: What is done of it; what was there from an earlier attempt counts.
        total_bytes: All of it; None where nobody said.
        bytes_per_s: The rate of the last seconds; None until it is known.
    """

    text: str
    done_bytes: int
    total_bytes: int | None
    bytes_per_s: float | None


class Meter:
    """Counts bytes and reports them, at most four times a second, and once at the end."""

    def __init__(self, text: str, total: int | None, report: Callable[[Progress], None]) -> None:
        self._text = text
        self._total = total
        self._report = report
        self._done = 0
        self._reported = -_LEAST_GAP_S
        self._rate: float | None = None
        self._mark = (time.monotonic(), 0)

    @property
    def done(self) -> int:
        """Bytes counted so far."""
        return self._done

    def begin(self, done: int, text: str | None = None) -> None:
        """Say how much is there already, and under which name it goes on; counts for no rate."""
        self._text = text or self._text
        self._done = done
        self._mark = (time.monotonic(), done)
        self._tell(time.monotonic())

    def expect(self, total: int) -> None:
        """Say how much it is in all, which was not known before."""
        self._total = total

    def add(self, count: int) -> None:
        """Count bytes that were done."""
        self._done += count
        now = time.monotonic()
        since, done = self._mark
        if now - since >= _RATE_S / 3:
            rate = (self._done - done) / (now - since)
            self._rate = rate if self._rate is None else self._rate + (rate - self._rate) / 3
            self._mark = (now, self._done)
        if now - self._reported >= _LEAST_GAP_S or self._done == self._total:
            self._tell(now)

    def _tell(self, now: float) -> None:
        self._reported = now
        self._report(Progress(self._text, self._done, self._total, self._rate))
