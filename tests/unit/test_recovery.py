"""What a start makes of what an earlier run left: asked over MQTT, written to a journal that is a list."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from edgeassist.engine.messages import Delta
from edgeassist.gateways.mqtt import origin
from edgeassist.gateways.mqtt.intake import ReplyRules
from edgeassist.protocol.events import parse_event
from edgeassist.protocol.packets import Inbound
from edgeassist.serving.caller import Key
from edgeassist.serving.journal import Entry, Found
from edgeassist.serving.recovery import MOST_STARTS, Recovery
from edgeassist.serving.returning import SEQ_AFTER_START
from tests.unit.conftest import TOPICS, House, MakeHouse


@dataclass
class ListJournal:
    """Keeps what it is told, and says that it is written when the test does."""

    found: dict[int, Found] = field(default_factory=dict)
    waiting: list[Callable[[], None]] = field(default_factory=list)
    at_once: bool = True
    # What had begun when the daemon was killed, and was not written down.
    begun: list[tuple[Key, bytes]] = field(default_factory=list)

    def had_begun(self, key: Key, fingerprint: bytes) -> bool:
        return (key, fingerprint) in self.begun

    def accept(self, entry: Entry, on_safe: Callable[[], None]) -> int | None:
        number = len(self.found) + 1
        self.found[number] = Found(number, entry, 0.0, began=False, starts=1)
        self._tell(on_safe)
        return number

    def keeps(self, number: int) -> bool:
        return self.at_once and number in self.found and self.found[number].end is None

    def begin(self, number: int) -> None:
        self.found[number] = replace(self.found[number], began=True)

    def end(self, number: int, end: bytes, then: Callable[[], None], *, replayed: bool) -> None:
        del replayed
        self.found[number] = replace(self.found[number], end=end)
        self._tell(then)

    def deliver(self, number: int) -> None:
        self.found[number] = replace(self.found[number], delivered=True)

    def forget(self, number: int) -> None:
        del self.found[number]

    def _tell(self, call: Callable[[], None]) -> None:
        if self.at_once:
            call()
        else:
            self.waiting.append(call)

    def tell(self) -> None:
        """Say that all is written."""
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            each()


class Device:
    """A daemon's rooms, which a test may start again."""

    def __init__(self, make_house: MakeHouse) -> None:
        self._make = make_house
        self.journal = ListJournal()
        self.acknowledged: list[int] = []
        self._packets = 0
        self.house = self._start()

    def _start(self) -> House:
        house = self._make(self.journal)
        house.asking.apply(replace(house.options, durable=True))
        return house

    def restart(self, away_s: float = 1.0, *, rules: ReplyRules | None = None) -> House:
        """Kill it, and start it again."""
        self.house = self._start()
        if rules is not None:
            self.house.asking.apply(replace(self.house.options, durable=True, rules=rules))
        found = self.journal.found
        for number, each in found.items():
            found[number] = replace(each, elapsed_s=each.elapsed_s + away_s, ended_s=each.ended_s + away_s)
        recovery = Recovery(self.house.requests.returning, self.journal, self.house.asking.restore)
        recovery.take_up(list(found.values()), self.house.clock())
        return self.house

    def ask(self, name: str | None = "a", *, client: str | None = None, **fields: Any) -> Inbound:
        """Deliver a prompt at QoS 1; return the message."""
        self._packets += 1
        packet = self._packets
        document = {"prompt": "x", **({} if name is None else {"id": name}), **fields}
        message = Inbound(
            TOPICS.prompt(client),
            json.dumps(document).encode(),
            packet_id=packet,
            qos=1,
            acknowledge=lambda: self.acknowledged.append(packet),
        )
        self.bring(message)
        return message

    def bring(self, message: Inbound) -> None:
        self.house.clock.now += 0.001
        self.house.link.bring(message)

    def settle(self, *, delivered: bool = True) -> None:
        """Let the broker take, or drop, what was published and is asked about; then let time pass."""
        for message in self.house.published:
            if message.on_settled is not None:
                message.on_settled(delivered)
        unheard = self.house.repeats._unheard
        later = time.monotonic() + 100
        unheard.forget_heard(later)
        assert list(unheard.due(later, everyone=False, over=True, last=True)) == []


