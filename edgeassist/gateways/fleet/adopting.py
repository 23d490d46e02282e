"""Takes over what stands in the session of a box that is gone.

The broker keeps the session: what was on its way to that box, and what waits for it, is sent to whoever
connects with its client id. So that is done: the shared subscriptions are left, every message is handed to a
box that lives, and acknowledged when that is with the broker. A marker, which comes behind all that stood
there, tells that the session is empty; then it is ended. If the box comes back meanwhile, the broker gives
the session to it, and this gives up.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import replace

from edgeassist.errors import InvalidRequestError
from edgeassist.fleet.envelope import Envelope, cancel_of, marker, open_envelope, token_of
from edgeassist.fleet.routing import MOST_HOPS
from edgeassist.gateways.fleet.links import Connect, Session
from edgeassist.protocol.packets import Inbound, Outbound, Subscription
from edgeassist.protocol.topics import FleetTopics

log = logging.getLogger(__name__)

# How long nothing may move before it is given up, to be tried again later.
IDLE_S = 20.0
# How long is waited for stragglers behind the marker: not every broker keeps the order of all topics.
QUIET_S = 0.5
STOP_S = 2.0

# Hands what a client published to a box that lives; the last argument is told whether the broker has it.
HandOn = Callable[[Envelope, Callable[[bool], None]], None]


class Adoption:
    """One box's session.

    Args:
        topics: The fleet's.
        device: The box that is gone.
        session: Its session; of the same kind as it was.
        sender: The device that adopts it.
        connect: Makes connections.
        hand_on: Finds a box for each message.
    """

    def __init__(
        self,
        topics: FleetTopics,
        device: str,
        session: Session,
        sender: str,
        *,
        connect: Connect,
        hand_on: HandOn,
    ) -> None:
        self._topics = topics
        self._device = device
        self._session = session
        self._sender = sender
        self._connect = connect
        self._hand_on = hand_on
        self._token = secrets.token_hex(8)
        self._lost = asyncio.Event()
        self._moved = asyncio.Event()
        self._marked = False
        self._open = 0
        self.count = 0

    async def run(self) -> bool:
        """Take all over; return whether the session is empty now, and ended.

        False: the connection ended, most often because that box is back, or nothing moved for `IDLE_S`.
        """
        link = self._link = self._connect(self._session, on_up=self._up, on_down=self._down)
        for each in self._topics.shared_filters:
            route = link.subscribe(Subscription(each, qos=1, held=True, passive=True), self._hear)
            route.leave()
        own = link.subscribe(
            Subscription(self._topics.hand(self._device), qos=1, held=True), self._hear_handed
        )
        link.start()
        emptied = False
        try:
            emptied = await self._empties()
            if emptied:
                own.leave()
        finally:
            # A session that is ended by another CONNECT might be that of the box, which is back.
            await link.stop(STOP_S, end_session=emptied)
        return emptied

    async def _empties(self) -> bool:
        while not self._lost.is_set():
            self._moved.clear()
            done = self._marked and not self._open
            try:
                async with asyncio.timeout(QUIET_S if done else IDLE_S):
                    await self._moved.wait()
            except TimeoutError:
                return done
        return False

    def _up(self) -> None:
        self._marked = False
        payload = marker(self._token)
        self._link.publish(Outbound(self._topics.hand(self._device), payload, qos=1))
        self._moved.set()

    def _down(self, _reason: str) -> None:
        self._lost.set()
        self._moved.set()

    def _hear(self, message: Inbound) -> None:
        if message.retained:
            message.acknowledge()
            return
        left_s = None if message.expiry_s is None else float(message.expiry_s)
        self._hand(Envelope(self._sender, message, 1, left_s, again=message.redelivered), message)

    def _hear_handed(self, message: Inbound) -> None:
        if (token := token_of(message.payload)) is not None:
            message.acknowledge()
            self._marked = self._marked or token == self._token
            self._moved.set()
            return
        if cancel_of(message.payload) is not None:  # what it follows may be anywhere now
            message.acknowledge()
            return
        try:
            envelope = open_envelope(message.payload)
        except InvalidRequestError as error:
            log.warning("ignored a message on %s: %s", message.topic, error.message)
            message.acknowledge()
            return
        hops = min(MOST_HOPS, envelope.hops + 1)
        again = envelope.again or message.redelivered
        self._hand(replace(envelope, sender=self._sender, hops=hops, again=again), message)

    def _hand(self, envelope: Envelope, message: Inbound) -> None:
        self._open += 1

        def handed(delivered: bool) -> None:  # noqa: FBT001 - as `Outbound.on_settled` calls it
            self._open -= 1
            self.count += delivered
            if delivered:
                message.acknowledge()
            else:
                self._lost.set()
            self._moved.set()

        self._moved.set()
        self._hand_on(envelope, handed)
