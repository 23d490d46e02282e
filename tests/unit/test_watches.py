from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from edgeassist.errors import BusyError, ConfigurationError
from edgeassist.gateways.mqtt import watches as watches_module
from edgeassist.gateways.mqtt.ears import MAX_WAYS
from edgeassist.gateways.mqtt.watches import Watches, WatchesOptions
from edgeassist.protocol.asking import Priority
from edgeassist.protocol.decisions import DecisionAnswer, DecisionRequest, Kind, Question
from edgeassist.protocol.events import Accepted, Done, Failed, Timings, Usage
from edgeassist.protocol.packets import Inbound, Outbound, Subscription
from edgeassist.serving.caller import Caller
from edgeassist.serving.sink import Sink
from edgeassist.watching import watch as watch_module
from edgeassist.watching.gone import Gone
from edgeassist.watching.options import InputOptions, WatchOptions
from tests.unit.conftest import TOPICS, ListLink

DONE = Question(type=Kind.YES_NO, instructions="Done?")
STATE = "edgeassist/box/watch/laundry"


def laundry(*filters: str, **options: Any) -> WatchOptions:
    values: dict[str, Any] = {"name": "laundry", "questions": {"done": DONE}, "interval_s": 0.01, **options}
    return WatchOptions(inputs=tuple(InputOptions(each) for each in filters or ("power",)), **values)


class Requests:
    """Notes what is asked, and ends it as the test says."""

    def __init__(self) -> None:
        self.asked: list[tuple[DecisionRequest, Caller, Sink]] = []
        self.cancelled: list[tuple[str, str | None]] = []
        self.at_once: Callable[[DecisionRequest, Sink], None] | None = None
        self.came = asyncio.Event()

    def submit(self, asked: DecisionRequest, caller: Caller, sink: Sink) -> None:
        sink.send(Accepted(id=asked.id, seq=0, device="box", position=0))
        self.asked.append((asked, caller, sink))
        self.came.set()
        if self.at_once is not None:
            self.at_once(asked, sink)

    def cancel(self, request_id: str, caller: str | None = None) -> bool:
        self.cancelled.append((request_id, caller))
        return True

    @property
    def states(self) -> list[object]:
        return [asked.state for asked, _, _ in self.asked]

    async def next(self) -> DecisionRequest:
        """Wait for a request that was not seen yet."""
        async with asyncio.timeout(10):
            await self.came.wait()
        self.came.clear()
        return self.asked[-1][0]

    def answer(self, yes: float) -> None:
        asked, _, sink = self.asked[-1]
        sink.send(done(asked.id, yes))


def done(request: str, yes: float | None) -> Done:
    answers = None
    if yes is not None:
        answer = DecisionAnswer(
            type="yes_no",
            choice="yes" if yes > 0.5 else "no",
            probabilities={"yes": yes, "no": 1 - yes},
            margin=abs(2 * yes - 1),
            abstain=False,
            noul=yes,
        )
        answers = {"done": answer}
    return Done(
        id=request,
        seq=1,
        text="",
        finish_reason="stop",
        answers=answers,
        usage=Usage(prompt_tokens=1, cached_tokens=0, completion_tokens=0),
        timings=Timings(queue_ms=0, prefill_ms=1, decode_ms=0, total_ms=1),
        model="m",
        device="box",
    )