@pytest.fixture
def device(make_house: MakeHouse) -> Device:
    return Device(make_house)


def test_a_prompt_is_submitted_at_once_and_acknowledged_when_it_is_written(device: Device) -> None:
    device.journal.at_once = False
    device.house.ready()
    device.ask("a")
    assert device.house.types("a") == ["accepted"]
    assert len(device.house.engine.starts) == 1
    assert device.acknowledged == []
    device.journal.tell()
    assert device.acknowledged == [1]


def test_a_repeat_is_acknowledged_with_the_first_and_a_refusal_when_the_broker_has_it(device: Device) -> None:
    device.journal.at_once = False
    message = device.ask("a")
    device.bring(replace(message, packet_id=9, acknowledge=lambda: device.acknowledged.append(9)))
    device.bring(replace(message, redelivered=True, acknowledge=lambda: device.acknowledged.append(10)))
    device.ask("a", prompt="another")
    assert device.acknowledged == []
    device.journal.tell()
    assert device.acknowledged == [1, 9, 10]
    device.settle()
    assert device.acknowledged == [1, 9, 10, 2]


def test_what_can_not_be_read_is_acknowledged_when_its_refusal_is_with_the_broker(device: Device) -> None:
    device.ask("a", nonsense=1)
    assert device.acknowledged == []
    device.settle()
    assert device.acknowledged == [1]


def test_at_qos_0_and_where_it_is_off_nothing_is_written_and_all_is_acknowledged(device: Device) -> None:
    message = device.ask("a")
    device.bring(replace(message, payload=b'{"id":"b","prompt":"x"}', qos=0))
    device.house.asking.apply(replace(device.house.options, durable=False))
    device.ask("c")
    device.bring(
        Inbound(TOPICS.prompt(), b"x", retained=True, acknowledge=lambda: device.acknowledged.append(7))
    )
    assert [each.entry.key.name for each in device.journal.found.values()] == ["a"]
    assert device.acknowledged == [1, 1, 2, 7]


def test_an_end_is_said_when_it_is_written_and_noted_as_delivered_when_the_broker_has_it(
    device: Device,
) -> None:
    device.house.ready()
    device.ask("a")
    device.journal.at_once = False
    device.house.finish("1", "hello")
    assert device.house.types("a") == ["accepted", "chunk"]
    device.journal.tell()
    assert device.house.types("a") == ["accepted", "chunk", "done"]
    assert not device.journal.found[1].delivered
    device.settle()
    assert device.journal.found[1].delivered


def test_what_waited_runs_again_in_its_order_with_its_priority_and_a_new_accepted(device: Device) -> None:
    for name, priority in (("a", "normal"), ("b", "normal"), ("c", "high")):
        device.ask(name, priority=priority, prompt=f"the prompt {name}")
    house = device.restart()
    assert [house.types(name) for name in "abc"] == [["accepted"]] * 3
    assert house.heard("a")[0]["seq"] == 0
    house.ready(slots=3)
    asked = [start.messages[-1].content for start in house.engine.starts]
    assert asked == ["the prompt c", "the prompt a", "the prompt b"]
    assert device.acknowledged == [1, 2, 3]
    house.finish("2", "hello")
    assert house.types("a") == ["accepted", "chunk", "done"]


def test_more_wait_again_than_may_come_anew(device: Device) -> None:
    for number in range(4):
        device.ask(f"r{number}")
    for number in (4, 5):
        entry = replace(device.journal.found[1].entry, key=Key("", f"r{number}"))
        device.journal.found[number + 1] = Found(number + 1, entry, 0.0, began=False, starts=1)
    house = device.restart()
    assert house.requests.queued == 6
    device.ask("r6")
    assert house.error("r6") == "quota_exceeded"


@pytest.mark.parametrize("fields", [{}, {"stream": False}])
def test_what_runs_and_has_said_nothing_runs_again(device: Device, fields: dict[str, Any]) -> None:
    device.house.ready()
    device.ask("a", **fields)
    house = device.restart()
    house.ready()
    house.finish("1", "hello")
    assert house.heard("a")[-1]["text"] == "hello"


