"""One box, over Home Assistant's own connection to the broker: what is known of it, and requests to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from homeassistant.components import mqtt
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError

from .const import LOGGER, TINY
from .events import Accepted, Done, Event, Failed, read_event, read_object
from .failures import Failure, Why, failure_of
from .known import Info, read_info
from .pending import Request
from .topics import Kind, Topics

# How long a request may take, waiting included, where nobody says less: a long prompt on a small box.
LIMIT_S = 300.0
# What the box gets beyond that to say itself that it is over.
GRACE_S = 2.0
# How long the box may take to say that it has accepted a request or refused it. Then it is asked once more.
ACCEPT_S = 5.0
# How long a box or a broker that goes while it answers may take to come back: systemd starts a daemon that
# died within seconds, Home Assistant connects again every ten.
RETURN_S = 20.0


class Box:
    """One box. `start` listens, `close` ends all that is under way.

    Attributes:
        topics: Its topics.
        info: What it says of itself; None until it has.
        health: The last `<root>/health`; empty until it has come.
        last: Counts of the last answer's end (`usage` of the wire), and how requests ended, for diagnostics.
    """

    def __init__(self, hass: HomeAssistant, topics: Topics) -> None:
        self.topics = topics
        self.info: Info | None = None
        self.health: Mapping[str, Any] = {}
        self.last: dict[str, Any] = {}
        self._hass = hass
        self._online: bool | None = None
        self._unsure = False
        self._closed = False
        self._model = ""
        self._requests: dict[str, Request] = {}
        self._listeners: list[CALLBACK_TYPE] = []
        self._undo: list[CALLBACK_TYPE] = []
        self._patience: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Listen to the box and to the connection.

        Raises:
            HomeAssistantError: MQTT is not set up.
        """
        for topic, hear in (
            (self.topics.replies, self._hear_event),
            (self.topics.info, self._hear_info),
            (self.topics.health, self._hear_health),
            (self.topics.status, self._hear_status),
        ):
            self._undo.append(await mqtt.async_subscribe(self._hass, topic, hear, qos=1))
        self._undo.append(mqtt.async_subscribe_connection_status(self._hass, self._hear_connection))

    @callback
    def close(self) -> None:
        """Cancel what has no end yet, and whatever is asked after that; listen no more."""
        self._closed = True
        for request in self._requests.values():
            request.put(Failure(Why.CANCELLED))
        self._stop_patience()
        while self._undo:
            self._undo.pop()()

    @callback
    def listen(self, changed: CALLBACK_TYPE) -> CALLBACK_TYPE:
        """Have it called whenever something is known anew; returns what ends that."""
        self._listeners.append(changed)
        return lambda: self._listeners.remove(changed)

    # -- What is known --------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether Home Assistant is connected to its broker."""
        return mqtt.is_connected(self._hass)

    @property
    def online(self) -> bool:
        """Whether the box is there."""
        return self._online is True

    @property
    def available(self) -> bool:
        """Whether requests make sense."""
        return self.obstacle is None

    @property
    def obstacle(self) -> Failure | None:
        """Why requests make no sense now; None if they do."""
        if not self.connected:
            return Failure(Why.BROKER_AWAY)
        if not self.online:
            return Failure(Why.BOX_AWAY, {"device": self.topics.device})
        if self.info is not None and not self.info.understood:
            return Failure(Why.PROTOCOL_UNKNOWN, {"protocol": str(self.info.protocol)})
        return None

    @property
    def is_tiny(self) -> bool:
        """Whether its model, or the last while none is loaded, is the built-in one, which knows no tools."""
        return self._model == TINY

    # -- Requests -------------------------------------------------------------------------------------------

    async def ask(
        self, fields: Mapping[str, Any], *, kind: Kind = "prompt", limit_s: float = LIMIT_S
    ) -> AsyncGenerator[Event]:
        """Ask, and yield the events of the answer, `Done` last.

        Who stops before, by closing the generator or by a cancelled task, cancels the request on the box.

        Args:
            fields: Of the request, as the wire contract has them, without `id` and `timeout_s`.
            kind: What is asked for: an answer, or a decision.
            limit_s: How long it may take.

        Raises:
            Failure: It was not answered, and why.
        """
        if self._closed:
            raise Failure(Why.CANCELLED)
        if obstacle := self.obstacle:
            raise obstacle
        request = Request.of(fields, self.topics.ask(kind), kind, limit_s)
        loop = asyncio.get_running_loop()
        until = loop.time() + limit_s + GRACE_S
        self._requests[request.id] = request
        ended = False
        try:
            self._publish(request)
            while not ended:
                event = await self._next(request, until)
                ended = isinstance(event, Done | Failed)
                if isinstance(event, Done):
                    self.last = {"usage": dict(event.usage), "finish_reason": event.finish_reason}
                if isinstance(event, Failed):
                    self.last = {"code": event.code, "message": event.message}
                    raise failure_of(event)
                yield event
        finally:
            del self._requests[request.id]
            if not self._requests:
                self._stop_patience()
            if not ended:
                self._cancel(request)

    async def _next(self, request: Request, until: float) -> Event:
        """Return the next event; a `Failed` too."""
        loop = asyncio.get_running_loop()
        while True:
            begun = request.heard or (request.again and not request.streams)
            deadline = until if begun else min(until, request.asked_at + ACCEPT_S)
            try:
                async with asyncio.timeout_at(deadline):
                    event = await request.get()
            except TimeoutError:
                if self._patience is not None:
                    # It is asked again when the box or the broker is back.
                    request.asked_at = loop.time()
                elif not (request.heard or request.again):
                    request.again = True
                    self._ask_again(request)  # right after a start, the first of an answer may be lost
                # It was asked again meanwhile, or there is still time for that.
                if loop.time() < min(until, request.asked_at + ACCEPT_S):
                    continue
                # A box that hears says itself when the time is over.
                raise Failure(Why.DEADLINE_EXCEEDED if request.heard else Why.BOX_SILENT) from None
            break
        if isinstance(event, Failure):
            raise event
        if isinstance(event, Accepted):
            LOGGER.debug("%s is accepted, %d before it", request.id, event.position)
        return event

    @callback
    def _publish(self, request: Request) -> None:
        request.asked_at = self._hass.loop.time()
        self._in_background(request.topic, request.payload, f"ask {request.id}", request)

    @callback
    def _cancel(self, request: Request) -> None:
        """Cancel it on the box; not awaited, because who asked is being cancelled itself."""
        self._in_background(self.topics.cancel, json.dumps({"request": request.id}), f"cancel {request.id}")

    @callback
    def _in_background(self, topic: str, payload: str, name: str, request: Request | None = None) -> None:
        async def publish() -> None:
            try:
                await mqtt.async_publish(self._hass, topic, payload, qos=1, retain=False)
            except HomeAssistantError as error:
                LOGGER.debug("%s: %s", topic, error)
                # What is under way is published again when a lost connection is back.
                if request is not None and not request.heard and self.connected:
                    request.put(Failure(Why.BROKER_AWAY, detail=str(error)))

        self._hass.async_create_background_task(publish(), f"edgeassist: {name}", eager_start=True)

    # -- What is heard --------------------------------------------------------------------------------------

    @callback
    def _hear_event(self, message: mqtt.ReceiveMessage) -> None:
        event = read_event(message.payload)
        request = None if event is None else self._requests.get(event.id)
        if event is None or request is None:
            return
        request.heard = True
        if isinstance(event, Failed) and event.code == Why.SHUTTING_DOWN:
            # A box that is started anew is asked again when it says `online`.
            self._unsure = True
            self._start_patience(Why.SHUTTING_DOWN)
            return
        if isinstance(event, Failed) and event.code == Why.INTERRUPTED and request.may_begin_anew():
            self._ask_again(request)
            return
        for each in request.stream.take(event):
            request.put(each)

    @callback
    def _hear_info(self, message: mqtt.ReceiveMessage) -> None:
        self.info = read_info(message.payload)
        self._model = (self.info.model if self.info else None) or self._model
        self._changed()

    @callback
    def _hear_health(self, message: mqtt.ReceiveMessage) -> None:
        known, self.health = self.health, read_object(message.payload) or self.health
        if any(known.get(name) != self.health.get(name) for name in ("state", "reason")):
            self._changed()

    @callback
    def _hear_status(self, message: mqtt.ReceiveMessage) -> None:
        was, self._online = self._online, message.payload == "online"
        if not self._online:
            self._unsure = True
            self._start_patience(Why.BOX_AWAY)
        else:
            self._stop_patience()
            # A box that was away, or whose broker was, may have missed what was asked. It says `online` at
            # other times too.
            if self._unsure:
                self._unsure = False
                self._ask_again()
        if was is not self._online:
            self._changed()

    @callback
    def _hear_connection(self, connected: bool) -> None:  # noqa: FBT001 - as Home Assistant calls it
        # A broker that forgets gives nothing to a box that is not back yet: that says `online` when it is.
        self._unsure = True
        if connected:
            self._stop_patience()
            self._ask_again()
        else:
            # A broker that comes back without what it kept does not say that a box has gone meanwhile.
            self._online = None
            self._start_patience(Why.LINK_LOST)
        self._changed()

    @callback
    def _ask_again(self, *requests: Request) -> None:
        """Publish again, byte for byte, what has no end: a box that knows it does not run it twice."""
        for request in requests or self._requests.values():
            request.stream.repeated()
            self._publish(request)

    @callback
    def _start_patience(self, why: Why) -> None:
        """Give up what is under way, unless the box or the broker comes back."""
        if self._requests and self._patience is None:
            self._patience = self._hass.loop.call_later(RETURN_S, self._give_up, why)

    @callback
    def _stop_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    @callback
    def _give_up(self, why: Why) -> None:
        self._patience = None
        for request in self._requests.values():
            request.put(Failure(why, {"device": self.topics.device}))

    @callback
    def _changed(self) -> None:
        for changed in list(self._listeners):
            changed()
