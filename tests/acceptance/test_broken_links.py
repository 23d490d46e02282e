"""A requester whose link breaks while it is being answered: the answer is complete, and was made once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest

from edgeassist.client.answers import AnyEvent, Restarted
from edgeassist.client.requester import Requester
from edgeassist.errors import BrokerError, InvalidRequestError
from edgeassist.protocol.events import Chunk, Done
from edgeassist.sandbox import HOST, PrivateBroker, PrivateDaemon
from tests.conftest import TOPICS, AsyncConnect, StartDaemon, StartReady, options_for
from tests.integration.link import Cable, until
from tests.patience import PATIENCE_S


class Restart(Protocol):
    async def __call__(self, running: PrivateDaemon, **settings: Any) -> None: ...


# Without repetitions, which would be drafted, and so come faster.
TEXT = " ".join(str(number * 7919 % 100_003) for number in range(1, 60))
SLOW = "!script delay_ms=40\n" + TEXT


@pytest.fixture
async def cable(broker: PrivateBroker) -> AsyncIterator[Cable]:
    """A link to the test's broker that can be cut."""
    async with Cable(broker.port) as whole:
        yield whole


@pytest.fixture
def restart(daemon: StartDaemon, connect: AsyncConnect) -> Restart:
    """End a daemon, start another, and wait until it is ready; keywords are settings."""

    async def stop_and_start(running: PrivateDaemon, **settings: Any) -> None:
        await asyncio.to_thread(running.stop)
        started = daemon(**settings)
        client = await connect()
        assert await client.wait_online(PATIENCE_S)
        assert await client.wait_health(frozenset({"ready"}), PATIENCE_S), started.log.read_text()

    return stop_and_start


def client_at(cable: Cable, **options: float) -> Requester:
    return Requester(options_for(cable.port), TOPICS, name="far", **options)


async def until_text(events: list[AnyEvent], size: int = 20) -> None:
    await until(lambda: len(text_of(events)) >= size)


def text_of(events: list[AnyEvent]) -> str:
    """Return all text of the chunks."""
    return "".join(event.text for event in events if isinstance(event, Chunk))


def asking(client: Requester, prompt: str) -> tuple[list[AnyEvent], asyncio.Task[None]]:
    """Ask; return the list that the events get into as they come, and the task that ends with the answer."""
    events: list[AnyEvent] = []

    async def gather() -> None:
        async for event in client.ask(prompt):
            events.append(event)  # noqa: PERF401 - one by one, for those who look meanwhile

    return events, asyncio.create_task(gather(), name="asking")


async def answered(client: Requester, count: int = 1) -> None:
    """Wait until the device has completed that many answers, and assert that it has begun no more."""
    async with asyncio.timeout(PATIENCE_S):
        while json.loads(await client.state(TOPICS.telemetry) or b"{}").get("done") != count:
            await asyncio.sleep(0.05)
    health = json.loads(await client.state(TOPICS.health) or b"{}")
    assert (health["running"], health["queued"]) == (0, 0)


async def test_a_link_that_blinks_costs_no_text_and_no_second_run(ready: StartReady, cable: Cable) -> None:
    _, near = await ready(daemon__telemetry_s=1)
    async with client_at(cable) as far:
        events, task = asking(far, SLOW)
        await until_text(events)
        cable.cut()
        cable.mend()
        await asyncio.wait_for(task, PATIENCE_S)
    assert isinstance(events[-1], Done)
    assert text_of(events) == events[-1].text == TEXT
    assert not any(isinstance(event, Restarted) for event in events)
    await answered(near)


async def test_an_answer_that_ended_meanwhile_is_told_when_the_link_is_back(
    ready: StartReady, cable: Cable
) -> None:
    _, near = await ready(daemon__telemetry_s=1)
    async with client_at(cable) as far:
        events, task = asking(far, SLOW)
        await until_text(events)
        cable.cut()
        await answered(near)
        assert not task.done()
        cable.mend()
        await asyncio.wait_for(task, PATIENCE_S)
    assert isinstance(events[-1], Done)
    assert text_of(events) == events[-1].text == TEXT
    await answered(near)


async def test_a_question_asked_while_the_link_is_down_is_answered_when_it_is_back(
    ready: StartReady, cable: Cable
) -> None:
    _, near = await ready(daemon__telemetry_s=1)
    async with client_at(cable) as far:
        cable.cut()
        await until(lambda: not far.connected)
        events, task = asking(far, "hello")
        await asyncio.sleep(0)
        cable.mend()
        await asyncio.wait_for(task, PATIENCE_S)
    assert text_of(events) == "hello"
    await answered(near)


async def test_an_id_that_is_being_asked_is_not_asked_again_beside_it(ready: StartReady) -> None:
    _, client = await ready()
    first = client.ask(SLOW, id="same")
    await anext(first)
    with pytest.raises(InvalidRequestError, match="being asked already"):
        await client.answer("other", id="same")
    assert isinstance([event async for event in first][-1], Done)


async def test_a_device_that_says_online_again_is_not_asked_again(
    ready: StartReady, connect: AsyncConnect
) -> None:
    _, near = await ready(daemon__telemetry_s=1)
    wire = await connect.wire("edgeassist/box/status")
    events, task = asking(near, SLOW)
    await until_text(events)
    for _ in range(3):
        wire.say(TOPICS.status, b"online")
    await asyncio.wait_for(task, PATIENCE_S)
    await answered(near)
    telemetry = json.loads(await near.state(TOPICS.telemetry) or b"{}")
    # The first `online` after our own connect may be news, the others are not.
    assert telemetry["requests"] <= 2


