"""Whether the box can be one of its fleet, and how that is. Sans-I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from edgeassist.doctor.finding import ok, problem, warning
from edgeassist.fleet.survey import Survey, remarks
from edgeassist.protocol.findings import Finding
from edgeassist.protocol.fleet import BoxCondition

_AREA = "fleet"
# A box that died is noticed by the broker after 1.5 times the keep-alive; then others wait for adopt_s.
_MARGIN_S = 60.0


@dataclass(frozen=True, slots=True)
class FleetSnapshot:
    """The fleet, as the broker shows it to this box's account.

    Attributes:
        root: The prefix of the fleet's topics.
        device: This box.
        seen: All boxes.
        refused: Filters whose subscription the broker refuses, with its reason.
        shares: Whether the broker says that it has shared subscriptions.
        plain: Whether a message on a topic of the fleet came back.
        shared: Whether one came by a shared subscription.
        adopt_s: After which time another box takes over what stands for a dead one.
        session_expiry_s: For how long the broker keeps that.
        now: In seconds since 1970.
        there: Whether the daemon is online.
    """

    root: str
    device: str
    seen: Survey
    adopt_s: float
    session_expiry_s: float
    now: float
    there: bool
    refused: Mapping[str, str] = field(default_factory=dict)
    shares: bool = True
    plain: bool = True
    shared: bool = True


def check_fleet(snapshot: FleetSnapshot) -> Iterator[Finding]:
    """Judge the fleet, and this box in it."""
    able = True
    for finding in _check_broker(snapshot):
        able = False
        yield finding
    if snapshot.session_expiry_s < snapshot.adopt_s + _MARGIN_S:
        yield problem(
            _AREA,
            f"the broker keeps requests for a box that died for {snapshot.session_expiry_s:g} s, and others "
            f"take them over after {snapshot.adopt_s:g} s at the earliest: they may be lost",
            "raise fleet.session_expiry_s, or lower fleet.adopt_s",
        )
    yield from _check_this_box(snapshot)
    for remark in remarks(snapshot.seen, snapshot.now):
        yield (problem if remark.serious else warning)(_AREA, remark.text, remark.remedy)
    if able and snapshot.seen.online:
        seen = snapshot.seen
        yield ok(
            _AREA,
            f"shared subscriptions work, and {len(seen.online)} of {len(seen.boxes)} boxes of {seen.group!r} "
            "take requests",
        )


def _check_broker(snapshot: FleetSnapshot) -> Iterator[Finding]:
    own_topics = "the box answers on its own topics all the same"
    if not snapshot.shares:
        yield problem(
            _AREA,
            "the broker says that it has no shared subscriptions: no request of the fleet arrives, "
            f"{own_topics}",
            "take a broker that has them, such as Mosquitto (docs/fleet.md)",
        )
        return
    if snapshot.refused:
        for topic, reason in snapshot.refused.items():
            yield problem(
                _AREA,
                f"the broker refuses the subscription to {topic} ({reason})",
                f"allow it in the broker's access control list: topic readwrite {snapshot.root}/#",
            )
    elif not snapshot.plain:
        yield problem(
            _AREA,
            f"what is published on {snapshot.root}/hand/+ does not come back: this user may not write there, "
            "or not read",
            f"allow it in the broker's access control list: topic readwrite {snapshot.root}/#",
        )
    elif not snapshot.shared:
        yield problem(
            _AREA,
            "the broker grants shared subscriptions and delivers nothing by them: no request of the fleet "
            f"arrives, {own_topics}",
            "take a broker that has them, such as Mosquitto (docs/fleet.md)",
        )


def _check_this_box(snapshot: FleetSnapshot) -> Iterator[Finding]:
    ours = next((box for box in snapshot.seen.boxes if box.device == snapshot.device), None)
    if snapshot.there and (ours is None or ours.state is BoxCondition.OFFLINE):
        yield warning(
            _AREA,
            f"the daemon is online, and {'not known' if ours is None else 'offline'} in its fleet",
            "systemctl restart edgeassist, if it was started with other settings; its log says what is wrong",
        )
