"""An MQTT client for the wire contract, used by `ask`, `status`, `demo`, `bench` and the tests.

A link that breaks is made again, and every unanswered request is then published again, byte for byte: the
daemon knows a repeat and doesn't run it twice (docs/protocol.md, "The same request twice").
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import random
import secrets
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

from edgeassist.answers import AnswerStream, AnyEvent
from edgeassist.broker import Broker, BrokerOptions
from edgeassist.errors import BrokerError, Code, InvalidRequestError
from edgeassist.protocol.events import Done, Failed, parse_event
from edgeassist.protocol.packets import Inbound, Outbound, Subscription
from edgeassist.protocol.state import Availability, CommandResponse
from edgeassist.protocol.topics import Topics

log = logging.getLogger(__name__)

# The longest silence between two events of an answer; the daemon's own deadlines are shorter.
SILENCE_S = 900.0
# How long a broken link may take to come back before unanswered requests are given up.
RECONNECT_S = 60.0
# How long a device may be offline before they are: systemd starts a daemon that died within seconds, and a
# broker that is restarted publishes the device's will before it goes.
RETURN_S = 15.0
# How long a device whose status is not `online` may take to answer a `ping`.
PING_S = 2.0
_NO_ROOM = frozenset({Code.BUSY, Code.QUOTA_EXCEEDED, Code.MODEL_LOADING})


@dataclass
class _Request:
    """A request without its terminal event yet; `message` is published again when the link comes back."""

    message: Outbound
    stream: AnswerStream = field(default_factory=AnswerStream)
    events: asyncio.Queue[AnyEvent | BrokerError] = field(default_factory=asyncio.Queue)


class _Timer:
    """Calls once after a time, unless it is cancelled before; starting it again does not prolong it."""

    def __init__(self, seconds: float, expire: Callable[[], None]) -> None:
        self._seconds = seconds
        self._expire = expire
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_later(self._seconds, self._ring)

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _ring(self) -> None:
        self._handle = None
        self._expire()


class Client:
    """A connection to the broker that asks one device. An async context manager.

    Args:
        options: Where the broker is; the client id should be unique.
        topics: The device's.
        name: This client's name: its prompt topic is `<root>/prompt/<name>`.
        connect_s: How long to try to connect at first.
        reconnect_s: How long a link that broke may take to come back.
        return_s: How long the device may be offline.
    """

    def __init__(
        self,
        options: BrokerOptions,
        topics: Topics,
        *,
        name: str,
        connect_s: float = 10.0,
        reconnect_s: float = RECONNECT_S,
        return_s: float = RETURN_S,
    ) -> None:
        self.topics = topics
        self.name = name
        self._connect_s = connect_s
        self._reconnect_s = reconnect_s
        self._return_s = return_s
        self._link_timer = _Timer(reconnect_s, self._give_up_link)
        self._device_timer = _Timer(return_s, self._doubt_device)
        self._doubt: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        # Whether the device may have missed what was asked.
        self._device_unsure = False
        # When an answer of the device's was last heard.
        self._spoken_at = -math.inf
        self._problem = ""
        self._requests: dict[str, _Request] = {}
        self._responses: dict[str, asyncio.Future[CommandResponse]] = {}
        self._retained: dict[str, bytes] = {}
        self._changed = asyncio.Event()
        self._broker = Broker(options, on_up=self._up, on_down=self._down)
        handlers: dict[str, Callable[[Inbound], None]] = {
            topics.reply("+", name): self._take_event,
            topics.response("+"): self._take_response,
            **dict.fromkeys((topics.health, topics.telemetry, topics.info), self._take_state),
            topics.status: self._take_status,
        }
        for topic, handler in handlers.items():
            self._broker.subscribe(Subscription(topic, qos=1), partial(_read, handler))

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            BrokerError: No connection; the message says why.
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
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        self._link_timer.cancel()
        self._device_timer.cancel()
        if self._doubt is not None:
            self._doubt.cancel()
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
        return Availability.ONLINE if said is Availability.ONLINE or await self._answers(wait_s) else said

    async def said_availability(self, wait_s: float = PING_S) -> Availability | None:
        """Return what the broker keeps of the device's status; None where it keeps nothing that is one."""
        payload = await self.state(self.topics.status, wait_s)
        with contextlib.suppress(ValueError):
            return Availability((payload or b"").decode())
        return None

    async def _answers(self, wait_s: float) -> bool:
        with contextlib.suppress(BrokerError):
            await self.command("ping", wait_s)
            return True
        return False

    async def wait_online(self, wait_s: float) -> bool:
        """Wait until the device is online."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while self._retained.get(self.topics.status) != Availability.ONLINE.value.encode():
                    await self._changes()
                return True
        return False

    async def wait_health(self, states: frozenset[str], wait_s: float) -> dict[str, Any] | None:
        """Wait until health tells one of these states; return the message, or None where it did not."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while True:
                    health = json.loads(self._retained.get(self.topics.health, b"{}"))
                    if health.get("state") in states:
                        return dict(health)
                    await self._changes()
        return None

    async def state(self, topic: str, wait_s: float = 2.0) -> bytes | None:
        """Return the retained message of a state topic; None where there is none."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while topic not in self._retained:
                    await self._changes()
        return self._retained.get(topic)

    async def ask(
        self, prompt: str | None = None, *, busy_s: float = 0.0, **fields: Any
    ) -> AsyncGenerator[AnyEvent]:
        """Publish a prompt and yield the events of its answer, the terminal one last.

        `seq` may skip numbers, never text: see `AnswerStream`. A caller that stops before the terminal event
        cancels the request on the device.

        Args:
            prompt: The text, unless `fields` has messages.
            busy_s: How long to ask again, whenever the device says, one that has no room for the request.
            **fields: More of `PromptRequest`.

        Raises:
            InvalidRequestError: A request of that id is under way.
            BrokerError: The device was offline for `return_s`, the link did not come back within
                `reconnect_s`, or nothing was heard for `SILENCE_S`.
        """
        fields = {"id": secrets.token_hex(6), **fields, **({} if prompt is None else {"prompt": prompt})}
        key = str(fields["id"])
        if key in self._requests:
            raise InvalidRequestError(f"the id {key!r} is being asked already: use another")
        request = _Request(Outbound(self.topics.prompt(self.name), json.dumps(fields).encode(), qos=1))
        self._requests[key] = request
        ended = False
        loop = asyncio.get_running_loop()
        until = loop.time() + busy_s
        try:
            self._broker.publish(request.message)
            if self._is_offline:
                self._device_timer.start()
            while True:
                async with asyncio.timeout(SILENCE_S):
                    event = await request.events.get()
                if isinstance(event, BrokerError):
                    raise event
                if isinstance(event, Failed) and event.code in _NO_ROOM and loop.time() < until:
                    pause_s = _pause_s(event, random.random())  # noqa: S311 - no secret
                    await asyncio.sleep(min(pause_s, until - loop.time()))
                    self._repeat(request)
                    continue
                ended = isinstance(event, Done | Failed)
                yield event
                if ended:
                    return
        except TimeoutError:
            raise BrokerError(f"nothing was heard from the device for {SILENCE_S:g} s") from None
        finally:
            del self._requests[key]
            if not ended:
                cancel = json.dumps({"request": key, "client": self.name}).encode()
                # At QoS 1, so that it outlives a link that is down.
                self._broker.publish(Outbound(self.topics.command("cancel"), cancel, qos=1))

    async def answer(self, prompt: str | None = None, **fields: Any) -> Done | Failed:
        """Publish a prompt and return its terminal event."""
        async for event in self.ask(prompt, **fields):
            if isinstance(event, Done | Failed):
                return event
        raise BrokerError("the answer has no terminal event")

    async def command(self, name: str, wait_s: float = 5.0, **arguments: Any) -> CommandResponse:
        """Give a command and return its answer."""
        key = secrets.token_hex(6)
        response: asyncio.Future[CommandResponse] = asyncio.get_running_loop().create_future()
        self._responses[key] = response
        try:
            payload = json.dumps({**arguments, "id": key}).encode()
            self._broker.publish(Outbound(self.topics.command(name), payload))
            async with asyncio.timeout(wait_s):
                return await response
        except TimeoutError:
            raise BrokerError(f"the device did not answer the command {name} within {wait_s:g} s") from None
        finally:
            del self._responses[key]

    async def _changes(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _up(self) -> None:
        self._link_timer.cancel()
        self._settled.set()
        self._device_unsure = True
        self._ask_again()

    def _down(self, reason: str) -> None:
        self._problem = reason
        self._settled.set()
        self._device_timer.cancel()
        if self._broker.connects:
            self._link_timer.start()

    def _give_up_link(self) -> None:
        self._fail(
            f"the connection to the broker was lost and did not come back within {self._reconnect_s:g} s: "
            f"{self._problem}"
        )

    def _doubt_device(self) -> None:
        if self._requests:
            self._doubt = asyncio.create_task(self._give_up_device(), name="doubt")

    async def _give_up_device(self) -> None:
        """Give up a device that is offline, unless it is heard of: a late will may stand in its status."""
        spoke = asyncio.get_running_loop().time() - self._spoken_at < self._return_s
        if spoke or await self._answers(PING_S):
            self._device_timer.start()
        elif self._is_offline and self._broker.connected:
            self._fail(f"the device went offline, and did not come back within {self._return_s:g} s")

    @property
    def _is_offline(self) -> bool:
        return self._retained.get(self.topics.status) == Availability.OFFLINE.value.encode()

    def _ask_again(self) -> None:
        for request in self._requests.values():
            self._repeat(request)

    def _repeat(self, request: _Request) -> None:
        request.stream.repeated()
        self._broker.publish(request.message)

    def _fail(self, problem: str) -> None:
        for request in self._requests.values():
            request.events.put_nowait(BrokerError(problem))

    def _take_state(self, message: Inbound) -> None:
        self._retained[message.topic] = message.payload
        self._changed.set()

    def _take_status(self, message: Inbound) -> None:
        self._take_state(message)
        if message.payload == Availability.OFFLINE.value.encode():
            self._device_unsure = True
            self._device_timer.start()
            return
        if message.payload != Availability.ONLINE.value.encode():  # cleared: it says nothing of the device
            return
        self._device_timer.cancel()
        # After the broker itself was away, we may have been back, and asked again, before the device. It says
        # `online` at other times too.
        if not message.retained and self._device_unsure:
            self._device_unsure = False
            self._ask_again()

    def _take_response(self, message: Inbound) -> None:
        answer = CommandResponse.model_validate_json(message.payload)
        response = self._responses.get(answer.id or "")
        if response is not None and not response.done():
            response.set_result(answer)

    def _take_event(self, message: Inbound) -> None:
        event = parse_event(message.payload)
        if event.id in self._requests:
            self._spoken_at = asyncio.get_running_loop().time()
            request = self._requests[event.id]
            for each in request.stream.take(event):
                request.events.put_nowait(each)


def _pause_s(refusal: Failed, share: float) -> float:
    """Return how long to wait as told; a random `share` of 0 to 1 keeps a burst from coming back as one."""
    return (1 + share) * (refusal.retry_after_ms or 1000) / 1000


def _read(handler: Callable[[Inbound], None], message: Inbound) -> None:
    """Let the handler read a message; one that breaks the contract is logged."""
    try:
        handler(message)
    except ValueError as error:
        log.warning("can't read the message on %s: %s", message.topic, error)