def begin(device: Device, **fields: Any) -> None:
    """Ask, and let some text go out."""
    device.house.ready()
    device.ask("a", **fields)
    device.house.say(Delta("1", "he"))
    assert device.house.types("a")[-1] == "chunk"


def test_what_has_said_nothing_at_an_orderly_stop_waits_for_the_next_start(device: Device) -> None:
    device.house.ready(slots=2)
    begin(device)
    device.ask("reads")
    device.ask("waits")
    device.house.requests.close()
    device.ask("late")
    device.house.requests.abandon()
    device.ask("too-late")
    names = ("reads", "waits", "late")
    assert [device.house.types(name) for name in names] == [["accepted"]] * 3
    assert [device.house.error(name) for name in ("a", "too-late")] == ["shutting_down"] * 2
    assert (device.house.requests.queued, device.house.requests.running) == (0, 0)
    device.settle()
    house = device.restart()
    house.ready(slots=3)
    assert len(house.engine.starts) == 3
    assert [house.types(name) for name in (*names, "too-late")] == [["accepted"]] * 3 + [[]]


def test_what_begins_anew_after_a_crash_does_so_after_an_orderly_stop(device: Device) -> None:
    begin(device, on_crash="rerun")
    device.house.requests.close()
    device.house.requests.abandon()
    assert device.house.types("a") == ["accepted", "chunk"]
    assert device.house.engine.cancels == ["1"]
    assert (device.house.requests.queued, device.house.requests.running) == (0, 0)
    house = device.restart()
    house.ready()
    house.finish("1", "hello")
    events = [(event["type"], event["seq"]) for event in house.heard("a")]
    assert events == [("accepted", 0), ("chunk", 1), ("done", 2)]


def test_what_would_begin_anew_and_is_not_on_the_disk_ends_at_a_stop(device: Device) -> None:
    begin(device, on_crash="rerun")
    device.journal.at_once = False
    device.house.requests.close()
    device.house.requests.abandon()
    device.journal.tell()
    assert device.house.error("a") == "shutting_down"


def test_what_can_not_be_written_ends_at_a_stop(device: Device) -> None:
    device.journal.at_once = False
    device.house.ready(slots=0)
    device.ask("a")
    device.house.requests.close()
    assert "error" not in device.house.types("a")
    device.house.requests.abandon()
    device.journal.tell()
    device.journal.tell()
    assert device.house.error("a") == "shutting_down"


def test_what_is_on_its_way_to_the_disk_when_a_stop_begins_waits_for_the_next_start(device: Device) -> None:
    device.journal.at_once = False
    device.house.ready(slots=0)
    device.ask("a")
    device.house.requests.close()
    device.journal.tell()
    device.house.requests.abandon()
    assert "error" not in device.house.types("a")


def test_what_had_begun_ends_in_one_error_behind_all_that_was_said(device: Device) -> None:
    begin(device, metadata={"room": 1})
    house = device.restart()
    (error,) = house.heard("a")
    assert (error["code"], error["retryable"], error["seq"]) == ("interrupted", True, SEQ_AFTER_START)
    assert error["metadata"] == {"room": 1}
    assert "repeat" not in error
    device.settle()
    assert device.journal.found[1].delivered


@pytest.mark.parametrize("rerun", [False, True])
def test_what_had_begun_before_it_was_written_down_does_not_begin_anew_when_the_broker_brings_it_again(
    device: Device, *, rerun: bool
) -> None:
    device.journal.at_once = False
    more = {"on_crash": "rerun"} if rerun else {}
    device.house.ready()
    message = device.ask("a", **more)
    device.house.say(Delta("1", "he"))
    entry = device.journal.found.pop(1).entry
    device.journal.begun = [(entry.key, entry.fingerprint)]
    device.journal.waiting.clear()
    device.journal.at_once = True
    house = device.restart()
    device.bring(replace(message, redelivered=True))
    if rerun:
        assert [(event["type"], event["seq"]) for event in house.heard("a")] == [("accepted", 0)]
        return
    (error,) = house.heard("a")
    assert (error["code"], error["seq"]) == ("interrupted", SEQ_AFTER_START)
    assert device.acknowledged == [1]
    # Its end is as safe as any other's.
    assert device.journal.found[1].end is not None
    device.settle()
    assert device.journal.found[1].delivered


