"""Who takes over what stands in the session of a box that is gone, and when. Sans-I/O; time is passed in.

The boxes that are online take turns, in an order that all of them know, so that two rarely try at once. If
they do, the broker lets the second have the session, and the first gives up.
"""

from __future__ import annotations

from edgeassist.fleet.boxes import Box, Boxes
from edgeassist.fleet.ranking import ranked
from edgeassist.protocol.fleet import SESSION_SUFFIX, BoxCondition

# How much later than the one before it a box takes its turn.
TURN_S = 5.0


def due(boxes: Boxes, adopt_s: float, *, session: str) -> dict[str, float]:
    """Return the boxes that this one should adopt, and from when on.

    Args:
        boxes: The others.
        adopt_s: How long a box is away before it is adopted.
        session: Our own client id, which is never adopted.
    """
    found = {}
    for box in boxes:
        if box.away_since is not None and _stands(box, boxes, session):
            order = ranked(f"adopt {box.state.device}", [*boxes.online, boxes.device])
            found[box.state.device] = box.away_since + adopt_s + TURN_S * order.index(boxes.device)
    return found


def _stands(box: Box, boxes: Boxes, session: str) -> bool:
    """Whether there may be something that nobody else takes over."""
    state = box.state
    if state.empty or not state.session.endswith(SESSION_SUFFIX) or state.session == session:
        return False
    adopter = None if state.adopter is None else boxes.find(state.adopter)
    return adopter is None or adopter.state.state is not BoxCondition.ONLINE
