"""Which ends are said again, and when."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.gateways.mqtt import unheard
from edgeassist.gateways.mqtt.repeats import MOST_UNDER_WAY, Repeats
from edgeassist.gateways.mqtt.unheard import (
    BEFORE_S,
    KEPT_PROMPTS_S,
    MOST,
    MOST_AGE_S,
    MOST_TIMES,
    MOST_TIMES_UNHEARD,
    Said,
    Unheard,
)
from edgeassist.protocol.events import Failed, said_again
from edgeassist.protocol.packets import Outbound
from tests.patience import PATIENCE_S
from tests.unit.conftest import ListLink, MakeHouse


@dataclass
class Speaker:
    name: str
    asked_at: float = 0.0
    bare: bool = False

    @property
    def key(self) -> tuple[str, str]:
        return "reply", self.name


def end(text: str = "") -> Failed:
    return Failed(id="a", seq=3, code="internal", message="no", retryable=False, text=text, device="box")  # type: ignore[arg-type]


def connected(at: float = 0.0) -> Unheard[Speaker]:
    """Return one with a connection that has stood for so long that nobody is away."""
    kept: Unheard[Speaker] = Unheard(at - 2000)
    kept.connected(at - 1000)
    return kept


def say(kept: Unheard[Speaker], name: str, now: float, *, asked_at: float | None = None) -> Said[Speaker]:
    """Have the broker take an end at once."""
    said = kept.said(Speaker(name, now if asked_at is None else asked_at), end(), now)
    kept.settled(said, now)
    return said


def names(
    kept: Unheard[Speaker], now: float, *, everyone: bool = True, over: bool = False, last: bool = False
) -> list[str]:
    return [said.speaker.name for said in kept.due(now, everyone=everyone, over=over or last, last=last)]


def test_an_end_that_is_said_while_the_connection_stands_is_not_said_again() -> None:
    kept = connected()
    say(kept, "heard", 0)
    kept.disconnected(BEFORE_S + 1)
    kept.connected(BEFORE_S + 2)
    assert names(kept, 100) == []


def test_what_was_said_a_moment_before_the_connection_broke_is_said_again() -> None:
    kept = connected()
    say(kept, "early", 0)
    say(kept, "late", BEFORE_S)
    kept.disconnected(BEFORE_S + 1)
    kept.connected(BEFORE_S + 2)
    assert names(kept, 100) == ["late"]


def test_what_the_broker_never_acknowledged_is_said_again_however_long_ago_it_was() -> None:
    kept = connected()
    kept.said(Speaker("stuck"), end(), 0)
    say(kept, "heard", 0)
    kept.disconnected(45)
    kept.connected(50)
    assert names(kept, 60) == ["stuck"]


def test_what_is_said_while_the_broker_is_away_is_said_again() -> None:
    kept = connected()
    kept.disconnected(0)
    kept.disconnected(1)
    say(kept, "away", 2)
    kept.connected(3)
    assert names(kept, 10) == ["away"]


@pytest.mark.parametrize(
    ("asked_at", "ends_at", "again"),
    [
        (-10, 11, True),  # its requester may not be back yet
        (10 + KEPT_PROMPTS_S - 1, 17, True),  # the broker kept the prompt; who asked may be away
        (10 + KEPT_PROMPTS_S + 1, 17, False),  # whoever asks now is there
        (-10, 40, False),  # by then all are back
    ],
)
def test_after_the_connection_is_back_what_was_asked_before_counts(
    asked_at: float,
    ends_at: float,
    again: bool,  # noqa: FBT001
) -> None:
    kept = connected()
    kept.disconnected(9)
    kept.connected(10)
    say(kept, "x", ends_at, asked_at=asked_at)
    assert names(kept, 50) == (["x"] if again else [])


def test_a_device_that_has_just_started_says_nothing_twice() -> None:
    kept: Unheard[Speaker] = Unheard(0)
    kept.connected(1)
    say(kept, "new", 2)
    assert names(kept, 10) == []


def test_what_a_device_says_before_its_first_connection_is_said_again_if_nobody_heard_it() -> None:
    kept: Unheard[Speaker] = Unheard(0)
    both = [kept.said(Speaker(name), end(), 1) for name in ("heard", "unheard")]
    kept.connected(2)
    kept.unheard(both[1], 3)
    for said in both:
        kept.settled(said, 3)
    assert names(kept, 10) == ["unheard"]


@pytest.mark.parametrize(("outage_s", "times"), [(1, [3, 20]), (30, [3, 20, 60]), (3600, [3, 20, 60, 130])])
def test_after_a_long_outage_they_are_said_again_for_longer(outage_s: float, times: list[float]) -> None:
    kept = connected()
    kept.disconnected(0)
    planned = kept.connected(outage_s)
    assert [each.at - outage_s for each in planned if each.all] == times
    assert [each.at - outage_s for each in planned] == [3, 8, 13, 20, 60, 130]


@pytest.mark.parametrize(("outage_s", "count"), [(1, 2), (30, 3), (600, 4)])
def test_what_an_earlier_run_has_said_is_said_again_as_after_one_break(outage_s: float, count: int) -> None:
    kept: Unheard[Speaker] = Unheard(0)
    said = kept.said(Speaker("x"), said_again(end()), 0)
    kept.settled(said, 0)
    times = 0
    for now in range(int(outage_s), int(outage_s) + 50, 5):
        kept.connected(now)
        times += len(names(kept, now + 3))
        kept.settled(said, now + 3)
        kept.disconnected(now + 4)
    assert times == count


def test_after_the_last_time_nothing_is_kept() -> None:
    kept = connected()
    kept.disconnected(0)
    say(kept, "x", 1)
    kept.connected(2)
    assert names(kept, 5) == names(kept, 22, last=True) == ["x"]
    assert len(kept) == 0


def test_an_end_is_void_once_something_is_asked_under_its_id() -> None:
    kept = connected()
    say(kept, "a moment before", 0)
    kept.disconnected(1)
    say(kept, "away", 2)
    say(kept, "while others are said", 2)
    kept.connected(3)
    kept.asked(("reply", "a moment before"))
    kept.asked(("reply", "away"))
    assert names(kept, 6) == ["while others are said"]
    due = kept.due(23, everyone=True, over=True, last=True)
    kept.asked(("reply", "while others are said"))
    assert list(due) == []


def test_a_later_end_of_the_same_id_takes_the_place_of_an_earlier_one() -> None:
    kept = connected()
    kept.disconnected(0)
    say(kept, "x", 1)
    later = say(kept, "x", 2)
    kept.connected(3)
    assert list(kept.due(6, everyone=True, over=False, last=False)) == [later]


def test_an_end_that_is_too_old_is_not_said_again() -> None:
    kept = connected()
    kept.disconnected(0)
    say(kept, "old", 0)
    say(kept, "young", MOST_AGE_S)
    kept.connected(MOST_AGE_S + 1)
    assert names(kept, MOST_AGE_S + 4) == ["young"]
    assert len(kept) == 1


def test_only_so_many_are_kept_and_of_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unheard, "MOST_BYTES", 5000)
    kept = connected()
    kept.disconnected(0)
    for number in range(MOST + 10):
        kept.said(Speaker(str(number)), end(), 0)
    assert (len(kept), kept.forgotten) == (9, MOST + 1)
    kept.said(Speaker("long"), end("x" * 9000), 0)
    assert len(kept) == 1


@given(st.lists(st.tuples(st.sampled_from(["down", "up", "say", "ask", "due", "last"]), st.integers(0, 9))))
def test_its_bytes_are_those_of_what_it_keeps(steps: list[tuple[str, int]]) -> None:
    kept = connected()
    for now, (step, pick) in enumerate(steps):
        match step:
            case "down":
                kept.disconnected(now)
            case "up":
                kept.connected(now)
            case "say":
                kept.said(Speaker(str(pick), now - 3 * pick), end("x" * pick), now)
            case "ask":
                kept.asked(("reply", str(pick)))
            case _:
                list(kept.due(now, everyone=pick > 4, over=pick > 7, last=step == "last"))
    for each in (kept._kept, kept._recent):
        assert each.size == sum(said.size for said in each.entries.values())


def test_what_nobody_heard_is_said_again_sooner_and_for_longer() -> None:
    kept = connected()
    kept.disconnected(0)
    for name in ("nobody", "somebody"):
        said = kept.said(Speaker(name), end(), 1)
        if name == "nobody":
            kept.unheard(said, 1)
        kept.settled(said, 1)
    kept.connected(2)
    assert names(kept, 10, everyone=False) == ["nobody"]
    # Of this time nobody has told yet.
    assert names(kept, 15, everyone=False) == []
    assert names(kept, 22) == ["nobody", "somebody"]


def test_a_late_end_that_nobody_heard_counts_where_it_was_asked_for_before_the_break() -> None:
    kept = connected()
    kept.disconnected(0)
    kept.connected(1)
    for name, asked_at in (("before", -1), ("after", 30)):
        kept.unheard(kept.said(Speaker(name, asked_at), end(), 40), 40)
    assert names(kept, 61, everyone=False) == ["before"]


def test_bare_text_is_not_said_again_once_a_broker_that_tells_has_found_somebody() -> None:
    kept = connected()
    kept.disconnected(0)
    heard, unheard_ = (kept.said(Speaker(name, bare=True), end(), 1) for name in "ab")
    kept.connected(2)
    kept.settled(heard, 2)
    # It may be one that never tells.
    assert names(kept, 5) == ["a", "b"]
    kept.unheard(unheard_, 5)
    for each in (unheard_, heard):
        kept.settled(each, 5)
    assert names(kept, 22) == ["b"]
    assert len(kept) == 1


def test_what_had_no_place_in_the_queue_is_said_again_as_if_nobody_had_heard_it() -> None:
    kept = connected()
    kept.disconnected(0)
    kept.unheard(kept.said(Speaker("another"), end(), 1), 1)
    dropped = kept.said(Speaker("dropped", bare=True), end(), 1)
    kept.settled(dropped, 1, delivered=False)
    kept.connected(2)
    assert names(kept, 5) == ["another", "dropped"]


@pytest.mark.parametrize("found", [False, True])
def test_over_any_number_of_breaks_an_end_is_said_so_often_at_most(
    found: bool,  # noqa: FBT001
) -> None:
    kept: Unheard[Speaker] = Unheard(0)
    if not found:
        kept.connected(0)
        kept.disconnected(0)
    first = said_again(end()) if found else end()
    [perhaps, never] = (kept.said(Speaker(name), first, 0) for name in ("perhaps", "never"))
    count = dict.fromkeys(("perhaps", "never"), 0)
    for now in range(1, 100, 2):
        kept.connected(now)
        for said in kept.due(now, everyone=True, over=False, last=False):
            count[said.speaker.name] += 1
            if said is never:
                kept.unheard(said, now)
            kept.settled(said, now)
        kept.disconnected(now + 1)
    before = MOST_TIMES - 2 if found else 0
    assert count == {"perhaps": MOST_TIMES - before, "never": MOST_TIMES_UNHEARD - before}
    assert perhaps.heard
    assert len(kept) == 0


def test_who_waits_for_an_end_to_be_heard_is_told_once_when_nothing_is_left_to_be_done() -> None:
    kept = connected()
    told: dict[str, list[bool]] = {}

    def ends(name: str, now: float, *, delivered: bool | None = True, asked_at: float = 0.0) -> None:
        said = kept.said(Speaker(name, asked_at), end(), now, told.setdefault(name, []).append)
        if delivered is not None:
            kept.settled(said, now, delivered=delivered)

    ends("heard", 0)
    ends("dropped", 0, delivered=False)
    ends("asked again", 0)
    kept.asked(("reply", "asked again"))
    assert kept.forget_heard(1)
    assert told == {"heard": [], "dropped": [], "asked again": [True]}
    assert not kept.forget_heard(BEFORE_S + 1)
    assert (told["heard"], told["dropped"]) == ([True], [False])
    ends("a moment before", 10)
    kept.disconnected(11)
    kept.connected(12)
    for now in (15, 32):
        [said] = kept.due(now, everyone=True, over=now > 30, last=False)
        kept.settled(said, now)
        assert told["a moment before"] == []
    # No more times for all of them follow, and somebody may have heard it.
    assert list(kept.due(72, everyone=False, over=True, last=False)) == []
    assert told["a moment before"] == [True]
    ends("while it stops", 80, delivered=None)
    kept.close()
    assert told["while it stops"] == []


def test_an_end_that_nobody_heard_is_not_taken_for_heard_because_it_is_kept_already() -> None:
    told: list[bool] = []
    kept = connected()
    kept.disconnected(0)
    said = kept.said(Speaker("a", asked_at=-1), end(), 0, told.append)
    kept.connected(1)
    for now in (1, 4):
        kept.unheard(said, now)
        kept.settled(said, now)
        assert told == []
        assert names(kept, now + 1) == ["a"]


def test_what_is_said_for_the_last_time_is_heard_when_the_broker_has_it() -> None:
    kept: Unheard[Speaker] = Unheard(0)
    told: list[bool] = []
    kept.said(Speaker("x"), said_again(end()), 1, told.append)
    kept.connected(2)
    [said] = kept.due(140, everyone=True, over=True, last=True)
    assert told == []
    kept.settled(said, 141)
    assert (told, len(kept)) == ([True], 0)


# --- as they are said --------------------------------------------------------------------------------------


class SlowLink(ListLink):
    """A broker that acknowledges when a test says so."""

    def settle(self, count: int) -> None:
        waiting = [each.on_settled for each in self.published if each.on_settled is not None]
        self.published = [replace(each, on_settled=None) for each in self.published]
        for on_settled in waiting[:count]:
            on_settled(True)  # noqa: FBT003 - as the broker calls it
        assert len(waiting) <= MOST_UNDER_WAY


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_they_are_said_a_few_at_a_time_and_not_while_streams_have_to_wait(
    make_house: MakeHouse,
) -> None:
    house = make_house()
    link, clock = SlowLink(), Clock()
    house.link, house.repeats = link, Repeats(link, clock)
    house.repeats.connected()
    house.repeats.disconnected()
    house.asking = type(house.asking)(
        house.asking._topics, house.options, link, house.requests, house.repeats
    )
    house.asking.start()
    for number in range(3 * MOST_UNDER_WAY):
        house.receive(b'{"id": "r%d", "nonsense": 1}' % number)
    link.published.clear()
    link.congested = True
    house.repeats.connected()
    running = asyncio.create_task(house.repeats.run())
    try:
        clock.now = 5.0
        said = 0
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.sleep(0.2)
            assert link.published == []
            link.congested = False
            while said < 3 * MOST_UNDER_WAY:
                await asyncio.sleep(0.01)
                said += len(link.published)
                assert all(b'"repeat":true' in each.payload for each in link.published)
                link.settle(MOST_UNDER_WAY)
                link.published.clear()
    finally:
        running.cancel()
    assert said == 3 * MOST_UNDER_WAY


def test_an_end_that_was_on_its_way_when_the_connection_broke_goes_out_as_a_repeat(
    make_house: MakeHouse,
) -> None:
    house = make_house()
    house.receive(b'{"id": "r", "nonsense": 1}')
    message = house.published[-1]
    assert b"repeat" not in message.payload
    heard: list[bool] = []
    again = replace(message, on_settled=heard.append).repeated()
    assert isinstance(again, Outbound)
    assert again.payload == message.payload[:-1] + b',"repeat":true}'
    assert again.on_settled is not None
    assert again.repeated() == again
