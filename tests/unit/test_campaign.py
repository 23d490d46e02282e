"""How a campaign judges what it heard: right and wrong histories of one request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.campaign.asking import Ask, Kind, ask
from tests.campaign.ledger import Entry, Hurt, Ledger, Trouble
from tests.campaign.plan import Profile, profiles, rounds
from tests.campaign.rules import Rules, Wrong
from tests.campaign.tally import Tally
from tests.campaign.verdict import Verdict, judge

ONCE = Profile("c1", "5", clean=True, asks_again=False)
KEPT = Profile("c1", "5", clean=False, asks_again=False)
TEXT = "one two three"
ENGINE = frozenset({Hurt.ENGINE})
KILLED = frozenset({Hurt.DAEMON, Hurt.ENGINE, Hurt.LINK})
BROKEN = frozenset({Hurt.BROKER, Hurt.LINK, Hurt.CLIENTS})


class Story:
    """What happened to one request, a second after another."""

    def __init__(self, profile: Profile = ONCE, kind: Kind = Kind.STREAM, **fields: Any) -> None:
        self.ledger = Ledger()
        self.now = 100.0
        self.link = 1
        request = Ask("c1-0", kind, {"id": "c1-0", **fields}, TEXT, pick="bath")
        self.entry: Entry = self.ledger.open(request, profile)
        self.asked()
        self.entry.acknowledged.append(self.now)

    def asked(self) -> None:
        self.now += 1
        self.entry.asked.append((self.now, self.link))

    def event(self, type_: str, seq: int, *, topic: str = "reply/c1/c1-0", **more: Any) -> None:
        payload = json.dumps({"id": "c1-0", "seq": seq, "type": type_, **more})
        self.raw(payload, topic=topic)

    def raw(self, payload: str, *, topic: str = "reply/c1/c1-0", dup: bool = False) -> None:
        self.now += 1
        self.ledger.hear(topic, payload.encode(), at=self.now, link=self.link, dup=dup, client="c1")

    def fault(self, hurts: frozenset[Hurt], *, cuts: bool = False) -> None:
        self.now += 1
        self.ledger.troubles.append(Trouble("it", hurts, self.now, self.now + 0.5, recovered_s=0.5))
        self.now += 1
        self.link += cuts

    def whole(self) -> None:
        self.event("accepted", 0)
        self.event("chunk", 1, text="one two")
        self.event("chunk", 2, text=" three")
        self.done(3)

    def done(self, seq: int, **more: Any) -> None:
        self.event("done", seq, text=TEXT, finish_reason="stop", **more)

    def verdict(self, *, durable: bool = True) -> Verdict:
        return judge(self.entry, self.ledger, self.now + 60, Rules(durable=durable))

    def wrong(self) -> list[Wrong]:
        return [each for each, _ in self.verdict().wrong]


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_whole_answer_is_right(story: Story) -> None:
    story.whole()
    verdict = story.verdict()
    assert (verdict.accepted, verdict.ends, verdict.wrong) == (True, 1, [])


def test_what_was_accepted_and_never_ended_is_lost(story: Story) -> None:
    story.event("accepted", 0)
    story.fault(KILLED)
    assert story.wrong() == [Wrong.NO_END]


def test_what_only_the_broker_said_it_has_counts_where_the_daemon_is_durable(story: Story) -> None:
    story.fault(KILLED)
    assert story.wrong() == [Wrong.NO_END]
    assert story.verdict(durable=False).wrong == []


def test_what_only_a_broker_that_died_had_was_not_the_devices_to_keep(story: Story) -> None:
    story.fault(BROKEN)
    verdict = story.verdict()
    assert (verdict.accepted, verdict.unkept, verdict.wrong) == (False, True, [])


def test_what_a_device_could_not_write_down_may_be_lost_with_it_if_it_said_so(story: Story) -> None:
    story.ledger.durable.append((90.0, True))
    story.event("accepted", 0)
    story.fault(KILLED)
    assert story.wrong() == [Wrong.NO_END]
    # It takes a moment to say so; what it says later is of no use.
    story.ledger.durable += [(story.entry.begun_at + 2.5, False), (story.now, True)]
    verdict = story.verdict()
    assert (verdict.accepted, verdict.undurable, verdict.wrong) == (True, True, [])
    story.ledger.durable[1] = (story.entry.begun_at + 30, False)
    assert story.wrong() == [Wrong.NO_END]
    alive = Story()
    alive.ledger.durable.append((90.0, False))
    alive.event("accepted", 0)
    assert alive.wrong() == [Wrong.NO_END]
    alive.fault(BROKEN)
    assert alive.wrong() == [Wrong.NO_END]
    alive.fault(KILLED)
    assert alive.verdict().undurable


def test_a_device_that_is_killed_on_a_full_disk_may_not_have_said_so_of_what_came_then(story: Story) -> None:
    def lose(told: Story, since: float) -> list[Wrong]:
        told.ledger.durable.append((90.0, True))
        told.event("accepted", 0)
        hurts = KILLED | {Hurt.DISK}
        told.ledger.troubles.append(Trouble("it", hurts, told.entry.begun_at + since, told.now + 5))
        return told.wrong()

    assert lose(story, -0.5) == []
    assert lose(Story(), 0.5) == [Wrong.NO_END]


def test_a_dead_broker_excuses_no_end_of_what_the_device_had_accepted(story: Story) -> None:
    story.event("accepted", 0)
    story.fault(BROKEN, cuts=True)
    assert story.wrong() == [Wrong.NO_END]


def test_a_client_that_was_cut_off_alone_and_keeps_no_session_misses_its_end(story: Story) -> None:
    story.event("accepted", 0)
    story.fault(frozenset({Hurt.CLIENTS}), cuts=True)
    verdict = story.verdict()
    assert (verdict.missed, verdict.wrong) == (True, [])
    kept = Story(KEPT)
    kept.event("accepted", 0)
    kept.fault(frozenset({Hurt.CLIENTS}), cuts=True)
    assert kept.wrong() == [Wrong.NO_END]


def test_a_refusal_is_an_end_of_nothing_that_was_accepted(story: Story) -> None:
    story.event("error", 0, code="busy", text="")
    verdict = story.verdict()
    assert (verdict.accepted, verdict.refused, verdict.wrong) == (False, True, [])


def test_what_was_refused_may_come_again_to_the_next_daemon_only(story: Story) -> None:
    story.event("error", 0, code="busy", text="")
    story.fault(KILLED)
    story.whole()
    assert (story.verdict().reconsidered, story.wrong()) == (1, [])
    twice = Story()
    twice.event("error", 0, code="busy", text="")
    twice.whole()
    assert Wrong.DOUBLED_END in twice.wrong()


def test_a_second_end_is_one_too_many_unless_it_says_that_it_is_said_again(story: Story) -> None:
    story.whole()
    story.done(3, repeat=True)
    assert (story.verdict().repeats, story.wrong()) == (1, [])
    story.event("error", 3, code="interrupted", text="")
    story.fault(KILLED)
    assert Wrong.DOUBLED_END in story.wrong()


def test_the_same_end_twice_is_one_too_many_where_no_connection_broke(story: Story) -> None:
    story.whole()
    story.done(3)
    assert story.wrong() == [Wrong.DOUBLED_END]


def test_qos_1_may_deliver_the_same_end_twice_around_a_connection_that_broke(story: Story) -> None:
    story.whole()
    story.fault(frozenset({Hurt.LINK}))
    story.done(3)
    assert (story.verdict().redelivered, story.wrong()) == (1, [])


def test_who_asks_again_may_hear_the_end_again_and_once_only(story: Story) -> None:
    story.whole()
    story.asked()
    story.done(3)
    assert (story.verdict().answers, story.wrong()) == (1, [])
    story.done(3)
    assert story.wrong() == [Wrong.DOUBLED_END]


def test_a_gap_is_wrong_unless_the_client_was_away_without_a_session(story: Story) -> None:
    story.event("accepted", 0)
    story.done(3)
    assert story.wrong() == [Wrong.GAP]
    away = Story()
    away.event("accepted", 0)
    away.fault(frozenset({Hurt.CLIENTS}), cuts=True)
    away.done(3)
    assert away.wrong() == []
    kept = Story(KEPT)
    kept.event("accepted", 0)
    kept.fault(frozenset({Hurt.CLIENTS}), cuts=True)
    kept.done(3)
    assert kept.wrong() == [Wrong.GAP]


def test_an_event_twice_is_wrong_unless_a_connection_broke(story: Story) -> None:
    story.event("accepted", 0)
    story.event("accepted", 0)
    assert Wrong.DOUBLED_EVENT in story.wrong()
    broken = Story()
    broken.event("accepted", 0)
    broken.event("chunk", 1, text="one two")
    broken.fault(frozenset({Hurt.LINK}))
    broken.event("chunk", 1, text="one two")
    broken.event("chunk", 2, text=" three")
    broken.done(3)
    assert broken.wrong() == []


@pytest.mark.parametrize(
    "tell",
    [
        lambda story: (story.event("accepted", 0), story.event("done", 1, text="one", finish_reason="stop")),
        lambda story: (story.event("accepted", 0), story.event("chunk", 1, text="six"), story.done(2)),
        lambda story: (
            story.event("accepted", 0),
            story.event("error", 1, code="cancelled", text="six"),
        ),
    ],
)
def test_another_text_is_wrong(story: Story, tell: Any) -> None:
    tell(story)
    assert set(story.wrong()) & {Wrong.TEXT, Wrong.END}


def test_an_error_is_right_only_where_its_cause_was_there(story: Story) -> None:
    story.event("accepted", 0)
    story.event("error", 1, code="engine_crashed", text="")
    assert story.wrong() == [Wrong.END]
    killed = Story()
    killed.event("accepted", 0)
    killed.fault(frozenset({Hurt.ENGINE}))
    killed.event("error", 1, code="engine_crashed", text="")
    assert killed.wrong() == []
    engine_only = Story()
    engine_only.event("accepted", 0)
    engine_only.fault(frozenset({Hurt.ENGINE}))
    engine_only.event("error", 1, code="interrupted", text="")
    assert engine_only.wrong() == [Wrong.END]


def test_what_had_begun_begins_anew_only_where_that_was_asked_for(story: Story) -> None:
    def begin_anew(told: Story) -> list[Wrong]:
        told.event("accepted", 0)
        told.event("chunk", 1, text="one")
        told.fault(KILLED)
        told.event("accepted", 0, position=3)
        told.event("chunk", 1, text="one two three")
        told.done(2)
        return told.wrong()

    assert begin_anew(story) == [Wrong.BEGAN_ANEW]
    assert begin_anew(Story(kind=Kind.RERUN)) == []


def test_what_asks_to_begin_anew_does_so_with_the_next_engine_and_says_that_first() -> None:
    def crash(kind: Kind, *, first: str = "accepted", hurts: frozenset[Hurt] = ENGINE) -> list[Wrong]:
        told = Story(kind=kind)
        told.event("accepted", 0, position=0)
        told.event("chunk", 1, text="one")
        told.fault(hurts)
        told.event(first, 0, position=0, text="")
        told.event("chunk", 1, text=TEXT)
        told.done(2)
        return told.wrong()

    assert crash(Kind.RERUN) == []
    assert crash(Kind.STREAM) == [Wrong.BEGAN_ANEW]
    assert crash(Kind.RERUN, first="chunk") == [Wrong.BEGAN_ANEW]
    assert crash(Kind.RERUN, hurts=frozenset({Hurt.DISK})) == [Wrong.BEGAN_ANEW]


def test_what_asks_to_begin_anew_is_not_given_up_with_one_engine() -> None:
    told = Story(kind=Kind.RERUN)
    told.event("accepted", 0)
    told.fault(ENGINE)
    told.event("error", 1, code="engine_crashed", text="")
    assert told.wrong() == [Wrong.END]
    twice = Story(kind=Kind.RERUN)
    twice.event("accepted", 0)
    twice.fault(ENGINE)
    twice.fault(ENGINE)
    twice.event("error", 1, code="engine_crashed", text="")
    assert twice.wrong() == []


def test_what_only_waited_may_be_accepted_anew_after_the_daemon_died(story: Story) -> None:
    story.event("accepted", 0)
    story.fault(KILLED)
    story.event("accepted", 0, position=3)
    story.event("chunk", 1, text=TEXT)
    story.done(2)
    assert story.wrong() == []
    unasked = Story()
    unasked.event("accepted", 0)
    unasked.event("accepted", 0, position=3)
    assert Wrong.BEGAN_ANEW in unasked.wrong()


def test_a_fleets_box_may_take_over_what_another_had_begun(story: Story) -> None:
    story.event("accepted", 0)
    story.event("chunk", 1, text="one")
    story.event("accepted", 0, position=1)
    story.event("accepted", 0, position=0)
    story.event("chunk", 1, text=TEXT)
    story.done(2)
    assert judge(story.entry, story.ledger, story.now, Rules(durable=True, fleet=True)).wrong == []
    assert Wrong.BEGAN_ANEW in story.wrong()


def test_in_a_fleet_two_deaths_take_the_end_from_a_client_that_does_not_ask_again() -> None:
    rules = Rules(durable=True, fleet=True)
    for asks_again, faults, missed in (
        (False, (BROKEN, KILLED), True),
        (False, (KILLED, BROKEN), False),
        (False, (BROKEN,), False),
        (True, (BROKEN, KILLED), False),
    ):
        story = Story(Profile("c1", "5", clean=True, asks_again=asks_again))
        story.event("accepted", 0)
        for hurts in faults:
            story.fault(hurts)
        verdict = judge(story.entry, story.ledger, story.now + 60, rules)
        assert (verdict.missed, [each for each, _ in verdict.wrong]) == (
            missed,
            [] if missed else [Wrong.NO_END],
        )
        assert not story.verdict().missed


def test_two_boxes_that_answer_at_once_are_judged_by_their_ends(story: Story) -> None:
    rules = Rules(durable=True, fleet=True)
    story.event("accepted", 0)
    story.event("chunk", 1, text="one two")
    story.asked()
    story.event("accepted", 0)
    for seq in (2, 1, 3, 2):
        story.event("chunk", seq, text="x")
    story.done(4)
    assert judge(story.entry, story.ledger, story.now, rules).wrong == []
    story.event("done", 3, text="another", finish_reason="stop")
    assert Wrong.TEXT in [each for each, _ in judge(story.entry, story.ledger, story.now, rules).wrong]


def test_a_start_ends_what_it_can_not_answer_with_a_number_of_its_own(story: Story) -> None:
    story.event("accepted", 0)
    story.event("chunk", 1, text="one")
    story.fault(KILLED)
    story.event("error", 1_000_000, code="interrupted", text="")
    assert story.wrong() == []
    unkilled = Story()
    unkilled.event("accepted", 0)
    unkilled.event("error", 1_000_000, code="busy", text="")
    assert unkilled.wrong() == [Wrong.GAP]


def test_bare_text_is_joined_where_nothing_broke() -> None:
    told = Story(kind=Kind.TEXT)
    for piece in ("one two", " three", ""):
        told.raw(piece)
    told.event("done", 3, topic="reply/c1/c1-0/end", text=TEXT, finish_reason="stop")
    assert told.wrong() == []
    lacking = Story(kind=Kind.TEXT)
    for piece in ("one two", ""):
        lacking.raw(piece)
    lacking.event("done", 3, topic="reply/c1/c1-0/end", text=TEXT, finish_reason="stop")
    assert lacking.wrong() == [Wrong.TEXT, Wrong.GAP]


def test_a_decision_and_a_session_are_judged_by_what_is_in_their_end() -> None:
    decision = Story(kind=Kind.DECISION)
    decision.event("done", 0, text="", finish_reason="stop", answers={"room": {"choice": "hall"}})
    assert decision.wrong() == [Wrong.TEXT]
    session = Story(kind=Kind.SESSION, session="s0")
    session.event("accepted", 0)
    session.done(1, session="s1")
    assert session.wrong() == [Wrong.TEXT]


def test_a_tally_counts_and_keeps_the_history_of_what_was_wrong(story: Story) -> None:
    story.event("accepted", 0)
    story.fault(KILLED)
    tally = Tally(Rules(durable=True))
    tally.add([story.entry], story.ledger, story.now)
    assert (tally.asked, tally.accepted, tally.wrong[Wrong.NO_END]) == (1, 1, 1)
    assert tally.by_fault["it"][Wrong.NO_END] == 1
    assert [line.partition("s  ")[2] for line in tally.histories[0].lines[1:]] == [
        "asked, on its connection 1",
        "the broker has it",
        "accepted 0 on connection 1",
        "FAULT it",
        "it: answers again after 0.50 s, all clients are back",
    ]
    assert tally.document()["wrong"]["no end"] == 1


def test_what_comes_of_a_request_that_was_settled_is_kept_as_a_stray(story: Story) -> None:
    story.whole()
    assert story.ledger.settled(story.now + 1) == [story.entry]
    story.done(3)
    assert [client for _, client, _ in story.ledger.strays] == ["c1"]


def test_a_seed_gives_the_same_clients_requests_and_faults_again() -> None:
    def drawn(seed: int) -> Iterator[object]:
        yield from (ask(seed, "c1", number, reruns=True) for number in range(200))
        yield from rounds(seed, ["engine", "daemon", "broker"], 5)

    assert list(drawn(1)) == list(drawn(1))
    assert list(drawn(1)) != list(drawn(2))
    kinds = {ask(1, "c1", number, reruns=True).kind for number in range(200)}
    assert kinds == set(Kind)


def test_each_fault_comes_once_before_any_comes_again() -> None:
    names = [each.fault for each in rounds(3, ["engine", "daemon", "broker"], 4)]
    assert len(names) == 12
    assert all(set(names[at : at + 3]) == {"engine", "daemon", "broker"} for at in range(0, 12, 3))


def test_in_blocks_one_fault_comes_after_the_other() -> None:
    names = [each.fault for each in rounds(3, ["engine", "daemon"], 3, blocks=True)]
    assert names == ["engine"] * 3 + ["daemon"] * 3


def test_32_clients_are_of_every_mixture() -> None:
    mixtures = {(each.protocol, each.clean, each.asks_again) for each in profiles(32)}
    assert len(mixtures) == 8
    assert len({each.name for each in profiles(32)}) == 32
