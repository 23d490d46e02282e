"""What is known of a device from outside, whatever stands on its topics."""

import json
from typing import Any

import pytest
from pydantic import BaseModel

from edgeassist.broker import BrokerOptions
from edgeassist.protocol.events import Done, Failed, Timings, Usage
from edgeassist.protocol.packets import Inbound
from edgeassist.protocol.state import Health, Info, ModelInfo, Percentiles, Telemetry
from edgeassist.protocol.topics import fleet_topics
from edgeassist.protocol.watches import WatchAnswer, WatchState
from edgeassist.sight import listening, words
from edgeassist.sight.box import MAX_WATCHES, Box
from edgeassist.sight.reading import (
    EndSeen,
    HealthSeen,
    InfoSeen,
    ModelSeen,
    RequestsSeen,
    Seen,
    SpreadSeen,
    TelemetrySeen,
    WatchAnswerSeen,
    WatchSeen,
)
from edgeassist.sight.series import KEPT, Series
from tests.unit.conftest import TOPICS
from tests.unit.seen import health, telemetry


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (HealthSeen, Health),
        (TelemetrySeen, Telemetry),
        (SpreadSeen, Percentiles),
        (InfoSeen, Info),
        (ModelSeen, ModelInfo),
        (WatchSeen, WatchState),
        (WatchAnswerSeen, WatchAnswer),
    ],
)
def test_what_is_read_is_what_the_contract_says(seen: type[Seen], said: type[BaseModel]) -> None:
    assert seen.model_fields.keys() <= said.model_fields.keys()


def test_what_is_read_of_an_end_is_what_the_contract_says() -> None:
    assert EndSeen.model_fields.keys() <= Done.model_fields.keys() | Failed.model_fields.keys()
    assert {"ttft_ms", "decode_tokens_per_s"} <= Timings.model_fields.keys()
    assert "completion_tokens" in Usage.model_fields


@pytest.mark.parametrize("field", HealthSeen.model_fields)
@pytest.mark.parametrize("wrong", [{}, [], "x\x1b[2J", -1, float("nan"), 10**400, None])
def test_a_field_that_is_not_what_it_should_be_costs_no_other(field: str, wrong: Any) -> None:
    document = {**json.loads(health()), field: wrong}
    seen = HealthSeen.read(json.dumps(document).encode())
    assert seen is not None
    others = HealthSeen.model_fields.keys() - {field}
    assert all(getattr(seen, name) == document[name] for name in others)


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"null", b'"ready"', b"\xff", b" " * 300_000 + b"{}"])
def test_what_is_no_document_is_none(payload: bytes) -> None:
    assert HealthSeen.read(payload) is None
    box = Box("pi", "edgeassist/pi")
    box.hear_status(payload, 0.0)
    box.hear_health(payload, 0.0, retained=True)
    box.hear_telemetry(payload, 0.0, retained=True)
    box.hear_info(payload)
    box.hear_watch("heat", payload)
    assert (box.online, box.able, box.watches) == (False, False, {})


def test_a_device_that_speaks_is_there_whatever_its_status_says() -> None:
    box = Box("pi", "edgeassist/pi")
    box.hear_status(b"offline", 0.0)
    box.hear_health(health(), 0.0, retained=True)
    assert (box.online, box.able) == (False, False)
    box.hear_health(health(), 1.0, retained=False)
    assert (box.online, box.able, box.stale_status) == (True, True, True)
    box.hear_status(b"online", 2.0)
    assert (box.online, box.stale_status) == (True, False)
    box.hear_status(b"offline", 3.0)
    assert not box.online


def test_a_device_runs_on_between_two_reports() -> None:
    box = Box("pi", "edgeassist/pi")
    assert box.uptime_s(0.0) is None
    box.hear_status(b"online", 0.0)
    box.hear_health(health(uptime_s=5), 10.0, retained=False)
    assert box.uptime_s(40.0) == 35.0


def test_a_device_is_silent_after_three_of_its_reports_did_not_come() -> None:
    box = Box("pi", "edgeassist/pi")
    box.hear_status(b"online", 0.0)
    assert (box.silent_s(90.0), box.silent_s(91.0)) == (None, 91.0)
    box.hear_info(b'{"settings": {"daemon": {"telemetry_s": 5}}}')
    assert (box.silent_s(15.0), box.silent_s(16.0)) == (None, 16.0)
    box.hear_telemetry(telemetry(), 16.0, retained=False)
    assert box.silent_s(17.0) is None


