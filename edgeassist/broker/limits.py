"""What a broker lets its clients do, as it said when it greeted us (MQTT 5, section 3.2.2.3). Sans-I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from edgeassist.broker.reasons import Reason
from edgeassist.protocol.packets import Outbound

# As many messages as may be unacknowledged at a broker that names no number. Mosquitto's own limit is 20.
IN_FLIGHT = 20


@dataclass(frozen=True, slots=True)
class Limits:
    """A broker's limits; without a word from it, there is none.

    Attributes:
        packet_bytes: The largest packet that it takes.
        in_flight: How many messages at QoS 1 it lets us have unacknowledged (Receive Maximum).
        qos: The highest QoS at which it takes messages.
        retain: Whether it keeps retained messages.
        wildcards: Whether it takes subscriptions with wildcards.
    """

    packet_bytes: int | None = None
    in_flight: int = IN_FLIGHT
    qos: int = 2
    retain: bool = True
    wildcards: bool = True

    def fitted(self, message: Outbound) -> Outbound:
        """Return the message as this broker takes it; one that it does not take would end the connection."""
        if message.qos <= self.qos and (self.retain or not message.retain):
            return message
        return replace(message, qos=min(message.qos, self.qos), retain=message.retain and self.retain)

    def words(self) -> Iterator[str]:
        """Say what is missing, for a person, and what follows from it."""
        if not self.retain:
            yield "it keeps no retained messages: who connects later waits for the next status and health"
        if self.qos < 1:
            yield "it takes messages at QoS 0 only: the end of an answer may get lost"
        if not self.wildcards:
            yield (
                "it takes no wildcards in subscriptions: commands and prompts on clients' topics do not come"
            )


def lowered(will: Outbound, code: int) -> Outbound:
    """Return a will without what the broker refused the connection for; as it is for any other reason."""
    if code == Reason.RETAIN_NOT_SUPPORTED:
        return replace(will, retain=False)
    if code == Reason.QOS_NOT_SUPPORTED:
        return replace(will, qos=max(0, will.qos - 1))
    return will
