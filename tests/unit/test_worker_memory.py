"""What a worker does with the KV cache: shares it, runs out of it, and is told to stop in the middle."""

import threading
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from edgeassist.engine.kv.digest import ModelDigest
from edgeassist.engine.kv.prefixes import Kind
from edgeassist.engine.kv.states import Saved, StateKey, StateStore
from edgeassist.engine.kv.world import PLAIN, World
from edgeassist.engine.messages import (
    Cancel,
    Cancelled,
    ChatMessage,
    Command,
    Delta,
    Event,
    Finished,
    Prefilled,
    Sampling,
    Start,
    Stop,
)
from edgeassist.engine.warmup import key_maker, warm_up
from edgeassist.models.files.digests import Digests
from tests.unit.conftest import MakeEngine, WorkerRoom

SYSTEM = "You are the voice of a house, and you say little. " * 4


def start(request: str, prompt: str, *, system: str = SYSTEM, **fields: Any) -> Start:
    messages = (ChatMessage("system", system), ChatMessage("user", prompt))
    return Start(id=request, messages=messages, sampling=Sampling(), **{"max_tokens": 90, **fields})


def texts(events: list[Event]) -> dict[str, str]:
    said: dict[str, str] = {}
    for event in events:
        if isinstance(event, Delta):
            said[event.id] = said.get(event.id, "") + event.text
    return said


def endings(events: list[Event]) -> dict[str, Finished]:
    return {event.id: event for event in events if isinstance(event, Finished)}


def computed(engine: WorkerRoom) -> int:
    """Return how many tokens all steps computed."""
    return sum(plan.tokens for plan in engine.backend.plans)


def test_a_second_prompt_with_the_same_system_prompt_reports_what_was_cached(make_engine: MakeEngine) -> None:
    engine = make_engine(step_tokens=64)
    events = engine.serve(start("a", "one"))
    events += engine.serve(start("b", "two"))
    first, second = endings(events).values()
    assert first.cached_tokens == 0
    assert second.cached_tokens >= 50
    assert texts(events) == {"a": "one", "b": "two"}
    progress = [event for event in events if isinstance(event, Prefilled) and event.id == "b"]
    assert {event.cached for event in progress} == {second.cached_tokens}


def test_prompts_of_different_worlds_share_nothing_running_or_ended(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=2, step_tokens=64)
    together = endings(engine.serve(start("a", "one"), start("b", "adapted: one")))
    assert [each.cached_tokens for each in together.values()] == [0, 0]
    after = endings(engine.serve(start("c", "two"), start("d", "adapted: two")))
    assert all(each.cached_tokens >= 50 for each in after.values())
    other = make_engine(step_tokens=64)
    other.serve(start("a", "one"))
    assert endings(other.serve(start("b", "adapted: one")))["b"].cached_tokens == 0


def test_four_that_come_together_compute_the_system_prompt_once(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=4, step_tokens=32)
    events = engine.serve(*(start(name, f"this is {name}") for name in "abcd"))
    assert texts(events) == {name: f"this is {name}" for name in "abcd"}
    alone = make_engine(slots=4, step_tokens=32, prefix_bytes=0)
    for name in "abcd":
        alone.serve(start(name, f"this is {name}"))
    assert computed(engine) < computed(alone) / 2


def test_the_next_turn_of_a_session_computes_what_is_new(make_engine: MakeEngine) -> None:
    engine = make_engine(step_tokens=64)
    engine.serve(start("a", "tell me"))
    before = computed(engine)
    turns = [("system", SYSTEM), ("user", "tell me"), ("assistant", "tell me"), ("user", "more")]
    messages = tuple(ChatMessage(role, text) for role, text in turns)
    events = engine.serve(Start("b", messages, Sampling(), max_tokens=90))
    ending = endings(events)["b"]
    new = ending.prompt_tokens - ending.cached_tokens
    assert new <= 5
    assert computed(engine) - before <= new + ending.completion_tokens + 1


@pytest.mark.parametrize("room", [100, 130, 200])
def test_a_full_kv_cache_changes_no_answer(make_engine: MakeEngine, room: int) -> None:
    engine = make_engine(slots=4, context=100, step_tokens=32, kv_tokens=room)
    prompts = {name: f"!script repeat=3\n{name} asks for a long answer of its own" for name in "abcdefgh"}
    waiting = list(prompts)[4:]

    def react(event: Event) -> Iterable[Command]:
        if isinstance(event, Finished) and waiting:
            name = waiting.pop(0)
            return [start(name, prompts[name], system=name * 40)]
        return []

    events = engine.serve(*(start(name, prompts[name], system=name * 40) for name in "abcd"), react=react)
    assert texts(events) == {name: prompt.partition("\n")[2] * 3 for name, prompt in prompts.items()}
    assert engine.backend.open_slots == set()


