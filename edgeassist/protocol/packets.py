"""MQTT messages and subscriptions, independent of the client library. Plain values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Inbound:
    """A received message.

    Attributes:
        redelivered: The broker may have sent it before, with the same `packet_id` (QoS 1).
        response_topic: MQTT 5, section 3.3.2.3.5; None if the sender set none.
        correlation: MQTT 5, section 3.3.2.3.6; answers carry it unchanged.
        expiry_s: The rest of the Message Expiry Interval; None if the sender set none.
        qos: At which it came.
        acknowledge: Of a message that came by a subscription that is `held`: to be called once its fate is
            safe; without that, the broker brings it again on the session's next connection. Calling it again,
            or after the connection has ended, is harmless.
    """

    topic: str
    payload: bytes
    retained: bool = False
    redelivered: bool = False
    packet_id: int = 0
    response_topic: str | None = None
    correlation: bytes | None = None
    expiry_s: int | None = None
    qos: int = 0
    acknowledge: Callable[[], None] = field(default=lambda: None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Outbound:
    """A message to publish.

    Attributes:
        shorter: What goes out in its place where it is more than the broker takes.
        on_settled: Called once, from the event loop: with True when the broker has acknowledged it, or what
            was `shorter`; with False when it was dropped, and nothing goes out. At QoS 0 True says only that
            it was handed to the connection.
        on_unheard: Called before that where the broker says that nobody subscribes to the topic (MQTT 5,
            reason code 0x10). It need not say so.
        again: Returns what goes out in its place once it may have been delivered: the connection broke before
            the broker acknowledged it.
    """

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    correlation: bytes | None = None
    shorter: Outbound | None = field(default=None, compare=False, repr=False)
    on_settled: Callable[[bool], None] | None = field(default=None, compare=False, repr=False)
    on_unheard: Callable[[], None] | None = field(default=None, compare=False, repr=False)
    again: Callable[[], Outbound] | None = field(default=None, compare=False, repr=False)

    def repeated(self) -> Outbound:
        """Return what goes out in its place once it may have been delivered."""
        if self.again is None:
            return self
        return replace(self.again(), on_settled=self.on_settled, on_unheard=self.on_unheard)

    def shortened(self) -> Outbound | None:
        """Return what goes out in its place; what becomes of that settles this message."""
        if self.shorter is None:
            return None
        return replace(self.shorter, on_settled=self.on_settled, on_unheard=self.on_unheard, again=self.again)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic filter to subscribe to. A refused one ends the connection, unless it is `optional`.

    Attributes:
        alias: What it is called in the log, where its filter may hold secrets.
        patient: Where its messages come often, several may be read together, a little later.
        held: Who hears a message acknowledges it (`Inbound.acknowledge`); all others are acknowledged when
            their handlers have returned.
    """

    filter: str
    qos: int
    optional: bool = False
    alias: str | None = None
    patient: bool = False
    held: bool = False

    @property
    def shown(self) -> str:
        """What it is called in the log."""
        return self.filter if self.alias is None else self.alias
