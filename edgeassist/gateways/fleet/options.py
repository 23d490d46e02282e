"""How a box behaves in its fleet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """How a member behaves.

    Attributes:
        adopt_s: How long another box is gone before what stands in its session is taken over.
        session_expiry_s: How long the broker keeps our session without a connection.
        receive_maximum: How many requests this box answers for at once.
    """

    adopt_s: float
    session_expiry_s: int
    receive_maximum: int
