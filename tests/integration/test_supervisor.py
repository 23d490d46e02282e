"""One engine after the other: real processes, with the scripted backend in them."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from edgeassist.engine.messages import Delta, Encoding, Finished, Heartbeat
from edgeassist.supervision.supervisor import Phase
from tests.integration.link import until
from tests.integration.watch import StartWatch
from tests.patience import PATIENCE_S


async def test_an_engine_is_loaded_answers_and_is_gone_after_stop(watch: StartWatch) -> None:
    watched = await watch()
    await watched.ready()
    assert [phase for phase, _ in watched.phases] == [Phase.LOADING, Phase.READY]
    supervisor = watched.supervisor
    assert supervisor.model is not None
    assert supervisor.model.name == "scripted"
    assert supervisor.load_ms is not None
    assert supervisor.load_ms >= 0
    assert supervisor.memory_bytes is not None
    assert supervisor.memory_bytes > 1_000_000
    watched.ask("hello")
    assert isinstance(await watched.ending(), Finished)
    assert watched.text() == "hello"
    process = watched.engine()
    await supervisor.stop()
    await asyncio.wait_for(watched.task, PATIENCE_S)
    assert not process.is_running()
    assert supervisor.phase is Phase.DOWN
    assert watched.supervisor.memory_bytes is None
    assert (watched.lost, supervisor.restarts) == ([], 0)


async def test_an_engine_that_crashes_is_replaced_and_the_reason_told(watch: StartWatch) -> None:
    watched = await watch()
    await watched.ready()
    watched.ask("!script crash_after=3\n" + "hello " * 9)
    await watched.ready(2)
    (loss,) = watched.lost
    assert not loss.planned
    assert "SIGKILL" in loss.reason
    assert "memory" in loss.reason
    assert watched.supervisor.restarts == 1
    assert watched.supervisor.problem is None
    watched.ask("again", "b")
    assert isinstance(await watched.ending("b"), Finished)


@pytest.mark.parametrize(
    ("number", "words"),
    [(signal.SIGSEGV, "SIGSEGV"), (signal.SIGILL, "instruction"), (signal.SIGABRT, "SIGABRT")],
)
async def test_the_signal_that_ended_an_engine_is_named(
    watch: StartWatch, number: signal.Signals, words: str
) -> None:
    watched = await watch()
    await watched.ready()
    watched.engine().send_signal(number)
    await until(lambda: watched.lost)
    assert words in watched.lost[0].reason


async def test_the_assertion_and_the_last_lines_that_an_engine_printed_are_in_the_reason(
    watch: StartWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, threading\n"
        "lines = ''.join(f'line {number}\\n' for number in range(20))\n"
        "lines += 'x' * 200_000 + '\\nfile.c:1: GGML_ASSERT(good) failed\\n'\n"
        "lines += ''.join(f'#{number} frame\\n' for number in range(40))\n"
        "threading.Timer(0.6, lambda: (os.write(2, lines.encode()), os.abort())).start()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    watched = await watch()
    await until(lambda: watched.supervisor.problem)
    reason = watched.supervisor.problem
    assert reason is not None
    assert "GGML_ASSERT(good) failed" in reason
    assert "#39 frame" in reason
    assert "line 2 " not in reason
    assert len(reason) < 1000


async def test_pauses_between_restarts_grow_up_to_the_limit(watch: StartWatch) -> None:
    watched = await watch(restart_max_s=1.0)
    for number in range(1, 4):
        await watched.ready(number)
        watched.engine().kill()
    await watched.ready(4)
    phases = [phase for phase, _ in watched.phases]
    ends = [index for index, phase in enumerate(phases) if phase is Phase.WAITING]
    assert [phases[index + 1] for index in ends] == [Phase.LOADING] * 3
    for index, limit in zip(ends, (0.5, 1.0, 1.0), strict=True):
        assert watched.phases[index + 1][1] - watched.phases[index][1] >= limit * 0.5
        assert watched.turned_s[index + 1] - watched.turned_s[index] <= limit + 0.5
    assert watched.supervisor.restarts == 3
    assert len(watched.lost) == 3


async def test_an_engine_that_makes_no_progress_is_killed_and_replaced(watch: StartWatch) -> None:
    watched = await watch(stall_s=4.0)
    await watched.ready()
    stalled = watched.engine()
    watched.ask("!script hang_after=2\nhello hello")
    await watched.ready(2)
    assert "no progress for 4 s while serving" in watched.lost[0].reason
    assert watched.supervisor.restarts == 1
    assert not stalled.is_running()


async def test_an_engine_that_never_gets_done_with_a_prompt_is_replaced_although_it_streams(
    watch: StartWatch,
) -> None:
    watched = await watch(stall_s=4.0)
    await watched.ready()
    watched.ask("!script repeat=900 delay_ms=20\nslowly ", "streams")
    watched.ask("!script encode_ms=3600000\n" + "word " * 2000, "hangs")
    await watched.ready(2)
    assert "no progress for 4 s while reading a prompt" in watched.lost[0].reason
    begun = watched.events.index(Encoding("hangs"))
    assert sum(isinstance(event, Delta) for event in watched.events[begun:]) > 10


async def test_an_idle_engine_does_not_stall(watch: StartWatch) -> None:
    watched = await watch(stall_s=3.0)
    await watched.ready()
    await until(lambda: sum(isinstance(event, Heartbeat) for event in watched.events) >= 5)
    assert watched.lost == []


async def test_an_engine_that_stops_while_it_loads_is_replaced(watch: StartWatch) -> None:
    watched = await watch(load_s=0.5, frozen=1)
    await until(lambda: watched.supervisor.problem)
    assert "no progress for 0.5 s while loading" in str(watched.supervisor.problem)
    assert (watched.lost, watched.supervisor.restarts) == ([], 1)
    await until(lambda: watched.loads >= 2)


async def test_a_model_that_can_not_be_used_is_told_and_tried_again(
    watch: StartWatch, tmp_path: Path
) -> None:
    watched = await watch("llama", str(tmp_path / "nowhere.gguf"))
    await until(lambda: Phase.UNUSABLE in [phase for phase, _ in watched.phases])
    assert "nowhere.gguf" in str(watched.supervisor.problem)
    assert watched.supervisor.phase is Phase.UNUSABLE
    await until(lambda: watched.loads >= 2)
    assert (watched.lost, watched.supervisor.restarts) == ([], 0)


async def test_a_model_that_appears_later_is_loaded_then(
    watch: StartWatch, tmp_path: Path, trial_model: Path
) -> None:
    path = tmp_path / "model.gguf"
    watched = await watch("llama", str(path))
    await until(lambda: watched.supervisor.problem)
    path.symlink_to(trial_model)
    await watched.ready()
    assert watched.supervisor.problem is None


async def test_an_engine_that_dies_of_a_missing_instruction_while_loading_is_told_as_unusable(
    watch: StartWatch,
) -> None:
    watched = await watch()
    process = await watched.started()
    process.send_signal(signal.SIGILL)
    await until(lambda: Phase.UNUSABLE in [phase for phase, _ in watched.phases])
    assert "an instruction that this CPU lacks" in str(watched.supervisor.problem)
    assert "choose a GGUF file" in str(watched.supervisor.problem)
    assert watched.supervisor.restarts == 1


async def test_an_engine_that_finds_too_little_memory_is_tried_again_until_there_is_enough(
    watch: StartWatch, trial_model: Path
) -> None:
    watched = await watch("llama", str(trial_model), scarce=2)
    await watched.ready()
    assert watched.loads == 3
    seen = [phase for phase, _ in watched.phases]
    assert Phase.UNUSABLE not in seen
    assert Phase.WAITING in seen
    assert (watched.lost, watched.supervisor.restarts) == ([], 0)
