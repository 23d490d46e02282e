from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgeassist.protocol.asking import Priority
from edgeassist.protocol.decisions import DecisionAnswer, DecisionRequest, Kind, Question
from edgeassist.watching.document import document_of
from edgeassist.watching.options import InputOptions, WatchOptions
from edgeassist.watching.watch import FIRST_RETRY_S, GATHER_S, MAX_RETRY_S, Watch

DONE = Question(type=Kind.YES_NO, instructions="Done?")
# A watch looks after itself no more often (`gateways/mqtt/watches`).
LEAST_S = 0.05


def yes_no(yes: float, *, abstain: bool = False) -> DecisionAnswer:
    return DecisionAnswer(
        type="yes_no",
        choice="yes" if yes > 0.5 else "no",
        probabilities={"yes": yes, "no": 1 - yes},
        margin=abs(2 * yes - 1),
        abstain=abstain,
        noul=yes,
    )


def options_of(*inputs: InputOptions, **options: Any) -> WatchOptions:
    return WatchOptions("x", inputs or (InputOptions("t"),), {"done": DONE}, **options)


class Room:
    """A watch, its clock, and who answers it at once: yes where the state has a 1."""

    def __init__(self, *inputs: InputOptions, answers: bool = True, **options: Any) -> None:
        self.watch = Watch(options_of(*inputs, **options))
        self.now = 1000.0
        self.answers = answers
        self.asked: list[tuple[float, DecisionRequest]] = []
        self._wake: float | None = None

    @property
    def states(self) -> list[object]:
        return [request.state for _, request in self.asked]

    @property
    def choice(self) -> str | None:
        return self.watch.report().answers["done"].choice

    @property
    def reason(self) -> str | None:
        return self.watch.report().reason

    def hear(self, payload: object, topic: str = "t", index: int = 0, *, retained: bool = False) -> None:
        self.watch.hear(index, topic, str(payload).encode(), self.now, retained=retained)
        self._plan()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and the watch look after itself whenever it wants to."""
        until = self.now + seconds
        for _ in range(10_000):
            if self._wake is None or self._wake > until:
                break
            self.now = max(self.now, self._wake)
            self._turn()
        else:
            pytest.fail("the watch wakes without end")
        self.now = until

    def end(self, yes: float) -> None:
        """Answer what it asks."""
        self.watch.answered({"done": yes_no(yes)}, self.now)
        self._turn()

    def fail(self, reason: str = "busy: full", retry_after_s: float = 0) -> None:
        self.watch.failed(reason, self.now, retry_after_s=retry_after_s)
        self._turn()

    def _turn(self) -> None:
        asked = self.watch.turn(self.now)
        if asked is not None:
            self.asked.append((self.now, asked))
            if self.answers:
                self.end(0.9 if "1" in json.dumps(asked.state) else 0.1)
                return
        self._plan()

    def _plan(self) -> None:
        wake = self.watch.next_wake()
        self._wake = None if wake is None else max(wake, self.now + LEAST_S)


def test_it_asks_when_its_state_has_changed_and_nothing_while_it_has_not() -> None:
    room = Room(interval_s=30)
    room.pass_time(100)
    assert (room.asked, room.choice, room.reason) == ([], None, "no message has come yet")
    room.hear(1)
    room.pass_time(GATHER_S)
    assert (room.states, room.choice, room.reason) == ([1], "yes", None)
    for _ in range(100):
        room.hear(1)
        room.pass_time(10)
    assert room.states == [1]
    room.hear(0)
    room.pass_time(GATHER_S)
    assert (room.states, room.choice) == ([1, 0], "no")


def test_what_it_asks_has_all_that_a_request_can_say_and_the_lowest_priority() -> None:
    room = Room(InputOptions("t", label="power"), instructions="Judge.", threshold=0.3)
    room.hear("x")
    room.pass_time(1)
    (_, request) = room.asked[0]
    assert request.model_dump(exclude={"id"}, exclude_defaults=True) == {
        "state": {"power": "x"},
        "questions": {"done": {"type": Kind.YES_NO, "instructions": "Done?"}},
        "instructions": "Judge.",
        "threshold": 0.3,
        "priority": Priority.LOW,
    }
    room.hear("y")
    room.pass_time(60)
    assert len({request.id for _, request in room.asked}) == 2


@pytest.mark.parametrize(
    ("inputs", "heard", "state"),
    [
        ([InputOptions("t")], [(0, "t", "text")], "text"),
        ([InputOptions("t", keep=3)], [(0, "t", "a"), (0, "t", "b")], ["a", "b"]),
        ([InputOptions("+/m")], [(0, "a/m", "1")], {"a": 1}),
        ([InputOptions("t", label="watts")], [(0, "t", "5")], {"watts": 5}),
        ([InputOptions("a"), InputOptions("b", label="bee")], [(1, "b", "5")], {"a": None, "bee": 5}),
        (
            [InputOptions("a", label="x", json_path="$.p"), InputOptions("+/m", label="motion")],
            [(0, "a", '{"p": [1]}'), (1, "z/m", "on"), (1, "y/m", "off")],
            {"x": [1], "motion": {"y": "off", "z": "on"}},
        ),
    ],
)
def test_a_state_is_what_came_on_its_topics(
    inputs: list[InputOptions], heard: list[tuple[int, str, str]], state: object
) -> None:
    room = Room(*inputs)
    for index, topic, payload in heard:
        room.hear(payload, topic, index)
    room.pass_time(1)
    assert room.states == [state]


@pytest.mark.parametrize("payload", ["null", '""', "   ", '"  "', '"\\n"', "\0\0"])
def test_a_message_that_says_nothing_is_not_asked_about(payload: str) -> None:
    room = Room()
    room.hear(payload)
    room.pass_time(10)
    assert (room.asked, room.choice) == ([], None)
    assert room.reason is not None


def test_it_asks_at_most_every_so_often_and_about_the_newest_state_then() -> None:
    room = Room(interval_s=30)
    for number in range(60):
        room.hear(number)
        room.pass_time(1)
    room.pass_time(60)
    times = [at - 1000 for at, _ in room.asked]
    assert times == [GATHER_S, 30 + GATHER_S, 60 + GATHER_S]
    assert room.states == [0, 30, 59]


def test_what_comes_together_is_asked_about_once() -> None:
    room = Room(InputOptions("+"))
    for number in range(20):
        room.hear(number, f"t{number:02}")
        room.pass_time(0.01)
    room.pass_time(60)
    assert room.states == [{f"t{number:02}": number for number in range(20)}]


def test_only_one_request_is_under_way_and_a_change_meanwhile_is_asked_after_it() -> None:
    room = Room(answers=False, interval_s=1)
    room.hear(0)
    room.pass_time(5)
    room.hear(1)
    room.pass_time(500)
    assert room.states == [0]
    room.end(0.1)
    room.pass_time(1)
    assert (room.states, room.choice) == ([0, 1], "no")
    room.end(0.9)
    room.pass_time(60)
    assert (len(room.asked), room.choice) == (2, "yes")


def test_retained_messages_that_come_again_after_a_reconnect_change_nothing() -> None:
    room = Room(InputOptions("+", keep=3), interval_s=1, stale_s=100)
    room.hear(1, "a")
    room.hear(0, "b")
    room.pass_time(60)
    for topic, payload in (("a", 1), ("b", 0)):
        room.hear(payload, topic, retained=True)
    room.pass_time(39)
    assert (len(room.asked), room.choice) == (1, "yes")
    room.pass_time(2)
    assert (room.choice, room.reason) == (None, "no message came for 100 s (stale_s)")


def test_an_answer_is_unknown_when_all_it_was_about_is_too_old() -> None:
    room = Room(stale_s=60)
    room.hear(1)
    choices = []
    for seconds in (59, 2):
        room.pass_time(seconds)
        choices.append(room.choice)
    assert (choices, room.reason) == (["yes", None], "no message came for 60 s (stale_s)")
    assert room.watch.report().state_at is None
    room.hear(1)
    room.pass_time(1)
    assert (room.choice, room.reason, room.states) == ("yes", None, [1, 1])


def test_what_is_too_old_leaves_the_state_and_that_is_a_change() -> None:
    room = Room(InputOptions("a"), InputOptions("b"), stale_s=60)
    room.hear(1, "a", 0)
    room.pass_time(40)
    room.hear(0, "b", 1)
    room.pass_time(40)
    assert room.states == [{"a": 1, "b": None}, {"a": 1, "b": 0}, {"a": None, "b": 0}]
    assert room.choice == "no"


def test_a_new_answer_counts_once_it_has_held_without_being_asked_again() -> None:
    room = Room(dwell_s=60, interval_s=1)
    room.hear(1)
    room.pass_time(59)
    assert (room.choice, room.reason) == (None, "a new answer counts once it has held for 60 s (dwell_s)")
    room.pass_time(2)
    assert (room.choice, room.reason, len(room.asked)) == ("yes", None, 1)
    room.hear(0)
    room.pass_time(30)
    room.hear(1)
    room.pass_time(300)
    assert (room.choice, room.watch.report().answers["done"].since) == ("yes", 1000 + GATHER_S + 60)


def test_an_answer_about_a_state_that_has_changed_since_does_not_begin_to_count() -> None:
    room = Room(dwell_s=60, interval_s=300, stale_s=3600)
    room.hear(1)
    room.pass_time(50)
    room.hear(0)
    room.pass_time(200)
    assert (len(room.asked), room.choice) == (1, None)
    room.pass_time(200)
    assert (room.states, room.choice) == ([1, 0], "no")


def test_what_fails_is_asked_again_ever_later_up_to_a_bound_and_says_why() -> None:
    room = Room(answers=False, interval_s=1, stale_s=100_000)
    room.hear(1)
    room.pass_time(1)
    pauses = []
    for _ in range(12):
        before, count = room.now, len(room.asked)
        room.fail("busy: 2 requests wait")
        assert (room.reason, room.choice) == ("busy: 2 requests wait; it is asked again", None)
        room.pass_time(MAX_RETRY_S)
        pauses.append(room.asked[count][0] - before)
        room.now = room.asked[count][0]
    assert pauses[:4] == [FIRST_RETRY_S, 2 * FIRST_RETRY_S, 4 * FIRST_RETRY_S, 8 * FIRST_RETRY_S]
    assert pauses[-3:] == [MAX_RETRY_S] * 3
    room.end(0.9)
    assert (room.choice, room.reason) == ("yes", None)
    room.hear(0)
    room.pass_time(5)
    room.fail()
    room.pass_time(FIRST_RETRY_S)
    assert room.asked[-1][0] - room.asked[-2][0] < 2 * FIRST_RETRY_S


def test_what_is_known_stays_while_asking_fails_until_it_is_about_something_too_old() -> None:
    room = Room(stale_s=100, interval_s=1)
    room.hear(1)
    room.pass_time(1)
    room.answers = False
    for at in range(300):
        room.hear(2 + at)
        room.pass_time(1)
        if room.watch.asking:
            room.fail()
        assert room.choice == ("yes" if at < 98 else None if at > 102 else room.choice), at
    assert room.reason == "busy: full; it is asked again"


def test_a_retry_is_no_sooner_than_the_device_says() -> None:
    room = Room(answers=False)
    room.hear(1)
    room.pass_time(1)
    room.fail(retry_after_s=77)
    room.pass_time(76)
    assert len(room.asked) == 1
    room.pass_time(2)
    assert len(room.asked) == 2


def test_an_error_is_forgotten_when_the_state_is_again_what_was_answered() -> None:
    room = Room(interval_s=1)
    room.hear(1)
    room.pass_time(2)
    room.answers = False
    room.hear(0)
    room.pass_time(2)
    room.fail()
    room.hear(1)
    room.pass_time(FIRST_RETRY_S)
    assert (room.choice, room.reason, len(room.asked)) == ("yes", None, 2)
    assert room.watch.next_wake() == 1000 + 2 + 2 + 3600


def test_a_model_that_is_not_sure_leaves_it_unknown_with_its_probabilities() -> None:
    room = Room(answers=False)
    room.hear(1)
    room.pass_time(1)
    room.watch.answered({"done": yes_no(0.55, abstain=True), "other": yes_no(0.9)}, room.now)
    report = room.watch.report()
    assert (room.choice, room.reason) == (None, "the model is not sure (threshold)")
    assert report.answers["done"].answer == yes_no(0.55, abstain=True)
    assert list(report.answers) == ["done"]


@pytest.mark.parametrize(
    ("inputs", "payloads", "reason"),
    [
        ([InputOptions("t")], [b"x" * 10_000], "what came is larger than 8192 bytes"),
        ([InputOptions("t", json_path="$.w")], [b"{}"], "look at json_path"),
        ([InputOptions("t")], [b"1", b""], "what was retained has been deleted (an empty message)"),
        ([InputOptions("t")], [b"1", b"", b"2"], None),
        ([InputOptions("+")], [b"1"], None),
    ],
)
def test_it_says_why_nothing_is_known(
    inputs: list[InputOptions], payloads: list[bytes], reason: str | None
) -> None:
    room = Room(*inputs)
    for payload in payloads:
        room.hear(payload.decode())
    room.pass_time(1)
    assert reason is None if room.reason is None else str(reason) in room.reason


def test_a_value_that_is_deleted_and_comes_again_is_not_taken_for_deleted_when_it_is_too_old() -> None:
    room = Room(stale_s=60)
    for payload in ("1", "", "2"):
        room.hear(payload)
        room.pass_time(1)
    assert (room.choice, room.reason) == ("yes", None)
    room.pass_time(60)
    assert (room.choice, room.reason) == (None, "no message came for 60 s (stale_s)")


def test_noise_below_the_step_of_a_topic_is_no_news() -> None:
    room = Room(InputOptions("t", step=0.5), interval_s=1)
    for value in ("20.01", "20.02", "19.9", "20.1", "20.6"):
        room.hear(value)
        room.pass_time(2)
    assert room.states == [20, 20.5]


def test_it_says_when_a_filter_matches_too_many_topics() -> None:
    room = Room(InputOptions("+"))
    for number in range(65):
        room.hear(1, f"{number}")
    room.pass_time(1)
    assert room.choice == "yes"
    assert room.reason == "a filter matches more than 64 topics, the most that are kept: narrow it"


def test_the_document_has_dates_and_what_is_known() -> None:
    room = Room(dwell_s=0)
    empty = document_of(room.watch.report(), room.watch.options, epoch=0)
    assert json.loads(empty.payloads()[0]) == {
        "answers": {
            "done": {
                "type": "yes_no",
                "choice": None,
                "since": None,
                "score": None,
                "probabilities": None,
                "margin": None,
                "abstain": None,
                "noul": None,
            }
        },
        "reason": "no message has come yet",
        "state_at": None,
        "answered_at": None,
    }
    room.hear(1)
    room.pass_time(10)
    full = document_of(room.watch.report(), room.watch.options, epoch=1_795_885_600)
    whole, less = (json.loads(each) for each in full.payloads())
    assert whole["answers"]["done"]["choice"] == "yes"
    assert whole["answers"]["done"]["probabilities"] == {"yes": 0.9, "no": pytest.approx(0.1)}
    assert (whole["state_at"], whole["answered_at"]) == ("2026-11-28T17:23:20Z", "2026-11-28T17:23:20Z")
    assert whole["answers"]["done"]["since"] == "2026-11-28T17:23:20Z"
    whole["answers"]["done"]["probabilities"] = None
    assert less == whole


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["hear", "retained", "clear", "end", "fail", "wait", "wait long"]),
        st.integers(0, 3),
        st.integers(0, 2),
    ),
    max_size=60,
)


@given(EVENTS, st.sampled_from([0, 3, 40]), st.sampled_from([0.0, 0.5]), st.sampled_from([20, 300]))
def test_whatever_happens_it_asks_one_at_a_time_not_too_often_only_about_news_and_comes_to_rest(
    events: list[tuple[str, int, int]], dwell_s: float, hysteresis: float, stale_s: float
) -> None:
    room = Room(
        InputOptions("+"),
        answers=False,
        dwell_s=dwell_s,
        hysteresis=hysteresis,
        stale_s=stale_s,
        interval_s=5,
    )
    failures: list[float] = []
    for what, value, topic in events:
        match what:
            case "hear" | "retained":
                room.hear(value, f"t{topic}", retained=what == "retained")
            case "clear":
                room.hear("", f"t{topic}")
            case "end" if room.watch.asking:
                room.end(value / 3)
            case "fail" if room.watch.asking:
                failures.append(room.now)
                room.fail()
            case "wait":
                room.pass_time(value + 0.5)
            case "wait long":
                room.pass_time(100 * value)
    room.answers = True
    if room.watch.asking:
        room.end(0.9)
    for before, at in pairwise(at for at, _ in room.asked):
        assert at - before >= 5 or any(before <= failed <= at for failed in failures)
    room.pass_time(1000)
    assert room.watch.next_wake() is None
    assert room.choice is None


INPUTS = st.sampled_from(
    [
        [InputOptions("t")],
        [InputOptions("t", keep=3)],
        [InputOptions("t", json_path="$..a")],
        [InputOptions("+", label="x"), InputOptions("u", json_path="$.a[*]", keep=2)],
    ]
)
PAYLOADS = st.binary(max_size=20) | st.sampled_from(
    [b'{"a": [1, "\\ud800"]}', b'"\\u00a0"', b"[" * 61 + b"]" * 61, b"1e999", b'{"a": " "}', b"\xef\xbb\xbf1"]
)


@given(INPUTS, st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["t", "u"]), PAYLOADS), max_size=8))
def test_whatever_comes_is_a_state_that_can_be_asked_about_or_none(
    inputs: list[InputOptions], messages: list[tuple[int, str, bytes]]
) -> None:
    watch = Watch(options_of(*inputs))
    for index, topic, payload in messages:
        watch.hear(min(index, len(inputs) - 1), topic, payload, 0.0)
    asked = watch.turn(1.0)
    if asked is not None:
        assert DecisionRequest.model_validate_json(asked.model_dump_json()).state == asked.state


# Blank is more than what ASCII has.
BLANK = "\u00a0\u3000\u2028\x0b\x1c \n"


@given(
    st.one_of(
        st.binary(max_size=40),
        st.text(st.sampled_from(f'{BLANK}a"[]{{}},:0'), max_size=8).map(str.encode),
    ),
    st.sampled_from([{}, {"json_path": "$"}, {"label": "x"}, {"keep": 2}]),
)
@example("\u3000".encode(), {})
def test_whatever_comes_can_be_asked_about_or_is_passed_over(payload: bytes, fields: dict[str, Any]) -> None:
    watch = Watch(options_of(InputOptions("t", **fields)))
    watch.hear(0, "t", payload, 0.0)
    asked = watch.turn(GATHER_S)
    assert (asked is None) != watch.asking
