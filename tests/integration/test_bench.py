"""The bench, end to end, on a tiny model: every figure of every scenario is there. Its speed says nothing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgeassist.bench import device, run, scenarios, turns
from edgeassist.bench.figures import DEVICE
from edgeassist.bench.models import synthetic_models
from edgeassist.bench.plan import Peer, PeerKind, Plan
from edgeassist.bench.run import BARE, Result, measure
from edgeassist.bench.scenarios import AFTERWARDS, CHUNK_CPU, DAEMON_MEMORY, OVERHEAD, Name
from edgeassist.bench.table import make_table, notes
from edgeassist.cli.bench import to_json
from edgeassist.errors import ExitStatus
from tests.preloaded import PrivateDaemon

pytestmark = pytest.mark.timeout(180)
SERVER = os.environ.get("EDGEASSIST_TEST_LLAMA_SERVER")


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that does not end its answers."""
    pytest.importorskip("llama_cpp")
    folder = tmp_path_factory.mktemp("models")
    return synthetic_models(folder, "trial", ["f16"], threads=1, on_step=lambda _: None)[0]


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured in earnest: no time to come to rest, and no run is too disturbed."""
    monkeypatch.setattr(turns, "PAUSE_S", 0.05)
    monkeypatch.setattr(run, "OTHERS_LIMIT", 1.0)
    monkeypatch.setattr(device, "PrivateDaemon", PrivateDaemon)


def plan(*names: Name, **changes: Any) -> Plan:
    values = {"prompt_tokens": 64, "max_tokens": 16, "runs": 1, "threads": 1}
    return Plan(scenarios=names, **{**values, **changes})


def check(result: Result, what: Plan) -> None:
    """Check that each side has each figure of each scenario, and each other side a ratio."""
    assert result.missing == ()
    assert [measured.scenario for measured in result.scenarios] == list(what.scenarios)
    contenders = {DEVICE} if what.peer is None else {DEVICE, what.peer.kind.value}
    for measured, scenario in zip(result.scenarios, what.chosen, strict=True):
        compared = {comparison.figure: comparison for comparison in measured.comparisons}
        assert set(compared) == set(scenario.figures)
        for figure, comparison in compared.items():
            bare = {BARE} if what.compares_bare(scenario.name) and figure not in AFTERWARDS else set()
            ours = figure in {OVERHEAD, CHUNK_CPU, DAEMON_MEMORY}
            sides = contenders - {"llama-server"} if ours else contenders | bare
            assert set(comparison.sides) == sides, figure
            assert set(comparison.ratios) == sides - {DEVICE}, figure
            for spread in (*comparison.sides.values(), *comparison.ratios.values()):
                assert 0 < spread.low <= spread.median <= spread.high
        assert len(measured.repetitions) == what.runs


async def test_every_scenario_yields_all_its_figures(endless: Path) -> None:
    what = plan(*Name)
    steps: list[int] = []
    result = await measure(endless, what, lambda _, done: steps.append(done))
    check(result, what)
    assert set(steps) == set(range(what.steps))
    single, fan_in, interference, session, *_ = result.scenarios
    answers = {side: outcome.answers for side, outcome in single.repetitions[0].outcomes.items()}
    assert [answer.completion_tokens for answer in answers[DEVICE]] == [16]
    assert answers[BARE] == ()
    assert single.cpu[DEVICE].keys() == {"daemon", "engine", "broker", "client"}
    rounds = fan_in.repetitions[0].outcomes[DEVICE].answers
    assert len({answer.prompt_tokens for answer in rounds}) == 1
    assert 400 < rounds[0].prompt_tokens < 480
    assert interference.repetitions[0].outcomes[DEVICE].answers[0].prompt_tokens > 1400
    first, second = session.repetitions[0].outcomes[DEVICE].answers
    assert second.prompt_tokens > first.prompt_tokens + first.completion_tokens
    document = json.loads(to_json([result], what))
    assert len(document["results"][0]["scenarios"]) == len(Name)
    assert make_table(result, what).row_count == sum(
        1 + len(measured.comparisons) for measured in result.scenarios
    )
    assert any("daemon" in line for line in notes(result))


async def test_what_was_measured_before_an_interruption_is_kept(endless: Path) -> None:
    what = plan(Name.FAN_IN, Name.SINGLE, Name.CANCEL, runs=2, baseline=False)
    task = asyncio.current_task()
    assert task is not None

    def step(doing: str, _done: int) -> None:
        if doing.startswith(f"{Name.FAN_IN}, run 2"):
            task.cancel()

    result = await measure(endless, what, step)
    assert result.interrupted
    assert [(each.scenario, len(each.repetitions)) for each in result.scenarios] == [
        (Name.SINGLE, 2),
        (Name.FAN_IN, 1),
    ]
    assert len(result.scenarios[1].comparisons) == len(what.chosen[1].figures)
    assert notes(result)[-1] == f"[yellow]not measured: {run.INTERRUPTED}[/]"
    assert "runs: 1 to 2 of 2" in str(make_table(result, what).title)
    assert json.loads(to_json([result], what))["results"][0]["missing"] == [run.INTERRUPTED]


async def test_a_scenario_that_can_not_be_measured_costs_no_other_its_figures(
    endless: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (scenarios, run):
        monkeypatch.setattr(module, "ATTEMPTS", 1)
    # Long after so short a prompt was read, also on a machine that others use.
    monkeypatch.setattr(scenarios, "LONG_TOKENS", 40)
    monkeypatch.setattr(scenarios, "CANCEL_AFTER_S", 5.0)
    result = await measure(endless, plan(Name.SINGLE, Name.CANCEL), lambda _, _done: None)
    assert [measured.scenario for measured in result.scenarios] == [Name.SINGLE]
    (missing,) = result.missing
    assert missing.startswith("cancel, after 0 runs: long prompts are read too fast")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_bench_prints_what_it_measured(endless: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "edgeassist", "bench", "--model", str(endless), "--runs", "1"]
    sizes = [
        "--threads",
        "1",
        "--prompt-tokens",
        "64",
        "--max-tokens",
        "16",
        "--no-baseline",
        "--idle-s",
        "0",
    ]
    with subprocess.Popen(
        [*command, *sizes, "--scenario", "single,session"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "session: loading the model" in line:
                process.send_signal(number)
                break
        out, rest = process.communicate(timeout=60)
    assert process.returncode == ExitStatus.FAILURE
    assert "first token" in out
    assert f"not measured: {run.INTERRUPTED}" in out
    assert "Traceback" not in rest
    assert any("single, run 1 of 1" in line for line in said)


async def test_doing_nothing_is_measured_and_a_picture_drawn_on_request(
    endless: Path, tmp_path: Path
) -> None:
    draw = pytest.importorskip("edgeassist.bench.picture").draw
    what = plan(Name.SINGLE, idle_s=0.2)
    result = await measure(endless, what, lambda *_: None)
    assert result.cpu_idle.keys() == {"daemon", "engine", "broker", "client"}
    draw([result], what, tmp_path / "bench.png")
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")


async def test_a_daemon_with_fixed_threads_does_the_same_work(endless: Path) -> None:
    what = plan(Name.SINGLE, Name.CONTENTION, peer=Peer(PeerKind.FIXED_THREADS), baseline=False)
    result = await measure(endless, what, lambda *_: None)
    check(result, what)
    for measured in result.scenarios:
        assert set(measured.comparisons[0].ratios) == {"fixed-threads"}
        assert measured.cpu.keys() == {DEVICE, "fixed-threads"}


@pytest.mark.skipif(SERVER is None, reason="EDGEASSIST_TEST_LLAMA_SERVER names no llama-server")
async def test_a_peer_does_the_same_work(endless: Path) -> None:
    # A llama-server calls no tool with random weights.
    names = [name for name in Name if name is not Name.CALL]
    what = plan(*names, peer=Peer(PeerKind.LLAMA_SERVER, Path(str(SERVER))), baseline=False)
    result = await measure(endless, what, lambda *_: None)
    check(result, what)
    for measured in result.scenarios:
        ours, theirs = (measured.repetitions[0].outcomes[side].answers for side in (DEVICE, "llama-server"))
        assert len(ours) == len(theirs)
        if measured.scenario is not Name.DECIDE:
            assert abs(ours[0].prompt_tokens - theirs[0].prompt_tokens) <= 2
