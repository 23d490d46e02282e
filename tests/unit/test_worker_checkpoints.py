"""What a worker does with a memory that can't be cut: it keeps states where prompts part, and shares these.

The backend fails if a slot is cut or shared where it can't be, and echoes what its cells hold.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from edgeassist.engine.messages import (
    Cancel,
    ChatMessage,
    Command,
    Decide,
    Decided,
    Event,
    Finished,
    Prefilled,
    Question,
    QuestionKind,
    Sampling,
    Start,
)
from edgeassist.engine.step import Share
from tests.unit.conftest import MakeEngine, WorkerRoom
from tests.unit.test_worker_memory import SYSTEM, computed, endings, start, texts

REACHES = [0, 40]


def turns(request: str, *said: str) -> Start:
    roles = ("user", "assistant")
    messages = [ChatMessage(roles[at % 2], text) for at, text in enumerate(said)]
    return Start(request, (ChatMessage("system", SYSTEM), *messages), Sampling(), max_tokens=90)


@pytest.mark.parametrize("reach", REACHES)
def test_the_next_turn_of_a_session_computes_what_is_new(make_engine: MakeEngine, reach: int) -> None:
    engine = make_engine(step_tokens=64, reach=reach)
    engine.serve(turns("a", "tell me"))
    before = computed(engine)
    events = engine.serve(turns("b", "tell me", "tell me", "more"))
    ending = endings(events)["b"]
    assert ending.prompt_tokens - ending.cached_tokens <= 5
    assert computed(engine) - before <= 5 + ending.completion_tokens + 1
    assert texts(events) == {"b": "more"}


@pytest.mark.parametrize("reach", REACHES)
def test_four_that_come_together_compute_the_system_prompt_once(make_engine: MakeEngine, reach: int) -> None:
    engine = make_engine(slots=4, step_tokens=32, reach=reach)
    events = engine.serve(*(start(name, f"this is {name}") for name in "abcd"))
    assert texts(events) == {name: f"this is {name}" for name in "abcd"}
    assert sum(isinstance(change, Share) for plan in engine.backend.plans for change in plan.memory) == 3
    cached = [ending.cached_tokens for ending in endings(events).values()]
    assert cached[0] == 0
    assert min(cached[1:]) >= 50


@pytest.mark.parametrize("reach", REACHES)
def test_one_that_comes_when_another_has_passed_where_they_part_reads_all_and_the_third_does_not(
    make_engine: MakeEngine, reach: int
) -> None:
    engine = make_engine(slots=1, step_tokens=64, reach=reach)
    cached = []
    for name in ("one", "two", "three"):
        events = engine.serve(start(name, f"the answer is {name}"))
        assert texts(events) == {name: f"the answer is {name}"}
        cached.append(endings(events)[name].cached_tokens)
    assert cached[:2] == [0, 0]
    assert cached[2] >= 50


@pytest.mark.parametrize("reach", REACHES)
def test_one_that_waited_for_another_that_was_cancelled_begins_with_what_that_left(
    make_engine: MakeEngine, reach: int
) -> None:
    engine = make_engine(slots=2, step_tokens=16, reach=reach)
    tail = "much to read, " * 8

    def react(event: Event) -> Iterable[Command]:
        if isinstance(event, Prefilled) and event.id == "a" and event.processed >= 50:
            return [Cancel("a")]
        return []

    events = engine.serve(start("a", tail + "a"), start("b", tail + "b"), react=react)
    assert texts(events)["b"] == tail + "b"
    assert endings(events)["b"].cached_tokens >= 48


@pytest.mark.parametrize("reach", REACHES)
@pytest.mark.parametrize("room", [130, 170, 260])
def test_a_full_kv_cache_changes_no_answer(make_engine: MakeEngine, reach: int, room: int) -> None:
    engine = make_engine(slots=4, context=120, step_tokens=32, kv_tokens=room, reach=reach)
    prompts = {name: f"!script repeat=3\n{name} asks for a long answer of its own" for name in "abcdefgh"}
    waiting = list(prompts)[4:]

    def react(event: Event) -> Iterable[Command]:
        if isinstance(event, Finished) and waiting:
            name = waiting.pop(0)
            return [start(name, prompts[name])]
        return []

    events = engine.serve(*(start(name, prompts[name]) for name in "abcd"), react=react)
    assert texts(events) == {name: prompt.partition("\n")[2] * 3 for name, prompt in prompts.items()}
    assert engine.backend.open_slots == set()


@pytest.mark.parametrize("reach", REACHES)
def test_sequences_whose_memory_an_abort_took_start_over(make_engine: MakeEngine, reach: int) -> None:
    engine = make_engine(slots=2, step_tokens=64, reach=reach)
    # An abort that was meant for one that ran alone and has just ended.
    engine.backend.abort_soon = engine.backend.abort
    prompt = "!script prefill_ms=1\n" + "what is said before " * 6
    events = engine.serve(start("a", prompt), start("b", prompt + "b"))
    assert engine.backend.aborted == 1
    said = prompt.partition("\n")[2]
    assert texts(events) == {"a": said, "b": said + "b"}


ASKED = tuple(
    Question(QuestionKind.CHOICE, f"Which of these is it, number {number}?", ("left", "right", "middle"))
    for number in range(6)
)


def decide(engine: WorkerRoom, request: str) -> Decided:
    events = engine.serve(Decide(request, "the lamp stands on the left. " * 8, ASKED, prior=0.0))
    (decided,) = (each for each in events if isinstance(each, Decided))
    return decided


@pytest.mark.parametrize("branches", [0, 3])
@pytest.mark.parametrize("reach", REACHES)
def test_the_state_of_a_decision_is_read_once(make_engine: MakeEngine, reach: int, branches: int) -> None:
    cuttable = make_engine(slots=2, step_tokens=64, branches=branches)
    engine = make_engine(slots=2, step_tokens=64, branches=branches, reach=reach)
    expected = decide(cuttable, "a")
    decided = decide(engine, "a")
    assert decided.scores == expected.scores
    assert computed(engine) <= 1.1 * decided.prompt_tokens
    before = computed(engine)
    assert decide(engine, "b").cached_tokens >= 50
    assert computed(engine) - before < 0.7 * decided.prompt_tokens
