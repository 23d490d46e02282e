"""The KV cache with the real llama.cpp: shared, full, saved, and a step cut short in the middle."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgeassist.engine.messages import (
    Cancel,
    Cancelled,
    ChatMessage,
    Finished,
    FlashAttention,
    KvType,
    LoadMode,
    Log,
    Prefilled,
    Sampling,
    Stop,
)
from edgeassist.trial_models.synthetic import SHAPES, write_gguf
from tests.integration.driver import Engine, start

SYSTEM = "You are the voice of a house; you say little, and you never guess. " * 6
QUESTIONS = ["Is it warm?", "Who is at the door?", "Close the window, please.", "What time is it now?"]


def conversation(*turns: str, system: str = SYSTEM) -> tuple[ChatMessage, ...]:
    """Return a conversation, whose turns are the user's and the assistant's by turns."""
    roles = ("user", "assistant")
    return (
        ChatMessage("system", system),
        *(ChatMessage(roles[index % 2], text) for index, text in enumerate(turns)),
    )


def ask_all(engine: Engine, *, system: str = SYSTEM, **fields: Any) -> list[str]:
    """Ask all questions at once; return the answers."""
    requests = [start("", messages=conversation(each, system=system), **fields) for each in QUESTIONS]
    engine.send(*requests)
    return [engine.wait(request.id).text for request in requests]


def ask_each(engine: Engine, *, system: str = SYSTEM, **fields: Any) -> list[str]:
    """Ask one question after the other; return the answers."""
    return [
        engine.answer("", messages=conversation(each, system=system), **fields).text for each in QUESTIONS
    ]


def test_a_shared_system_prompt_changes_no_answer(trial_model: Path) -> None:
    with Engine() as plain, Engine() as sharing:
        plain.load("llama", trial_model, prefix_bytes=0)
        sharing.load("llama", trial_model)
        expected = ask_each(plain)
        assert ask_all(sharing) == expected
        assert ask_each(sharing) == expected
        ending = sharing.answer("", messages=conversation("And now?")).finished
    assert ending.cached_tokens > 0.8 * ending.prompt_tokens


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_the_next_turn_of_a_session_computes_only_what_is_new(
    fresh: Engine, trial_model: Path, temperature: float
) -> None:
    fresh.load("llama", trial_model)
    sampling = Sampling(temperature=temperature)
    turns = ["Tell me of the sea."]
    known = 0
    for question in ["And then?", "And what came of it?", "So?"]:
        answer = fresh.answer("", messages=conversation(*turns), sampling=sampling, max_tokens=40)
        # All but the last token, which yields the first of the answer, and what the last answer ended with.
        assert answer.finished.cached_tokens >= known - 1
        known = answer.finished.prompt_tokens + answer.finished.completion_tokens
        turns += [answer.text, question]


def test_drafts_change_no_greedy_answer(stories: Path, trial_model: Path) -> None:
    for model, prompt in ((stories, "Once upon a time"), (trial_model, "the sea and the wind. " * 12)):
        told = []
        for speculate in (False, True):
            with Engine() as engine:
                engine.load("llama", model, context=512, speculate=speculate)
                told.append(engine.answer(prompt, max_tokens=300).text)
        assert told[0] == told[1]


@pytest.mark.parametrize("kv_tokens", [512, 600, 900])
def test_a_small_kv_cache_changes_no_answer(stories: Path, kv_tokens: int) -> None:
    with Engine() as roomy, Engine() as short:
        roomy.load("llama", stories, context=512, kv_tokens=4096)
        short.load("llama", stories, context=512, slots=4, kv_tokens=kv_tokens)
        prompts = ["Once upon a time", "Lily saw", "One day, a big dog", "Tim and his mom went"]
        expected = [roomy.answer(prompt, max_tokens=300).text for prompt in prompts]
        for _ in range(2):
            answers = short.ask(*prompts, max_tokens=300)
            assert [answer.text for answer in answers] == expected


def test_a_step_never_holds_more_tokens_than_the_kv_cache(fresh: Engine, trial_model: Path) -> None:
    fresh.load("llama", trial_model, context=512, kv_tokens=512, slots=4, step_tokens=4096, step_ms=100_000)
    prompts = [f"{number} says: " + f"the sea and the wind {number} " * 30 for number in range(8)]
    endings = [answer.ending for answer in fresh.ask(*prompts, max_tokens=4)]
    assert all(isinstance(ending, Finished) for ending in endings)


def test_the_state_of_the_system_prompt_survives_a_restart(trial_model: Path, tmp_path: Path) -> None:
    options = {"system": SYSTEM, "state_folder": str(tmp_path / "kv"), "state_bytes": 1 << 24}
    told = []
    for _ in range(2):
        with Engine() as engine:
            engine.load("llama", trial_model, **options)
            answer = engine.answer("", messages=conversation("Is it warm?"))
            assert answer.finished.cached_tokens > 0.8 * answer.finished.prompt_tokens
            told.append((answer.text, [path.stat().st_mtime_ns for path in (tmp_path / "kv").glob("*.kv")]))
            logged = [event.message for event in engine.events if isinstance(event, Log)]
    assert told[0][0] == told[1][0]
    assert len(told[0][1]) == len(told[1][1]) == 1
    assert any("found the state" in line for line in logged)


@pytest.mark.parametrize(
    ("change", "left"), [({"flash_attention": FlashAttention.ON}, 2), ({"system": SYSTEM + "Be kind."}, 1)]
)
def test_a_state_of_something_else_is_not_used_and_one_of_another_system_prompt_goes(
    trial_model: Path, tmp_path: Path, change: dict[str, Any], left: int
) -> None:
    options = {"system": SYSTEM, "state_folder": str(tmp_path), "state_bytes": 1 << 24}
    changes: list[dict[str, Any]] = [{}, change]
    for each in changes:
        with Engine() as engine:
            engine.load("llama", trial_model, **{**options, **each})
    assert len(list(tmp_path.glob("*.kv"))) == left


@pytest.mark.parametrize(
    "options",
    [
        {"flash_attention": FlashAttention.ON},
        {"flash_attention": FlashAttention.OFF},
        {"load_mode": LoadMode.MMAP},
        {"load_mode": LoadMode.READ, "step_tokens": 1},
    ],
    ids=str,
)
def test_every_way_to_load_and_to_compute_tells_the_story(
    fresh: Engine, stories: Path, options: dict[str, Any]
) -> None:
    fresh.load("llama", stories, context=256, **options)
    told = fresh.answer("Once upon a time", max_tokens=20).text
    assert told.startswith(", there was a little girl named Lily")


@pytest.mark.parametrize("kind", [KvType.Q8_0, KvType.Q4_0])
def test_kv_entries_can_be_smaller_where_the_model_allows(
    fresh: Engine, tmp_path: Path, kind: KvType
) -> None:
    path = tmp_path / "wide-heads.gguf"
    write_gguf(path, replace(SHAPES["trial"], heads=2, kv_heads=2))
    fresh.load("llama", path, kv_type=kind, flash_attention=FlashAttention.AUTO)
    assert fresh.answer("Is it warm?").finished.completion_tokens > 0


def test_a_kv_type_that_the_model_can_not_have_is_refused_with_its_setting(
    fresh: Engine, trial_model: Path
) -> None:
    with pytest.raises(AssertionError, match=r"engine\.kv_type: q4_0 .*does not divide"):
        fresh.load("llama", trial_model, kv_type=KvType.Q4_0, flash_attention=FlashAttention.AUTO)


def long_prompt(fresh: Engine, model: Path) -> str:
    """Load so that nearly all of a long prompt is one step; return the request, whose step has begun."""
    fresh.load("llama", model, context=8192, step_tokens=8192, step_ms=10_000)
    fresh.send(start("the sea and the wind and the stars " * 900, request="long", max_tokens=5))
    fresh.hear(Prefilled)
    time.sleep(0.1)
    return "long"


def test_a_cancel_cuts_a_long_step_short(fresh: Engine, trial_model: Path) -> None:
    request = long_prompt(fresh, trial_model)
    fresh.send(Cancel(request))
    assert isinstance(fresh.wait(request).ending, Cancelled)
    (first,) = fresh.prefilled(request)
    assert first.processed < first.total / 10
    assert fresh.answer("Is it warm?").text


def test_stop_cuts_a_long_step_short(fresh: Engine, trial_model: Path) -> None:
    request = long_prompt(fresh, trial_model)
    fresh.send(Stop())
    assert fresh.ends()[0] == 0
    assert len(fresh.prefilled(request)) == 1
