"""Waits until nothing stands in a box's session any more, before it ends that."""

from __future__ import annotations

import asyncio
import secrets

from edgeassist.fleet.boxes import Boxes
from edgeassist.fleet.envelope import marker, token_of
from edgeassist.gateways.fleet.held import HeldRequests
from edgeassist.gateways.link import Link
from edgeassist.protocol.packets import Outbound

QUIET_S = 0.2


class Emptying:
    """Sends itself a message, which comes behind all that stands in the session.

    Args:
        place: The topic on which requests are handed to this box.
        link: The connection for the fleet.
        held: What this box answers for.
        boxes: The others.
    """

    def __init__(self, place: str, link: Link, *, held: HeldRequests, boxes: Boxes) -> None:
        self._place = place
        self._link = link
        self._held = held
        self._boxes = boxes
        self._marker = ""
        self._marked = asyncio.Event()

    async def done(self) -> bool:
        """Wait until nothing stands in the session; False where it is kept, since nobody else is there."""
        if not self._boxes.online or not self._link.connected:
            return False
        self._marked.clear()
        self._marker = secrets.token_hex(8)
        self._link.publish(Outbound(self._place, marker(self._marker), qos=1))
        await self._marked.wait()
        while True:
            while len(self._held):
                await asyncio.sleep(0.02)
            await asyncio.sleep(QUIET_S)
            if not len(self._held):
                return True

    def hear(self, payload: bytes) -> bool:
        """Take such a message; False where the payload is none."""
        token = token_of(payload)
        if token is not None and token == self._marker:
            self._marked.set()
        return token is not None
