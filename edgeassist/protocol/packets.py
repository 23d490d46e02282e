"""MQTT messages and subscriptions, independent of the client library. Plain values."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Inbound:
    """A received message.

    Attributes:
        redelivered: The broker may have sent it before, with the same `packet_id` (QoS 1).
        response_topic: MQTT 5, section 3.3.2.3.5; None if the sender set none.
        correlation: MQTT 5, section 3.3.2.3.6; answers carry it unchanged.
        expiry_s: The rest of the Message Expiry Interval; None if the sender set none.
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
    """A message to publish.

    Attributes:
        shorter: What goes out in its place where it is more than the broker takes.
    """

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    correlation: bytes | None = None
    shorter: Outbound | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic filter to subscribe to. A refused one ends the connection, unless it is `optional`.

    Attributes:
        alias: What it is called in the log, where its filter may hold secrets.
        patient: Where its messages come often, several may be read together, a little later.
    """

    filter: str
    qos: int
    optional: bool = False
    alias: str | None = None
    patient: bool = False

    @property
    def shown(self) -> str:
        """What it is called in the log."""
        return self.filter if self.alias is None else self.alias
