"""The last word of a box in its fleet: what others have to know so that nothing is lost at its session."""

from __future__ import annotations

import asyncio
import contextlib

from edgeassist.fleet.boxes import Boxes
from edgeassist.gateways.fleet.emptying import Emptying
from edgeassist.gateways.fleet.hearing import Hearing
from edgeassist.gateways.fleet.heir import Heir
from edgeassist.gateways.fleet.links import OwnLink
from edgeassist.gateways.fleet.presence import Presence
from edgeassist.gateways.fleet.sharing import ShareCheck

# How long the end of a member may take: what waits is handed over, and that acknowledged.
SETTLE_S = 5.0
FLUSH_S = 2.0


async def say_farewell(
    link: OwnLink,
    boxes: Boxes,
    *,
    sharing: ShareCheck,
    heir: Heir,
    emptying: Emptying,
    hearing: Hearing,
    presence: Presence,
) -> None:
    """Say the last word, and disconnect; the session ends with it where nothing stands in it."""
    sharing.close()
    await heir.close()
    empty = False
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SETTLE_S):
            empty = await emptying.done()
    # What a box that has not heard of it yet hands over would be lost in silence: another one adopts it.
    empty = empty and not boxes.blind
    if empty:
        hearing.leave()
    presence.close(empty=empty)
    await link.flush(FLUSH_S)
    await link.stop(end_session=empty)
