"""What a box says of itself to the others of its fleet, and to whoever looks."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from pydantic import Field, ValidationError

from edgeassist.protocol.state import StateDocument

# What the client id of a box's connection for its fleet ends with.
SESSION_SUFFIX = "-fleet"
# More of a state document is not read.
MAX_STATE_BYTES = 4096
# More than a fleet has; who writes on its topics must not fill the memory of those who look at it.
MOST_BOXES = 1024


class BoxCondition(StrEnum):
    """Whether a box takes requests of its fleet."""

    ONLINE = "online"
    DRAINING = "draining"
    """It takes nothing new: it is told so, stops, or has no model to answer with."""
    OFFLINE = "offline"


# Longer words are cut.
MAX_WORDS = 256
_Text = Annotated[str, Field(max_length=1024, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
_Count = Annotated[int, Field(ge=0, le=1_000_000)]


class BoxState(StateDocument):
    """A box of a fleet, retained on `<base>/fleet/<group>/box/<device>`.

    Attributes:
        device: Its name.
        root: The prefix of its own topics.
        session: Its client id on its connection for the fleet.
        model: The name of what it has loaded; None while that is nothing.
        protocol: The version of the wire contract.
        mqtt: The version of MQTT that it speaks; None in a will.
        state: Whether it takes requests.
        reason: Why it does not, for a person.
        slots: How many requests it runs at once, its own topics' too; 0 while it has no model.
        running: How many run.
        waiting: How many wait.
        movable: How many of these another box may have.
        room: How many more it would start at once.
        held_back: Why it computes with fewer threads than it could.
        since: When that state began, in seconds since 1970 by its own clock; None in a will.
        boot_id: Of its daemon's run.
        version: Of its daemon.
        adopter: The device that takes, or took, over what stood in the session of a box that is offline.
        empty: Whether nothing stands there any more.
    """

    device: _Text
    root: _Text
    session: _Text
    model: _Text | None = None
    protocol: _Count
    mqtt: _Text | None = None
    state: BoxCondition
    reason: _Text | None = None
    slots: _Count = 0
    running: _Count = 0
    waiting: _Count = 0
    movable: _Count = 0
    room: _Count = 0
    held_back: _Text | None = None
    since: float | None = None
    boot_id: _Text
    version: _Text
    adopter: _Text | None = None
    empty: bool = False


def words(text: str | None) -> str | None:
    """Return a text as it may stand in a state: short, and without control characters."""
    return None if text is None else re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", text)[:MAX_WORDS]


def parse_box(payload: bytes) -> BoxState | None:
    """Return what a box says of itself; None where the payload is no such document."""
    if len(payload) > MAX_STATE_BYTES:
        return None
    try:
        return BoxState.model_validate_json(payload)
    except ValidationError:
        return None
