"""Every topic of the wire contract is built and parsed here, and nowhere else.

`<root>` is `<base>/<device>`; docs/protocol.md describes the messages on each topic.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edgeassist.errors import InvalidRequestError
from edgeassist.protocol.filters import SHARE
from edgeassist.protocol.values import NAME_PATTERN

# MQTT allows 65,535 bytes and Mosquitto 200 levels; a broker disconnects a client that exceeds its limits.
MAX_TOPIC_BYTES = 1024
MAX_TOPIC_LEVELS = 64
MAX_NAME_BYTES = 128
_WILDCARDS = frozenset("+#")
# MQTT 5, section 1.5.4: a broker may end the connection over control characters, surrogates and
# noncharacters (the last two of every plane, and U+FDD0 to U+FDEF).
_NOT_TEXT = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(map(chr, (plane + last for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF))))
    + "]",
)


@dataclass(frozen=True, slots=True)
class PromptTopic:
    """A topic for prompts; `client` is None for the shared one, and else for `Topics.check_client`."""

    client: str | None


@dataclass(frozen=True, slots=True)
class DecideTopic:
    """A topic for decisions; `client` is as with `PromptTopic`."""

    client: str | None


@dataclass(frozen=True, slots=True)
class CommandTopic:
    """The topic of a command; `client` is the one that may use it, None: whoever gives commands."""

    name: str
    client: str | None = None


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one device.

    Attributes:
        base: The first levels, shared by all devices: `edgeassist`.
        device: One level; `topic_safe` makes one of a host name.
    """

    base: str
    device: str

    @property
    def root(self) -> str:
        """The prefix of all topics of this device, without a slash."""
        return f"{self.base}/{self.device}"

    @property
    def status(self) -> str:
        """`online` or `offline`, retained; the will's topic."""
        return f"{self.root}/status"

    @property
    def health(self) -> str:
        """The device's state, retained."""
        return f"{self.root}/health"

    @property
    def telemetry(self) -> str:
        """Counters and percentiles, retained."""
        return f"{self.root}/telemetry"

    @property
    def info(self) -> str:
        """Version, settings and model, retained."""
        return f"{self.root}/info"

    @property
    def instance(self) -> str:
        """Which daemon is this device, retained."""
        return f"{self.root}/instance"

    @property
    def watch_filter(self) -> str:
        """All topics of `watch`."""
        return self.watch("+")

    @property
    def prompt_filters(self) -> tuple[str, ...]:
        """What the daemon subscribes to for prompts."""
        return (self.prompt(), self.prompt("+"))

    @property
    def decide_filters(self) -> tuple[str, ...]:
        """What the daemon subscribes to for decisions."""
        return (self.decide(), self.decide("+"))

    @property
    def command_filters(self) -> tuple[str, ...]:
        """What the daemon subscribes to for commands."""
        return (self.command("+"), self.cancel("+"))

    def prompt(self, client: str | None = None) -> str:
        """Where a client publishes prompts."""
        return f"{self.root}/prompt" if client is None else f"{self.root}/prompt/{client}"

    def decide(self, client: str | None = None) -> str:
        """Where a client publishes what is to be decided."""
        return f"{self.root}/decide" if client is None else f"{self.root}/decide/{client}"

    def reply(self, request: str, client: str | None = None) -> str:
        """The default topic for an answer."""
        return "/".join([self.root, "reply", *([] if client is None else [client]), request])

    def command(self, name: str) -> str:
        """Where a command is published."""
        return f"{self.root}/command/{name}"

    def cancel(self, client: str | None = None) -> str:
        """Where a client cancels what it asked on a topic of its own; without one, as any command."""
        return self.command("cancel" if client is None else f"cancel/{client}")

    def response(self, name: str, client: str | None = None) -> str:
        """The default topic for a command's answer; with a client, to one on a topic of its own."""
        return "/".join([self.root, "response", name, *([] if client is None else [client])])

    def watch(self, name: str) -> str:
        """What is known from the watch of that name, retained."""
        return f"{self.root}/watch/{name}"

    def parse(self, topic: str) -> PromptTopic | DecideTopic | CommandTopic | None:
        """Return what a message on this topic is; None if it is no request or command to this device."""
        root = f"{self.root}/"
        if not topic.startswith(root):
            return None
        match topic.removeprefix(root).split("/"):
            case ["prompt" | "decide" as name, *client] if len(client) <= 1:
                kind = PromptTopic if name == "prompt" else DecideTopic
                return kind(client[0] if client else None)
            case ["command", name] if 0 < len(name.encode()) <= MAX_NAME_BYTES:
                return CommandTopic(name)
            case ["command", "cancel", client] if 0 < len(client.encode()) <= MAX_NAME_BYTES:
                return CommandTopic("cancel", client)
            case _:
                return None

    def check_client(self, client: str, *, decides: bool = False) -> None:
        """Raise an InvalidRequestError unless it can be a client's name on a topic for requests.

        Args:
            client: The name.
            decides: Whether it is on that for decisions.
        """
        if not 0 < len(client.encode()) <= MAX_NAME_BYTES:
            there = self.decide if decides else self.prompt
            problem = f"is longer than {MAX_NAME_BYTES} bytes" if client else f"is missing after {there('')}"
            raise InvalidRequestError(
                f"the client's name {problem}: publish to {there()} or {there('<client>')}"
            )

    def check_reply(self, topic: str, *, prefixes: Sequence[str], client: str | None) -> str:
        """Return the topic if answers may go there.

        The daemon publishes with its own rights, and a requester must not borrow them: the topic needs an
        allowed prefix, and a client with a topic of its own may not use other clients' reply topics.

        Args:
            topic: The requested topic.
            prefixes: Allowed prefixes; `{root}` and `{base}` stand for this device's.
            client: The client whose topic the request came on; None for a shared one.

        Raises:
            InvalidRequestError: It is not a topic name, or not allowed.
        """
        check_topic_name(topic)
        expanded = [prefix.replace("{root}", self.root).replace("{base}", self.base) for prefix in prefixes]
        if not any(topic.startswith(prefix) for prefix in expanded):
            raise InvalidRequestError(
                f"answers may not go to {topic!r}: the topic must begin with one of {', '.join(expanded)} "
                "(the daemon's setting mqtt.reply_prefixes)",
            )
        replies = f"{self.root}/reply/"
        if client is not None and topic.startswith(replies) and not topic.startswith(f"{replies}{client}/"):
            raise InvalidRequestError(
                f"answers to {client!r} may not go to {topic!r}: "
                f"below {replies} only {replies}{client}/ is its own",
            )
        return topic


