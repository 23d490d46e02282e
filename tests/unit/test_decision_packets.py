"""What of a decision's answers a small packet holds."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.engine.messages import Decided
from edgeassist.gateways.mqtt.destination import ReplyTo
from edgeassist.gateways.mqtt.replies import Replies, ReplyOptions
from edgeassist.protocol.asking import End, ReplyFormat
from edgeassist.protocol.decisions import DecisionAnswer
from edgeassist.protocol.events import Done, parse_event
from edgeassist.protocol.fitting import room
from edgeassist.protocol.packets import Outbound
from edgeassist.serving.stream import Stream
from tests.unit.conftest import PACE, ListLink

TOPIC = "reply/esp32/d1"
OPTIONS = ReplyOptions(chunk_bytes=1024, chunk_qos=1, final_qos=1)


def answers(count: int, options: int = 3) -> dict[str, DecisionAnswer]:
    shares = {f"option {number}": round(1 / options, 6) for number in range(options)}
    return {
        f"question{number}": DecisionAnswer(
            type="choice", choice="option 0", probabilities=shares, margin=0.123456, abstain=True
        )
        for number in range(count)
    }


def say(
    told: dict[str, DecisionAnswer],
    *,
    most_bytes: int = 1 << 20,
    metadata: dict[str, Any] | None = None,
    text: str = "",
    **to: Any,
) -> tuple[list[Outbound], dict[str, Any]]:
    """Return what is published, and the end of it."""
    link = ListLink(most_bytes=most_bytes)
    reply_to = ReplyTo(TOPIC, stream=False, **to)
    sink = Replies("d1", reply_to, OPTIONS, cancel="c", link=link)
    stream = Stream("d1", sink, pace=PACE, device="box", arrived=0.0, chunks=False, metadata=metadata)
    stream.started(0.1)
    stream.decided(Decided("1", (), 400, 300, 5.0), told, text=text, model="some model", now=0.2)
    for message in link.published if reply_to.max_packet else ():
        assert len(message.payload) <= (room(reply_to.max_packet or 0, message.topic, None) or 0)
    end = json.loads(link.published[-1].payload)
    return link.published, end


def test_all_is_said_where_there_is_room() -> None:
    _, end = say(answers(2), metadata={"a": 1})
    names = "text finish_reason tool_calls answers usage timings model device history_dropped metadata"
    assert set(end) == {"id", "seq", "type", *names.split()}
    assert len(end["answers"]["question1"]["probabilities"]) == 3


@pytest.mark.parametrize(
    ("max_packet", "count", "kept"),
    [
        (700, 2, {"metadata", "usage", "probabilities", "margin"}),
        (490, 2, {"usage", "probabilities", "margin"}),
        (430, 2, {"probabilities", "margin"}),
        (340, 2, {"margin"}),
        (256, 3, set()),
    ],
)
def test_what_matters_least_is_left_out_first(max_packet: int, count: int, kept: set[str]) -> None:
    _, end = say(answers(count), metadata={"note": "n" * 60}, max_packet=max_packet)
    own = end["answers"]["question0"]
    assert {name for name in ("metadata", "usage") if name in end} | {
        name for name in ("probabilities", "margin") if name in own
    } == kept
    assert (end["type"], own["choice"], own["abstain"]) == ("done", "option 0", True)
    assert len(end["answers"]) == count


def test_picks_that_do_not_fit_are_an_error_that_says_what_to_do() -> None:
    (message,), end = say(answers(8), max_packet=256)
    assert (end["type"], end["code"], end["retryable"]) == ("error", "too_large", False)
    assert end["message"].startswith("ask fewer questions at once, or shorten names and options")
    assert message.qos == 1
    assert "max_packet leaves room for 378" in say(answers(8), max_packet=400)[1]["message"]


def test_a_short_end_has_no_probabilities_and_no_timings() -> None:
    _, end = say(answers(1), end=End.SHORT, metadata={"a": 1})
    assert set(end) == {"id", "seq", "type", "finish_reason", "answers", "usage", "metadata"}
    assert set(end["answers"]["question0"]) == {"type", "choice", "margin", "abstain"}


def test_a_broker_that_takes_less_gets_the_picks_and_then_an_error() -> None:
    _, end = say(answers(8, options=20), most_bytes=1500, metadata={"a": 1})
    assert set(end["answers"]["question7"]) == {"type", "choice", "margin", "abstain"}
    assert isinstance(parse_event(json.dumps(end).encode()), Done)
    _, end = say(answers(30, options=20), most_bytes=500, metadata={"a": 1})
    assert (end["type"], end["code"]) == ("error", "too_large")
    assert "the broker does not take as much" in end["message"]


@given(
    names=st.lists(st.text('a厨"\\x01', min_size=1, max_size=64), min_size=1, max_size=12, unique=True),
    options=st.lists(st.text('b房"', min_size=1, max_size=64), min_size=2, max_size=8, unique=True),
    max_packet=st.integers(256, 3000),
    short=st.booleans(),
    bare=st.booleans(),
)
def test_no_packet_is_too_large_and_none_is_invalid_whatever_is_answered(
    names: list[str], options: list[str], max_packet: int, *, short: bool, bare: bool
) -> None:
    pick = options[0]
    shares = dict.fromkeys(options, 1 / len(options))
    one = DecisionAnswer(type="score", choice=pick, probabilities=shares, margin=0, abstain=True, score=1)
    names = names[:1] if bare else names
    published, end = say(
        dict.fromkeys(names, one),
        text=pick if bare else "",
        metadata={"note": "n" * 100},
        max_packet=max_packet,
        end=End.SHORT if short else End.FULL,
        format=ReplyFormat.TEXT if bare else ReplyFormat.EVENTS,
    )
    assert end["type"] == "done" or (end["code"] == "too_large" and not bare)
    if "answers" in end:
        assert {name: each["choice"] for name, each in end["answers"].items()} == dict.fromkeys(names, pick)
    if bare:
        assert b"".join(each.payload for each in published[:-1]).decode() == pick


def test_with_bare_text_the_end_leaves_the_answers_out_at_last_because_the_pick_is_said() -> None:
    told = {"问" * 64: DecisionAnswer(type="choice", choice="o" * 64, margin=1, abstain=False)}
    published, end = say(told, text="o" * 64, format=ReplyFormat.TEXT, max_packet=256)
    assert [message.payload for message in published[:2]] == [b"o" * 64, b""]
    assert (end["type"], end["seq"]) == ("done", 2)
    assert "answers" not in end
    _, end = say(answers(1), text="option 0", format=ReplyFormat.TEXT, max_packet=256)
    assert end["answers"]["question0"]["choice"] == "option 0"
