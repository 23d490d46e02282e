import threading
from collections.abc import Iterable
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

import pytest

from edgeassist.engine import worker as worker_module
from edgeassist.engine.backends.scripted import ScriptedCodec, load
from edgeassist.engine.constraints import make_compiler
from edgeassist.engine.encoder import Prompt
from edgeassist.engine.kv.prefixes import Prefixes
from edgeassist.engine.messages import (
    Cancel,
    Cancelled,
    ChatMessage,
    Command,
    Delta,
    Event,
    Failed,
    Finish,
    Finished,
    Heartbeat,
    Load,
    Prefilled,
    Sampling,
    Start,
    Stop,
)
from edgeassist.engine.worker import Worker, scheduler_for
from tests.patience import PATIENCE_S
from tests.unit.conftest import MakeEngine

ENDINGS = (Finished, Cancelled, Failed)


def start(request: str, prompt: str, **fields: Any) -> Start:
    settings: dict[str, Any] = {"messages": (ChatMessage("user", prompt),), "max_tokens": 50, **fields}
    return Start(id=request, sampling=Sampling(), **settings)


def text_of(events: list[Event], request: str = "a") -> str:
    return "".join(event.text for event in events if isinstance(event, Delta) and event.id == request)


def ending_of(events: list[Event], request: str = "a") -> Event:
    (ending,) = [event for event in events if isinstance(event, ENDINGS) and event.id == request]
    assert [event for event in events if getattr(event, "id", None) == request][-1] is ending
    return ending


def test_an_answer_is_progress_then_text_then_its_end(make_engine: MakeEngine) -> None:
    engine = make_engine(step_tokens=2)
    events = engine.serve(start("a", "你好, world"))
    assert [(event.processed, event.total) for event in events if isinstance(event, Prefilled)] == [
        (2, 4),
        (4, 4),
    ]
    assert text_of(events) == "你好, world"
    ending = ending_of(events)
    assert isinstance(ending, Finished)
    assert (ending.reason, ending.prompt_tokens, ending.completion_tokens) == (Finish.STOP, 4, 4)
    assert ending.prefill_ms >= 0
    assert ending.decode_ms >= 0
    assert engine.backend.open_slots == set()


def test_every_piece_is_whole_characters_although_tokens_are_not(make_engine: MakeEngine) -> None:
    events = make_engine().serve(start("a", "你好你好你好"))
    assert text_of(events) == "你好你好你好"
    assert "�" not in text_of(events)


def test_text_that_follows_soon_is_gathered_but_for_the_first_and_the_last(make_engine: MakeEngine) -> None:
    prompt = "one two three four five six seven eight nine ten"
    events = make_engine().serve(start("a", prompt, gather_ms=3_600_000.0))
    pieces = [event.text for event in events if isinstance(event, Delta)]
    assert len(pieces) == 2
    assert pieces[0] == prompt[:4]
    assert "".join(pieces) == prompt


def test_gathered_text_comes_before_a_failure(make_engine: MakeEngine) -> None:
    events = make_engine().serve(start("a", "!script fail_after=4\n" + "x" * 80, gather_ms=3_600_000.0))
    assert text_of(events) == "x" * 12
    assert isinstance(ending_of(events), Failed)


def test_an_empty_answer_ends_without_a_piece(make_engine: MakeEngine) -> None:
    events = make_engine().serve(start("a", "!script repeat=1\n"))
    assert not [event for event in events if isinstance(event, Delta)]
    ending = ending_of(events)
    assert isinstance(ending, Finished)
    assert ending.completion_tokens == 0


def test_a_stop_text_ends_the_answer_before_it(make_engine: MakeEngine) -> None:
    events = make_engine().serve(start("a", "one two three four five", stop=("ree", "five")))
    assert text_of(events) == "one two th"
    ending = ending_of(events)
    assert isinstance(ending, Finished)
    assert ending.reason is Finish.STOP
    assert ending.completion_tokens < 6


def test_text_held_back_for_a_stop_text_comes_with_the_end(make_engine: MakeEngine) -> None:
    events = make_engine().serve(start("a", "so long <|e", stop=("<|end|>",)))
    assert text_of(events) == "so long <|e"


def test_the_limit_ends_the_answer_and_says_so(make_engine: MakeEngine) -> None:
    events = make_engine().serve(start("a", "abcdefghijklmnop", max_tokens=2))
    assert text_of(events) == "abcdefgh"
    ending = ending_of(events)
    assert isinstance(ending, Finished)
    assert (ending.reason, ending.completion_tokens) == (Finish.LENGTH, 2)


