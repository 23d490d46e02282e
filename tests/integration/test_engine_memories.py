"""Memories that can't be cut at any token, with the real llama.cpp: what is reused changes no answer.

Of random weights: short convolutions with attention (LFM2), a gated delta rule with attention (Qwen3.5), a
recurrent state alone (Mamba 2), sliding windows (Gemma 3). Each answer is compared with that of an engine
that keeps and shares nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgeassist.engine.backends.loading import load_backend
from edgeassist.engine.kv.world import PLAIN
from edgeassist.engine.messages import (
    Cancel,
    Cancelled,
    Delta,
    FlashAttention,
    Load,
    Prefilled,
    Question,
    QuestionKind,
    Sampling,
)
from edgeassist.engine.signals import StepAbortedError
from edgeassist.engine.step import Plan, Work
from edgeassist.trial_models.memories import TRIALS
from edgeassist.trial_models.synthetic import Precision, write_gguf
from tests.integration.driver import Engine, start
from tests.integration.test_engine_memory import QUESTIONS, SYSTEM, ask_each, conversation

STORY = "the sea and the wind and the stars " * 8
ENDLESS = Sampling(temperature=0, ignore_eos=True)


@pytest.fixture(scope="module", params=sorted(TRIALS))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / f"{request.param}.gguf"
    write_gguf(path, TRIALS[request.param], precision=Precision.F32)
    return path


@pytest.fixture(scope="module")
def plain(model: Path) -> Iterator[Callable[..., str]]:
    """Answer a conversation in an engine that reuses nothing."""
    with Engine() as engine:
        # One slot: nothing is shared with what runs.
        engine.load("llama", model, prefix_bytes=0, slots=1, speculate=False, context=2048)
        yield lambda *turns, **fields: engine.answer("", messages=conversation(*turns), **fields).text


@pytest.fixture
def engine(fresh: Engine, model: Path) -> Engine:
    fresh.load("llama", model, context=2048)
    return fresh


def test_the_next_turn_of_a_session_computes_only_what_is_new(
    engine: Engine, plain: Callable[..., str]
) -> None:
    turns = ["Tell me of the sea."]
    known = 0
    for question in [STORY, "And what came of it?", "So?", "And then?"]:
        answer = engine.answer("", messages=conversation(*turns), max_tokens=40)
        assert answer.text == plain(*turns, max_tokens=40)
        assert answer.finished.cached_tokens >= known - 1
        known = answer.finished.prompt_tokens + answer.finished.completion_tokens
        turns += [answer.text, question]


def test_prompts_part_behind_the_system_prompt(engine: Engine, plain: Callable[..., str]) -> None:
    for question in QUESTIONS:
        answer = engine.answer("", messages=conversation(question), max_tokens=12)
        assert answer.text == plain(question, max_tokens=12)
    assert answer.finished.cached_tokens > 0.8 * answer.finished.prompt_tokens


def test_those_that_come_together_read_what_they_begin_with_once(
    engine: Engine, plain: Callable[..., str]
) -> None:
    requests = [start("", messages=conversation(each), max_tokens=12) for each in QUESTIONS]
    engine.send(*requests)
    answers = [engine.wait(request.id) for request in requests]
    assert [answer.text for answer in answers] == [plain(each, max_tokens=12) for each in QUESTIONS]
    for answer in answers[1:]:
        assert answer.finished.cached_tokens > 0.8 * answer.finished.prompt_tokens
    assert ask_each(engine, max_tokens=12) == [answer.text for answer in answers]


def test_a_conversation_that_goes_on_otherwise_goes_on_from_where_it_parts(
    engine: Engine, plain: Callable[..., str]
) -> None:
    first = engine.answer("", messages=conversation(STORY), max_tokens=20).text
    for question in ("And then?", "Why?", "And then?"):
        turns = (STORY, first, question)
        answer = engine.answer("", messages=conversation(*turns), max_tokens=20)
        assert answer.text == plain(*turns, max_tokens=20)
        assert answer.finished.cached_tokens > 0.8 * answer.finished.prompt_tokens


def test_a_third_prompt_goes_on_from_where_two_parted(engine: Engine, plain: Callable[..., str]) -> None:
    for place in ("kitchen", "bath", "hall"):
        turns = (f"{STORY} in the {place}",)
        answer = engine.answer("", messages=conversation(*turns), max_tokens=12)
        assert answer.text == plain(*turns, max_tokens=12)
    assert answer.finished.cached_tokens > 0.9 * answer.finished.prompt_tokens


def test_a_long_prompt_leaves_states_on_its_way(fresh: Engine, model: Path) -> None:
    fresh.load("llama", model, context=4096, step_tokens=512, step_ms=10_000)
    text = " ".join(f"{number} stars" for number in range(600))
    first = fresh.answer(f"{text} and no more", max_tokens=2).finished
    assert first.prompt_tokens > 2000
    cut = fresh.answer(f"{text[: len(text) * 2 // 3]} and some", max_tokens=2).finished
    assert cut.cached_tokens >= 1024


def test_one_that_was_cut_short_in_its_step_harms_no_other(
    fresh: Engine, model: Path, plain: Callable[..., str]
) -> None:
    fresh.load("llama", model, context=2048, step_tokens=2048, step_ms=10_000)
    long = (STORY * 20,)
    for turn in range(2):
        request = start("", request=f"long{turn}", messages=conversation(*long), max_tokens=12)
        fresh.send(request)
        # At the end of the system prompt; the rest is one step.
        fresh.hear(Prefilled)
        fresh.send(Cancel(request.id))
        assert isinstance(fresh.wait(request.id).ending, Cancelled)
    assert fresh.answer("", messages=conversation(*long), max_tokens=12).text == plain(*long, max_tokens=12)


def test_a_cancelled_answer_is_not_gone_on_from_wrongly(engine: Engine, plain: Callable[..., str]) -> None:
    # Its own end must not come before the cancel.
    sampling = Sampling(temperature=0, ignore_eos=True)
    request = start("", messages=conversation(STORY), max_tokens=400, sampling=sampling)
    engine.send(request)
    engine.until(lambda event: isinstance(event, Prefilled) and event.processed == event.total)
    engine.send(Cancel(request.id))
    assert isinstance(engine.wait(request.id).ending, Cancelled)
    answer = engine.answer("", messages=conversation(STORY), max_tokens=12)
    assert answer.text == plain(STORY, max_tokens=12)


@pytest.mark.parametrize("kv_tokens", [1024, 1600])
def test_a_small_kv_cache_changes_no_answer(
    fresh: Engine, model: Path, plain: Callable[..., str], kv_tokens: int
) -> None:
    fresh.load("llama", model, context=1024, kv_tokens=kv_tokens, slots=4)
    prompts = [f"{name}: {STORY * 2}" for name in ("one", "two", "three", "four")]
    for _ in range(2):
        requests = [start("", messages=conversation(each), max_tokens=150) for each in prompts]
        fresh.send(*requests)
        answers = [fresh.wait(request.id).text for request in requests]
        assert answers == [plain(each, max_tokens=150) for each in prompts]


def test_room_for_all_tokens_is_no_reason_to_count_on_what_a_window_has_passed(
    fresh: Engine, model: Path, plain: Callable[..., str]
) -> None:
    # llama.cpp takes its cells although others are free.
    fresh.load("llama", model, context=2048, kv_tokens=2048, step_tokens=2048, step_ms=10_000)
    long = start("", messages=conversation(STORY), max_tokens=900, sampling=ENDLESS)
    fresh.send(long)
    fresh.until(lambda event: isinstance(event, Delta) and event.id == long.id)
    for number in range(8):
        # Of what the long one began with, and of what nobody has.
        for turns in ((STORY, "Yes.", f"Why {number}?"), (f"{number} {STORY}",)):
            answer = fresh.answer("", messages=conversation(*turns), max_tokens=40)
            assert answer.finished
            assert answer.text == plain(*turns, max_tokens=40)


def test_drafts_change_no_answer(fresh: Engine, model: Path, plain: Callable[..., str]) -> None:
    fresh.load("llama", model, context=2048, speculate=True)
    answer = fresh.answer("", messages=conversation(STORY), max_tokens=200)
    assert answer.text == plain(STORY, max_tokens=200)


def test_the_system_prompt_survives_a_restart(model: Path, tmp_path: Path, plain: Callable[..., str]) -> None:
    options = {"system": SYSTEM, "state_folder": str(tmp_path / "kv"), "state_bytes": 1 << 24}
    for _ in range(2):
        with Engine() as engine:
            engine.load("llama", model, context=2048, **options)
            answer = engine.answer("", messages=conversation("Is it warm?"))
            assert answer.finished.cached_tokens > 0.8 * answer.finished.prompt_tokens
            assert answer.text == plain("Is it warm?")
    assert len(list((tmp_path / "kv").glob("*.kv"))) == 1


STATE = "The hall is dark. The light in the kitchen is on; the window is open, and the door is shut. " * 3
ASKED = (
    Question(QuestionKind.CHOICE, "Where is a light on?", ("bedroom", "kitchen", "bed side", "hall")),
    Question(QuestionKind.YES_NO, "Is the window open?", ("yes", "no")),
    Question(QuestionKind.SCORE, "How many lights are on?", tuple(map(str, range(13)))),
)


def test_questions_about_one_state_score_as_each_does_alone(engine: Engine, model: Path) -> None:
    together = engine.decide(STATE, *ASKED)
    again = engine.decide(STATE, *ASKED)
    assert again.cached_tokens > 0.6 * len(STATE.split())
    with Engine() as alone:
        alone.load("llama", model, prefix_bytes=0, slots=1, context=2048)
        for question, scores, once_more in zip(ASKED, together.scores, again.scores, strict=True):
            (expected,) = alone.decide(STATE, question).scores
            assert scores == pytest.approx(expected, abs=0.01)
            assert once_more == pytest.approx(expected, abs=0.01)


# --- a backend alone ---------------------------------------------------------------------------------------


def options(model: Path) -> Load:
    return Load(
        "llama",
        str(model),
        context=2048,
        slots=2,
        threads=1,
        step_tokens=512,
        flash_attention=FlashAttention.OFF,
    )


def test_a_step_that_is_aborted_says_whose_memory_is_lost(model: Path) -> None:
    prompt = list(range(300, 700))
    loaded = load_backend(options(model), lambda _: None)
    backend = loaded.backend
    backend.open(0, Sampling(temperature=0), PLAIN)

    def read(at: int, end: int) -> list[int]:
        work = Work(0, at, prompt[at:end], samples=end == len(prompt))
        return [token.id for token in backend.step(Plan((work,))).sampled.get(0, ())]

    read(0, 300)
    backend.abort()
    with pytest.raises(StepAbortedError) as aborted:
        read(300, 400)
    backend.proceed()
    recurrent = loaded.facts.reach == 0
    assert list(aborted.value.lost) == ([0] if recurrent else [])
    after = [read(0, 300), read(300, 400)][1] if recurrent else read(300, 400)
    backend.close(0)
    backend.open(0, Sampling(temperature=0), PLAIN)
    read(0, 300)
    assert read(300, 400) == after


def test_what_is_wrong_of_a_draft_leaves_no_trace(model: Path) -> None:
    loaded = load_backend(options(model), lambda _: None)
    if not loaded.facts.guesses:
        pytest.skip("a wrong draft can't be taken back, so there is none")
    backend, prompt = loaded.backend, list(range(300, 600))
    told = []
    for draft in ((), (5, 6, 7, 8, 9, 10, 11, 12)):
        backend.open(0, Sampling(temperature=0), PLAIN)
        said: list[int] = []
        while len(said) < 90:
            # Rows that are sampled before the draft, and what came of them.
            new = said[-1:] or prompt
            position = len(prompt) + len(said) - 1 if said else 0
            tokens = [*new, *(draft if said else ())]
            work = Work(0, position, tokens, samples=True, drafted=len(tokens) - len(new))
            said += [token.id for token in backend.step(Plan((work,))).sampled[0]][:1]
        told.append(said)
        backend.close(0)
    assert told[0] == told[1]


def test_a_state_is_restored_only_where_all_of_it_is_there(model: Path) -> None:
    loaded = load_backend(options(model), lambda _: None)
    backend, reach = loaded.backend, loaded.facts.reach
    assert reach is not None
    backend.open(0, Sampling(temperature=0), PLAIN)
    backend.open(1, Sampling(temperature=0), PLAIN)
    backend.step(Plan((Work(0, 0, list(range(300, 600)), samples=False),)))
    state = bytes(backend.snapshot(0))
    assert backend.restore(1, state, 300) == 300
    assert backend.restore(1, state, 200) == 0
    assert backend.restore(1, state[: len(state) // 2], 300) == 0
    assert backend.restore(1, state, 300) == 300
    short = Plan((Work(0, 0, list(range(300, 330)), samples=False),))
    backend.close(0)
    backend.open(0, Sampling(temperature=0), PLAIN)
    backend.step(short)
    assert backend.restore(1, backend.snapshot(0), 20) == (20 if reach > 30 else 0)
