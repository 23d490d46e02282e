"""What comes over MQTT: requests, decisions and commands, with their properties, through to their ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from random import Random

import msgspec

from edgeassist.protocol.commands import COMMANDS
from edgeassist.protocol.packets import Inbound
from tests.fuzz import mutation
from tests.fuzz.box import TOPICS, Box
from tests.fuzz.target import Target
from tests.wire.fixtures import Sent, load, paths

_MOST_MESSAGES = 4
_TOPICS = (
    TOPICS.prompt(),
    TOPICS.prompt("kitchen"),
    TOPICS.prompt(""),
    TOPICS.prompt("x" * 70),
    TOPICS.decide(),
    TOPICS.decide("kitchen"),
    TOPICS.cancel("kitchen"),
    *(TOPICS.command(name) for name in (*COMMANDS, "", "dance")),
)
_REPLIES = (
    None, None, "edgeassist/box/reply/x", "edgeassist/box/reply/kitchen/1", "reply/a/b", "reply/", "", "a/b",
    "reply/+", "reply/#", "$SYS/x", "reply/\0", "reply/" + "é" * 200, "reply/" + "/" * 300,
    "edgeassist/box/response/ping", "edgeassist/box/response/x/y",
)  # fmt: skip
_EXPIRIES = (None, None, 0, 1, 60, (1 << 32) - 1)


class Message(msgspec.Struct, array_like=True):
    """A message as it is saved; `settles`: what runs ends before the next message comes."""

    topic: str
    payload: bytes
    response_topic: str | None = None
    correlation: bytes | None = None
    expiry_s: int | None = None
    retained: bool = False
    redelivered: bool = False
    packet_id: int = 0
    settles: bool = True

    @property
    def inbound(self) -> Inbound:
        """The message as the broker's room hands it on."""
        return Inbound(
            self.topic,
            self.payload,
            retained=self.retained,
            redelivered=self.redelivered,
            packet_id=self.packet_id,
            response_topic=self.response_topic,
            correlation=self.correlation,
            expiry_s=self.expiry_s,
        )


def encode(messages: Sequence[Message]) -> bytes:
    """Return messages as one input."""
    return msgspec.msgpack.encode(messages)


def decode(data: bytes) -> list[Message]:
    """Return the messages of an input; a msgspec.DecodeError or UnicodeError where it is none."""
    return msgspec.msgpack.decode(data, type=list[Message])


def sent() -> list[Sent]:
    """Return all that clients publish in the wire fixtures."""
    return [
        message
        for path in paths()
        for step in load(path).steps
        for message in step.publish
        if message.fill is None or message.fill <= 4096
    ]


def _message(message: Sent) -> Message:
    return Message(
        message.topic,
        message.data().replace(b"!script", b"script"),
        message.response_topic,
        None if message.correlation is None else bytes.fromhex(message.correlation),
        message.expiry_s,
        message.retain,
    )


@dataclass
class Mqtt(Target):
    """Messages in, one end out for each."""

    name: str = "mqtt"
    limit_s: float = 2.0
    documented: tuple[type[Exception], ...] = ()
    _runner: asyncio.Runner | None = None
    _box: Box | None = None

    def seeds(self) -> Sequence[bytes]:
        """See `Target.seeds`."""
        messages = [_message(each) for each in sent()]
        dialogues = [messages[at : at + 3] for at in range(0, len(messages), 3)]
        return [*(encode([each]) for each in messages), *map(encode, dialogues)]

    def run(self, data: bytes) -> Hashable:
        """See `Target.run`."""
        try:
            messages = decode(data)[:_MOST_MESSAGES]
        except (msgspec.DecodeError, UnicodeError):
            return "none"
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(self._handle(messages))

    def close(self) -> None:
        """Close its event loop, for whom no process ends."""
        if self._runner is not None:
            self._runner.close()

    async def _handle(self, messages: Sequence[Message]) -> Hashable:
        if self._box is None:
            self._box = Box()
        try:
            return tuple(await self._box.handle((each.inbound, each.settles) for each in messages))
        except BaseException:
            self._box = None  # what is broken must not blame the next input
            raise

    def mutate(self, random: Random, data: bytes, other: bytes) -> bytes:
        """Return other messages: their payloads by their structure, and their properties."""
        messages, others = decode(data), decode(other)
        match random.randrange(12):
            case 0 if len(messages) < _MOST_MESSAGES:
                messages.insert(random.randint(0, len(messages)), random.choice(others))
            case 1 if len(messages) > 1:
                del messages[random.randrange(len(messages))]
            case 2 if len(messages) < _MOST_MESSAGES:
                messages.append(random.choice(messages))
        for _ in range(random.choice((1, 1, 2))):
            each = random.choice(messages)
            donor = random.choice(others)
            match random.randrange(16):
                case 0:
                    each.topic = random.choice((*_TOPICS, donor.topic))
                case 1:
                    each.response_topic = random.choice((*_REPLIES, donor.response_topic))
                case 2:
                    each.correlation = random.choice((None, b"", b"\0", random.randbytes(8), bytes(70000)))
                case 3:
                    each.expiry_s = random.choice(_EXPIRIES)
                case 4:
                    each.retained = random.random() < 0.1
                    each.redelivered = random.random() < 0.3
                    each.packet_id = random.choice((0, 1, 65535))
                    each.settles = random.random() < 0.5
                case _:
                    each.payload = mutation.mutate(random, each.payload, donor.payload)
        return encode(messages)


def payloads() -> list[bytes]:
    """Return the payloads of the wire fixtures, and the events that answer them."""
    return sorted({each.data() for each in sent()})


def events() -> list[bytes]:
    """Return what the daemon says in the wire fixtures."""
    said = [
        received.payload
        for path in paths()
        for step in load(path).steps
        for received in (*step.receive, *([step.document] if step.document else []))
    ]
    return sorted({each.encode() if isinstance(each, str) else json.dumps(each).encode() for each in said})