class Room:
    """Watches before a connection that is a list."""

    def __init__(self, *watches: WatchOptions) -> None:
        self.link = ListLink()
        self.link.connected = False
        self.requests = Requests()
        self.changes = 0
        self.watches = Watches(
            TOPICS, WatchesOptions(watches, "homeassistant"), self.link, self.requests, on_change=self._change
        )
        self.watches.start()

    def connect(self) -> None:
        self.link.connected = True
        self.watches.connected()

    def bring(self, topic: str, payload: object, *, retained: bool = False) -> None:
        raw = payload if isinstance(payload, bytes) else str(payload).encode()
        self.link.bring(Inbound(topic, raw, retained=retained))

    def apply(self, *watches: WatchOptions) -> None:
        self.watches.apply(WatchesOptions(watches, "homeassistant"))

    async def said(self, count: int = 1) -> dict[str, Any]:
        """Return what is said of the first watch, when so many messages have been published."""
        async with asyncio.timeout(10):
            while len(self.link.published) < count:
                await asyncio.sleep(0.005)
        return self.last()

    def last(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.link.published[-1].payload)
        return found

    def _change(self) -> None:
        self.changes += 1


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "GATHER_S", 0.01)
    monkeypatch.setattr(watch_module, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(watches_module, "LEAST_S", 0.001)


async def test_what_came_is_asked_about_and_what_is_known_is_retained() -> None:
    room = Room(laundry())
    room.connect()
    assert room.last()["reason"] == "no message has come yet"
    room.bring("power", 3)
    asked = await room.requests.next()
    assert (asked.state, asked.priority) == (3, Priority.LOW)
    assert room.requests.asked[0][1] == Caller("watch/laundry")
    room.requests.answer(0.9)
    said = await room.said(3)
    message = room.link.published[-1]
    assert (message.topic, message.qos, message.retain) == (STATE, 1, True)
    answer = said["answers"]["done"]
    assert (answer["choice"], answer["probabilities"]["yes"], answer["abstain"]) == ("yes", 0.9, False)
    assert (said["reason"], answer["since"]) == (None, said["answered_at"])
    assert message.shorter is not None
    assert json.loads(message.shorter.payload)["answers"]["done"]["probabilities"] is None


async def test_nothing_is_said_twice_and_all_of_it_again_on_a_new_connection() -> None:
    room = Room(laundry())
    room.bring("power", 3)
    await room.requests.next()
    room.requests.answer(0.9)
    await asyncio.sleep(0.05)
    assert room.link.published == []
    room.connect()
    assert room.last()["answers"]["done"]["choice"] == "yes"
    for _ in range(20):
        room.bring("power", 3)
        await asyncio.sleep(0.002)
    assert len(room.link.published) == 1
    room.connect()
    assert len(room.link.published) == 2
    room.bring("power", 3, retained=True)
    await asyncio.sleep(0.05)
    assert (room.requests.states, len(room.link.published)) == ([3], 2)


async def test_a_refusal_in_the_callers_own_stack_is_told_and_tried_again() -> None:
    room = Room(laundry())
    error = BusyError("2 requests wait")

    def refuse(asked: DecisionRequest, sink: Sink) -> None:
        failed = Failed(
            id=asked.id, seq=0, code=error.code, message=error.message, retryable=True, device="box"
        )
        sink.send(failed)

    room.requests.at_once = refuse
    room.connect()
    room.bring("power", 3)
    await room.requests.next()
    await room.requests.next()
    assert "busy: 2 requests wait; it is asked again" in {
        json.loads(each.payload)["reason"] for each in room.link.published
    }
    room.requests.at_once = lambda asked, sink: sink.send(done(asked.id, 0.1))
    await room.requests.next()
    async with asyncio.timeout(10):
        while room.last()["answers"]["done"]["choice"] != "no":
            await asyncio.sleep(0.005)
    assert room.last()["reason"] is None


async def test_an_end_without_answers_or_of_another_request_is_not_taken_for_one() -> None:
    room = Room(laundry())
    room.connect()
    room.bring("power", 3)
    asked = await room.requests.next()
    room.requests.asked[-1][2].send(done("other", 0.9))
    await asyncio.sleep(0.01)
    assert room.last()["answers"]["done"]["choice"] is None
    room.requests.asked[-1][2].send(done(asked.id, None))
    await room.requests.next()
    assert room.last()["reason"].startswith("internal: ")


async def test_only_watched_topics_are_subscribed_to_each_once_optional_and_without_acknowledgements() -> (
    None
):
    taken: list[Subscription] = []

    class Link(ListLink):
        def subscribe(self, subscription: Subscription, handler: Callable[[Inbound], None]) -> Any:
            taken.append(subscription)
            return super().subscribe(subscription, handler)

    one, other = laundry("secret/a", "secret/#"), laundry("secret/+/b", "x", "x/y", name="other")
    watches = Watches(
        TOPICS, WatchesOptions((one, other), "homeassistant"), Link(), Requests(), on_change=lambda: None
    )
    watches.start()
    assert [each.filter for each in taken] == ["edgeassist/box/watch/+", "secret/#", "x", "x/y"]
    assert all(each.optional and each.qos == 0 for each in taken)
    assert [each.shown for each in taken[1:]] == [
        "a topic of the watch 'laundry'",
        "a topic of the watch 'other'",
        "a topic of the watch 'other'",
    ]


async def test_every_watch_hears_what_its_own_filters_match_whatever_is_subscribed_to() -> None:
    room = Room(
        laundry("home/#"), laundry("home/+/power", name="powers"), laundry("home/a/power", "b", name="exact")
    )
    room.bring("home/a/power", 1)
    room.bring("home/b/power", 2)
    room.bring("home/b", 3)
    await asyncio.sleep(0.05)
    states = {caller.name: asked.state for asked, caller, _ in room.requests.asked}
    assert states == {
        "watch/laundry": {"a/power": 1, "b/power": 2, "b": 3},
        "watch/powers": {"a": 1, "b": 2},
        "watch/exact": {"home/a/power": 1, "b": None},
    }


async def test_ways_from_topics_to_watches_are_kept_within_bounds() -> None:
    room = Room(laundry("#"))
    for number in range(3 * MAX_WAYS):
        room.bring(f"t/{number}", 1)
    (ear,) = room.watches._ears._ears.values()
    assert len(ear.ways) <= MAX_WAYS


async def test_a_watch_that_stays_the_same_keeps_what_it_knows_over_a_reload() -> None:
    same, other = laundry(), laundry("b", name="other")
    room = Room(same)
    room.connect()
    room.bring("power", 3)
    await room.requests.next()
    room.requests.answer(0.9)
    await room.said(3)
    room.apply(same, other)
    assert (room.changes, room.link.topics[-1]) == (1, "edgeassist/box/watch/other")
    room.connect()
    assert json.loads(room.link.published[-2].payload)["answers"]["done"]["choice"] == "yes"
    assert set(room.link.filters) == {"edgeassist/box/watch/+", "power", "b"}
    assert set(room.watches.questions) == {"laundry", "other"}


async def test_a_watch_that_is_removed_is_cancelled_unsubscribed_and_cleared() -> None:
    room = Room(laundry())
    room.connect()
    room.bring("power", 3)
    asked = await room.requests.next()
    room.apply()
    assert room.requests.cancelled == [(asked.id, "watch/laundry")]
    assert room.link.published[-1] == Outbound(STATE, b"", qos=1, retain=True)
    assert room.link.filters == ["edgeassist/box/watch/+"]
    assert room.watches.gone == [Gone("laundry", "done", Kind.YES_NO)]
    room.requests.answer(0.9)
    room.bring("power", 4)
    await asyncio.sleep(0.05)
    assert (len(room.requests.asked), room.link.published[-1].payload) == (1, b"")
    room.apply(laundry())
    assert room.watches.gone == []


async def test_a_watch_that_changes_begins_anew_and_its_topics_are_subscribed_to_again() -> None:
    room = Room(laundry())
    room.connect()
    room.bring("power", 3)
    await room.requests.next()
    room.requests.answer(0.9)
    await room.said(3)
    asked_before = room.link._routes["power"]
    room.apply(laundry(dwell_s=5.0))
    assert room.last()["reason"] == "no message has come yet"
    assert room.link._routes["power"] != asked_before
    room.bring("power", 3, retained=True)
    await room.requests.next()
    assert room.watches.gone == []
    other = Question(type=Kind.CHOICE, instructions="Which?", criteria={"a": None, "b": None})
    room.apply(laundry(questions={"done": other}))
    assert room.watches.gone == [Gone("laundry", "done", Kind.YES_NO)]


async def test_watches_that_can_not_be_on_this_device_are_refused_and_all_stays_as_it_was() -> None:
    room = Room(laundry())
    with pytest.raises(ConfigurationError, match="its answers would be its next question"):
        room.apply(laundry("edgeassist/box/#"))
    assert "power" in room.link.filters


async def test_what_an_earlier_daemon_left_of_a_watch_that_is_no_more_is_taken_away() -> None:
    room = Room(laundry())
    left = {"answers": {"wet": {"type": "yes_no"}, "a/b": {"type": "score"}, "done": {"type": "yes_no"}}}
    room.bring("edgeassist/box/watch/old", json.dumps(left), retained=True)
    assert room.link.published == [Outbound("edgeassist/box/watch/old", b"", qos=1, retain=True)]
    assert room.watches.gone == [Gone("old", "wet", Kind.YES_NO), Gone("old", "done", Kind.YES_NO)]
    room.bring(STATE, json.dumps(left), retained=True)
    assert room.watches.gone[2:] == [Gone("laundry", "wet", Kind.YES_NO)]
    assert (len(room.link.published), room.changes) == (1, 2)


@pytest.mark.parametrize(
    ("topic", "payload", "retained"),
    [
        ("edgeassist/box/watch/old", b"", True),
        ("edgeassist/box/watch/old", b"{}", False),
        ("edgeassist/box/watch/o ld", b"{}", True),
        (STATE, b"no JSON", True),
        (STATE, b'{"answers": {"done": {"type": "yes_no"}}}', True),
        (STATE, b'{"answers": {"done": {"type": "other"}}}', True),
    ],
)
async def test_its_own_word_and_what_is_no_watchs_is_not_taken_for_something_left(
    topic: str,
    payload: bytes,
    retained: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    room = Room(laundry())
    room.bring(topic, payload, retained=retained)
    assert (room.link.published, room.watches.gone, room.changes) == ([], [], 0)


async def test_a_device_that_stops_asks_nothing_more() -> None:
    room = Room(laundry())
    room.connect()
    room.bring("power", 3)
    room.watches.stopping()
    room.bring("power", 4)
    await asyncio.sleep(0.05)
    assert (room.requests.asked, len(room.link.published)) == ([], 1)
    room.watches.close()
    assert room.link.filters == ["edgeassist/box/watch/+"]


async def test_dates_follow_a_clock_that_is_set_and_do_not_jitter() -> None:
    link, wall = ListLink(), [1_000_000_000.0]
    watches = Watches(
        TOPICS,
        WatchesOptions((laundry(),), "homeassistant"),
        link,
        requests := Requests(),
        on_change=lambda: None,
        clock=lambda: 100.0,
        wall=lambda: wall[0],
    )
    watches.start()
    watches._running["laundry"].watch.hear(0, "power", b"1", 90.0)
    watches._turn(watches._running["laundry"])
    requests.answer(0.9)
    await asyncio.sleep(0.01)

    def since() -> str:
        watches.say_all()
        found: str = json.loads(link.published[-1].payload)["answers"]["done"]["since"]
        return found

    assert since() == "2001-09-09T01:46:40Z"
    wall[0] += 0.9
    assert since() == "2001-09-09T01:46:40Z"
    wall[0] += 3600
    assert since() == "2001-09-09T02:46:40Z"


async def test_topics_and_payloads_stay_out_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    room = Room(laundry("hidden/+"))
    room.connect()
    for payload in ("private", b"\xff private", "x" * 10_000):
        room.bring("hidden/topic", payload)
    await room.requests.next()
    room.requests.answer(0.9)
    await asyncio.sleep(0.02)
    room.apply()
    text = caplog.text + "".join(str(each.payload) for each in room.link.published)
    assert "hidden" not in text
    assert "private" not in text
