"""What runs while a long prompt is turned into tokens."""

from collections.abc import Iterable
from queue import SimpleQueue
from typing import Any

import pytest

from edgeassist.engine import worker as worker_module
from edgeassist.engine.deciding.branches import Inquiry
from edgeassist.engine.encoder import Encoder, Prompt
from edgeassist.engine.messages import (
    Cancel,
    Cancelled,
    ChatMessage,
    Command,
    Decide,
    Delta,
    Encoding,
    Event,
    Failed,
    Finished,
    Heartbeat,
    Prefilled,
    Question,
    QuestionKind,
    Right,
    Sampling,
    Shot,
    Start,
    ToolCall,
)
from edgeassist.engine.preparation import Prepared
from tests.patience import PATIENCE_S
from tests.unit.conftest import MakeEngine

OPEN = Question(QuestionKind.YES_NO, "Open?", ("yes", "no"))
LONG = "wait: " + "as-long-as-a-word-may-be " * 400


def start(request: str, prompt: str) -> Start:
    return Start(request, (ChatMessage("user", prompt),), Sampling(), max_tokens=9)


def test_answers_stream_while_a_long_prompt_is_encoded(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=2, context=4096)

    def react(event: Event) -> Iterable[Command]:
        if isinstance(event, Finished) and event.id == "short":
            engine.codec.gate.set()
        return []

    events = engine.serve(start("long", LONG), start("short", "one two three four"), react=react)
    done = events.index(Encoding("long", done=True))
    texts = [event.text for event in events[:done] if isinstance(event, Delta) and event.id == "short"]
    assert "".join(texts) == "one two three four"
    assert any(isinstance(event, Finished) and event.id == "long" for event in events[done:])


def test_a_long_prompt_is_told_before_and_after_and_a_short_one_is_not(make_engine: MakeEngine) -> None:
    engine = make_engine(context=4096, step_tokens=999)
    engine.codec.gate.set()
    events = engine.serve(start("long", LONG))
    assert [event for event in events if isinstance(event, Encoding)] == [
        Encoding("long"),
        Encoding("long", done=True),
    ]
    assert isinstance(events[2], Prefilled)
    assert not [event for event in engine.serve(start("short", "Hi")) if isinstance(event, Encoding)]


def test_a_long_call_makes_a_long_prompt(make_engine: MakeEngine) -> None:
    engine = make_engine()
    call = ToolCall("note", f'{{"text": "{LONG}"}}', "1")
    messages = (ChatMessage("user", "Hi"), ChatMessage("assistant", "", (call,)), ChatMessage("user", "Hi"))
    events = engine.serve(Start("long", messages, Sampling(), max_tokens=9))
    assert events[:2] == [Encoding("long"), Encoding("long", done=True)]


def test_the_heart_beats_while_nothing_but_a_long_prompt_is_there(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "HEARTBEAT_S", 0.005)
    engine = make_engine(context=4096)
    beats = 0

    def react(event: Event) -> Iterable[Command]:
        nonlocal beats
        beats += isinstance(event, Heartbeat)
        if beats == 5:
            engine.codec.gate.set()
        return []

    engine.serve(start("long", LONG), react=react)
    assert engine.codec.gate.is_set()


def test_a_prompt_is_cancelled_while_it_is_encoded_and_the_next_is_not(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=2, context=4096)

    def react(event: Event) -> Iterable[Command]:
        match event:
            case Encoding(id="first", done=False):
                return [Cancel("first")]
            case Cancelled():
                engine.codec.gate.set()
        return []

    events = engine.serve(start("first", LONG), start("second", LONG), react=react)
    assert [event for event in events if getattr(event, "id", "") == "first"] == [
        Encoding("first"),
        Cancelled("first"),
        Encoding("first", done=True),
    ]
    assert any(isinstance(event, Finished) and event.id == "second" for event in events)


def test_a_long_prompt_that_does_not_fit_fails_alone(make_engine: MakeEngine) -> None:
    engine = make_engine(context=256)
    engine.codec.gate.set()
    (failed,) = [event for event in engine.serve(start("long", LONG)) if isinstance(event, Failed)]
    assert failed.code == "context_overflow"


def test_a_defect_in_encoding_ends_its_request_and_not_the_engine(caplog: pytest.LogCaptureFixture) -> None:
    def prepare(_request: Start | Decide) -> Prepared:
        raise KeyError("oops")

    def deliver(prompt: Prompt) -> None:
        raise AssertionError(prompt)

    prompt = Encoder(prepare, emit=lambda _events: None, deliver=deliver).submit(start("a", "Hi"), 0.0)
    assert prompt is not None
    assert "oops" in str(prompt.prepared)
    assert "oops" in caplog.text


@pytest.mark.parametrize(
    "fields",
    [
        {"shots": (Shot(LONG, (Right(0, "yes"),)),)},
        {"instructions": LONG},
        {"questions": (Question(QuestionKind.YES_NO, "Open?", ("yes", "no"), (LONG, "")),)},
    ],
)
def test_a_decision_with_much_to_read_beside_its_state_is_encoded_beside_the_steps(
    fields: dict[str, Any],
) -> None:
    delivered: SimpleQueue[Prompt] = SimpleQueue()

    def prepare(_request: Start | Decide) -> Inquiry:
        return Inquiry((), (), 0.0)

    encoder = Encoder(prepare, emit=lambda _events: None, deliver=delivered.put)
    request = Decide("d", **{"state": "x", "questions": (OPEN,), **fields})
    assert encoder.submit(request, 0.0) is None
    assert delivered.get(timeout=PATIENCE_S).request is request