def test_who_asks_again_by_himself_has_it_begun_anew(device: Device) -> None:
    device.journal.at_once = False
    message = device.ask("a")
    entry = device.journal.found.pop(1).entry
    device.journal.begun = [(entry.key, entry.fingerprint)]
    house = device.restart()
    device.bring(message)
    assert house.types("a") == ["accepted"]


def test_what_is_held_back_until_it_is_written_has_not_begun(device: Device) -> None:
    device.journal.at_once = False
    device.house.ready()
    device.ask(None)
    device.house.say(Delta("1", "he"))
    assert device.house.published == []
    assert not device.journal.found[1].began
    device.journal.tell()
    assert [json.loads(each.payload)["type"] for each in device.house.published] == ["accepted", "chunk"]
    assert device.journal.found[1].began


def test_what_had_begun_runs_anew_where_it_asks_for_that(device: Device) -> None:
    begin(device, on_crash="rerun")
    house = device.restart()
    house.ready()
    house.finish("1", "hello")
    assert [(event["type"], event["seq"]) for event in house.heard("a")] == [
        ("accepted", 0),
        ("chunk", 1),
        ("done", 2),
    ]


def test_a_deadline_goes_on_while_the_device_is_away(device: Device) -> None:
    device.ask("a", timeout_s=30)
    device.ask("b", timeout_s=40)
    house = device.restart(away_s=31)
    assert house.error("a") == "deadline_exceeded"
    assert house.types("b") == ["accepted"]


async def test_what_is_left_of_a_deadline_holds(device: Device) -> None:
    device.ask("b", timeout_s=40)
    house = device.restart(away_s=31)
    await house.pass_time(8)
    assert house.types("b") == ["accepted"]
    await house.pass_time(2)
    assert house.error("b") == "deadline_exceeded"


def test_an_end_that_was_not_delivered_is_said_again_as_it_was_and_marked(device: Device) -> None:
    device.house.ready()
    device.ask("a")
    device.house.finish("1", "hello")
    end = device.house.heard("a")[-1]
    house = device.restart()
    assert house.heard("a") == [{**end, "repeat": True}]
    assert not device.journal.found[1].delivered
    device.settle()
    assert device.journal.found[1].delivered