def test_figures_are_of_each_answer_where_ends_are_heard_and_medians_else() -> None:
    box = Box("pi", "edgeassist/pi")
    box.hear_telemetry(telemetry(), 0.0, retained=True)
    assert box.history.rate.latest(9) == [30.5]
    for rate in (20.0, 25.0):
        end = {"type": "done", "timings": {"ttft_ms": 5 * rate, "decode_tokens_per_s": rate}}
        box.hear_end(EndSeen.model_validate(end), 1.0)
    box.hear_telemetry(telemetry(), 2.0, retained=False)
    assert box.history.rate.latest(9) == [20.0, 25.0]
    assert box.history.first.latest(9) == [100.0, 125.0]
    box.hear_end(EndSeen.model_validate({**end, "repeat": True}), 3.0)
    box.hear_end(EndSeen.model_validate({**end, "answers": {"q": {}}}), 3.0)
    assert box.history.rate.latest(9) == [20.0, 25.0]
    box.hear_end(EndSeen.model_validate({"type": "error", "code": "busy"}), 4.0)
    assert box.last_error == "busy"


def test_the_rate_of_what_runs_is_how_many_tokens_came_since_the_list_before() -> None:
    box = Box("pi", "edgeassist/pi")

    def listed(at: float, **tokens: int) -> float | None:
        requests = [{"id": id_, "state": "running", "completion_tokens": n} for id_, n in tokens.items()]
        box.hear_requests(RequestsSeen.model_validate({"requests": requests}), at)
        return box.rate

    assert listed(0.0, a=10) is None
    assert listed(2.0, a=30, b=10) == 15.0
    # One that began again.
    assert listed(4.0, a=4, b=30) == 10.0
    assert listed(5.0) is None
    listed(6.0, a=1)
    box.hear_health(health(running=0, queued=0), 7.0, retained=False)
    assert (box.rate, box.requests) == (None, None)
    assert box.history.flow.latest(9) == [15.0, 10.0, 1.0, 0.0]


def test_watches_are_few_and_go_with_the_settings() -> None:
    box = Box("pi", "edgeassist/pi")
    for number in range(MAX_WATCHES + 10):
        box.hear_watch(f"w{number}", b"{}")
    assert len(box.watches) == MAX_WATCHES
    box.hear_info(b'{"settings": {"watch": [{"name": "w1"}, 7, {}]}}')
    assert set(box.watches) == {"w1"}


def test_a_history_is_short() -> None:
    series = Series()
    for number in range(2 * KEPT):
        series.add(float(number), number)
    assert len(series.latest(10 * KEPT)) == KEPT
    assert series.latest(0) == []


def test_a_history_over_time_holds_each_value_until_the_next() -> None:
    series = Series()
    assert series.over_time(9.0, cells=3, step_s=2.0) == [None, None, None]
    series.add(1.0, 4)
    series.add(5.0, 2)
    series.add(5.5, 0)
    assert series.over_time(11.0, cells=6, step_s=2.0) == [4, 4, 4, 0, 0, 0]
    assert series.over_time(11.9, cells=6, step_s=2.0) == [4, 4, 4, 0, 0, 0]
    assert series.over_time(12.0, cells=6, step_s=2.0) == [4, 4, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3600, "1 h 0 min"),
        (90_000, "1 d 1 h"),
        (9e9, "104166 d 16 h"),
    ],
)
def test_a_period_in_its_two_largest_units(seconds: float, said: str) -> None:
    assert words.period(seconds) == said


def test_a_watch_of_which_half_is_broken_says_the_other() -> None:
    watch = WatchSeen.read(
        b'{"answers": {"open": {"choice": "yes", "probabilities": {"yes": 0.93}}, "b": 3}, "reason": "late"}'
    )
    assert words.known(watch) == "open yes (93%), b unknown: late"
    assert words.known(None) == "nothing is said of it"


def test_more_boxes_than_are_kept_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening, "MOST_BOXES", 3)
    fleet = fleet_topics("edgeassist", "home")
    sight = listening.Sight(BrokerOptions("localhost", 1, client_id="c"), [TOPICS], fleet=fleet)
    for name in ("a", "b", "c", "d", "d"):
        state = {"device": name, "root": f"edgeassist/{name}", "session": "s", "protocol": 1}
        state |= {"state": "online", "boot_id": "b", "version": "1"}
        sight._hear_member(fleet, Inbound(fleet.box(name), json.dumps(state).encode()))
    assert [box.device for box in sight.boxes] == ["a", "b", "box"]
    assert sight.left_out == 2
