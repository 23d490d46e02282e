"""Asks one device, or a fleet: every request gets its whole answer, or an error that says why not.

A link that breaks is made again, and every unanswered request is then published again, byte for byte: the
daemon knows a repeat and doesn't run it twice (docs/protocol.md, "The same request twice").
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections.abc import AsyncGenerator, Mapping
from functools import partial
from typing import Any

from edgeassist.broker import BrokerOptions
from edgeassist.client.answers import AnyEvent
from edgeassist.client.connection import COMMAND_S, PING_S, Connection
from edgeassist.client.doubt import Doubt
from edgeassist.client.pending import Request, Timer
from edgeassist.client.presence import Word
from edgeassist.client.reading import read_event
from edgeassist.client.retrying import Retries
from edgeassist.errors import BrokerError, InvalidRequestError
from edgeassist.protocol.events import Done, Failed
from edgeassist.protocol.packets import Inbound, Outbound
from edgeassist.protocol.state import CommandResponse
from edgeassist.protocol.topics import Topics

# The longest silence between two events of an answer; the daemon's own deadlines are shorter.
SILENCE_S = 900.0
# How long a broken link may take to come back before unanswered requests are given up.
RECONNECT_S = 60.0
# How long a device may be offline before they are: systemd starts a daemon that died within seconds, and a
# broker that is restarted publishes the device's will before it goes.
RETURN_S = 15.0
# How long the device may take to accept a request, or to refuse it.
ACCEPT_S = 30.0
# The client reads events, on its own topic.
_OURS = ("reply_to", "format", "max_packet", "end")


class Requester(Connection):
    """A connection that asks one device, or a fleet. An async context manager.

    Args:
        options: Where the broker is; the client id should be unique.
        topics: The device's, or the fleet's (`FleetTopics`).
        name: This client's name: it asks on `<root>/prompt/<name>` and `<root>/decide/<name>`.
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
        self._link_timer = Timer(reconnect_s, self._give_up_link)
        self._requests: dict[str, Request] = {}
        self._doubt = Doubt(
            self.presence,
            return_s,
            asked=lambda: bool(self._requests),
            connected=lambda: self._broker.connected,
            answers=lambda: self._answers(PING_S),
            again=self._ask_again,
            fail=self._fail,
            fail_unheard=partial(self._fail, unheard=True),
        )
        self._listen(topics.reply("+", name), self._take_event)
        self._listen(topics.response("cancel", name), self._take_response, optional=True)

    async def close(self) -> None:
        """Cancel what has no answer yet, and disconnect."""
        self._link_timer.cancel()
        self._doubt.close()
        for request in self._requests.values():
            self._cancel(request)
        self._fail("the client was closed before the answer had come")
        await super().close()

    def ask(
        self, prompt: str | None = None, *, busy_s: float = 0.0, **fields: Any
    ) -> AsyncGenerator[AnyEvent]:
        """Publish a prompt and yield the events of its answer, the terminal one last.

        `seq` may skip numbers, never text: see `AnswerStream`. What a restart of the device interrupted is
        asked again, unless `fields` has `on_crash`. A caller that stops before the terminal event cancels the
        request on the device.

        Args:
            prompt: The text, unless `fields` has messages.
            busy_s: How long to ask again, whenever the device says, one that has no room for the request.
            **fields: More of `PromptRequest`.

        Raises:
            InvalidRequestError: A request of that id is under way, or the fields can't be sent.
            BrokerError: The device was offline, or not to be found, for `return_s`, the link did not come
                back within `reconnect_s`, or nothing was heard for `SILENCE_S`.
        """
        wire = fields if prompt is None else {**fields, "prompt": prompt}
        streams = fields.get("stream") is not False
        return self._events(wire, self.topics.prompt(self.name), busy_s, streams=streams)

    def decide(self, *, busy_s: float = 0.0, **fields: Any) -> AsyncGenerator[AnyEvent]:
        """Publish questions about a state and yield the one event of their answers, as `ask` does.

        Args:
            busy_s: How long to ask again, whenever the device says, one that has no room for the request.
            **fields: Those of `DecisionRequest`.
        """
        return self._events(fields, self.topics.decide(self.name), busy_s, streams=False)

    async def _events(
        self, fields: Mapping[str, Any], topic: str, busy_s: float, *, streams: bool
    ) -> AsyncGenerator[AnyEvent]:
        request = self._prepare(fields, topic, streams=streams)
        self._requests[request.id] = request
        ended = False
        loop = asyncio.get_running_loop()
        retries = Retries(loop.time() + busy_s, anew="on_crash" not in fields)
        try:
            self._publish(request)
            self._doubt.ask()
            while True:
                event = await self._next_event(request)
                pause_s = retries.pause_s(event, loop.time(), random.random())  # noqa: S311 - no secret
                if pause_s is not None:
                    await asyncio.sleep(pause_s)
                    self._repeat(request)
                    continue
                ended = isinstance(event, Done | Failed)
                yield event
                if ended:
                    return
        finally:
            del self._requests[request.id]
            if not ended:
                self._cancel(request)

    async def cancel(self, request: str, wait_s: float = COMMAND_S) -> CommandResponse:
        """Cancel a request of this client's by its id.

        Raises:
            BrokerError: The device did not answer within `wait_s`.
        """
        return await self._give("cancel", self.topics.cancel(self.name), wait_s, {"request": request})

    async def answer(self, prompt: str | None = None, **fields: Any) -> Done | Failed:
        """Publish a prompt and return its terminal event."""
        async for event in self.ask(prompt, **fields):
            if isinstance(event, Done | Failed):
                return event
        raise BrokerError("the answer has no terminal event")

    def _up(self) -> None:
        super()._up()
        self._link_timer.cancel()
        self._doubt.up()
        self._ask_again()

    def _down(self, reason: str) -> None:
        super()._down(reason)
        self._doubt.down()
        if self._broker.connects:
            self._link_timer.start()

    def _refused(self, topic: str, why: str) -> None:
        super()._refused(topic, why)
        for request in self._requests.values():
            if request.message.topic == topic:
                request.events.put(BrokerError(f"the request can't be published on {topic}: {why}"))

    def _give_up_link(self) -> None:
        self._fail(
            f"the connection to the broker was lost and did not come back within {self._reconnect_s:g} s: "
            f"{self._problem}"
        )

    def _prepare(self, fields: Mapping[str, Any], topic: str, *, streams: bool) -> Request:
        """Return the request, not published yet."""
        if taken := [name for name in _OURS if name in fields]:
            raise InvalidRequestError(f"the client reads the answer itself: leave out {', '.join(taken)}")
        document = {"id": secrets.token_hex(6), **fields}
        key = str(document["id"])
        if key in self._requests:
            raise InvalidRequestError(f"the id {key!r} is being asked already: use another")
        try:
            payload = json.dumps(document, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise InvalidRequestError(f"the request can't be written as JSON: {error}") from None
        return Request(key, Outbound(topic, payload, qos=1), streams=streams)

    def _cancel(self, request: Request) -> None:
        cancel = json.dumps({"request": request.id}).encode()
        # At QoS 1, so that it outlives a link that is down.
        self._broker.publish(Outbound(self.topics.cancel(self.name), cancel, qos=1))

    def _ask_again(self) -> None:
        for request in self._requests.values():
            self._repeat(request)

    def _repeat(self, request: Request) -> None:
        request.stream.repeated()
        self._publish(request)

    def _publish(self, request: Request) -> None:
        request.asked_at = asyncio.get_running_loop().time()
        if not self._broker.publish(request.message):
            request.events.put(
                BrokerError("the request can't be sent: too much waits for the broker already")
            )

    async def _next_event(self, request: Request) -> AnyEvent:
        """Return the next event, or raise what ended the request.

        A device says at once that it has accepted a request: silence before that has another reason.
        """
        while True:
            loop = asyncio.get_running_loop()
            begun = not request.streams or request.heard
            until = loop.time() + SILENCE_S if begun else request.asked_at + ACCEPT_S
            try:
                async with asyncio.timeout_at(until):
                    event = await request.events.get()
            except TimeoutError:
                if begun or request.heard:
                    mute = "" if request.heard else f": may this client publish to {request.message.topic}?"
                    raise BrokerError(
                        f"nothing was heard from {self.presence.name} for {SILENCE_S:g} s{mute}"
                    ) from None
                if not self._broker.connected:
                    request.asked_at = loop.time()
                elif loop.time() >= request.asked_at + ACCEPT_S:
                    raise BrokerError(
                        f"{self.presence.name} has not answered on "
                        f"{self.topics.reply(request.id, self.name)} within {ACCEPT_S:g} s: "
                        f"may this client publish to {request.message.topic}, and read that?"
                    ) from None
            else:
                if isinstance(event, BrokerError):
                    raise event
                return event

    def _fail(self, problem: str, *, unheard: bool = False) -> None:
        """End all requests, or those of which nothing was heard."""
        for request in self._requests.values():
            if not (unheard and request.heard):
                request.events.put(BrokerError(problem))

    def _take_word(self, word: Word) -> None:
        super()._take_word(word)
        self._doubt.hear(word)

    def _take_event(self, message: Inbound) -> None:
        event = read_event(message.payload)
        if event.id in self._requests:
            self._doubt.spoke()
            request = self._requests[event.id]
            request.heard = True
            for each in request.stream.take(event):
                request.events.put(each)
