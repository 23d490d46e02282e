"""What a client knows of whether who it asks is there, and when it asks again."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from edgeassist.client.doubt import Doubt
from edgeassist.client.presence import DevicePresence, FleetPresence, Presence, Word, presence_of
from edgeassist.client.whom import check_has, topics_named
from edgeassist.errors import InvalidRequestError
from edgeassist.protocol.fleet import BoxCondition, BoxState
from edgeassist.protocol.packets import Inbound
from edgeassist.protocol.state import Availability
from edgeassist.protocol.topics import FleetTopics, Topics, fleet_topics

HOME = fleet_topics("edgeassist", "home")
BOX = Topics("edgeassist", "box")


def says(
    device: str,
    state: BoxCondition = BoxCondition.ONLINE,
    *,
    retained: bool = False,
    reason: str | None = None,
    on: str | None = None,
) -> Inbound:
    box = BoxState(
        device=device,
        root=f"edgeassist/{device}",
        session=f"{device}-fleet",
        protocol=1,
        state=state,
        reason=reason,
        boot_id="b",
        version="1",
    )
    return Inbound(HOME.box(on or device), box.model_dump_json().encode(), retained=retained)


def availability(presence: Presence) -> Availability | None:
    return presence.availability


def status(payload: bytes, *, retained: bool = False) -> Inbound:
    return Inbound(BOX.status, payload, retained=retained)


def test_a_device_is_where_its_status_says() -> None:
    device = presence_of(BOX)
    assert isinstance(device, DevicePresence)
    assert availability(device) is None
    assert device.hear(status(b"online", retained=True)) is Word.HERE
    assert availability(device) is Availability.ONLINE
    assert device.hear(status(b"offline")) is Word.AWAY
    assert device.gone
    assert device.hear(status(b"online")) is Word.BACK
    assert device.hear(status(b"")) is Word.NOTHING
    assert availability(device) is None
    assert device.hear(Inbound(BOX.health, b"{}")) is Word.NOTHING


def test_a_fleet_is_there_while_one_of_its_boxes_takes_requests() -> None:
    fleet = presence_of(HOME)
    assert isinstance(fleet, FleetPresence)
    assert fleet.hear(says("a", BoxCondition.OFFLINE, retained=True)) is Word.AWAY
    assert fleet.gone
    assert fleet.hear(says("b", BoxCondition.DRAINING, reason="it was told to")) is Word.AWAY
    assert (fleet.gone, availability(fleet)) == (False, Availability.OFFLINE)
    assert "a is offline, b is draining (it was told to) (edgeassist fleet home" in fleet.idle
    assert fleet.hear(says("c", retained=True)) is Word.HERE
    assert availability(fleet) is Availability.ONLINE
    # One of several that goes is the others' concern.
    assert fleet.hear(says("b", BoxCondition.OFFLINE)) is Word.HERE
    assert [box.device for box in fleet.boxes] == ["a", "b", "c"]
    fleet.clear()
    assert availability(fleet) is None
    assert "no box of a fleet 'home' is known" in fleet.unknown(3)


def test_only_a_box_that_was_not_there_before_may_have_missed_what_was_asked() -> None:
    fleet = FleetPresence(HOME)
    assert fleet.hear(says("a", retained=True)) is Word.HERE
    assert fleet.hear(says("a")) is Word.HERE
    assert fleet.hear(says("b")) is Word.BACK
    assert fleet.hear(says("b", BoxCondition.DRAINING)) is Word.HERE
    assert fleet.hear(says("b")) is Word.BACK


def test_what_is_no_state_of_a_box_tells_nothing() -> None:
    fleet = FleetPresence(HOME)
    fleet.hear(says("a"))
    assert fleet.hear(says("a", on="b")) is Word.NOTHING
    assert fleet.hear(Inbound(HOME.box("a"), b"")) is Word.NOTHING
    assert availability(fleet) is None
    for number in range(2000):
        fleet.hear(says(f"box{number}"))
    assert len(fleet.boxes) == 1024


class Bench:
    """A `Doubt`, and what it did."""

    def __init__(self, presence: Presence, *, answers: bool = False) -> None:
        self.again = 0
        self.failed: list[str] = []
        self.failed_unheard: list[str] = []
        self.ended = asyncio.Event()

        async def ping() -> bool:
            return answers

        asked: Callable[[], Awaitable[bool]] = ping
        self.doubt = Doubt(
            presence,
            0.01,
            asked=lambda: True,
            connected=lambda: True,
            answers=asked,
            again=self._again,
            fail=lambda why: self._fail(self.failed, why),
            fail_unheard=lambda why: self._fail(self.failed_unheard, why),
        )

    def _again(self) -> None:
        self.again += 1

    def _fail(self, where: list[str], why: str) -> None:
        where.append(why)
        self.ended.set()


async def test_what_was_asked_is_asked_again_once_the_first_box_is_back_after_a_broken_connection() -> None:
    presence = FleetPresence(HOME)
    bench = Bench(presence)
    bench.doubt.up()
    for message in (says("a", retained=True), says("b"), says("c")):
        bench.doubt.hear(presence.hear(message))
    assert bench.again == 1
    # The broker keeps what is asked for boxes that are away.
    for state in (BoxCondition.OFFLINE, BoxCondition.ONLINE):
        for device in "abc":
            bench.doubt.hear(presence.hear(says(device, state)))
    assert bench.again == 1
    bench.doubt.close()


async def test_of_a_fleet_that_drains_only_what_nobody_has_accepted_is_given_up() -> None:
    presence = FleetPresence(HOME)
    bench = Bench(presence)
    bench.doubt.hear(presence.hear(says("a", BoxCondition.DRAINING)))
    await bench.ended.wait()
    assert (len(bench.failed), len(bench.failed_unheard)) == (0, 1)
    bench.ended.clear()
    bench.doubt.hear(presence.hear(says("a", BoxCondition.OFFLINE)))
    await bench.ended.wait()
    assert len(bench.failed) == 1
    bench.doubt.close()


def test_a_client_asks_a_device_or_a_fleet() -> None:
    assert topics_named("edgeassist", "box", None) == BOX
    fleet = topics_named("edgeassist", None, "home")
    assert isinstance(fleet, FleetTopics)
    assert fleet.prompt("me") == "edgeassist/fleet/home/prompt/me"
    for device, group in (
        (None, None),
        ("a", "b"),
        ("a/b", None),
        (None, "a/b"),
        ("", None),
        (None, ""),
        (None, "a\n"),
    ):
        with pytest.raises(InvalidRequestError):
            topics_named("edgeassist", device, group)
    check_has(BOX, "models")
    with pytest.raises(InvalidRequestError, match="the fleet 'home' has no models of its own"):
        check_has(fleet, "models")


def test_who_is_silent_is_called_what_it_is() -> None:
    assert presence_of(HOME).name == "the fleet 'home'"
    assert presence_of(Topics("edgeassist", "box")).name == "the device"
