"""What a box knows of the others in its fleet. Sans-I/O; time is passed in, in seconds of one clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from edgeassist.protocol.fleet import MOST_BOXES, BoxCondition, BoxState


@dataclass(slots=True)
class Box:
    """Another box.

    Attributes:
        state: What it said last.
        room: How many requests it would start at once, less what we have handed to it since it said so.
        away_since: When it was found to be offline; None while it is not.
    """

    state: BoxState
    room: int
    away_since: float | None


@dataclass(slots=True)
class Boxes:
    """All the others.

    Args:
        device: Our own name.
    """

    device: str
    _boxes: dict[str, Box] = field(default_factory=dict)
    _older: set[str] = field(default_factory=set)

    def came_back(self) -> None:
        """Note that we took no requests for a while: whoever is known was here before us now."""
        self._older.update(box.state.boot_id for box in self)

    def hear(self, state: BoxState, now: float, *, retained: bool) -> None:
        """Take what another box says of itself.

        Args:
            state: Its state.
            now: When.
            retained: Whether the broker had kept it, and told it because we connected.
        """
        device = state.device
        if device == self.device or (device not in self._boxes and len(self._boxes) >= MOST_BOXES):
            return
        before = self._boxes.get(device)
        if before is not None and before.state.boot_id != state.boot_id:
            self._older.discard(before.state.boot_id)
        if retained:
            self._older.add(state.boot_id)
        away_since = None
        if state.state is BoxCondition.OFFLINE:
            same = before is not None and before.state.boot_id == state.boot_id
            away_since = before.away_since if same and before is not None else None
            away_since = now if away_since is None else away_since
        self._boxes[device] = Box(state, state.room, away_since)

    def forget(self, device: str) -> None:
        """Forget a box whose state was taken away."""
        if (box := self._boxes.pop(device, None)) is not None:
            self._older.discard(box.state.boot_id)

    def find(self, device: str) -> Box | None:
        """Return what is known of a box."""
        return self._boxes.get(device)

    def __iter__(self) -> Iterator[Box]:
        """Yield all that were heard of."""
        return iter(list(self._boxes.values()))

    def __len__(self) -> int:
        """How many were heard of."""
        return len(self._boxes)

    @property
    def online(self) -> list[str]:
        """The names of those that take requests."""
        return [name for name, box in self._boxes.items() if box.state.state is BoxCondition.ONLINE]

    @property
    def free(self) -> list[str]:
        """The names of those that would start a request at once, as far as we know."""
        return [name for name in self.online if self._boxes[name].room > 0]

    @property
    def loaded(self) -> dict[str, int]:
        """How many requests another box may have from those where such wait, by name."""
        return {name: box.state.movable for name, box in self._boxes.items() if box.state.movable > 0}

    @property
    def blind(self) -> bool:
        """Whether one of them can't be told that nobody heard what it hands over, as in MQTT 3.1.1."""
        there = (box.state for box in self if box.state.state is not BoxCondition.OFFLINE)
        return any(state.mqtt != "5" for state in there)

    def is_older(self, device: str) -> bool:
        """Whether a box was here when we connected: it may have a conversation that we would not know of."""
        box = self._boxes.get(device)
        return box is not None and box.state.boot_id in self._older

    def took(self, device: str) -> None:
        """Note that a request was handed to a box, which has so much less room until it speaks again."""
        if (box := self._boxes.get(device)) is not None:
            box.room = max(0, box.room - 1)

    def has_room(self, device: str, room: int) -> None:
        """Note how much room a box says it has, to us alone."""
        if (box := self._boxes.get(device)) is not None:
            box.room = room
