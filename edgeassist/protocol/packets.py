"""An MQTT message, as the rest of the house sees one. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message that arrived.

    Attributes:
        redelivered: The broker may have sent it before, under the same `packet_id` (QoS 1).
        response_topic: MQTT 5, section 3.3.2.3.5; None from a client that did not say.
        correlation: MQTT 5, section 3.3.2.3.6; goes back byte for byte.
        expiry_s: What is left of the Message Expiry Interval; None where none was set.
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
    """What to listen to; one that is `optional` may be refused without ending the connection."""

    filter: str
    qos: int
    optional: bool = False
