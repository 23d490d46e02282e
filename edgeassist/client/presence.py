"""Whether who is asked is there: one device, or the boxes of a fleet. Sans-I/O."""

from __future__ import annotations

from enum import Enum, auto
from typing import Protocol

from edgeassist.protocol.fleet import MOST_BOXES, BoxCondition, BoxState, parse_box
from edgeassist.protocol.packets import Inbound
from edgeassist.protocol.state import Availability
from edgeassist.protocol.topics import FleetTopics, Topics

# So many boxes are named in a message for a person.
_MOST_NAMED = 4


class Word(Enum):
    """What a message tells of who is asked."""

    NOTHING = auto()
    AWAY = auto()
    """Nobody is there."""
    HERE = auto()
    """Somebody is."""
    BACK = auto()
    """Somebody has just come, and may have missed what was asked before."""


class Presence(Protocol):
    """What is known of who is asked, on this connection.

    Attributes:
        topics: Whose.
        name: What it is called in a sentence.
        kept: Topic filters of all that it says of itself, retained.
    """

    topics: Topics
    name: str
    kept: tuple[str, ...]

    @property
    def returns(self) -> bool:
        """Whether what was asked is to be asked again after it was away."""
        ...

    @property
    def availability(self) -> Availability | None:
        """Whether it takes requests; None: nothing is known of that."""
        ...

    @property
    def gone(self) -> bool:
        """Whether nobody is left who could end what has begun."""
        ...

    def hear(self, message: Inbound) -> Word:
        """Take a message on one of `kept`."""
        ...

    def clear(self) -> None:
        """Forget all: the broker says it again."""
        ...

    def away(self, within_s: float) -> str:
        """Say that it is away, and has not come back within so many seconds."""
        ...

    def unknown(self, within_s: float) -> str:
        """Say that nothing is known of it, and that it has not answered either."""
        ...

    def late(self, within_s: float) -> str:
        """Say that it has not come within so many seconds."""
        ...


class DevicePresence:
    """That of one device, by its status."""

    returns = True

    def __init__(self, topics: Topics) -> None:
        self.topics = topics
        self.name = "the device"
        self.kept: tuple[str, ...] = (topics.status, topics.health, topics.telemetry, topics.info)
        self.availability: Availability | None = None

    @property
    def gone(self) -> bool:
        """Whether it is offline."""
        return self.availability is Availability.OFFLINE

    def hear(self, message: Inbound) -> Word:
        """Take what it says of itself. A status that was cleared tells nothing."""
        if message.topic != self.topics.status:
            return Word.NOTHING
        try:
            self.availability = Availability(message.payload.decode())
        except ValueError:
            self.availability = None
            return Word.NOTHING
        if self.gone:
            return Word.AWAY
        return Word.HERE if message.retained else Word.BACK

    def clear(self) -> None:
        """Forget it."""
        self.availability = None

    def away(self, within_s: float) -> str:
        """Say that it went (`Presence.away`)."""
        return f"the device went offline, and did not come back within {within_s:g} s"

    def unknown(self, within_s: float) -> str:
        """Say that it is not known (`Presence.unknown`)."""
        return (
            f"nothing is known of a device {self.topics.root} at this broker, and none answered within "
            f"{within_s:g} s: check the device's name"
        )

    def late(self, within_s: float) -> str:
        """Say that it did not come (`Presence.late`)."""
        return f"the device {self.topics.root} did not come online within {within_s:g} s"


class FleetPresence:
    """That of a fleet, by what each of its boxes says.

    The broker keeps what is asked for a box that is away. Only one that was not known before, as after the
    death of a broker that kept nothing, has missed it.
    """

    returns = False

    def __init__(self, topics: FleetTopics) -> None:
        self.topics: Topics = topics
        self.name = f"the fleet {topics.group!r}"
        self.kept: tuple[str, ...] = (topics.box("+"),)
        self._group = topics.group
        self._boxes: dict[str, BoxState] = {}

    @property
    def boxes(self) -> list[BoxState]:
        """What each box said last, by their names."""
        return [self._boxes[name] for name in sorted(self._boxes)]

    @property
    def availability(self) -> Availability | None:
        """Whether a box takes requests; None where there is no box."""
        if not self._boxes:
            return None
        return Availability.ONLINE if self._those(BoxCondition.ONLINE) else Availability.OFFLINE

    @property
    def gone(self) -> bool:
        """Whether all boxes are offline; one that drains ends what it has."""
        return bool(self._boxes) and len(self._those(BoxCondition.OFFLINE)) == len(self._boxes)

    def hear(self, message: Inbound) -> Word:
        """Take what a box says of itself, or that there is none of this name any more."""
        device = message.topic.rpartition("/")[2]
        before = self._boxes.get(device)
        box = parse_box(message.payload)
        if box is None or box.device != device or (before is None and len(self._boxes) >= MOST_BOXES):
            self._boxes.pop(device, None)
            return Word.NOTHING
        self._boxes[device] = box
        if self.availability is Availability.OFFLINE:
            return Word.AWAY
        new = before is None or before.state is not BoxCondition.ONLINE
        came = box.state is BoxCondition.ONLINE and new and not message.retained
        return Word.BACK if came else Word.HERE

    def clear(self) -> None:
        """Forget all boxes."""
        self._boxes.clear()

    @property
    def idle(self) -> str:
        """That no box takes requests, why each of them does not, and what to do."""
        if not self._boxes:
            return (
                f"no box of a fleet {self._group!r} is known at this broker: check its name, and that this "
                f"account may read {self.kept[0]} (edgeassist fleet shows all)"
            )
        named = ", ".join(_said(box) for box in self.boxes[:_MOST_NAMED])
        more = len(self._boxes) - _MOST_NAMED
        also = f", and {more} more do not" if more > 0 else ""
        return (
            f"no box of the fleet {self._group!r} takes requests: {named}{also} "
            f"(edgeassist fleet {self._group} says what to do)"
        )

    def away(self, within_s: float) -> str:
        """Say why no box takes requests (`Presence.away`)."""
        return f"{self.idle}; waited for {within_s:g} s"

    unknown = late = away

    def _those(self, condition: BoxCondition) -> list[BoxState]:
        return [box for box in self._boxes.values() if box.state is condition]


def presence_of(topics: Topics) -> DevicePresence | FleetPresence:
    """Return what is to be known of whom these topics belong to, of which nothing is known yet."""
    return FleetPresence(topics) if isinstance(topics, FleetTopics) else DevicePresence(topics)


def _said(box: BoxState) -> str:
    return f"{box.device} is {box.state.value}" + (f" ({box.reason})" if box.reason else "")
