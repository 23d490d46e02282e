"""The beginning and the end of a box's connection to its fleet, and what is done anew on each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from edgeassist.gateways.fleet.answering import Answering
from edgeassist.gateways.fleet.held import HeldRequests
from edgeassist.gateways.fleet.joining import Joining
from edgeassist.gateways.fleet.links import OwnLink
from edgeassist.gateways.fleet.orientation import Orientation
from edgeassist.gateways.fleet.passing import Passing
from edgeassist.gateways.fleet.presence import Presence
from edgeassist.gateways.fleet.sharing import ShareCheck
from edgeassist.gateways.mqtt.repeats import Repeats

log = logging.getLogger(__name__)

# How long a box waits for what the broker keeps of the others, before it takes requests.
ORIENTATION_S = 3.0


class Arrival:
    """Arrives at the broker, again and again.

    Args:
        link: The connection.
        held: What this box answers for.
        answering: Answers no longer for what was taken over.
        passing: Has the broker keep again what it has forgotten.
        sharing: Looks whether shared subscriptions work.
        repeats: Says ends again.
        presence: Says how this box is.
        orientation: Whether requests are acted on.
        joining: Forgets what waits for it.
        turn: Does what is due.
    """

    def __init__(
        self,
        link: OwnLink,
        *,
        held: HeldRequests,
        answering: Answering,
        passing: Passing,
        sharing: ShareCheck,
        repeats: Repeats,
        presence: Presence,
        orientation: Orientation,
        joining: Joining,
        turn: Callable[[], object],
    ) -> None:
        self._link = link
        self._held = held
        self._answering = answering
        self._passing = passing
        self._sharing = sharing
        self._repeats = repeats
        self._presence = presence
        self._orientation = orientation
        self._joining = joining
        self._turn = turn
        self._adopted = False

    def up(self) -> None:
        """Note that a connection has begun."""
        if not self._link.resumed:
            self._held.session_lost()
            self._passing.session_lost()
        self._adopted = False
        self._sharing.connected()
        self._repeats.connected()
        self._presence.again()
        self._turn()
        asyncio.get_running_loop().call_later(ORIENTATION_S, self.orient)

    def down(self, reason: str) -> None:
        """Note that it has ended, or could not be made."""
        log.warning("the connection for the fleet: %s", reason)
        self._repeats.disconnected()
        self._orientation.lose()
        self._joining.lose()
        self._held.connection += 1

    def adopted(self) -> None:
        """Note that another box has taken over from this one while it was away."""
        self._adopted = True

    def orient(self) -> None:
        """Act on requests from now on: what the broker keeps of the others has come, as far as it does."""
        if self._orientation.oriented or not self._link.connected:
            return
        self._orientation.reach()
        if self._adopted:
            self._answering.drop_adopted()
            self._passing.come_back()
        self._turn()