def test_one_that_runs_alone_is_cut_short_in_its_step_by_its_cancel(make_engine: MakeEngine) -> None:
    engine = make_engine(step_tokens=64)
    engine.backend.abort_soon = lambda: engine.say(Cancel("a"))
    events = engine.serve(start("a", "!script prefill_ms=60000\nslow"))
    assert isinstance(events[-1], Cancelled)
    assert texts(engine.serve(start("b", "next"))) == {"b": "next"}


def test_a_cancel_does_not_cut_a_step_that_others_are_in(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=2, step_tokens=64)
    engine.backend.abort_soon = lambda: engine.say(Cancel("a"))
    events = engine.serve(start("a", "!script prefill_ms=5\nslow"), start("b", "other", system="o"))
    assert texts(events).get("b") == "other"
    assert engine.backend.aborted == 0


def test_stop_cuts_any_step_short(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=2, step_tokens=64)
    engine.backend.abort_soon = lambda: engine.say(Stop())
    slow = "!script prefill_ms=60000\nslow"
    serving = threading.Thread(target=engine.serve, args=[start("a", slow), start("b", slow, system="o")])
    serving.start()
    serving.join(20)
    assert not serving.is_alive()


def test_drafts_change_nothing_but_the_number_of_steps(make_engine: MakeEngine) -> None:
    prompt = "!script repeat=20\nround and round it goes, "
    fields: dict[str, Any] = {"max_tokens": 200}
    told = {}
    steps = {}
    for speculate in (False, True):
        engine = make_engine(context=2000, step_tokens=64, speculate=speculate)
        events = engine.serve(start("a", prompt, **fields))
        told[speculate] = texts(events), endings(events)["a"].completion_tokens
        steps[speculate] = len(engine.backend.plans)
    assert told[True] == told[False]
    assert steps[True] < steps[False]


# --- the system prompt, read ahead -------------------------------------------------------------------------


def key_of(tokens: list[int], world: World) -> StateKey:
    return StateKey("model", "form", world, array("q", tokens))


def read_ahead(
    engine: WorkerRoom, system: str, saved: Any = None, on_step: Callable[[float], None] = lambda _done: None
) -> None:
    warm_up(engine.model, engine.scheduler, engine.prefixes, system=system, saved=saved, on_step=on_step)


def test_after_warm_up_the_system_prompt_is_cached_for_the_first_request(make_engine: MakeEngine) -> None:
    engine = make_engine(step_tokens=16)
    done: list[float] = []
    read_ahead(engine, SYSTEM, on_step=done.append)
    assert done == sorted(done)
    assert done[-1] == 1
    ending = endings(engine.serve(start("a", "hello")))["a"]
    assert ending.cached_tokens >= 50


def test_a_saved_state_is_restored_instead_of_computed(make_engine: MakeEngine, tmp_path: Path) -> None:
    saved = StateStore(tmp_path, 1_000_000), key_of
    first = make_engine(step_tokens=16)
    read_ahead(first, SYSTEM, saved)
    second = make_engine(step_tokens=16)
    read_ahead(second, SYSTEM, saved)
    assert second.backend.plans == []
    events = second.serve(start("a", "hello"))
    assert texts(events) == {"a": "hello"}
    assert endings(events)["a"].cached_tokens >= 50


def test_a_state_that_the_library_does_not_take_is_computed_and_saved_anew(
    make_engine: MakeEngine, tmp_path: Path
) -> None:
    store = StateStore(tmp_path, 1_000_000)
    first = make_engine(step_tokens=16)
    read_ahead(first, SYSTEM, (store, key_of))
    (path,) = tmp_path.iterdir()
    good = path.read_bytes()
    tokens = list(first.codec.encode([ChatMessage("system", SYSTEM)]).tokens)
    key = next(
        key for end in range(len(tokens) + 1) if (key := key_of(tokens[:end], PLAIN)).name == path.name
    )
    bad = b"what no library takes"
    store.save(Saved(key, Kind.PINNED, len(bad)), bad)
    engine = make_engine(step_tokens=16)
    read_ahead(engine, SYSTEM, (store, key_of))
    assert path.read_bytes() == good
    assert texts(engine.serve(start("a", "hello"))) == {"a": "hello"}


def test_a_model_file_that_can_not_be_read_again_harms_nothing(
    make_engine: MakeEngine, tmp_path: Path
) -> None:
    engine = make_engine(step_tokens=16)
    digest = ModelDigest(str(tmp_path / "gone.gguf"), Digests(tmp_path))
    digest.begin()
    key = key_maker(digest.future, "form")
    read_ahead(engine, SYSTEM, (StateStore(tmp_path, 1_000_000), key))
    assert texts(engine.serve(start("a", "hello"))) == {"a": "hello"}


@pytest.mark.parametrize("system", ["short", "S" * 4000], ids=["too short to matter", "beyond the context"])
def test_a_system_prompt_that_can_not_be_read_ahead_does_no_harm(
    make_engine: MakeEngine, system: str
) -> None:
    engine = make_engine(step_tokens=16)
    read_ahead(engine, system)
    assert texts(engine.serve(start("a", "hello", system="short"))) == {"a": "hello"}
