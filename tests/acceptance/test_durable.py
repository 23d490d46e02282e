"""Nothing accepted is lost: a daemon that is killed, with real processes and a real broker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edgeassist.sandbox import PrivateBroker
from tests.conftest import TOPICS, AsyncConnect, StartDaemon, StartReady, Wire, environ_of, kind
from tests.patience import PATIENCE_S
from tests.preloaded import PrivateDaemon

SLOW = "!script delay_ms=50\n" + "word " * 400


def health_of(wire: Wire) -> dict[str, Any]:
    """Return the last that the device said of itself."""
    last = [message for message in wire.heard if message.topic == TOPICS.health][-1]
    return dict(json.loads(last.payload))


async def killed(daemon: PrivateDaemon) -> None:
    os.kill(daemon.pid, signal.SIGKILL)
    await asyncio.to_thread(daemon.stop)


async def test_what_waits_is_answered_by_the_next_run_and_what_began_is_interrupted(
    ready: StartReady, connect: AsyncConnect
) -> None:
    daemon, _ = await ready(engine__slots=1)
    wire = await connect.wire(TOPICS.reply("+"), TOPICS.health)
    wire.say(TOPICS.prompt(), json.dumps({"id": "began", "prompt": SLOW}), qos=1)
    await wire.until(lambda message: kind(message) == "chunk")
    wire.say(TOPICS.prompt(), json.dumps({"id": "waits", "prompt": "hello"}), qos=1)
    # Without an id: the one that it was given stays.
    wire.say(TOPICS.prompt(), "hello again", qos=1)
    nameless = await wire.until(
        lambda message: kind(message) == "accepted" and not said_of(message, "began", "waits")
    )
    await killed(daemon)
    daemon.start()
    interrupted = await wire.until(lambda message: kind(message) == "error")
    assert (json.loads(interrupted.payload)["id"], json.loads(interrupted.payload)["code"]) == (
        "began",
        "interrupted",
    )
    done = await wire.until(lambda message: kind(message) == "done" and said_of(message, "waits"))
    assert json.loads(done.payload)["text"] == "hello"
    name = json.loads(nameless.payload)["id"]
    again = await wire.until(lambda message: kind(message) == "done" and said_of(message, name))
    assert (json.loads(again.payload)["text"], again.topic) == ("hello again", nameless.topic)
    assert health_of(wire)["durable"] is True


async def test_what_was_accepted_is_answered_though_durability_is_turned_off_meanwhile(
    ready: StartReady, daemon: StartDaemon, connect: AsyncConnect
) -> None:
    process, _ = await ready(engine__slots=1)
    wire = await connect.wire(TOPICS.reply("+"), TOPICS.health)
    wire.say(TOPICS.prompt(), json.dumps({"id": "began", "prompt": SLOW}), qos=1)
    await wire.until(lambda message: kind(message) == "chunk")
    wire.say(TOPICS.prompt(), json.dumps({"id": "waits", "prompt": "hello"}), qos=1)
    await wire.until(lambda message: kind(message) == "accepted" and said_of(message, "waits"))
    await killed(process)
    daemon(engine__slots=1, admission__durable=False)
    await wire.until(lambda message: kind(message) == "done" and said_of(message, "waits"))
    # What was said of it last may be of the one that was killed.
    why = "admission.durable is off"
    await wire.until(
        lambda message: (
            message.topic == TOPICS.health and json.loads(message.payload).get("undurable_reason") == why
        )
    )


def said_of(message: Any, *names: str) -> bool:
    return json.loads(message.payload)["id"] in names


async def test_a_client_that_asks_again_by_id_after_the_restart_gets_the_same_answer(
    ready: StartReady, connect: AsyncConnect
) -> None:
    daemon, _ = await ready()
    wire = await connect.wire(TOPICS.reply("+"), TOPICS.health)
    prompt = json.dumps({"id": "a", "prompt": "hello"})
    wire.say(TOPICS.prompt(), prompt, qos=1)
    first = await wire.answer()
    await killed(daemon)
    wire.heard.clear()
    daemon.start()
    await wire.until(lambda message: message.topic == TOPICS.health)
    wire.say(TOPICS.prompt(), prompt, qos=1)
    assert await wire.answer() == {**first, "repeat": True}


async def written(daemon: PrivateDaemon, name: bytes) -> None:
    """Wait until a request of that name is in the journal's files."""
    folder = daemon.log.parent / "state" / "journal"
    async with asyncio.timeout(PATIENCE_S):
        while not any(name in path.read_bytes() for path in folder.glob("*.db*")):
            await asyncio.sleep(0.02)


async def test_deadlines_go_on_while_it_is_away(ready: StartReady, connect: AsyncConnect) -> None:
    daemon, _ = await ready(engine__slots=1)
    wire = await connect.wire(TOPICS.reply("+"))
    wire.say(TOPICS.prompt(), json.dumps({"id": "runs", "prompt": SLOW}), qos=1)
    wire.say(TOPICS.prompt(), json.dumps({"id": "late", "prompt": "x", "timeout_s": 2}), qos=1)
    await wire.until(lambda message: kind(message) == "accepted" and said_of(message, "late"))
    await wire.until(lambda message: kind(message) == "chunk")
    await written(daemon, b'"late"')
    await killed(daemon)
    await asyncio.sleep(2)
    daemon.start()
    error = await wire.until(lambda message: kind(message) == "error" and said_of(message, "late"))
    assert json.loads(error.payload)["code"] == "deadline_exceeded"