async def test_a_link_that_stays_away_is_an_error_that_says_so(ready: StartReady, cable: Cable) -> None:
    await ready()
    async with client_at(cable, reconnect_s=0.3) as far:
        events, task = asking(far, SLOW)
        await until_text(events)
        cable.cut()
        with pytest.raises(BrokerError, match=r"lost and did not come back within 0\.3 s"):
            await asyncio.wait_for(task, PATIENCE_S)


async def test_a_device_that_stays_offline_is_an_error_that_says_so(ready: StartReady, cable: Cable) -> None:
    daemon, _ = await ready()
    async with client_at(cable, return_s=0.3) as far:
        events, task = asking(far, SLOW)
        await until_text(events)
        daemon.stop(signal.SIGKILL)
        with pytest.raises(BrokerError, match=r"went offline, and did not come back within 0\.3 s"):
            await asyncio.wait_for(task, PATIENCE_S)
        # Asked of a device that is known to be away.
        with pytest.raises(BrokerError, match="went offline"):
            await asyncio.wait_for(far.answer("hello"), PATIENCE_S)


# Mosquitto publishes the daemon's will when it is told to stop, and not when it is killed.
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_broker_that_restarts_costs_no_answer(
    ready: StartReady, broker: PrivateBroker, number: signal.Signals
) -> None:
    _, near = await ready()
    events, task = asking(near, SLOW)
    await until_text(events)
    broker.stop(number)
    broker.start()
    await asyncio.wait_for(task, PATIENCE_S)
    assert isinstance(events[-1], Done)
    assert text_of(events) == events[-1].text == TEXT


async def test_a_daemon_that_restarted_meanwhile_runs_the_request_again(
    ready: StartReady, restart: Restart, cable: Cable
) -> None:
    first, _ = await ready()
    async with client_at(cable) as far:
        events, task = asking(far, SLOW)
        await until_text(events)
        cable.cut()
        await restart(first)
        cable.mend()
        await asyncio.wait_for(task, PATIENCE_S)
    assert isinstance(events[-1], Done)
    # The same text again: the caller's stream goes on where it broke.
    assert text_of(events) == events[-1].text == TEXT
    assert not any(isinstance(event, Restarted) for event in events)


class Command:
    """`edgeassist ask` at the end of a cable, as a process."""

    def __init__(self, cable: Cable, folder: Path, *arguments: str) -> None:
        self._arguments = arguments
        self._config = folder / "no-settings.toml"
        self._environ: Mapping[str, str] = {
            **{key: value for key, value in os.environ.items() if not key.startswith("EDGEASSIST_")},
            "EDGEASSIST_DEVICE__NAME": "box",
            "EDGEASSIST_MQTT__HOST": HOST,
            "EDGEASSIST_MQTT__PORT": str(cable.port),
            "EDGEASSIST_MQTT__RECONNECT_MAX_S": "1",
        }
        self.out = b""

    async def __aenter__(self) -> Command:
        self._config.touch()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "edgeassist", "--config", str(self._config), "ask"),
            *self._arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environ,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()

    async def prints(self, size: int) -> None:
        """Read until it has printed that many bytes."""
        assert self._process.stdout is not None
        while len(self.out) < size:
            data = await asyncio.wait_for(self._process.stdout.read(1024), PATIENCE_S)
            assert data, "it has ended"
            self.out += data

    async def ends(self) -> tuple[int | None, str, str]:
        """Return its exit status, and all of its output and errors."""
        rest, errors = await asyncio.wait_for(self._process.communicate(), PATIENCE_S)
        return self._process.returncode, (self.out + rest).decode(), errors.decode()


async def test_the_command_prints_an_answer_once_although_its_link_broke(
    ready: StartReady, cable: Cable, tmp_path: Path
) -> None:
    _, near = await ready(daemon__telemetry_s=1)
    async with Command(cable, tmp_path, SLOW) as command:
        await command.prints(20)
        cable.cut()
        await answered(near)
        cable.mend()
        assert await command.ends() == (0, TEXT + "\n", "")
    await answered(near)


async def test_the_command_says_where_a_new_answer_begins(
    ready: StartReady, restart: Restart, cable: Cable, trial_model: Path, tmp_path: Path
) -> None:
    # Or the next run would give the answer again that the first had.
    first, near = await ready(admission__durable=False)
    async with Command(cable, tmp_path, SLOW, "--max-tokens", "100", "--temperature", "0") as command:
        await command.prints(1)
        cable.cut()
        other = {"model__path": trial_model, "engine__speculate": False, "engine__prefix_mb": 0}
        await restart(first, admission__durable=False, **other)
        cable.mend()
        status, out, errors = await command.ends()
    expected = await near.answer(SLOW, max_tokens=100, temperature=0)
    assert isinstance(expected, Done)
    assert status == 0
    old, _, new = out.partition("\n")
    assert TEXT.startswith(old)
    # With random weights, a step of another size may decide a close call otherwise: the beginning will do.
    assert new[:80] == expected.text[:80]
    assert "begun again" in errors
