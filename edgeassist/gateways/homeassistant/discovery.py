"""Keeps what Home Assistant knows of this device true: told on a connect and a birth, withdrawn when off."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from edgeassist.errors import TooLargeError
from edgeassist.gateways.gateway import Gateway
from edgeassist.gateways.homeassistant.endings import answer_message, question_of
from edgeassist.gateways.homeassistant.entities import Component, device_message
from edgeassist.gateways.homeassistant.topics import CLIENT, answer_topic, discovery_topic, marker_topic
from edgeassist.gateways.link import Link, Route
from edgeassist.protocol.events import Done, Failed
from edgeassist.protocol.packets import Inbound, Outbound, Subscription
from edgeassist.protocol.requests import PromptRequest
from edgeassist.protocol.state import Health
from edgeassist.protocol.topics import Topics
from edgeassist.serving.caller import Caller
from edgeassist.serving.request import AnyRequest

log = logging.getLogger(__name__)

# Of two devices' messages in a row, a Home Assistant that is just starting may apply half of the second
# (2026.2.3): so all is said once more.
AGAIN_S = 1.0
BIRTH = b"online"


@dataclass(frozen=True, slots=True)
class DiscoveryOptions:
    """Whether to be found, below which prefix, and where Home Assistant says that it has started."""

    on: bool
    prefix: str
    status_topic: str


class Discovery(Gateway):
    """Tells Home Assistant of this device, and of how its prompts ended.

    A retained marker on a topic of ours holds the topic on which our message stands. A daemon that starts, or
    comes back, reads it, and so knows what an earlier one left behind: it neither clears on suspicion a topic
    that it may have no right to, nor relies on a file that knows nothing of this broker.

    Args:
        topics: This device's.
        options: A reload replaces them.
        broker: Takes and brings the messages.
        health: How the device is: tells which sensors it has.
        say_state: Publishes availability and states, in this order.
        more: Returns components beside the device's own.
    """

    def __init__(
        self,
        topics: Topics,
        options: DiscoveryOptions,
        broker: Link,
        *,
        health: Callable[[], Health],
        say_state: Callable[[], None],
        more: Callable[[], Mapping[str, Component]] = dict,
    ) -> None:
        self._topics = topics
        self._options = options
        self._broker = broker
        self._health = health
        self._say_state = say_state
        self._more = more
        self._birth: Route | None = None
        self._again: asyncio.TimerHandle | None = None
        self._closed = False

    def start(self) -> None:
        """Listen for the marker, and for births where discovery is on."""
        marker = Subscription(marker_topic(self._topics), qos=1, optional=True)
        self._broker.subscribe(marker, self._hear_marker)
        self._listen_for_births()

    def close(self) -> None:
        """Say nothing more of the device: what comes after `offline` would deny it."""
        self._closed = True
        self._forget_again()

    def connected(self) -> None:
        """Tell of the device before its states are published, and of both once more."""
        self._introduce()
        self._plan_again()

    def apply(self, options: DiscoveryOptions) -> None:
        """Go by other options from now on."""
        old, self._options = self._options, options
        if options == old:
            return
        if old.on and (not options.on or options.prefix != old.prefix):
            self._withdraw(discovery_topic(self._topics, old.prefix))
        self._forget_again()
        self._listen_for_births()
        if options.on:
            self._say_all()
            self._plan_again()

    def changed(self) -> None:
        """Tell of the device anew: it has other components."""
        if self._options.on:
            self._say_all()
            self._plan_again()

    def ended(self, caller: Caller, asked: AnyRequest | None, end: Done | Failed) -> None:
        """Tell Home Assistant how a prompt of its own ended (`Gateway.ended`)."""
        if not self._options.on or caller.name != CLIENT:
            return
        question = question_of(asked) if isinstance(asked, PromptRequest) else None
        decided = isinstance(end, Done) and end.answers is not None
        if self._tell(answer_message(question, end)) or not (end.text or decided):
            return
        size = len(end.text.encode()) or len(end.payload())
        error = TooLargeError(
            f"the answer has {size} bytes, and the broker does not take as much: ask for less"
        )
        short = Failed.in_place_of(end, error).model_copy(update={"metadata": None})
        self._tell(answer_message(None, short))

    # -------------------------------------------------------------------------------------------------------

    def _listen_for_births(self) -> None:
        if self._birth is not None:
            self._birth.close()
            self._birth = None
        if self._options.on:
            births = Subscription(self._options.status_topic, qos=0, optional=True)
            self._birth = self._broker.subscribe(births, self._hear_birth)

    def _hear_birth(self, message: Inbound) -> None:
        # A retained birth is an old one, and a connection begins with an introduction anyway.
        if message.payload == BIRTH and not message.retained:
            log.info("Home Assistant has started: it is told of this device")
            self._say_all()
            self._plan_again()

    def _hear_marker(self, message: Inbound) -> None:
        if message.retained:
            self._take_marker(message.payload.decode(errors="replace"))

    def _take_marker(self, topic: str) -> None:
        """Withdraw what an earlier daemon of this device left elsewhere, or left at all."""
        options = self._options
        current = discovery_topic(self._topics, options.prefix) if options.on else None
        # Whoever can write the marker must not have us clear another topic than one of our own kind.
        if topic == current or not topic.endswith(discovery_topic(self._topics, "")):
            return
        log.info("the discovery message on %s is withdrawn", topic)
        if current is None:
            self._withdraw(topic)
        else:
            self._retain(topic, b"")

    @property
    def _may_speak(self) -> bool:
        return self._broker.connected and not self._closed

    def _introduce(self) -> None:
        if self._options.on and self._may_speak:
            topic = discovery_topic(self._topics, self._options.prefix)
            # The marker first: if we die in between, it marks nothing, which does no harm.
            self._retain(marker_topic(self._topics), topic.encode())
            document = device_message(
                self._topics, self._health(), self._more(), expires=self._broker.protocol == "5"
            )
            self._retain(topic, _json(document))

    def _say_all(self) -> None:
        """Discovery first, then availability, then states: Home Assistant shows old values otherwise."""
        if self._may_speak:
            self._introduce()
            self._say_state()

    def _plan_again(self) -> None:
        self._forget_again()
        if self._options.on and not self._closed:
            self._again = asyncio.get_running_loop().call_later(AGAIN_S, self._say_all)

    def _forget_again(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def _withdraw(self, topic: str) -> None:
        self._retain(topic, b"")
        self._retain(marker_topic(self._topics), b"")

    def _retain(self, topic: str, payload: bytes) -> None:
        self._broker.publish(Outbound(topic, payload, qos=1, retain=True))

    def _tell(self, event: dict[str, JsonValue]) -> bool:
        return self._broker.publish(Outbound(answer_topic(self._topics), _json(event), qos=1))


def _json(document: dict[str, JsonValue]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