def test_a_limit_inside_of_a_character_leaves_a_replacement_character(make_engine: MakeEngine) -> None:
    assert text_of(make_engine().serve(start("a", "你好", max_tokens=1))) == "你�"


def test_a_stop_text_in_the_very_last_token_counts_more_than_the_limit(make_engine: MakeEngine) -> None:
    ending = ending_of(make_engine().serve(start("a", "abcdefgh", max_tokens=2, stop=("gh",))))
    assert isinstance(ending, Finished)
    assert ending.reason is Finish.STOP


def test_the_context_limits_an_answer_that_asks_for_more(make_engine: MakeEngine) -> None:
    ending = ending_of(
        make_engine(context=64).serve(start("a", "!script repeat=99\n" + "x" * 80, max_tokens=1000))
    )
    assert isinstance(ending, Finished)
    assert ending.reason is Finish.LENGTH
    assert ending.prompt_tokens + ending.completion_tokens == 64


def test_a_prompt_beyond_the_context_fails_and_leaves_its_slot_free(make_engine: MakeEngine) -> None:
    engine = make_engine(context=16)
    ending = ending_of(engine.serve(start("a", "x" * 80)))
    assert isinstance(ending, Failed)
    assert ending.code == "context_overflow"
    assert text_of(engine.serve(start("b", "still here")), "b") == "still here"


def test_a_conversation_that_the_template_refuses_fails_and_leaves_its_slot_free(
    make_engine: MakeEngine,
) -> None:
    engine = make_engine()
    ending = ending_of(engine.serve(start("a", "refuse me")))
    assert isinstance(ending, Failed)
    assert ending.code == "invalid_request"
    assert text_of(engine.serve(start("b", "still here")), "b") == "still here"


def test_a_request_that_no_slot_is_free_for_fails_alone(make_engine: MakeEngine) -> None:
    events = make_engine(slots=1).serve(start("a", "first"), start("b", "second"))
    assert text_of(events) == "first"
    ending = ending_of(events, "b")
    assert isinstance(ending, Failed)
    assert ending.code == "internal"


def test_a_cancelled_prompt_frees_its_slot_during_prefill(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=1, step_tokens=2)

    def react(event: Event) -> Iterable[Command]:
        return [Cancel("a")] if isinstance(event, Prefilled) and event.processed == 4 else []

    events = engine.serve(start("a", "x" * 400), react=react)
    assert isinstance(ending_of(events), Cancelled)
    assert max(event.processed for event in events if isinstance(event, Prefilled)) == 4
    assert text_of(events) == ""
    assert engine.backend.open_slots == set()
    assert text_of(engine.serve(start("b", "next")), "b") == "next"


def test_a_cancelled_answer_says_no_more_and_its_neighbour_goes_on(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=2)

    def react(event: Event) -> Iterable[Command]:
        return [Cancel("a")] if event == Delta("a", "abcd", tokens=1) else []

    events = engine.serve(start("a", "abcdefgh" * 10), start("b", "neighbour"), react=react)
    assert isinstance(ending_of(events), Cancelled)
    assert text_of(events) == "abcd"
    assert text_of(events, "b") == "neighbour"


def test_a_cancel_for_a_request_that_ended_or_never_was_is_not_answered(make_engine: MakeEngine) -> None:
    def react(event: Event) -> Iterable[Command]:
        return [Cancel("a"), Cancel("unknown")] if isinstance(event, Finished) and event.id == "a" else []

    events = make_engine(slots=2).serve(start("a", "one"), start("b", "one two three four"), react=react)
    assert not [event for event in events if isinstance(event, Cancelled)]
    assert text_of(events, "b") == "one two three four"


def test_a_freed_slot_serves_the_next_request_while_the_other_goes_on(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=2)

    def react(event: Event) -> Iterable[Command]:
        return [start("c", "third")] if isinstance(event, Finished) and event.id == "a" else []

    long = "a rather long text to say again, word by word"
    events = engine.serve(start("a", "short"), start("b", long), react=react)
    assert [text_of(events, request) for request in "abc"] == ["short", long, "third"]
    order = [event.id for event in events if isinstance(event, Finished)]
    assert order == ["a", "c", "b"]


def test_several_slots_stream_in_the_same_steps(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=3, step_tokens=64)
    engine.serve(*(start(request, "x" * 36) for request in "abc"))
    assert [len(plan.work) for plan in engine.backend.plans] == [3] * 10