@dataclass(frozen=True, slots=True)
class FleetTopics(Topics):
    """The topics of a fleet: a client asks it as it asks a device, the one that is named `fleet/<group>`.

    `fleet_topics` makes one.
    """

    @property
    def group(self) -> str:
        """The fleet's name."""
        return self.device.removeprefix(_FLEET)

    @property
    def shared_filters(self) -> tuple[str, ...]:
        """What of a fleet's requests one of its boxes gets each: its shared subscriptions."""
        return tuple(f"{SHARE}/{self.group}/{each}" for each in (*self.prompt_filters, *self.decide_filters))

    @property
    def call_filters(self) -> tuple[str, ...]:
        """Where all boxes hear what is to be cancelled, and whether anybody is there."""
        return (self.cancel(), self.cancel("+"), self.command("ping"))

    def box(self, device: str) -> str:
        """How a box is, retained; the will's topic of its connection for the fleet."""
        return f"{self.root}/box/{device}"

    def hand(self, device: str) -> str:
        """Where a box takes requests that another one had."""
        return f"{self.root}/hand/{device}"

    def room(self, device: str) -> str:
        """Where a box is told that another one has room for what waits."""
        return f"{self.root}/room/{device}"

    def has(self, device: str) -> str:
        """Where a box tells which requests it has, and for others what they have."""
        return f"{self.root}/has/{device}"

    def tell(self, device: str) -> str:
        """Where a box is told which requests another one has, so that it tells all."""
        return f"{self.root}/tell/{device}"

    def check(self, device: str) -> str:
        """Where a box sends itself a message, to see whether shared subscriptions work."""
        return f"{self.root}/check/{device}"

    def own_share(self, device: str) -> str:
        """The shared subscription to that, which no other box has."""
        return f"{SHARE}/{self.group}-{device}/{self.check(device)}"


# Stands for a device in the topics of fleets.
FLEET_LEVEL = "fleet"
_FLEET = f"{FLEET_LEVEL}/"


def check_group(group: str) -> None:
    """Raise an InvalidRequestError where no fleet can have this name."""
    if not re.fullmatch(NAME_PATTERN, group) or group.endswith("\n"):
        raise InvalidRequestError(
            f"{group[:100]!r} can't be a fleet: its name is one level of a topic, 1 to 64 of A-Z a-z 0-9 _ -"
        )


def fleet_topics(base: str, group: str) -> FleetTopics:
    """Return the topics of the fleet of that name (one level)."""
    return FleetTopics(base, f"{_FLEET}{group}")


def check_topic_name(topic: str) -> None:
    """Raise an InvalidRequestError unless it is a valid topic name to publish on."""
    problem = None
    if not topic:
        problem = "it is empty"
    elif _WILDCARDS & set(topic):
        problem = "it has a wildcard, + or #"
    elif topic.startswith("$"):
        problem = "it begins with $, which is the broker's own"
    elif _NOT_TEXT.search(topic):
        problem = "it has a control character, or one that UTF-8 does not allow"
    elif len(topic.encode()) > MAX_TOPIC_BYTES:
        problem = f"it is longer than {MAX_TOPIC_BYTES} bytes"
    elif topic.count("/") >= MAX_TOPIC_LEVELS:
        problem = f"it has more than {MAX_TOPIC_LEVELS} levels"
    if problem:
        shown = topic if len(topic) < 100 else f"{topic[:100]}…"  # noqa: PLR2004 - enough to recognise it
        raise InvalidRequestError(f"{shown!r} can't be a topic: {problem}")


def topic_safe(name: str) -> str:
    """Return the name as one topic level that every client can type: `Küche Pi` is `k-che-pi`."""
    return re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-") or "device"
