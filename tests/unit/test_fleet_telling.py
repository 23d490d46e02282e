"""What boxes tell each other, in fleets of any size in one process, over connections that note everything."""

import itertools
from dataclasses import dataclass, field

import pytest

from edgeassist.fleet.boxes import Boxes
from edgeassist.fleet.known import MOST_PASSED_ON, Known
from edgeassist.fleet.load import Load
from edgeassist.gateways.fleet.presence import REFRESH_S, Identity, Presence, refresh_s
from edgeassist.gateways.fleet.telling import FOR_ALL_S, MOST_DIRECT, Telling
from edgeassist.protocol.fleet import BoxCondition, parse_box
from edgeassist.protocol.packets import Inbound
from edgeassist.protocol.topics import fleet_topics
from tests.unit.conftest import ListLink
from tests.unit.test_fleet_routing import state

TOPICS = fleet_topics("edgeassist", "home")
BUSY = Load(model="m", slots=2, running=2)


class Box:
    """One box's part in it."""

    def __init__(self, name: str, fleet: "Fleet") -> None:
        self.name = name
        self.link = ListLink()
        self.known = Known()
        self.boxes = Boxes(name)
        self.takes = True
        self.telling = Telling(
            TOPICS,
            name,
            self.link,
            known=self.known,
            boxes=self.boxes,
            takes=lambda: self.takes,
            clock=lambda: fleet.now,
        )


@dataclass
class Fleet:
    """All boxes know each other, and hear what any of them says as soon as it does."""

    size: int
    now: float = 1000.0
    heard: int = 0
    boxes: dict[str, Box] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [f"box{number:02}" for number in range(self.size)]
        self.boxes = {name: Box(name, self) for name in names}
        for box, other in itertools.permutations(names, 2):
            self.boxes[box].boxes.hear(state(other), self.now, retained=False)

    def go_on(self, seconds: float, step_s: float = 0.05) -> None:
        """Let time pass, in which what is due is told and heard."""
        until = self.now + seconds
        while self.now < until:
            self.now += step_s
            for box in self.boxes.values():
                box.telling.tell()
                published, box.link.published = box.link.published, []
                for each in published:
                    self._deliver(Inbound(each.topic, each.payload))

    def _deliver(self, message: Inbound) -> None:
        *_, kind, name = message.topic.split("/")
        if kind == "tell":
            self.heard += 1
            self.boxes[name].telling.pass_on(message)
            return
        for each in self.boxes.values():
            self.heard += each.name != name
            each.telling.hear(message)

    def who_has(self, request: str) -> dict[str, str | None]:
        """Return which other box has a request, as each box knows it."""
        return {name: box.known.find("c", request, self.now) for name, box in self.boxes.items()}


@pytest.mark.parametrize("size", [2, MOST_DIRECT + 1, MOST_DIRECT + 2, 64])
def test_a_moment_later_all_know_who_has_a_request(size: int) -> None:
    fleet = Fleet(size)
    last = f"box{size - 1:02}"
    fleet.boxes[last].known.begun("c", "a")
    fleet.go_on(2 * FOR_ALL_S)
    known = fleet.who_has("a")
    assert known.pop(last) in {None, last}
    assert set(known.values()) == {last}


def test_what_many_boxes_begin_takes_few_messages_for_each() -> None:
    """In five seconds 64 boxes begin 200 requests: 63 messages for each, if each told all by itself."""
    fleet = Fleet(64)
    names = itertools.cycle(fleet.boxes)
    for number in range(200):
        fleet.boxes[next(names)].known.begun("c", str(number))
        fleet.go_on(0.025, 0.025)
    fleet.go_on(1)
    assert fleet.heard / 200 < 63 / 6
    assert all(sum(who is not None for who in fleet.who_has(str(n)).values()) >= 63 for n in range(200))


def test_who_began_it_last_has_it_also_where_one_box_tells_for_all() -> None:
    fleet = Fleet(20)
    for name, others in (("box05", ["b"]), ("box04", ["a"]), ("box05", ["a"])):
        for each in others:
            fleet.boxes[name].known.begun("c", each)
        fleet.boxes[name].telling.tell()
        fleet.now += 0.15
    fleet.go_on(1)
    assert fleet.who_has("a")["box10"] in {"box04", "box05"}
    fleet.boxes["box05"].known.begun("c", "a")
    fleet.go_on(1)
    assert fleet.who_has("a")["box10"] == "box05"


