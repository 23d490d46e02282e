"""What is configured for requests, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgeassist.engine.messages import AUTO, Sampling, Thinking
from edgeassist.protocol.decisions import Kind
from edgeassist.serving.admission import Limits
from edgeassist.serving.conversation import Bounds
from edgeassist.serving.stream import Pace


@dataclass(frozen=True, slots=True)
class Policy:
    """All of it; a reload replaces it whole.

    Attributes:
        timeout_s: How long a request may take that names no time of its own.
        remember_s: How long an answer is kept for a repeat of its request.
        max_tokens: The default for the request's field of that name.
        defaults: Sampling defaults for omitted fields.
        system: The system prompt of requests that bring none.
        thinking: The defaults for the request's fields `think` and `reasoning_budget`.
        temperatures: Of decisions' scores; of a kind that is not there, as the model is calibrated.
        threshold: Of decisions that name none; None: as the model is calibrated.
        prior: How much of what a model picks without a state is taken off a choice; None: as calibrated.
    """

    limits: Limits
    bounds: Bounds
    pace: Pace
    timeout_s: float
    remember_s: float
    max_tokens: int
    defaults: Sampling
    system: str
    thinking: Thinking = AUTO
    temperatures: Mapping[Kind, float] = field(default_factory=dict)
    threshold: float | None = None
    prior: float | None = None
