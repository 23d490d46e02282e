"""What an engine that was stopped in order leaves to the next one, with the real llama.cpp.

Of random weights: attention alone (Qwen2), short convolutions with attention (LFM2), a recurrent state alone
(Mamba 2), sliding windows (Gemma 3). Each answer is compared with that of an engine that keeps nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from edgeassist.engine.messages import FlashAttention, Log, Sampling, Stop
from edgeassist.trial_models.memories import TRIALS
from edgeassist.trial_models.synthetic import SHAPES, Precision, write_gguf
from tests.integration.driver import Answer, Engine
from tests.integration.test_engine_memory import SYSTEM, conversation

STORY = "the sea and the wind and the stars " * 12
SESSIONS = [f"{name}: {STORY}" for name in ("one", "two", "three", "four")]
NEXT = "And what came of it?"
MODELS = {"attention": SHAPES["trial"], **TRIALS}


@pytest.fixture(scope="module", params=sorted(MODELS))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / f"{request.param}.gguf"
    write_gguf(path, MODELS[request.param], precision=Precision.F32)
    return path


@pytest.fixture(scope="module")
def cold(model: Path) -> Iterator[Callable[..., Answer]]:
    """Answer a conversation in an engine that keeps nothing."""
    with Engine() as engine:
        engine.load("llama", model, prefix_bytes=0, slots=1, speculate=False, context=2048)
        yield lambda *turns, **fields: engine.answer("", messages=conversation(*turns), **fields)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kv"


def load(engine: Engine, model: Path, folder: Path, **options: Any) -> None:
    options = {"state_bytes": 1 << 28, "context": 2048, **options}
    engine.load("llama", model, state_folder=str(folder), **options)


def stop(engine: Engine) -> None:
    """Stop an engine as the daemon does, and wait until it has ended."""
    engine.send(Stop())
    assert engine.ends()[0] == 0


def states(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.kv"))


def converse(engine: Engine, *, temperature: float = 0.0) -> list[list[str]]:
    """Have a turn in each session; return their turns."""
    sampling = Sampling(temperature=temperature)
    return [
        [first, engine.answer("", messages=conversation(first), sampling=sampling, max_tokens=40).text, NEXT]
        for first in SESSIONS
    ]


def computed(answer: Answer) -> int:
    return answer.finished.prompt_tokens - answer.finished.cached_tokens


class Left(NamedTuple):
    """What an engine has left: its folder, and the turns of its sessions."""

    folder: Path
    sessions: list[list[str]]


@pytest.fixture(scope="module")
def left(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[float], Left]:
    """Let an engine leave what it keeps, once for each temperature; who goes on from it takes a copy."""

    @cache
    def leave(temperature: float) -> Left:
        folder = tmp_path_factory.mktemp("left") / "kv"
        with Engine() as engine:
            load(engine, model, folder)
            sessions = converse(engine, temperature=temperature)
            stop(engine)
        return Left(folder, sessions)

    return leave


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_four_sessions_go_on_after_a_restart_as_if_there_had_been_none(
    model: Path,
    folder: Path,
    cold: Callable[..., Answer],
    left: Callable[[float], Left],
    temperature: float,
) -> None:
    shutil.copytree(left(temperature).folder, folder)
    with Engine() as engine:
        load(engine, model, folder)
        for turns in left(temperature).sessions:
            answer, expected = engine.answer("", messages=conversation(*turns)), cold(*turns)
            assert answer.text == expected.text
            assert computed(answer) <= 0.2 * computed(expected)


def test_another_client_with_the_same_system_prompt_profits_too(
    model: Path, folder: Path, cold: Callable[..., Answer]
) -> None:
    with Engine() as engine:
        load(engine, model, folder)
        for question in ("Is it warm?", "Who is at the door?"):
            engine.answer("", messages=conversation(question))
        stop(engine)
    with Engine() as engine:
        load(engine, model, folder)
        answer, expected = engine.answer("", messages=conversation(NEXT)), cold(NEXT)
        assert answer.text == expected.text
        assert computed(answer) <= 0.2 * computed(expected)


def test_a_session_that_goes_on_and_on_takes_the_place_of_one(model: Path, folder: Path) -> None:
    turns = [SESSIONS[0]]
    sizes = []
    for _ in range(4):
        with Engine() as engine:
            load(engine, model, folder)
            turns += [engine.answer("", messages=conversation(*turns), max_tokens=40).text, STORY]
            stop(engine)
        sizes.append(len(states(folder)))
    assert sizes[-1] == sizes[1]


@pytest.mark.parametrize(
    "change", [{"flash_attention": FlashAttention.ON}, {"context": 1024}, {"template": "hello"}], ids=str
)
def test_what_was_saved_otherwise_changes_no_answer(
    model: Path, folder: Path, tmp_path: Path, left: Callable[[float], Left], change: dict[str, Any]
) -> None:
    if "template" in change:
        template = tmp_path / "other.jinja"
        template.write_text(
            "{% for m in messages %}{{ m.role }} said: {{ m.content }}\n{% endfor %}", "utf-8"
        )
        change = {"template": str(template)}
    shutil.copytree(left(0.0).folder, folder)
    with Engine() as engine, Engine() as plain:
        load(engine, model, folder, **change)
        plain.load("llama", model, **{"prefix_bytes": 0, "slots": 1, "context": 2048, **change})
        for turns in left(0.0).sessions[:2]:
            asked = conversation(*turns)
            assert engine.answer("", messages=asked).text == plain.answer("", messages=asked).text


# --- of one model ------------------------------------------------------------------------------------------


def test_a_state_of_another_model_is_not_taken(trial_model: Path, tmp_path: Path, folder: Path) -> None:
    other = tmp_path / "other.gguf"
    write_gguf(other, SHAPES["trial"], seed=7)
    with Engine() as engine:
        load(engine, trial_model, folder)
        sessions = converse(engine)
        stop(engine)
    before = states(folder)
    with Engine() as engine:
        load(engine, other, folder)
        assert engine.answer("", messages=conversation(*sessions[0])).finished.cached_tokens == 0
    assert states(folder) == before


def test_a_damaged_state_is_computed_again(trial_model: Path, folder: Path) -> None:
    with Engine() as engine:
        load(engine, trial_model, folder)
        sessions = converse(engine)
        expected = engine.answer("", messages=conversation(*sessions[0])).text
        stop(engine)
    for path in states(folder):
        content = bytearray(path.read_bytes())
        content[-100] ^= 1
        path.write_bytes(content)
    with Engine() as engine:
        load(engine, trial_model, folder)
        answer = engine.answer("", messages=conversation(*sessions[0]))
        assert answer.text == expected
        assert answer.finished.cached_tokens == 0
        assert any("damaged" in event.message for event in engine.events if isinstance(event, Log))
    assert states(folder) == []


def test_a_day_s_budget_bounds_what_restarts_write(trial_model: Path, folder: Path) -> None:
    written = 0
    most = 1 << 20
    for run in range(3):
        with Engine() as engine:
            load(engine, trial_model, folder, state_day_bytes=most)
            known = {path.name for path in states(folder)}
            for name in "abcd":
                engine.answer("", messages=conversation(f"{run}{name}: {STORY}", system=f"{run} {name}" * 40))
            stop(engine)
        written += sum(path.stat().st_size for path in states(folder) if path.name not in known)
    assert 0 < written <= most


def test_all_of_them_keep_to_the_folder_s_bound(trial_model: Path, folder: Path) -> None:
    most = 1 << 20
    for run in range(2):
        with Engine() as engine:
            load(engine, trial_model, folder, state_bytes=most)
            for name in "abcd":
                engine.answer("", messages=conversation(f"{run}{name}: {STORY}", system=f"{run} {name}" * 40))
            stop(engine)
        assert 0 < sum(path.stat().st_size for path in states(folder)) <= most


@pytest.mark.parametrize("off", [{"state_bytes": 0}, {"state_day_bytes": 0}, {"prefix_bytes": 0}], ids=str)
def test_nothing_is_written_where_that_is_switched_off(
    trial_model: Path, folder: Path, off: dict[str, int]
) -> None:
    with Engine() as engine:
        load(engine, trial_model, folder, **off)
        converse(engine)
        stop(engine)
    assert states(folder) == []


def test_a_folder_that_can_not_be_made_harms_nothing(trial_model: Path, tmp_path: Path) -> None:
    (tmp_path / "kv").write_text("a file where the folder should be")
    for _ in range(2):
        with Engine() as engine:
            load(engine, trial_model, tmp_path / "kv")
            assert converse(engine)[0][1]
            stop(engine)


DATED = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'system' %}Today is {{ strftime_now('%A, %d %B %Y') }}. {% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)
# 26 hours apart: it is never the same day in both.
TODAY, TOMORROW = {"TZ": "XXX12"}, {"TZ": "XXX-14"}


def test_a_template_that_prints_the_date_takes_nothing_of_yesterday_and_does_not_fill_the_disk(
    trial_model: Path, tmp_path: Path, folder: Path
) -> None:
    template = tmp_path / "dated.jinja"
    template.write_text(DATED, "utf-8")
    options: dict[str, Any] = {"system": SYSTEM, "template": str(template)}
    for day in (TODAY, TOMORROW, TODAY, TOMORROW):
        with Engine(environ=day) as engine, Engine(environ=day) as plain:
            load(engine, trial_model, folder, **options)
            plain.load("llama", trial_model, prefix_bytes=0, context=2048, template=str(template))
            answer = engine.answer("", messages=conversation("Is it warm?"), max_tokens=4)
            expected = plain.answer("", messages=conversation("Is it warm?"), max_tokens=4)
            assert answer.text == expected.text
            assert answer.finished.cached_tokens > 0.8 * answer.finished.prompt_tokens
            stop(engine)
        # One system prompt, and what was asked adds too little to it.
        assert len(states(folder)) == 1


def test_of_yesterday_s_session_all_before_the_date_is_taken(
    trial_model: Path, tmp_path: Path, folder: Path
) -> None:
    template = tmp_path / "dated.jinja"
    system_first = DATED.replace("{{ m.content }}", "").replace(
        "{{ m.role }}\n", "{{ m.role }}\n{{ m.content }}"
    )
    template.write_text(system_first, "utf-8")
    with Engine(environ=TODAY) as engine:
        load(engine, trial_model, folder, template=str(template))
        sessions = converse(engine)
        stop(engine)
    with Engine(environ=TOMORROW) as engine, Engine(environ=TOMORROW) as plain:
        load(engine, trial_model, folder, template=str(template))
        plain.load("llama", trial_model, prefix_bytes=0, context=2048, template=str(template))
        for turns in sessions:
            answer = engine.answer("", messages=conversation(*turns))
            expected = plain.answer("", messages=conversation(*turns))
            assert answer.text == expected.text
            assert 64 <= answer.finished.cached_tokens < len(SYSTEM)
