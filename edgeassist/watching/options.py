"""What a watch is, as plain values, and how much of it there may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgeassist.protocol.decisions import Example, Question

MAX_WATCHES = 32
MAX_INPUTS = 32
MAX_KEEP = 64


@dataclass(frozen=True, slots=True)
class InputOptions:
    """Some of what a watch goes by.

    Attributes:
        filter: The topic, or a filter with wildcards. It may hold secrets.
        json_path: Which part of a message counts (RFC 9535); None: all of it.
        label: What the model reads it as.
        keep: How many of a topic's last messages count.
        step: To a multiple of which numbers are rounded; None: they are taken as they come.
    """

    filter: str = field(repr=False)
    json_path: str | None = None
    label: str | None = None
    keep: int = 1
    step: float | None = None


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """One watch; times in seconds.

    Attributes:
        questions: By name.
        interval_s: The least time between two times that it asks.
        dwell_s: How long an answer must hold before it counts.
        hysteresis: How far, as probability, an answer must be ahead of the one that counts.
        stale_s: How long a message counts.
    """

    name: str
    inputs: tuple[InputOptions, ...]
    questions: Mapping[str, Question]
    instructions: str | None = None
    examples: tuple[Example, ...] = ()
    threshold: float | None = None
    interval_s: float = 30
    dwell_s: float = 0
    hysteresis: float = 0
    stale_s: float = 3600
