"""A fleet as the broker shows it: its boxes, and what is not as it should be. Sans-I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from edgeassist.protocol.fleet import BoxCondition, BoxState, parse_box
from edgeassist.protocol.state import PROTOCOL_VERSION

# By how much a box's clock may be ahead of ours before it is said.
_CLOCK_S = 30.0


@dataclass(frozen=True, slots=True)
class Remark:
    """What is not as it should be.

    Attributes:
        text: One sentence for a person.
        remedy: What to do.
        serious: Whether requests are not answered, or are lost, for it.
    """

    text: str
    remedy: str
    serious: bool = False


@dataclass(frozen=True, slots=True)
class Survey:
    """What the boxes of one fleet say of themselves.

    Attributes:
        group: The fleet's name.
        boxes: In the order of their names.
        unreadable: Those whose state is no state document of ours.
    """

    group: str
    boxes: tuple[BoxState, ...]
    unreadable: tuple[str, ...] = ()

    @property
    def online(self) -> tuple[BoxState, ...]:
        """The boxes that take requests."""
        return self.those(BoxCondition.ONLINE)

    def those(self, condition: BoxCondition) -> tuple[BoxState, ...]:
        """Return the boxes that say this of themselves."""
        return tuple(box for box in self.boxes if box.state is condition)


def survey(group: str, states: Mapping[str, bytes]) -> Survey:
    """Return what is known from the retained states of a fleet, by device; an empty one is none."""
    read = {device: parse_box(payload) for device, payload in sorted(states.items()) if payload}
    # One that stands on the topic of another device tells nothing of that.
    boxes = {device: box for device, box in read.items() if box is not None and box.device == device}
    return Survey(group, tuple(boxes.values()), tuple(device for device in read if device not in boxes))


def remarks(seen: Survey, now: float) -> list[Remark]:
    """Return what is not as it should be, the serious first.

    Args:
        seen: The fleet.
        now: In seconds since 1970.
    """
    return sorted(_remarks(seen, now), key=lambda remark: not remark.serious)


def _remarks(seen: Survey, now: float) -> Iterator[Remark]:
    yield from _who_answers(seen)
    yield from _who_shares_a_session(seen)
    yield from _what_stands(seen)
    yield from _differences(seen)
    for device in seen.unreadable:
        yield Remark(
            f"what {device} says of itself can't be read",
            "let its edgeassist be of this version; if there is no such box, clear that topic "
            f"(box/{device})",
        )
    for box in seen.boxes:
        if box.since is not None and box.since - now > _CLOCK_S:
            yield Remark(
                f"the clock of {box.device} is {box.since - now:.0f} s ahead of this machine's, or more",
                "sudo timedatectl set-ntp true, on both",
            )


def _who_answers(seen: Survey) -> Iterator[Remark]:
    if not seen.boxes and not seen.unreadable:
        yield Remark(
            f"nobody is in the fleet {seen.group!r}",
            f'set fleet.group = "{seen.group}" on its boxes and restart them; they need the same broker and '
            "mqtt.base",
            serious=True,
        )
    elif not seen.online:
        draining = seen.those(BoxCondition.DRAINING)
        yield Remark(
            f"none of its {len(seen.boxes)} boxes takes requests: they stand at the broker, as far as its "
            "limits go",
            f"see why {draining[0].device} is draining" if draining else "start one of them",
            serious=True,
        )
    for box in seen.those(BoxCondition.DRAINING):
        yield Remark(
            f"{box.device} takes nothing new: {box.reason or 'it drains'}",
            f"{box.root}/command/drain with off, if it was told to; else edgeassist doctor on {box.device}",
        )


def _who_shares_a_session(seen: Survey) -> Iterator[Remark]:
    for session, names in _grouped(seen.boxes, lambda box: box.session).items():
        if len(names) > 1:
            yield Remark(
                f"{_and(names)} connect with the same client id, {session!r}, and so end each other's "
                "connection",
                "give each its own mqtt.client_id, or leave that out",
                serious=True,
            )


def _what_stands(seen: Survey) -> Iterator[Remark]:
    for box in seen.those(BoxCondition.OFFLINE):
        if box.empty:
            continue
        where = f"{box.device} is offline, and the broker may keep requests for it"
        if box.adopter is not None:
            yield Remark(f"{where}: {box.adopter} takes them over", "nothing, if that ends soon")
        else:
            yield Remark(
                f"{where} that nobody takes over",
                f"start {box.device}, or another box of the fleet",
                serious=not seen.online,
            )


def _differences(seen: Survey) -> Iterator[Remark]:
    present = [box for box in seen.boxes if box.state is not BoxCondition.OFFLINE]
    models = _grouped([box for box in present if box.model is not None], lambda box: box.model)
    if len(models) > 1:
        yield Remark(
            f"its boxes have different models, so answers depend on who gives them: {_listed(models)}",
            "load the same everywhere (edgeassist models use NAME), or make two fleets of it",
        )
    spoken = _grouped([box for box in present if box.mqtt is not None], lambda box: box.mqtt)
    if len(spoken) > 1:
        yield Remark(
            "its boxes speak different versions of MQTT, and only with 5 Response Topic and Correlation Data "
            f"come to them: {_listed(spoken)}",
            'set mqtt.protocol = "5" on all, or have clients say where to answer in the request (reply_to)',
        )
    protocols = _grouped(present, lambda box: box.protocol)
    if len(protocols) > 1:
        yield Remark(
            f"its boxes speak different versions of the wire contract: {_listed(protocols)}",
            "upgrade the older ones",
        )
    elif protocols and PROTOCOL_VERSION not in protocols:
        yield Remark(
            f"its boxes speak version {next(iter(protocols))} of the wire contract, and this program "
            f"{PROTOCOL_VERSION}",
            "upgrade the older side",
        )


def _grouped(boxes: Iterable[BoxState], key: Callable[[BoxState], Hashable]) -> dict[Hashable, list[str]]:
    groups: dict[Hashable, list[str]] = defaultdict(list)
    for box in boxes:
        groups[key(box)].append(box.device)
    return groups


def _listed(groups: Mapping[Hashable, list[str]]) -> str:
    return "; ".join(f"{_and(names)}: {what}" for what, names in groups.items())


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