def unshared(size: str, state: Path) -> tuple[str, ...]:
    """Return a command that gives a process a small disk of its own for its state, where that is allowed."""
    mount = f'mount -t tmpfs -o size={size} tmpfs "{state}" && exec "$@"'
    command = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh")
    if (
        shutil.which("unshare") is None
        or subprocess.run([*command, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no user namespace may mount a small disk here")
    return command


async def test_on_a_full_disk_it_answers_and_says_that_nothing_outlives_a_restart(
    broker: PrivateBroker, connect: AsyncConnect, tmp_path: Path
) -> None:
    state = tmp_path / "small"
    state.mkdir()
    environ = environ_of(broker.port, engine__slots=1, daemon__telemetry_s=1, engine__state_mb=0)
    environ["STATE_DIRECTORY"] = str(state)
    wire = await connect.wire(TOPICS.reply("+"), TOPICS.health, TOPICS.status)
    with PrivateDaemon(tmp_path, environ, prefix=unshared("2m", state)) as daemon:
        await wire.until(lambda message: message.payload == b"online")
        inside = Path(f"/proc/{daemon.pid}/root{state}")
        filler = inside / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        # What is reserved is used up first.
        for number in range(200):
            wire.heard = [message for message in wire.heard if message.topic == TOPICS.health]
            prompt = {"id": f"r{number}", "prompt": "hello", "metadata": {"note": "x" * 4000}}
            wire.say(TOPICS.prompt(), json.dumps(prompt), qos=1)
            assert (await wire.answer())["type"] == "done"
            if not health_of(wire)["durable"]:
                break
        # That many may pass before the device says how it is.
        if health_of(wire)["durable"]:
            await wire.until(
                lambda message: message.topic == TOPICS.health and not health_of(wire)["durable"]
            )
        assert "full" in health_of(wire)["undurable_reason"]
        log = daemon.log.read_text()
        assert log.count("do not outlive a restart") == 1
        filler.unlink()
        wire.heard.clear()
        await wire.until(
            lambda message: message.topic == TOPICS.health and health_of(wire)["durable"], 4 * PATIENCE_S
        )
        wire.say(TOPICS.prompt(), json.dumps({"id": "after", "prompt": "hello"}), qos=1)
        assert (await wire.answer())["text"] == "hello"


async def test_a_second_daemon_of_one_name_and_folder_does_without(
    broker: PrivateBroker, connect: AsyncConnect, tmp_path: Path
) -> None:
    wire = await connect.wire(TOPICS.health, TOPICS.status)
    with PrivateDaemon(tmp_path, environ_of(broker.port)) as first:
        await wire.until(lambda message: message.topic == TOPICS.health and health_of(wire)["durable"])
        other = tmp_path / "other"
        other.mkdir()
        environ = environ_of(broker.port, mqtt__client_id="second")
        environ["STATE_DIRECTORY"] = str(tmp_path / "state")
        with PrivateDaemon(other, environ) as second:
            said = await wire.until(
                lambda message: message.topic == TOPICS.health and b"another daemon has" in message.payload
            )
            assert json.loads(said.payload)["durable"] is False
            assert second.poll() is None
        assert first.poll() is None


async def test_a_stop_while_nothing_runs_leaves_all_that_was_accepted_to_the_next_start(
    broker: PrivateBroker, connect: AsyncConnect, tmp_path: Path
) -> None:
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps({"!load": "!script delay_ms=600000"}))
    environ = environ_of(
        broker.port,
        model__path=answers,
        model__backend="scripted",
        admission__per_client=64,
        admission__queue=64,
    )
    wire = await connect.wire(TOPICS.reply("+"), TOPICS.status)
    names = {f"r{number}" for number in range(40)}
    with PrivateDaemon(tmp_path, environ) as daemon:
        await wire.until(lambda message: message.payload == b"online")
        for name in sorted(names):
            wire.say(TOPICS.prompt(), json.dumps({"id": name, "prompt": name}), qos=1)
        # The disk may not have the last of them yet.
        accepted = await wire.until(
            lambda message: message.topic != TOPICS.status and said_of(message, max(names))
        )
        assert kind(accepted) == "accepted"
        await asyncio.to_thread(daemon.stop)
        answers.write_text("{}")
        daemon.start()
        answered: set[str] = set()

        def all_answered(message: Any) -> bool:
            if kind(message) == "done":
                answered.add(json.loads(message.payload)["id"])
            return answered == names

        await wire.until(all_answered)
    assert "error" not in map(kind, wire.heard)


async def test_with_version_3_1_1_what_is_published_while_it_is_away_for_a_moment_is_answered(
    ready: StartReady, connect: AsyncConnect
) -> None:
    daemon, _ = await ready(mqtt__protocol="3.1.1")
    wire = await connect.wire(TOPICS.reply("+"), TOPICS.status)
    # The last that is known of it is some seconds old at most.
    folder = daemon.log.parent / "run"
    async with asyncio.timeout(PATIENCE_S):
        while not list(folder.glob("*.json")):
            await asyncio.sleep(0.05)
    await killed(daemon)
    await wire.until(lambda message: message.payload == b"offline")
    wire.say(TOPICS.prompt(), json.dumps({"id": "meanwhile", "prompt": "hello"}), qos=1)
    assert await wire.broker.flush(PATIENCE_S)
    daemon.start()
    done = await wire.until(lambda message: kind(message) == "done")
    assert json.loads(done.payload)["id"] == "meanwhile"
