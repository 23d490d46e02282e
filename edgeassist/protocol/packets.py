"""MQTT messages and subscriptions, independent of the MQTT library."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Inbound:
    """A received message.

    Attributes:
        redelivered: The DUP flag: it may have arrived before with the same `packet_id` (QoS 1).
        response_topic: MQTT 5 Response Topic (3.3.2.3.5); None if not set.
        correlation: MQTT 5 Correlation Data (3.3.2.3.6), returned unchanged in replies; None if not set.
        expiry_s: Seconds left of the Message Expiry Interval; None if not set.
    """

    topic: str
    payload: bytes
    retained: bool = False
    redelivered: bool = False
    packet_id: int = 0
    response_topic: str | None = None
    correlation: bytes | None = None
    expiry_s: int | None = None


@dataclass(frozen=True, slots=True)
class Outbound:
    """A message to publish."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    correlation: bytes | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic filter to subscribe to; if the broker refuses an `optional` one, the connection continues."""

    filter: str
    qos: int
    optional: bool = False
