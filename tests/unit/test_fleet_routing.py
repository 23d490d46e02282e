"""Which box has a request: rules over plain values, and a fleet in one process that boxes join and leave."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, precondition, rule

from edgeassist.fleet.adoption import TURN_S, due
from edgeassist.fleet.boxes import Boxes
from edgeassist.fleet.ranking import ranked
from edgeassist.fleet.routing import MAX_HOPS, MOST_HOPS, Errand, Handing, Search, route
from edgeassist.protocol.fleet import MOST_BOXES, BoxCondition, BoxState, parse_box

ONLINE, DRAINING, OFFLINE = BoxCondition.ONLINE, BoxCondition.DRAINING, BoxCondition.OFFLINE
NAMES = [f"box{number}" for number in range(6)]


def state(device: str, *, boot_id: str = "", **fields: Any) -> BoxState:
    return BoxState(
        **{
            "device": device,
            "root": f"edgeassist/{device}",
            "session": f"edgeassist-{device}-fleet",
            "protocol": 1,
            "state": ONLINE,
            "boot_id": boot_id or f"run of {device}",
            "version": "1",
            **fields,
        }
    )


def boxes_of(*states: BoxState, device: str = "here", now: float = 0) -> Boxes:
    boxes = Boxes(device)
    for each in states:
        boxes.hear(each, now, retained=False)
    return boxes


def first(names: Sequence[str]) -> str:
    return names[0]


def test_a_request_stays_where_it_starts_at_once() -> None:
    boxes = boxes_of(state("a", room=4))
    assert route(Errand(), boxes, takes=True, room=1, pick=first) is None


def test_a_request_that_would_wait_goes_to_a_box_with_room() -> None:
    boxes = boxes_of(state("a"), state("b", room=1), state("c", room=1, state=DRAINING))
    assert route(Errand(), boxes, takes=True, room=0, pick=first) == Handing("b")


def test_a_request_waits_here_where_no_box_has_room() -> None:
    assert route(Errand(), boxes_of(state("a")), takes=True, room=0, pick=first) is None
    assert route(Errand(), boxes_of(), takes=True, room=0, pick=first) is None


def test_one_box_is_not_given_more_than_it_said_it_has_room_for() -> None:
    boxes = boxes_of(state("a", room=2), state("b", room=1))
    gone: list[str] = []
    while (handing := route(Errand(), boxes, takes=True, room=0, pick=first)) is not None:
        boxes.took(handing.to)
        gone.append(handing.to)
    assert gone == ["a", "a", "b"]
    boxes.hear(state("a", room=1), 1, retained=False)
    assert boxes.free == ["a"]


def test_those_with_room_are_picked_from_at_random() -> None:
    boxes = boxes_of(*(state(name, room=1) for name in "abc"))
    asked: list[Sequence[str]] = []

    def pick(names: Sequence[str]) -> str:
        asked.append(names)
        return names[-1]

    assert route(Errand(), boxes, takes=True, room=0, pick=pick) == Handing("c")
    assert asked == [["a", "b", "c"]]


def test_a_box_that_drains_hands_over_to_a_busy_one_rather_than_keep_it() -> None:
    boxes = boxes_of(state("a"), state("b", room=1))
    assert route(Errand(), boxes, takes=False, room=3, pick=first) == Handing("b")
    boxes.took("b")
    assert route(Errand(), boxes, takes=False, room=3, pick=first) == Handing("a")
    assert route(Errand(), boxes_of(state("a", state=OFFLINE)), takes=False, room=3, pick=first) is None


def test_a_request_is_not_handed_on_for_ever() -> None:
    boxes = boxes_of(state("a", room=1))
    assert route(Errand(hops=MAX_HOPS), boxes, takes=True, room=0, pick=first) is None
    assert route(Errand(hops=MAX_HOPS), boxes, takes=False, room=0, pick=first) == Handing("a")
    assert route(Errand(hops=MOST_HOPS), boxes, takes=False, room=0, pick=first) is None


def test_whoever_says_a_lot_of_names_does_not_fill_the_memory() -> None:
    boxes = boxes_of(*(state(f"n{number}") for number in range(MOST_BOXES + 10)))
    assert len(boxes) == MOST_BOXES
    assert parse_box(b"{}") is None
    assert parse_box(state("a").model_dump_json().encode() + b" " * 5000) is None


@given(st.text(max_size=20), st.sets(st.text(min_size=1, max_size=5), min_size=1, max_size=8), st.data())
def test_a_box_that_leaves_moves_only_the_keys_that_it_was_first_for(
    key: str, devices: set[str], data: st.DataObject
) -> None:
    order = ranked(key, devices)
    gone = data.draw(st.sampled_from(order))
    assert ranked(key, devices - {gone}) == [each for each in order if each != gone]


def test_keys_are_spread_evenly() -> None:
    firsts = Counter(ranked(f"key {number}", NAMES)[0] for number in range(6000))
    assert min(firsts.values()) > 850
    assert max(firsts.values()) < 1150


# --- a box that is gone ------------------------------------------------------------------------------------


def test_boxes_take_turns_to_adopt_one_that_is_gone() -> None:
    living = ["a", "b", "c"]
    at = {}
    for here in living:
        boxes = boxes_of(*(state(each) for each in living if each != here), device=here)
        boxes.hear(state("dead", state=OFFLINE), 100, retained=False)
        at[here] = due(boxes, 10, session=f"edgeassist-{here}-fleet")["dead"]
    assert sorted(at.values()) == [110, 110 + TURN_S, 110 + 2 * TURN_S]


def test_the_time_runs_from_its_end_and_not_from_each_word_of_it() -> None:
    boxes = boxes_of(state("a", state=OFFLINE), now=5)
    boxes.hear(state("a", state=OFFLINE), 9, retained=True)
    assert due(boxes, 10, session="")["a"] == 15
    boxes.hear(state("a", state=OFFLINE, boot_id="its next run"), 20, retained=False)
    assert due(boxes, 10, session="")["a"] == 30


@pytest.mark.parametrize(
    "fields",
    [
        {"state": ONLINE},
        {"state": DRAINING},
        {"empty": True},
        {"adopter": "b"},
        {"session": "edgeassist-here-fleet"},
        {"session": "a-client-of-somebody"},
    ],
)
def test_nothing_is_adopted_that_lives_is_empty_is_ours_or_somebody_else_s(fields: dict[str, Any]) -> None:
    boxes = boxes_of(state("b"), state("a", **{"state": OFFLINE, **fields}))
    assert due(boxes, 10, session="edgeassist-here-fleet") == {}


def test_an_adopter_that_is_gone_itself_keeps_nobody_from_adopting() -> None:
    boxes = boxes_of(state("a", state=OFFLINE, adopter="b"), state("b", state=OFFLINE))
    assert set(due(boxes, 10, session="")) == {"a", "b"}


# --- conversations -----------------------------------------------------------------------------------------


@dataclass
class Member:
    """A box of a fleet in this process."""

    name: str
    boot_id: str
    boxes: Boxes
    conversations: set[str] = field(default_factory=set)


class Fleet(RuleBasedStateMachine):
    """Boxes join, leave, lose their connection, drain; turns of conversations come to any of them."""

    keys = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.members: dict[str, Member] = {}
        self.states: dict[str, BoxState] = {}
        self.runs = 0
        self.join("box0")

    @rule(target=keys, number=st.integers(0, 10_000))
    def name_a_conversation(self, number: int) -> str:
        return f"client {number}"

    @rule(name=st.sampled_from(NAMES))
    def join(self, name: str) -> None:
        if name not in self.members:
            self.runs += 1
            member = Member(name, f"run {self.runs}", Boxes(name))
            self._connect(member)

    @rule(name=st.sampled_from(NAMES))
    def leave(self, name: str) -> None:
        if len(self.members) > 1 and name in self.members:
            del self.members[name]
            self._say(state(name, state=OFFLINE, boot_id=self.states[name].boot_id))

    @rule(name=st.sampled_from(NAMES), others=st.lists(st.sampled_from(NAMES), max_size=2))
    def lose_the_connection_for_a_while(self, name: str, others: list[str]) -> None:
        """Its will is published; others may join meanwhile."""
        if name not in self.members:
            return
        member = self.members.pop(name)
        self._say(state(name, state=OFFLINE, boot_id=member.boot_id))
        for other in others:
            if other != name:
                self.join(other)
        self._connect(member)

    @precondition(lambda self: self.members)
    @rule(key=keys, data=st.data())
    def say_a_turn(self, key: str, data: st.DataObject) -> None:
        came_to = data.draw(st.sampled_from(sorted(self.members)))
        had = [member.name for member in self.members.values() if key in member.conversations]
        at, hops = self._walk(key, came_to)
        assert hops <= len(self.members) + 2
        if had:
            assert [at] == had
        else:
            assert at == ranked(key, self.members)[0]
            self.members[at].conversations.add(key)

    def _walk(self, key: str, at: str) -> tuple[str, int]:
        errand = Errand(conversation=key)
        while True:
            member = self.members[at]
            errand = Errand(errand.hops, key, errand.search, key in member.conversations)
            handing = route(errand, member.boxes, takes=True, room=0, pick=first)
            if handing is None:
                return at, errand.hops
            errand = Errand(errand.hops + 1, key, handing.search)
            at = handing.to

    def _connect(self, member: Member) -> None:
        self.members[member.name] = member
        for each in self.states.values():
            member.boxes.hear(each, 0, retained=True)
        self._say(state(member.name, boot_id=member.boot_id))

    def _say(self, said: BoxState) -> None:
        self.states[said.device] = said
        for member in self.members.values():
            member.boxes.hear(said, 0, retained=False)


TestFleet = Fleet.TestCase


def test_a_conversation_of_a_box_that_drains_begins_anew_elsewhere() -> None:
    boxes = boxes_of(state("a"), state("b"))
    there = ranked("k", ["a", "b"])[0]
    known = Errand(conversation="k", known=True)
    assert route(known, boxes, takes=False, room=1, pick=first) == Handing(there, Search.BEGIN)
    unknown = Errand(conversation="k")
    assert route(unknown, boxes, takes=False, room=1, pick=first) == Handing(there, Search.SEEK)
    assert route(known, boxes_of(), takes=False, room=1, pick=first) is None


def test_a_box_that_comes_back_looks_for_conversations_with_those_that_stayed() -> None:
    there, here = ranked("k", ["a", "b"])[1], ranked("k", ["a", "b"])[0]
    boxes = boxes_of(state(there), device=here)
    unknown = Errand(conversation="k")
    assert route(unknown, boxes, takes=True, room=1, pick=first) is None
    boxes.came_back()
    assert route(unknown, boxes, takes=True, room=1, pick=first) == Handing(there, Search.SEEK)
    boxes.hear(state(there, boot_id="its next start"), 0, retained=False)
    assert route(unknown, boxes, takes=True, room=1, pick=first) is None


def test_a_conversation_does_not_move_for_room() -> None:
    boxes = boxes_of(state("a", room=4), state("b", room=4))
    known = Errand(conversation="k", known=True)
    assert route(known, boxes, takes=True, room=0, pick=first) is None
