"""What still stands at the broker of a name that this device had, and whether it may go. Sans-I/O."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from enum import Enum, auto

from edgeassist.former.register import Name
from edgeassist.gateways.homeassistant.topics import discovery_topic, marker_topic
from edgeassist.protocol.packets import Inbound
from edgeassist.protocol.state import Availability


class Verdict(Enum):
    """What is to be done with what stands there.

    `NOTHING`: there is nothing. `OURS`: a run of this device's left it, and none came after it. `ONLINE`: the
    same, but `status` says that somebody is there: a will that is still to come, or got lost with the power.
    `ANOTHERS`: another daemon has the name, or had it since, or nothing tells whose it is.
    """

    NOTHING = auto()
    OURS = auto()
    ONLINE = auto()
    ANOTHERS = auto()


class Remains:
    """What is heard of a former name.

    Args:
        name: It.
        present: This device's root, of which nothing is to be touched, wherever it lies.

    Attributes:
        lives: Whether something was said there while it was listened to.
    """

    def __init__(self, name: Name, present: str) -> None:
        self._name = name
        self._present = f"{present}/"
        self._topics = name.topics
        self._held: dict[str, bytes] = {}
        self.lives = False

    @property
    def filters(self) -> tuple[str, ...]:
        """What has to be listened to."""
        return (f"{self._topics.root}/+", self._topics.watch_filter)

    @property
    def config(self) -> str | None:
        """The topic of its discovery message; None where none is marked."""
        topic = self._held.get(marker_topic(self._topics), b"").decode(errors="replace")
        # Whoever can write the marker must not have us clear another topic than one of that kind.
        return topic if topic.endswith(discovery_topic(self._topics, "")) else None

    @property
    def held(self) -> list[str]:
        """Return the topics below its root that hold something, in the order in which they may go.

        Last goes what tells whose all of it is: a connection that ends in between leaves that to be found.
        """
        last = [self._topics.health, self._topics.instance]
        return sorted(self._held, key=lambda topic: (topic in last, topic))

    def hear(self, message: Inbound) -> None:
        """Take in a message on one of the filters."""
        topic = message.topic
        if not self._is_state(topic) or topic.startswith(self._present):
            return
        if message.payload:
            self._held[topic] = message.payload
        else:
            self._held.pop(topic, None)
        # `offline` is said by a will, too.
        offline = topic == self._topics.status and message.payload != _ONLINE
        self.lives = self.lives or bool(message.payload and not message.retained and not offline)

    def verdict(self) -> Verdict:
        """Judge what was heard so far."""
        if not self._held:
            return Verdict.NOTHING
        if self.lives or self._owners() != {self._name.boot_id}:
            return Verdict.ANOTHERS
        return Verdict.ONLINE if self._held.get(self._topics.status) == _ONLINE else Verdict.OURS

    def _is_state(self, topic: str) -> bool:
        topics = self._topics
        states = (topics.status, topics.health, topics.telemetry, topics.info, topics.instance)
        return topic in states or topic == marker_topic(topics) or topic.startswith(topics.watch(""))

    def _owners(self) -> set[str]:
        held = (self._held.get(topic) for topic in (self._topics.health, self._topics.instance))
        return {boot_id for payload in held if payload is not None for boot_id in _boot_ids(payload)}


_ONLINE = Availability.ONLINE.value.encode()


def _boot_ids(payload: bytes) -> Iterable[str]:
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        return
    if isinstance(document, dict) and isinstance(document.get("boot_id"), str):
        yield document["boot_id"]


def clearing(topics: Iterable[str]) -> str:
    """Return the command with which a person clears what the broker keeps on these topics."""
    return f'for topic in {shlex.join(topics)}; do mosquitto_pub -r -n -t "$topic"; done'