def test_a_conversation_that_outgrows_the_context_is_answered_without_its_oldest_turns(
    make_engine: MakeEngine,
) -> None:
    turns = [ChatMessage("system", "S" * 8)]
    for number in range(4):
        turns += [ChatMessage("user", f"{number}" * 60), ChatMessage("assistant", f"{number}" * 60)]
    messages = (*turns, ChatMessage("user", "what now?"))
    engine = make_engine(context=100, step_tokens=100)
    ending = ending_of(
        engine.serve(Start("a", messages, Sampling(), max_tokens=10, droppable=8)),
    )
    assert isinstance(ending, Finished)
    assert ending.dropped_messages == 4
    prompt = list(ScriptedCodec().encode([*messages[:1], *messages[5:]]).tokens)
    assert engine.backend.first_tokens(len(prompt)) == prompt


def test_messages_that_are_not_history_are_never_dropped(make_engine: MakeEngine) -> None:
    messages = tuple(ChatMessage("user", letter * 60) for letter in "abcde")
    ending = ending_of(make_engine(context=64).serve(Start("a", messages, Sampling(), max_tokens=4)))
    assert isinstance(ending, Failed)
    assert ending.code == "context_overflow"


def test_a_failing_step_fails_all_that_ran_and_the_engine_serves_on(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=2)
    events = engine.serve(start("a", "!script fail_after=3\n" + "x" * 80), start("b", "y" * 80))
    for request in "ab":
        ending = ending_of(events, request)
        assert isinstance(ending, Failed)
        assert ending.code == "internal"
        assert "failing step" in ending.message
    assert engine.backend.open_slots == set()
    assert text_of(engine.serve(start("c", "again")), "c") == "again"


def test_the_text_of_a_step_that_failed_later_was_already_sent(make_engine: MakeEngine) -> None:
    events = make_engine().serve(start("a", "!script fail_after=3\nabcdefghijkl"))
    assert text_of(events) == "abcdefgh"


def test_heartbeats_tell_that_the_loop_turns(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "HEARTBEAT_S", 0.0)
    engine = make_engine()
    engine.serve(start("a", "x" * 40))
    beats = [event for event in engine.events if isinstance(event, Heartbeat)]
    assert [beat.steps for beat in beats][:3] == [1, 2, 3]
    assert beats[0].running == 1
    assert beats[-1].running == 0


def test_an_idle_engine_beats_and_takes_a_request_from_another_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_module, "HEARTBEAT_S", 0.005)
    commands: SimpleQueue[Command | Prompt] = SimpleQueue()
    said: SimpleQueue[Event] = SimpleQueue()

    def emit(events: Iterable[Event]) -> None:
        for event in events:
            said.put(event)

    options = Load("scripted", "", 64, 1, 8)
    model = load(options, lambda _fraction: None)
    worker = Worker(
        model,
        scheduler_for(options, model.facts),
        Prefixes(0),
        commands=commands,
        emit=emit,
    )
    thread = threading.Thread(target=worker.run, name="worker")
    thread.start()
    try:
        beats = [said.get(timeout=5) for _ in range(3)]
        commands.put(start("a", "Hi"))
        events = beats
        while not isinstance(events[-1], Finished):
            events.append(said.get(timeout=5))
    finally:
        commands.put(Stop())
        thread.join(5)
    assert all(isinstance(beat, Heartbeat) for beat in beats[:3])
    assert text_of(events) == "Hi"
    assert not thread.is_alive()


def test_a_command_that_makes_no_sense_now_is_ignored(make_engine: MakeEngine) -> None:
    engine = make_engine()

    def react(event: Event) -> Iterable[Command]:
        return [Load("scripted", "", 64, 1, 8)] if isinstance(event, Prefilled) else []

    assert text_of(engine.serve(start("a", "Hi there"), react=react)) == "Hi there"


def test_what_bounds_need_is_made_while_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "HEARTBEAT_S", 0.005)
    monkeypatch.setattr(worker_module, "REST_S", 0.0)
    commands: SimpleQueue[Command | Prompt] = SimpleQueue()
    options = Load("scripted", "", 64, 1, 8)
    asked = threading.Event()

    def pieces() -> list[bytes]:
        asked.set()
        return [b"a", b"b", b""]

    model = load(options, lambda _fraction: None)
    model = replace(model, compiler=make_compiler(pieces, 3, [2], lambda _text: [0]))
    assert not asked.is_set()
    worker = Worker(
        model,
        scheduler_for(options, model.facts),
        Prefixes(0),
        commands=commands,
        emit=lambda _events: None,
    )
    thread = threading.Thread(target=worker.run, name="worker")
    thread.start()
    try:
        assert asked.wait(PATIENCE_S)
    finally:
        commands.put(Stop())
        thread.join(PATIENCE_S)
