"""Keeps what Home Assistant knows of this device true: told on a connect and a birth, withdrawn when off."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from edgeassist.errors import TooLargeError
from edgeassist.gateways.homeassistant.entities import answer_message, device_message, question_of
from edgeassist.protocol.events import Done, Failed
from edgeassist.protocol.packets import Inbound, Outbound, Subscription
from edgeassist.protocol.requests import PromptRequest
from edgeassist.protocol.state import Health
from edgeassist.protocol.topics import HOME_ASSISTANT, Topics

log = logging.getLogger(__name__)

# Of two devices' messages in a row, a Home Assistant that is just starting may apply the second by halves
# (2026.2.3): so all is said once more.
AGAIN_S = 1.0
BIRTH = b"online"


@dataclass(frozen=True, slots=True)
class DiscoveryOptions:
    """Whether to be found, below which prefix, and where Home Assistant says that it has started."""

    on: bool
    prefix: str
    status_topic: str


@dataclass
class Discovery:
    """Tells Home Assistant of this device, and of how its prompts ended.

    A retained marker on a topic of ours holds the topic on which our message stands. A daemon that starts, or
    comes back, reads it, and so knows what an earlier one left behind: it neither clears on suspicion a topic
    that it may have no right to, nor relies on a file that knows nothing of this broker.

    Attributes:
        publish: Sends a message; False where it was dropped.
        listen: Replaces what the connection listens to for us.
        connected: Whether there is a broker: what is said without one would be said late.
        health: How the device is: tells which sensors it has.
        say_state: Publishes availability and states, in this order.
    """

    topics: Topics
    options: DiscoveryOptions
    publish: Callable[[Outbound], bool]
    listen: Callable[[Sequence[Subscription]], None]
    connected: Callable[[], bool]
    health: Callable[[], Health]
    say_state: Callable[[], None]
    _again: asyncio.TimerHandle | None = field(default=None, init=False)
    _closed: bool = field(default=False, init=False)

    def start(self) -> None:
        """Listen for what this needs."""
        birth = [Subscription(self.options.status_topic, qos=0, optional=True)] if self.options.on else []
        self.listen([Subscription(self.topics.discovery_marker, qos=1, optional=True), *birth])

    def close(self) -> None:
        """Say nothing more of the device: what comes after `offline` would deny it."""
        self._closed = True
        self._forget_again()

    def introduce(self) -> None:
        """Say all of it, discovery first: to a new connection, or to a Home Assistant that has started."""
        self._say()
        self._forget_again()
        if self.options.on and not self._closed:
            self._again = asyncio.get_running_loop().call_later(AGAIN_S, self._say)

    def take(self, message: Inbound) -> bool:
        """Act on a message that is for us; False where it is not."""
        if message.topic == self.topics.discovery_marker:
            if message.retained:
                self._take_marker(message.payload.decode(errors="replace"))
            return True
        if message.topic != self.options.status_topic or not self.options.on:
            return False
        # A retained birth is an old one, and a connection begins with an introduction anyway.
        if message.payload == BIRTH and not message.retained:
            log.info("Home Assistant has started: it is told of this device")
            self.introduce()
        return True

    def apply(self, options: DiscoveryOptions) -> None:
        """Go by other options from now on."""
        old, self.options = self.options, options
        if options == old:
            return
        if old.on and (not options.on or options.prefix != old.prefix):
            self._withdraw(self.topics.discovery(old.prefix))
        self._forget_again()
        self.start()
        if options.on:
            self.introduce()

    def ended(self, client: str | None, request: PromptRequest | None, end: Done | Failed) -> None:
        """Tell Home Assistant how a prompt of its own ended; `request` is None where it could not be read."""
        if not self.options.on or client != HOME_ASSISTANT:
            return
        question = None if request is None else question_of(request)
        if self._tell(answer_message(question, end)) or not end.text:
            return
        size = len(end.text.encode())
        error = TooLargeError(
            f"the answer has {size} bytes, and the broker does not take as much: ask for less"
        )
        short = Failed(
            id=end.id,
            seq=end.seq,
            code=error.code,
            message=error.message,
            retryable=error.retryable,
            device=end.device,
        )
        self._tell(answer_message(None, short))

    def _say(self) -> None:
        if self._closed or not self.connected():
            return
        if self.options.on:
            topic = self.topics.discovery(self.options.prefix)
            # The marker first: if we die in between, it marks nothing, which does no harm.
            self._retain(self.topics.discovery_marker, topic.encode())
            self._retain(topic, _json(device_message(self.topics, self.health())))
        self.say_state()

    def _take_marker(self, topic: str) -> None:
        """Withdraw what an earlier daemon of this device left elsewhere, or left at all."""
        current = self.topics.discovery(self.options.prefix) if self.options.on else None
        # Whoever can write the marker must not have us clear another topic than one of our own kind.
        if topic == current or not topic.endswith(self.topics.discovery("")):
            return
        log.info("the discovery message on %s is withdrawn", topic)
        if current is None:
            self._withdraw(topic)
        else:
            self._retain(topic, b"")

    def _withdraw(self, topic: str) -> None:
        self._retain(topic, b"")
        self._retain(self.topics.discovery_marker, b"")

    def _forget_again(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def _retain(self, topic: str, payload: bytes) -> None:
        self.publish(Outbound(topic, payload, qos=1, retain=True))

    def _tell(self, event: dict[str, JsonValue]) -> bool:
        return self.publish(Outbound(self.topics.answer_event, _json(event), qos=1))


def _json(document: dict[str, JsonValue]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