def test_another_box_tells_for_all_where_the_first_one_does_not_take_requests() -> None:
    fleet = Fleet(20)
    fleet.boxes["box00"].takes = False
    for box in fleet.boxes.values():
        box.boxes.hear(state("box00", state=BoxCondition.DRAINING), fleet.now, retained=False)
    fleet.boxes["box09"].known.begun("c", "a")
    fleet.boxes["box09"].telling.tell()
    assert fleet.boxes["box09"].link.topics == [TOPICS.tell("box01")]
    fleet.boxes["box09"].link.published.clear()
    fleet.boxes["box00"].known.begun("c", "b")
    fleet.go_on(1)
    assert fleet.who_has("b")["box09"] == "box00"


def test_nothing_goes_round_where_two_boxes_take_each_other_for_the_one_that_tells() -> None:
    fleet = Fleet(20)
    fleet.boxes["box00"].takes = False  # and nobody has heard of it
    fleet.boxes["box07"].known.begun("c", "a")
    fleet.go_on(3)
    assert fleet.who_has("a")["box09"] == "box07"
    assert fleet.heard == 1 + 19


def test_no_more_is_passed_on_than_fits() -> None:
    known = Known()
    for first in range(0, 2 * MOST_PASSED_ON, 512):
        there = Known()
        for number in range(first, first + 512):
            there.begun("c", str(number))
        known.pass_on(there.tell(f"box{first}"), 0)
    here = Known()
    here.hear(known.tell("x"), "x", 0)
    assert here.find("c", "0", 0) is None
    assert here.find("c", str(MOST_PASSED_ON), 0) == f"box{MOST_PASSED_ON}"
    assert not known.untold


@pytest.mark.parametrize("of", ["[]", "1", '{"x":1}', '{"x":[1,"short"]}', '{"x":{"y":[]}}'])
def test_what_can_not_be_told_for_others_is_ignored(of: str) -> None:
    here = Known()
    payload = f'{{"device":"x","keys":[],"of":{of}}}'.encode()
    here.hear(payload, "x", 0)
    here.pass_on(payload, 0)
    assert not here.untold


@dataclass
class Seen:
    """A box that says how it is; the clock, and what it has to do, are the test's."""

    now: float = 100.0
    load: Load = BUSY
    condition: BoxCondition = BoxCondition.ONLINE
    link: ListLink = field(default_factory=ListLink)

    def __post_init__(self) -> None:
        self.presence = Presence(
            TOPICS,
            Identity("box", "edgeassist/box", "edgeassist-box-fleet", "run", "1"),
            self.link,
            now=lambda: (self.condition, None),
            load=lambda: self.load,
            movable=lambda: self.load.waiting,
            moves=lambda: self.load.waiting > 0,
            clock=lambda: self.now,
        )

    def go_on(self, seconds: float, others: int) -> list[tuple[int, int]]:
        """Let time pass; return what was said of what runs and of room."""
        for _ in range(round(seconds / 0.01)):
            self.presence.say(others)
            self.now += 0.01
        said = [parse_box(each.payload) for each in self.link.published]
        self.link.published.clear()
        return [(each.running, each.room) for each in said if each is not None]


def test_room_that_is_gone_again_at_once_is_not_said() -> None:
    box = Seen()
    assert box.go_on(5, 63) == [(2, 0)]
    box.load = Load(model="m", slots=2, running=1)
    assert box.go_on(0.2, 63) == []
    box.load = BUSY
    assert box.go_on(5, 63) == []
    box.load = Load(model="m", slots=2, running=1)
    assert box.go_on(0.5, 63) == [(1, 1)]


def test_that_it_takes_nothing_any_more_is_said_at_once() -> None:
    box = Seen()
    assert box.go_on(5, 63) == [(2, 0)]
    box.condition = BoxCondition.DRAINING
    assert box.go_on(0.01, 63) == [(2, 0)]


@pytest.mark.parametrize(("others", "refresh"), [(1, REFRESH_S), (63, 15.75)])
def test_what_nobody_acts_on_is_said_the_more_seldom_the_more_hear_it(others: int, refresh: float) -> None:
    box = Seen()
    assert refresh_s(others) == pytest.approx(refresh)
    box.go_on(1, others)
    box.load = Load(model="m", slots=3, running=3)  # another number of slots is acted on
    assert box.go_on(2, others) == [(3, 0)]
    box.load = Load(model="m", slots=3, running=3, waiting=0, held_back="it is hot")
    assert box.go_on(refresh - 2.5, others) == []
    assert len(box.go_on(3, others)) == 1
