"""The fleet, over one connection: which boxes there are, and whether the broker has what a fleet needs.

What is published is heard by nobody else: it goes to a box that does not exist.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping

from edgeassist.broker import BrokerOptions
from edgeassist.broker.probe import Sight, look
from edgeassist.doctor.checks.fleet import FleetSnapshot
from edgeassist.errors import EdgeAssistError
from edgeassist.fleet.survey import survey
from edgeassist.protocol.filters import SHARE
from edgeassist.protocol.packets import Outbound
from edgeassist.protocol.topics import FleetTopics

# How long to listen for what is retained.
_LISTEN_S = 0.5


async def probe_fleet(
    options: BrokerOptions,
    topics: FleetTopics,
    *,
    device: str,
    there: bool,
    adopt_s: float,
    session_expiry_s: float,
) -> FleetSnapshot | None:
    """Look at the fleet; None where the broker can't be looked at so.

    Args:
        options: The daemon's, but with another client id.
        topics: The fleet's.
        device: This box.
        there: Whether its daemon is online.
        adopt_s: As set.
        session_expiry_s: As set.
    """
    key = f"doctor-{secrets.token_hex(6)}"
    trials = {name: Outbound(topics.hand(f"{key}-{name}"), key.encode()) for name in ("plain", "shared")}
    # A group of our own hears what the fleet's own group hears, and takes nothing from it.
    needed = [each.replace(f"{SHARE}/{topics.group}/", f"{SHARE}/{key}/") for each in topics.shared_filters]
    shared = f"{SHARE}/{key}/{trials['shared'].topic}"
    filters = [*needed, trials["plain"].topic, shared, topics.box("+")]
    loop = asyncio.get_running_loop()
    until = float("inf")

    def say(_sight: Sight) -> Mapping[str, Outbound]:
        nonlocal until
        until = loop.time() + _LISTEN_S
        return trials

    def enough(sight: Sight) -> bool:
        came = {each.topic for each in sight.heard}
        return loop.time() > until and all(each.topic in came for each in trials.values())

    try:
        sight = await look(options, filters=filters, say=say, enough=enough)
    except EdgeAssistError:
        return None
    if not sight.granted and not sight.refused:
        return None
    states, came = {}, set()
    boxes = topics.box("")
    for message in sight.heard:
        came.add(message.topic)
        if message.topic.startswith(boxes):
            states[message.topic.removeprefix(boxes)] = message.payload
    return FleetSnapshot(
        topics.root,
        device,
        survey(topics.group, states),
        adopt_s,
        session_expiry_s,
        time.time(),
        there,
        refused={each: why for each, why in sight.refused.items() if each != shared},
        shares=sight.shares and shared not in sight.refused,
        plain=trials["plain"].topic in came,
        shared=trials["shared"].topic in came,
    )
