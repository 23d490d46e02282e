"""The figures in an answer's end. Sans-I/O."""

from __future__ import annotations

from dataclasses import dataclass

from edgeassist.engine.messages import Decided, Finished
from edgeassist.protocol.events import Timings, Usage


@dataclass(frozen=True, slots=True)
class Course:
    """When a request arrived, was started, had its first text (None: it had none) and ended; seconds."""

    arrived: float
    started: float
    first_text: float | None
    ended: float


def usage_of(end: Finished | Decided) -> Usage:
    """Return the counts of tokens; a decision writes none."""
    wrote = end if isinstance(end, Finished) else None
    return Usage(
        prompt_tokens=end.prompt_tokens,
        cached_tokens=end.cached_tokens,
        completion_tokens=wrote.completion_tokens if wrote else 0,
        reasoning_tokens=(wrote.reasoning_tokens or None) if wrote else None,
    )


def timings_of(end: Finished | Decided, course: Course) -> Timings:
    """Return the times and rates; a decision has nothing but a prompt that is read."""
    wrote = end if isinstance(end, Finished) else None
    first = course.first_text
    return Timings(
        queue_ms=_ms(course.started - course.arrived),
        prefill_ms=round(end.prefill_ms, 2),
        ttft_ms=None if first is None else _ms(first - course.arrived),
        decode_ms=round(wrote.decode_ms, 2) if wrote else 0.0,
        total_ms=_ms(course.ended - course.arrived),
        overhead_ms=round(end.overhead_ms, 2),
        prefill_tokens_per_s=_rate(end.prompt_tokens - end.cached_tokens, end.prefill_ms),
        decode_tokens_per_s=_rate(wrote.completion_tokens - 1, wrote.decode_ms) if wrote else None,
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)


def _rate(tokens: int, duration_ms: float) -> float | None:
    return round(tokens / duration_ms * 1000, 2) if tokens > 0 and duration_ms > 0 else None
