"""`edgeassist tune` with real engines, on a tiny model. Its speed says nothing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from edgeassist.cli.tuning import Outcome, prepare, result_of
from edgeassist.configured import configured_model
from edgeassist.device.cores import choose_threads
from edgeassist.device.cpus import read_cpu_snapshot
from edgeassist.device.governor import Reading
from edgeassist.engine.messages import Load
from edgeassist.errors import EdgeAssistError, EngineCrashedError, ModelError
from edgeassist.models.files.gguf import read_gguf
from edgeassist.models.selected import Named, choose
from edgeassist.settings import load_settings
from edgeassist.trial_models.synthetic import SHAPES, write_gguf
from edgeassist.tuning.identity import fingerprint, library_of, this_device
from edgeassist.tuning.kept import NAME, Result, keep
from edgeassist.tuning.options import (
    Option,
    Sample,
    Stage,
    Variant,
    files_stage,
    load_stage,
    threads_stage,
)
from edgeassist.tuning.quantize import check_room, copies_at_hand, missing, name_of, quantize
from edgeassist.tuning.quiet import Quiet, disturbance, engines
from edgeassist.tuning.rig import Patience, Rig
from edgeassist.tuning.search import Tried
from tests.conftest import StartReady
from tests.integration.driver import Engine
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.timeout(280)


@pytest.fixture
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of half precision."""
    pytest.importorskip("llama_cpp")
    path = tmp_path_factory.mktemp("models") / "trial-F16.gguf"
    write_gguf(path, SHAPES["trial"])
    return path


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start `edgeassist tune` with a state directory of its own, and one thread, which waits for none."""

    def start(*arguments: str, **settings: str) -> subprocess.Popen[str]:
        environ = {key: value for key, value in os.environ.items() if not key.startswith("EDGEASSIST_")}
        values = {"engine__threads": "1", **settings}
        ours = {f"EDGEASSIST_{key.upper()}": value for key, value in values.items() if value}
        return subprocess.Popen(
            [sys.executable, "-m", "edgeassist", "tune", *arguments],
            env={**environ, **ours, "STATE_DIRECTORY": str(tmp_path / "state")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def document(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what it prints, as JSON."""
    out, err = process.communicate(timeout=PATIENCE_S * 2)
    assert process.returncode == 0, err
    return dict(json.loads(out))


def variant(path: Path, **changes: Any) -> Variant:
    return replace(Variant(str(path), 1, 1, 512, "read", "f16"), **changes)


def rig(**changes: Any) -> Rig:
    def load(tried: Variant) -> Load:
        return Load("llama", tried.path, 1024, tried.threads, tried.step_tokens, prefix_bytes=0, **changes)

    return Rig(load, Patience(PATIENCE_S, PATIENCE_S), quiet=Quiet(), answer_s=0.1)


# --- the command -------------------------------------------------------------------------------------------


def test_the_command_tries_the_settings_and_keeps_the_figures(
    command: Callable[..., subprocess.Popen[str]], large: Path, tmp_path: Path
) -> None:
    arguments = ("--model", str(large), "--minutes", "2", "--beside", "--json")
    found = document(command(*arguments, engine__step_tokens="512"))
    rows = {(row["stage"], row["option"]): row for row in found["rows"]}
    assert set(rows) == {("load_mode", "read"), ("load_mode", "mmap")}
    for row in rows.values():
        assert row["rounds"] in {3, 6}
        assert min(row["prefill_rate"], row["decode_rate"], row["start_s"]) > 0
        assert row["memory_bytes"] > 1e6
    kept = json.loads((tmp_path / "state" / NAME).read_text())["results"]
    assert [each["fingerprint"] for each in kept] == [fingerprint(large)]
    assert kept[0]["library"].startswith("llama-cpp-python ")
    assert kept[0]["applied"] == {}


