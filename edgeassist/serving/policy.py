"""What is configured for requests, as plain values. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from edgeassist.engine.messages import Sampling
from edgeassist.gateways.mqtt.intake import ReplyRules
from edgeassist.serving.admission import Limits
from edgeassist.serving.conversation import Bounds
from edgeassist.serving.relay import Pace


@dataclass(frozen=True, slots=True)
class Policy:
    """All of it; replaced whole on a reload.

    Attributes:
        timeout_s: For a request that does not say.
        defaults: Sampling for a request that does not say, and the most tokens of its answer.
        system: The system prompt of requests that bring none.
    """

    limits: Limits
    bounds: Bounds
    pace: Pace
    rules: ReplyRules
    timeout_s: float
    remember_s: float
    max_tokens: int
    defaults: Sampling
    system: str
