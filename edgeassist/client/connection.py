"""A connection that knows one device, or one fleet: what it says of itself, and its answers to commands."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self

from edgeassist.broker import Broker, BrokerOptions
from edgeassist.client.presence import Word, presence_of
from edgeassist.client.reading import read_document
from edgeassist.errors import BrokerError
from edgeassist.protocol.packets import Inbound, Outbound, Subscription
from edgeassist.protocol.state import Availability, CommandResponse
from edgeassist.protocol.topics import Topics

log = logging.getLogger(__name__)

# How long a device whose status is not `online` may take to answer a `ping`.
PING_S = 2.0
STATE_S = 2.0
COMMAND_S = 5.0
# What is said before a command's answer, and not read yet.
_MAX_UNREAD = 256

# Takes what is said before a command's answer.
OnProgress = Callable[[dict[str, Any]], None]


class Connection:
    """An async context manager that is connected inside its block.

    Args:
        options: Where the broker is; the client id should be unique.
        topics: The device's, or the fleet's (`FleetTopics`).
        connect_s: How long to try to connect at first.

    Attributes:
        presence: What is known of whether it is there.
    """

    def __init__(self, options: BrokerOptions, topics: Topics, *, connect_s: float = 10.0) -> None:
        self.topics = topics
        self.presence = presence_of(topics)
        self._connect_s = connect_s
        self._settled = asyncio.Event()
        self._problem = ""
        self._responses: dict[str, asyncio.Queue[CommandResponse]] = {}
        self._retained: dict[str, bytes] = {}
        self._changed = asyncio.Event()
        self._broker = Broker(options, on_up=self._up, on_down=self._down, on_refused=self._refused)
        # An access control list may keep these from us, and let us ask all the same.
        for topic in self.presence.kept:
            self._listen(topic, self._take_state, optional=True)
        self._listen(topics.response("+"), self._take_response, optional=True)

    async def __aenter__(self) -> Self:
        """Connect (`connect`)."""
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect (`close`)."""
        await self.close()

    async def connect(self) -> None:
        """Connect, within `connect_s`.

        Raises:
            BrokerError: No connection; the message says why.
            ConfigurationError: A TLS file can't be used.
        """
        self._broker.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._connect_s):
                await self._settled.wait()
        if not self._broker.connected:
            await self._broker.stop()
            raise BrokerError(
                self._problem
                or f"the broker did not answer within {self._connect_s:g} s: check mqtt.host, mqtt.port and "
                "mqtt.protocol (edgeassist doctor tries them)"
            )

    async def close(self) -> None:
        """Disconnect."""
        await self._broker.stop()

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the broker."""
        return self._broker.connected

    async def availability(self, wait_s: float = PING_S) -> Availability | None:
        """Return whether the device is there; None where nothing is known of it.

        A status that says otherwise may be stale: a device that answers a `ping` within `wait_s` is online.
        """
        said = await self.said_availability(wait_s)
        if said is Availability.ONLINE or await self._answers(wait_s):
            return Availability.ONLINE
        return self.presence.availability

    async def said_availability(self, wait_s: float = PING_S) -> Availability | None:
        """Return what the broker keeps of whether the device is there; None where that is nothing."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while self.presence.availability is None:
                    await self._changes()
        return self.presence.availability

    async def wait_online(self, wait_s: float) -> bool:
        """Wait until the device is online."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while self.presence.availability is not Availability.ONLINE:
                    await self._changes()
                return True
        return False

    async def wait_health(self, states: frozenset[str], wait_s: float) -> dict[str, Any] | None:
        """Wait until health tells one of these states; return the message, or None where it did not."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while True:
                    health = read_document(self._retained.get(self.topics.health))
                    if health.get("state") in states:
                        return health
                    await self._changes()
        return None

    async def state(self, topic: str, wait_s: float = STATE_S) -> bytes | None:
        """Return the retained message of a state topic; None where there is none."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while topic not in self._retained:
                    await self._changes()
        return self._retained.get(topic)

    async def watches(self, names: Iterable[str], wait_s: float = STATE_S) -> dict[str, bytes]:
        """Return what is known from the watches of these names, as far as the broker tells."""
        wanted = {name: self.topics.watch(name) for name in names}
        if wanted:
            self._listen(self.topics.watch_filter, self._take_state, optional=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while not set(wanted.values()) <= set(self._retained):
                    await self._changes()
        return {name: self._retained[topic] for name, topic in wanted.items() if topic in self._retained}

    async def command(
        self, name: str, wait_s: float = COMMAND_S, on_progress: OnProgress | None = None, **arguments: Any
    ) -> CommandResponse:
        """Give a command and return its answer.

        Args:
            name: The command's.
            wait_s: How long the device may be silent about it.
            on_progress: Called with the `data` of what it says before the answer, of a long one.
            **arguments: The command's.

        Raises:
            BrokerError: The device was silent for `wait_s`.
        """
        return await self._give(name, self.topics.command(name), wait_s, arguments, on_progress)

    async def _give(
        self,
        name: str,
        topic: str,
        wait_s: float,
        arguments: Mapping[str, Any],
        on_progress: OnProgress | None = None,
    ) -> CommandResponse:
        key = secrets.token_hex(6)
        responses = self._responses[key] = asyncio.Queue(_MAX_UNREAD)
        try:
            payload = json.dumps({**arguments, "id": key}).encode()
            self._broker.publish(Outbound(topic, payload))
            while True:
                async with asyncio.timeout(wait_s):
                    response = await responses.get()
                if response.status != "progress":
                    return response
                if on_progress is not None:
                    on_progress(dict(response.data or {}))
        except TimeoutError:
            raise BrokerError(f"the device did not answer the command {name} within {wait_s:g} s") from None
        finally:
            del self._responses[key]

    def _listen(
        self,
        topic: str,
        handler: Callable[[Inbound], None],
        *,
        optional: bool = False,
        qos: int = 1,
        patient: bool = False,
    ) -> None:
        subscription = Subscription(topic, qos=qos, optional=optional, patient=patient)
        self._broker.subscribe(subscription, partial(_read, handler))

    async def _answers(self, wait_s: float) -> bool:
        with contextlib.suppress(BrokerError):
            await self.command("ping", wait_s)
            return True
        return False

    async def _changes(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _up(self) -> None:
        self._settled.set()

    def _down(self, reason: str) -> None:
        self._problem = reason
        self._retained.clear()  # the broker says it again
        self.presence.clear()
        self._settled.set()

    def _refused(self, topic: str, why: str) -> None:
        """Note that the broker does not take what was published on that topic."""

    def _take_state(self, message: Inbound) -> None:
        self._retained[message.topic] = message.payload
        self._take_word(self.presence.hear(message))
        self._changed.set()

    def _take_word(self, word: Word) -> None:
        """Note what was said of whether the device is there."""

    def _take_response(self, message: Inbound) -> None:
        answer = CommandResponse.model_validate_json(message.payload)
        response = self._responses.get(answer.id or "")
        if response is not None:
            with contextlib.suppress(asyncio.QueueFull):
                response.put_nowait(answer)


def _read(handler: Callable[[Inbound], None], message: Inbound) -> None:
    """Let the handler read a message; one that breaks the contract is logged."""
    try:
        handler(message)
    except ValueError as error:
        log.warning("can't read the message on %s: %s", message.topic, error)