def test_copies_are_made_of_a_larger_file_and_compared(
    command: Callable[..., subprocess.Popen[str]], large: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "state" / "models"
    arguments = ("--model", str(large), "--minutes", "2", "--beside", "--json")
    fixed = {"engine__load_mode": "read", "engine__step_tokens": "512"}
    found = document(command(*arguments, "--quantize", **fixed))
    assert found["made"] == [str(folder / "trial-q4_0.gguf"), str(folder / "trial-q4_k_m.gguf")]
    assert sorted(path.name for path in folder.iterdir()) == ["trial-q4_0.gguf", "trial-q4_k_m.gguf"]
    assert [read_gguf(path).quantization for path in sorted(folder.iterdir())] == ["Q4_0", "Q4_K_M"]
    assert {row["option"] for row in found["rows"]} == {"F16", "Q4_0", "Q4_K_M"}
    assert found["proposed"] == {}


def test_ctrl_c_keeps_what_is_known_and_leaves_no_engine_behind(
    command: Callable[..., subprocess.Popen[str]], large: Path, tmp_path: Path
) -> None:
    process = command("--model", str(large), "--minutes", "4", "--beside", engine__step_tokens="512")
    assert process.stderr is not None
    for line in process.stderr:
        if "load_mode" in line and "round 2" in line:
            break
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, err
    assert "was ended before its time" in out
    assert "was not tried to the end" in out
    (kept,) = json.loads((tmp_path / "state" / NAME).read_text())["results"]
    assert [row["rounds"] for row in kept["rows"]] == [1, 1]
    assert psutil.wait_procs(children, timeout=PATIENCE_S)[1] == []


def test_a_person_is_told_what_is_set_already_and_that_stays(
    command: Callable[..., subprocess.Popen[str]], large: Path
) -> None:
    process = command("--model", str(large), "--beside", engine__load_mode="read", engine__step_tokens="512")
    _, err = process.communicate(timeout=PATIENCE_S)
    assert "there is nothing to try" in " ".join(err.split())
    assert process.returncode == 2


def test_a_copy_of_a_smaller_file_is_refused(
    command: Callable[..., subprocess.Popen[str]], large: Path, tmp_path: Path
) -> None:
    small = asyncio.run(quantize(large, tmp_path, "Q4_0", threads=1, limit_s=PATIENCE_S))
    _, err = command("--model", str(small), "--beside", "--quantize").communicate(timeout=PATIENCE_S)
    assert "never of a smaller one" in " ".join(err.split())


def test_beside_an_engine_that_runs_it_refuses_unless_told_otherwise(
    command: Callable[..., subprocess.Popen[str]], large: Path
) -> None:
    # Found by its command line, which a fork shares with the server that made it: so a start of its own.
    with Engine(environ={"PYTHONHASHSEED": "0"}) as engine:
        process = command("--model", str(large))
        _, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 75
        # Others may run here too.
        assert "an engine of EdgeAssist runs here (process " in " ".join(err.split())
        assert "systemctl stop edgeassist" in " ".join(err.split())
        program = "from edgeassist.tuning.quiet import engines; print(engines())"
        seen = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert engine.process.pid in json.loads(seen.stdout)
        assert engine.process.pid not in engines()  # our own child is nobody else's


def test_without_a_right_to_write_nothing_is_applied_and_that_is_said_before_anything_is_measured(
    command: Callable[..., subprocess.Popen[str]], large: Path, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("no folder")
    process = command("--model", str(large), "--beside", "--apply")
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 78
    assert "can't be written by this user" in " ".join(err.split())


@pytest.mark.skipif(choose_threads(read_cpu_snapshot()).threads < 2, reason="one core has no choice")
def test_of_an_onnx_model_threads_are_tried_and_nothing_else(
    command: Callable[..., subprocess.Popen[str]], trial_onnx: Path
) -> None:
    pytest.importorskip("onnxruntime_genai")
    arguments = ("--model", str(trial_onnx), "--minutes", "3", "--beside", "--json")
    found = document(command(*arguments, engine__threads=""))
    assert {row["stage"] for row in found["rows"]} == {"threads"}
    # They can't change while it runs: another engine was started for each change.
    starts = [row["start_s"] for row in found["rows"] if row["rounds"] and row["start_s"] is not None]
    assert starts
    assert min(starts) > 0
    assert set(found["proposed"]) <= {"engine.threads_max"}


async def test_a_daemon_starts_with_what_was_applied(
    ready: StartReady, trial_model: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    tuned: dict[str, int | str] = {"engine.step_tokens": 128, "engine.threads_max": 1}
    result = Result(
        fingerprint=fingerprint(trial_model),
        model="trial",
        kv_heads=4,
        key_size=16,
        device=this_device(),
        library=library_of("llama"),
        at="2026-11-28T12:00:00+00:00",
        proposed=tuned,
        applied=tuned,
    )
    keep(state, result)
    daemon, client = await ready(environ={"STATE_DIRECTORY": str(state)}, model__path=trial_model)
    info = json.loads(await client.state(client.topics.info) or b"{}")
    assert info["settings"]["engine"]["step_tokens"] == 128
    health = await client.wait_health(frozenset({"ready"}), PATIENCE_S)
    assert health is not None
    assert health["threads"] == 1
    assert "what was tuned" not in daemon.log.read_text()


async def test_a_daemon_logs_why_it_does_not_take_what_was_tuned(
    ready: StartReady, trial_model: Path, tmp_path: Path
) -> None:
    (tmp_path / NAME).write_text("{")
    daemon, _ = await ready(environ={"STATE_DIRECTORY": str(tmp_path)}, model__path=trial_model)
    assert "what was tuned is not used" in daemon.log.read_text()


# --- what is applied ---------------------------------------------------------------------------------------


def tried(*stages: Stage, better: Callable[[Option], bool]) -> list[Tried]:
    """Return what six calm rounds say of which some options are faster and sooner."""
    found = []
    for stage in stages:
        each = Tried(stage)
        for option in stage.options:
            factor = 1.5 if better(option) else 1.0
            each.samples[option.label] = [Sample(100 * factor, 10 * factor, 10**8, 2 / factor)] * 6
        for rule in stage.rules:
            best = each.best(rule)
            each.proposals += [] if best is None else [best]
        found.append(each)
    return found


def threads() -> Stage:
    stage = threads_stage(4, adjusts=True)
    assert stage is not None
    return stage


def test_a_run_without_apply_changes_nothing_that_is_in_force(large: Path, tmp_path: Path) -> None:
    work = prepare(load_settings(environ={}), large, tmp_path, 1)
    outcome = Outcome(tried(threads(), better=lambda option: option.value == 3))
    keep(tmp_path, result_of(work, outcome, apply=True))
    other = result_of(work, Outcome(tried(threads(), better=lambda option: option.value == 2)), apply=False)
    assert other.proposed == {"engine.threads_max": 2, "engine.prefill_threads_max": 2}
    assert other.applied == {"engine.threads_max": 3, "engine.prefill_threads_max": 3}


def test_apply_takes_what_was_found_and_leaves_what_was_not_tried_again(large: Path, tmp_path: Path) -> None:
    work = prepare(load_settings(environ={}), large, tmp_path, 1)
    first = Outcome(tried(threads(), load_stage(), better=lambda option: option.value in {3, "read"}))
    keep(tmp_path, result_of(work, first, apply=True))
    second = Outcome(tried(threads(), load_stage(), better=lambda _: False))
    second.tried[1].unfinished = "no time"
    again = result_of(work, second, apply=True)
    assert again.proposed == {}
    assert again.applied == {"engine.load_mode": "read"}


def test_what_was_applied_with_another_library_is_not_carried_over(large: Path, tmp_path: Path) -> None:
    work = prepare(load_settings(environ={}), large, tmp_path, 1)
    outcome = Outcome(tried(threads(), better=lambda option: option.value == 3))
    old = msgspec.structs.replace(result_of(work, outcome, apply=True), library="llama-cpp-python 0.1")
    keep(tmp_path, old)
    assert result_of(work, Outcome(tried(threads(), better=lambda _: False)), apply=False).applied == {}


def test_the_rates_are_those_of_the_model_and_of_its_copies(large: Path, tmp_path: Path) -> None:
    small = asyncio.run(quantize(large, tmp_path / "models", "Q4_0", threads=1, limit_s=PATIENCE_S))
    settings = load_settings(environ={"EDGEASSIST_LIBRARY__FOLDER": str(tmp_path / "models")})
    work = prepare(settings, large, tmp_path / "state", 1)
    assert work.situation.files == [("Q4_0", str(small))]
    assert work.models_folder == small.parent
    stage = files_stage([("F16", str(large)), ("Q4_0", str(small))])
    outcome = Outcome(tried(stage, better=lambda option: option.label == "Q4_0"))
    result = result_of(work, outcome, apply=True)
    assert {each.quantization: each.decode_rate for each in result.rates} == {"F16": 10.0, "Q4_0": 15.0}
    assert [each.size_bytes for each in result.rates] == [large.stat().st_size, small.stat().st_size]
    # Faster, and yet no setting: another file answers differently.
    assert result.proposed == result.applied == {}


# --- answers -----------------------------------------------------------------------------------------------


async def test_an_engine_stays_for_answers_that_differ_in_threads_and_is_replaced_for_others(
    large: Path,
) -> None:
    async with rig() as bench:
        first = await bench.size_up(variant(large))
        assert first.start_s is not None
        same = await bench.measure(variant(large, threads=2, prefill_threads=2), None, starts=False)
        assert same.start_s is None
        other = await bench.measure(variant(large, step_tokens=64), None, starts=False)
        assert other.start_s is not None
        cold = await bench.measure(variant(large, step_tokens=64), None, starts=True)
        assert cold.start_s is not None
        assert min(same.prefill_rate, same.decode_rate, other.decode_rate, cold.memory_bytes) > 0


async def test_a_prompt_has_about_as_many_tokens_as_it_should(large: Path) -> None:
    async with rig() as bench:
        await bench.size_up(variant(large))
        finished = await bench._answer(bench._words_of(256), 8)
        assert 230 <= finished.prompt_tokens <= 282
        assert finished.cached_tokens == 0
        assert finished.completion_tokens == 8


async def test_what_cannot_be_loaded_is_an_error_and_the_next_one_runs(large: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF")
    async with rig() as bench:
        with pytest.raises(ModelError, match="cut short"):
            await bench.measure(variant(broken), None, starts=False)
        assert (await bench.measure(variant(large), None, starts=False)).decode_rate > 0


async def test_an_engine_that_dies_is_an_error_that_says_how(large: Path) -> None:
    async with rig() as bench:
        await bench.size_up(variant(large))
        (child,) = [each for each in psutil.Process().children() if "edgeassist.engine" in each.cmdline()]
        child.kill()
        with pytest.raises(EngineCrashedError, match="SIGKILL"):
            await bench.measure(variant(large), None, starts=False)


# --- copies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "quantization", "target"),
    [
        ("model-F16.gguf", "Q4_0", "model-q4_0.gguf"),
        ("qwen2.5-0.5b-instruct-q8_0.gguf", "Q4_K_M", "qwen2.5-0.5b-instruct-q4_k_m.gguf"),
        ("Model.Q8_0.gguf", "Q4_0", "Model-q4_0.gguf"),
        ("model.gguf", "Q4_0", "model-q4_0.gguf"),
    ],
)
def test_a_copy_is_named_after_its_source(name: str, quantization: str, target: str) -> None:
    assert name_of(Path(name), quantization) == target


def test_only_what_is_larger_is_copied_and_only_what_is_missing(large: Path) -> None:
    model = read_gguf(large)
    assert missing(model, []) == ["Q4_0", "Q4_K_M"]
    assert missing(model, ["Q4_0"]) == ["Q4_K_M"]
    for quantization in ("Q4_0", "Q4_K_M", "Q4_1", "Q5_K_M", "Q6_K", "IQ4_NL", "Q2_K"):
        assert missing(replace(model, quantization=quantization), []) == []


def test_copies_that_have_no_room_are_refused_before_anything_is_written(large: Path, tmp_path: Path) -> None:
    huge = replace(read_gguf(large), parameters=10**15, size_bytes=10**15)
    with pytest.raises(ModelError, match="make room"):
        check_room(huge, tmp_path / "models", ["Q4_0"])
    check_room(read_gguf(large), tmp_path / "models", ["Q4_0", "Q4_K_M"])
    assert list(tmp_path.iterdir()) == []


async def test_a_copy_that_takes_too_long_leaves_nothing(large: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not done within"):
        await quantize(large, tmp_path, "Q4_0", threads=1, limit_s=0.01)
    assert list(tmp_path.iterdir()) == []


async def test_a_copy_that_is_given_up_leaves_nothing(large: Path, tmp_path: Path) -> None:
    making = asyncio.create_task(quantize(large, tmp_path, "Q4_0", threads=1, limit_s=PATIENCE_S))
    async with asyncio.timeout(PATIENCE_S):
        while not list(tmp_path.iterdir()):
            await asyncio.sleep(0)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert list(tmp_path.iterdir()) == []


async def test_a_source_that_cannot_be_read_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(EdgeAssistError, match="can't quantize"):
        await quantize(tmp_path / "gone.gguf", tmp_path / "models", "Q4_0", threads=1, limit_s=PATIENCE_S)


def test_copies_at_hand_are_of_the_same_model(large: Path, tmp_path: Path) -> None:
    small = asyncio.run(quantize(large, tmp_path, "Q4_0", threads=1, limit_s=PATIENCE_S))
    other = tmp_path / "other.gguf"
    write_gguf(other, replace(SHAPES["trial"], name="other", layers=3))
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    found = copies_at_hand(large, read_gguf(large), [large.parent, tmp_path, tmp_path / "gone"])
    assert found == [("Q4_0", small)]


# --- what disturbs -----------------------------------------------------------------------------------------

CALM = Reading(at=0, most=4, cores=4, others=0.05, temperature_c=60, limit_c=80)


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        (CALM, ""),
        (replace(CALM, others=None, temperature_c=None, limit_c=None), ""),
        (replace(CALM, others=1.0), "other programs"),
        (replace(CALM, temperature_c=78), "78 °C"),
        (replace(CALM, throttled=True), "throttled"),
        (replace(CALM, under_voltage=True), "under-voltage"),
    ],
)
def test_load_heat_and_a_weak_power_supply_disturb(reading: Reading, words: str) -> None:
    found = disturbance(reading)
    assert words in found
    assert bool(found) is bool(words)


def test_without_a_model_named_it_tunes_the_one_that_was_chosen(large: Path, tmp_path: Path) -> None:
    loaded = load_settings(environ={})
    choose(Named(large), configured_model(loaded.settings), tmp_path)
    assert prepare(loaded, None, tmp_path, 1).path == large