def test_an_end_that_the_broker_drops_at_every_start_is_given_up(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    device.house.ready()
    device.ask("a")
    device.house.finish("1", "hello")
    device.journal.found[1] = replace(device.journal.found[1], starts=MOST_STARTS + 1)
    house = device.restart()
    assert house.published == []
    assert device.journal.found == {}
    assert "could not be delivered" in caplog.text


def test_a_client_that_asks_again_by_id_gets_the_same_end(device: Device) -> None:
    device.house.ready()
    message = device.ask("a")
    device.house.finish("1", "hello")
    device.settle()
    end = device.house.heard("a")[-1]
    house = device.restart(away_s=100)
    assert house.published == []
    device.bring(replace(message, packet_id=77))
    assert house.heard("a") == [{**end, "repeat": True}]
    house = device.restart(away_s=600)
    device.bring(replace(message, packet_id=78))
    assert house.types("a") == ["accepted"]


def test_a_prompt_without_an_id_keeps_the_one_that_it_was_given_and_is_known_when_it_comes_again(
    device: Device,
) -> None:
    message = device.ask(None)
    name = json.loads(device.house.published[0].payload)["id"]
    topic = device.house.published[0].topic
    house = device.restart()
    assert (house.heard(name)[0]["type"], house.published[0].topic) == ("accepted", topic)
    # The broker had no acknowledgement of it.
    device.bring(replace(message, redelivered=True))
    assert [json.loads(each.payload)["id"] for each in house.published] == [name]
    assert device.acknowledged == [1, 1]


def test_a_decision_is_made_after_a_restart(device: Device) -> None:
    document = {
        "id": "d",
        "state": "dark",
        "questions": {"on": {"type": "yes_no", "instructions": "Lamp on?"}},
    }
    device.bring(
        Inbound(TOPICS.decide("alice"), json.dumps(document).encode(), qos=1, acknowledge=lambda: None)
    )
    house = device.restart()
    house.ready()
    house.decided("1", (2.0, 0.0))
    assert house.heard("d")[-1]["answers"]["on"]["choice"] == "yes"
    assert house.published[-1].topic == TOPICS.reply("d", "alice")


def test_a_topic_that_is_not_allowed_any_more_is_told_where_answers_go_by_default(device: Device) -> None:
    device.ask("a", reply_to="reply/mine")
    house = device.restart(rules=ReplyRules(("{root}/reply/",), 2000))
    assert house.error("a") == "invalid_request"
    assert house.published[0].topic == TOPICS.reply("a")
    assert device.journal.found[1].end is not None


def test_a_model_that_can_not_do_it_any_more_is_told_when_it_is_there(device: Device) -> None:
    device.ask("a", choice=["yes", "no"])
    house = device.restart()
    house.ready(constrains=False)
    assert house.error("a") == "unsupported"


def test_requests_of_a_session_wait_for_each_other_and_what_was_said_before_is_gone(device: Device) -> None:
    device.ask("a", session="s")
    device.ask("b", session="s", resume=True)
    house = device.restart()
    house.ready(slots=2)
    assert len(house.engine.starts) == 1
    house.finish("1", "hello")
    assert len(house.engine.starts) == 2
    device.ask("c", session="s", resume=True)
    # Only `c` and what it goes on with are unknown to the next run.
    device.journal.found = {3: device.journal.found[3]}
    house = device.restart()
    assert house.error("c") == "invalid_request"
    assert "started anew" in house.heard("c")[-1]["message"]


def test_what_ended_the_daemon_again_and_again_is_given_up(device: Device) -> None:
    device.ask("a")
    device.journal.found[1] = replace(device.journal.found[1], starts=MOST_STARTS)
    assert device.restart().types("a") == ["accepted"]
    device.journal.found[1] = replace(device.journal.found[1], starts=MOST_STARTS + 1)
    assert device.restart().error("a") == "interrupted"


def test_what_can_not_be_read_is_dropped_and_keeps_nothing_else(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    for name in "abcd":
        device.ask(name)
    found = device.journal.found
    found[1] = replace(found[1], entry=replace(found[1].entry, origin=b"rubbish"))
    strange = origin.to_bytes(Inbound("another/device/prompt", b"x"))
    found[2] = replace(found[2], entry=replace(found[2].entry, origin=strange))
    found[3] = replace(found[3], end=b'{"type":"done"}')
    house = device.restart()
    assert [house.types(name) for name in "abcd"] == [[], [], [], ["accepted"]]
    assert list(found) == [4]
    assert "could not be taken up" in caplog.text


def test_a_request_that_came_again_before_the_journal_could_be_read_runs_once(device: Device) -> None:
    message = device.ask("a")
    found = device.journal.found.pop(1)
    house = device.restart()
    device.bring(message)
    device.journal.found[5] = replace(found, number=5)
    Recovery(house.requests.returning, device.journal, house.asking.restore).take_up(
        [device.journal.found[5]], house.clock()
    )
    assert house.types("a") == ["accepted"]
    assert 5 not in device.journal.found


def test_a_message_becomes_bytes_and_the_same_message_again() -> None:
    message = Inbound("t/x", bytes(range(256)), packet_id=7, response_topic="r/ünï", correlation=b"\0\xff")
    assert origin.from_bytes(origin.to_bytes(message)) == message
    bare = Inbound("t/x", b"")
    assert origin.from_bytes(origin.to_bytes(bare)) == bare
    for broken in (b"", b"\xc1", origin.to_bytes(message)[:-1]):
        with pytest.raises(ValueError, match="no message"):
            origin.from_bytes(broken)


def test_an_end_of_a_durable_request_that_no_journal_has_is_said_all_the_same(make_house: MakeHouse) -> None:
    house = make_house()
    house.asking.apply(replace(house.options, durable=True))
    acknowledged: list[bool] = []
    house.ready()
    house.receive(b'{"id":"a","prompt":"x"}', qos=1, acknowledge=lambda: acknowledged.append(True))
    assert acknowledged == [True]
    house.finish("1", "hello")
    assert house.types("a") == ["accepted", "chunk", "done"]
    assert parse_event(house.published[-1].payload).type == "done"
