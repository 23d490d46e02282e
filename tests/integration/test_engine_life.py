"""How an engine process begins, what it shrugs off, and that it always ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from edgeassist.engine.messages import Delta, Finished, Level, Load, Loading, Log, Prefilled, Stop, Unusable
from edgeassist.errors import ExitStatus
from tests.integration.driver import Engine, start
from tests.patience import PATIENCE_S

HANG = "!script hang_after=2\nhello hello"
SLOW_PREFILL = "!script prefill_ms=1000\n" + "slow " * 400

NOISE = """
import os, threading, time

def chatter():
    while True:
        os.write(1, b'{"type":"finished"}\\n\\xff\\x00noise')
        os.write(2, b'{"type":"heartbeat","steps":1,"running":0}\\n')
        time.sleep(0.002)

threading.Thread(target=chatter, daemon=True).start()
"""

FOSTER_PARENT = """
import os, subprocess, sys, time
fd = sys.argv[1]
child = subprocess.Popen(
    [sys.executable, "-P", "-m", "edgeassist.engine", fd, str(os.getpid())], pass_fds=[int(fd)]
)
print(child.pid, flush=True)
time.sleep(60)
"""


def test_signs_of_life_come_before_ready(fresh: Engine) -> None:
    fresh.load()
    assert isinstance(fresh.events[0], Loading | Log)
    assert any(isinstance(event, Loading) for event in fresh.events)


def test_stop_ends_it_with_status_0(fresh: Engine) -> None:
    fresh.load()
    fresh.send(Stop())
    assert fresh.ends() == (ExitStatus.OK, "")


def test_stop_while_it_answers_ends_it(fresh: Engine) -> None:
    fresh.load()
    fresh.send(start("!script repeat=99 delay_ms=5\nhello ", max_tokens=900))
    fresh.hear(Delta)
    fresh.send(Stop())
    assert fresh.ends()[0] == ExitStatus.OK


def test_a_closed_pipe_ends_it_while_it_is_idle(fresh: Engine) -> None:
    fresh.load()
    fresh.socket.close()
    assert fresh.ends()[0] == ExitStatus.UNAVAILABLE


def test_a_closed_pipe_ends_it_before_it_was_told_what_to_load(fresh: Engine) -> None:
    fresh.socket.close()
    assert fresh.ends() == (ExitStatus.UNAVAILABLE, "")


@pytest.mark.parametrize("prompt", [HANG, SLOW_PREFILL])
def test_a_closed_pipe_ends_it_in_the_middle_of_a_step(fresh: Engine, prompt: str) -> None:
    fresh.load(step_tokens=512)
    fresh.send(start(prompt, max_tokens=100))
    time.sleep(0.3)
    fresh.drain()
    fresh.socket.close()
    assert fresh.ends()[0] == ExitStatus.UNAVAILABLE


@pytest.mark.parametrize("rest", ["unread events", "half a line"])
def test_a_pipe_that_closes_with_something_left_in_it_ends_a_hung_engine_too(
    fresh: Engine, rest: str
) -> None:
    fresh.load()
    fresh.send(start(HANG))
    time.sleep(0.3)
    if rest == "half a line":
        fresh.drain()
        fresh.socket.sendall(b'{"type":"sto')
    fresh.socket.close()
    fresh.ends()


def test_a_closed_pipe_ends_an_engine_whose_words_nobody_reads(fresh: Engine) -> None:
    fresh.load()
    fresh.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    fresh.send(*(start("!script repeat=99\n" + "words " * 30, max_tokens=900) for _ in range(4)))
    time.sleep(0.5)
    assert fresh.process.poll() is None
    fresh.socket.close()
    assert fresh.ends()[0] == ExitStatus.UNAVAILABLE


def test_the_parents_death_ends_it_in_the_middle_of_a_step_although_the_pipe_is_open(fresh: Engine) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-c", FOSTER_PARENT, str(theirs.fileno())]
        with subprocess.Popen(command, pass_fds=[theirs.fileno()], stdout=subprocess.PIPE) as parent:
            assert parent.stdout is not None
            child = psutil.Process(int(parent.stdout.readline()))
            fresh.socket.close()
            fresh.socket = ours
            fresh.load()
            fresh.send(start(HANG))
            fresh.hear(Prefilled)
            parent.kill()
        _, alive = psutil.wait_procs([child], timeout=PATIENCE_S)
        assert not alive or alive[0].status() == psutil.STATUS_ZOMBIE


def test_it_ends_at_once_where_the_parent_is_not_the_one_it_was_told(fresh: Engine) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-P", "-m", "edgeassist.engine", str(theirs.fileno()), "1"]
        done = subprocess.run(command, pass_fds=[theirs.fileno()], timeout=PATIENCE_S, check=False)
    assert done.returncode == ExitStatus.UNAVAILABLE


def test_signals_for_the_daemon_do_not_end_it(fresh: Engine) -> None:
    fresh.load()
    fresh.send(start("!script delay_ms=5\n" + "words " * 40, request="a", max_tokens=50))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) * 2:
        os.kill(fresh.process.pid, number)
    assert isinstance(fresh.wait("a").ending, Finished)
    assert fresh.process.poll() is None


def test_what_native_code_prints_does_not_reach_the_pipe(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NOISE)
    with Engine(environ={"PYTHONPATH": str(tmp_path)}) as engine:
        engine.load()
        answers = engine.ask(*["!script delay_ms=2\n" + "words " * 20] * 4)
        assert [answer.text for answer in answers] == ["words " * 20] * 4
        engine.send(Stop())
        status, printed = engine.ends()
        assert status == ExitStatus.OK
        assert "noise" in printed


def test_the_first_command_must_be_load(fresh: Engine) -> None:
    fresh.send(start("too early"))
    event = fresh.hear(Unusable)
    assert "load" in event.message
    assert fresh.ends()[0] == ExitStatus.SOFTWARE


def test_a_second_load_is_reported_and_changes_nothing(fresh: Engine) -> None:
    fresh.load()
    fresh.send(Load("scripted", "", 16, 1, 1, 8))
    event = fresh.until(lambda each: isinstance(each, Log) and each.level is Level.ERROR)
    assert isinstance(event, Log)
    assert "Load" in event.message
    assert [answer.text for answer in fresh.ask(*["x" * 80] * 4)] == ["x" * 80] * 4


@pytest.mark.parametrize("name", ["vllm", "", "scripted "])
def test_an_unknown_backend_is_unusable(fresh: Engine, name: str) -> None:
    with pytest.raises(AssertionError, match="ended"):
        fresh.load(name)
    assert isinstance(fresh.events[-1], Unusable)
    assert "model.backend" in fresh.events[-1].message
    assert fresh.ends()[0] == ExitStatus.CONFIGURATION


@pytest.mark.parametrize(
    "line", [b"garbage\n", b"\n", b'{"type":"dance"}\n', b'{"type":"load"}\n', b"\xff\n"]
)
def test_a_first_line_that_is_no_command_ends_it(fresh: Engine, line: bytes) -> None:
    fresh.socket.sendall(line)
    status, printed = fresh.ends()
    assert status not in {ExitStatus.OK, ExitStatus.CONFIGURATION}
    assert "msgspec" in printed


@pytest.mark.parametrize("line", [b"garbage\n", b'{"type":"dance"}\n', b'{"type":"start","id":1}\n'])
def test_a_later_line_that_is_no_command_is_logged_and_ends_it(fresh: Engine, line: bytes) -> None:
    fresh.load()
    fresh.socket.sendall(line)
    event = fresh.until(lambda each: isinstance(each, Log) and each.level is Level.ERROR)
    assert isinstance(event, Log)
    assert "no command" in event.message
    assert fresh.ends()[0] == ExitStatus.SOFTWARE


def test_a_crash_in_native_code_ends_it_with_its_signal(fresh: Engine) -> None:
    fresh.load()
    fresh.send(start("!script crash_after=2\nhello hello", request="a"))
    while fresh.read() is not None:
        pass
    assert fresh.ends()[0] == -signal.SIGKILL
    assert not [event for event in fresh.about("a") if isinstance(event, Finished)]


def test_a_step_that_fails_fails_all_that_were_in_it_and_the_engine_serves_on(fresh: Engine) -> None:
    fresh.load()
    failing, other = fresh.ask("!script fail_after=3\n" + "x" * 80, "y" * 80)
    assert (failing.failed.code, other.failed.code) == ("internal", "internal")
    assert "failing step" in failing.failed.message
    assert [answer.text for answer in fresh.ask(*["again"] * 4)] == ["again"] * 4


def test_a_message_of_a_megabyte_passes_the_pipe(fresh: Engine) -> None:
    fresh.load(context=32768, step_tokens=32768)
    assert fresh.answer("x" * 60_000, max_tokens=32768).text == "x" * 60_000
    assert fresh.answer("x" * 1_000_000).failed.code == "context_overflow"
    assert fresh.answer("still there").text == "still there"
