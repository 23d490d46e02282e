"""Asks one device: every request gets its whole answer, or an error that says why not.

A link that breaks is made again, and every unanswered request is then published again, byte for byte: the
daemon knows a repeat and doesn't run it twice (docs/protocol.md, "The same request twice").
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import secrets
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

from edgeassist.broker import BrokerOptions
from edgeassist.client.answers import AnswerStream, AnyEvent
from edgeassist.client.connection import PING_S, Connection
from edgeassist.errors import BrokerError, Code, InvalidRequestError
from edgeassist.protocol.events import Done, Failed, parse_event
from edgeassist.protocol.packets import Inbound, Outbound
from edgeassist.protocol.state import Availability
from edgeassist.protocol.topics import Topics

# The longest silence between two events of an answer; the daemon's own deadlines are shorter.
SILENCE_S = 900.0
# How long a broken link may take to come back before unanswered requests are given up.
RECONNECT_S = 60.0
# How long a device may be offline before they are: systemd starts a daemon that died within seconds, and a
# broker that is restarted publishes the device's will before it goes.
RETURN_S = 15.0
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


class Requester(Connection):
    """A connection that asks one device. An async context manager.

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
        super().__init__(options, topics, connect_s=connect_s)
        self.name = name
        self._reconnect_s = reconnect_s
        self._return_s = return_s
        self._link_timer = _Timer(reconnect_s, self._give_up_link)
        self._device_timer = _Timer(return_s, self._doubt_device)
        self._doubt: asyncio.Task[None] | None = None
        # Whether the device may have missed what was asked.
        self._device_unsure = False
        # When an answer of the device's was last heard.
        self._spoken_at = -math.inf
        self._requests: dict[str, _Request] = {}
        self._listen(topics.reply("+", name), self._take_event)

    async def close(self) -> None:
        """Disconnect; what has no answer yet gets an error."""
        self._link_timer.cancel()
        self._device_timer.cancel()
        if self._doubt is not None:
            self._doubt.cancel()
        self._fail("the client was closed before the answer had come")
        await super().close()

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

    def _up(self) -> None:
        super()._up()
        self._link_timer.cancel()
        self._device_unsure = True
        self._ask_again()

    def _down(self, reason: str) -> None:
        super()._down(reason)
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
        super()._take_state(message)
        if message.topic == self.topics.status:
            self._take_status(message)

    def _take_status(self, message: Inbound) -> None:
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
