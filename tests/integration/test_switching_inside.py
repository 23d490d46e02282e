"""A switch of models in one process, where memory is what a test says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from edgeassist.client.requester import Requester
from edgeassist.daemon.app import App
from edgeassist.daemon.switching import Prepared
from edgeassist.errors import Code
from edgeassist.models.calibration import calibration_for
from edgeassist.models.selected import Named
from edgeassist.protocol.events import Accepted, AnyEvent, Chunk, Done
from edgeassist.protocol.requests import PromptRequest
from edgeassist.sandbox import PrivateBroker
from edgeassist.supervision.supervisor import Phase
from tests.conftest import AsyncConnect, expect_done, expect_failed
from tests.integration.house import running
from tests.integration.link import until
from tests.patience import PATIENCE_S
from tests.toy_transport import ToySink, ToyTransport

TINY = "builtin:tiny"
TINY_NAME = "EdgeAssist Tiny"
SLOW = "!script repeat=200 delay_ms=20\nabcd"


@pytest.fixture(autouse=True)
def _state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))


def prepare_otherwise(app: App, change: Callable[[Prepared], Prepared]) -> None:
    """Have switches prepared as a test wants it."""
    prepare = app.switching._prepare
    app.switching._prepare = lambda named, held: change(prepare(named, held))


def no_room(app: App) -> None:
    """Let there be no memory for two models."""
    prepare_otherwise(app, lambda prepared: replace(prepared, beside=False))


async def use(client: Requester, model: str) -> dict[str, object]:
    response = await client.command("model", wait_s=PATIENCE_S, action="use", model=model)
    return {"code": response.error.code, "message": response.error.message} if response.error else {
        **(response.data or {})
    }  # fmt: skip


async def begun(toy: ToyTransport, prompt: str = SLOW) -> ToySink:
    """Ask, and return the sink once text came."""
    sink = ToySink()
    toy._requests.submit(PromptRequest(prompt=prompt), toy.caller, sink)
    while not isinstance(await asyncio.wait_for(sink.events.get(), PATIENCE_S), Chunk):
        pass
    return sink


async def end_of(sink: ToySink) -> AnyEvent:
    while True:
        event = await asyncio.wait_for(sink.events.get(), PATIENCE_S)
        if event.type in {"done", "error"}:
            return event


@pytest.mark.parametrize("beside", [True, False])
async def test_no_prompt_is_lost_or_fails_over_switches_under_load(
    broker: PrivateBroker,
    connect: AsyncConnect,
    beside: bool,  # noqa: FBT001 - a parameter
) -> None:
    async with running(broker, connect) as (app, client):
        if not beside:
            no_room(app)
        ended: list[Done] = []
        done = asyncio.Event()

        async def ask(number: int) -> None:
            mine = await connect()
            while not done.is_set():
                prompt = f"!script delay_ms=5\nnumber {number} and {len(ended)}"
                ended.append(expect_done(await mine.answer(prompt, max_tokens=8)))

        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(ask(number))
            for model in (TINY, "default", TINY):
                before = len(ended)
                assert (await use(client, model))["beside"] is beside
                await until(lambda before=before: len(ended) >= before + 8)  # type: ignore[misc]
            done.set()
        assert {each.model for each in ended} == {"scripted", TINY_NAME}
        # One that began before the last switch may end last: the engine that leaves answers it.
        last = expect_done(await (await connect()).answer("one more", max_tokens=8))
        assert last.model == TINY_NAME
        assert app.supervisor.restarts == 0
        assert app.requests.tally.report().errors == {}


async def test_without_memory_for_both_what_comes_meanwhile_waits_for_the_new_model(
    broker: PrivateBroker, connect: AsyncConnect
) -> None:
    async with running(broker, connect) as (app, client):
        no_room(app)
        toy = ToyTransport(app.requests)
        stream = await begun(toy, "!script repeat=40 delay_ms=20\nabcd")
        switch = asyncio.create_task(use(client, TINY))
        await until(lambda: app.requests.engines.held)
        waiting = asyncio.create_task(toy.answer(PromptRequest(prompt="hello", max_tokens=2)))
        assert (await switch)["model"] == TINY_NAME
        assert expect_done(await end_of(stream)).text == "abcd" * 40
        accepted, *_, end = await waiting
        assert isinstance(accepted, Accepted)
        assert accepted.model is None
        assert expect_done(end).model == TINY_NAME


@pytest.mark.parametrize("beside", [True, False])
async def test_an_answer_that_outlasts_the_drain_time_ends_with_what_it_has(
    broker: PrivateBroker,
    connect: AsyncConnect,
    beside: bool,  # noqa: FBT001 - a parameter
) -> None:
    async with running(broker, connect, DAEMON__DRAIN_S="0.1") as (app, client):
        if not beside:
            no_room(app)
        stream = await begun(ToyTransport(app.requests))
        assert (await use(client, TINY))["switched"] is True
        failed = expect_failed(await end_of(stream))
        assert (failed.code, failed.retryable) == (Code.MODEL_LOADING, True)
        assert "switched to builtin:tiny" in failed.message
        assert failed.text.startswith("abcd")
        assert app.supervisor.restarts == 0


@pytest.mark.parametrize("beside", [True, False])
async def test_a_model_that_fails_to_load_brings_the_one_before_back(
    broker: PrivateBroker,
    connect: AsyncConnect,
    beside: bool,  # noqa: FBT001 - a parameter
) -> None:
    async with running(broker, connect) as (app, client):
        prepare_otherwise(
            app,
            lambda prepared: replace(
                prepared, beside=beside, load=msgspec.structs.replace(prepared.load, path="/nowhere.gguf")
            ),
        )
        asked = asyncio.create_task(client.answer("!script delay_ms=20\nabcdefghijklmnop"))
        await until(lambda: app.requests.running)
        failed = await use(client, TINY)
        assert failed["code"] == Code.MODEL_UNAVAILABLE
        assert "/nowhere.gguf" in str(failed["message"])
        assert "scripted serves on" in str(failed["message"])
        assert expect_done(await asked).model == "scripted"
        assert expect_done(await client.answer("hello")).text == "hello"
        assert (app.supervisor.restarts, app.supervisor.phase) == (0, Phase.READY)
        assert app.switching.selected.named == Named(Path(TINY), "scripted")


async def test_a_session_goes_on_with_the_new_model(broker: PrivateBroker, connect: AsyncConnect) -> None:
    async with running(broker, connect) as (_, client):
        first = expect_done(await client.answer("hello", session="s"))
        await use(client, TINY)
        second = expect_done(await client.answer("And now?", session="s", resume=True, max_tokens=4))
        assert (first.model, second.model) == ("scripted", TINY_NAME)
        await use(client, "default")
        third = expect_done(await client.answer("again", session="s", resume=True))
        assert third.usage.prompt_tokens > len("again") // 3 + 1


async def test_a_switch_beside_another_is_refused(broker: PrivateBroker, connect: AsyncConnect) -> None:
    async with running(broker, connect) as (app, client):
        no_room(app)
        stream = await begun(ToyTransport(app.requests), "!script repeat=60 delay_ms=20\nabcd")
        first = asyncio.create_task(use(client, TINY))
        await until(lambda: app.switching.target)
        second = await use(client, "default")
        assert second["code"] == Code.BUSY
        assert "switched to builtin:tiny" in str(second["message"])
        listed = (await client.command("model")).data or {}
        assert listed["switching_to"] == TINY
        assert (await first)["switched"] is True
        expect_done(await end_of(stream))
        assert (await use(client, TINY))["switched"] is False


async def test_a_decision_goes_by_the_model_that_makes_it(
    broker: PrivateBroker, connect: AsyncConnect
) -> None:
    async with running(broker, connect) as (app, client):
        questions = {"room": {"type": "choice", "instructions": "Which room?", "criteria": ["hall", "bath"]}}

        async def decide() -> Done:
            events = [each async for each in client.decide(state="the bath", questions=questions)]
            done = events[-1]
            assert isinstance(done, Done), done
            return done

        no_room(app)
        assert (await decide()).model == "scripted"
        switch = asyncio.create_task(use(client, TINY))
        during = [asyncio.create_task(decide()) for _ in range(6)]
        await switch
        assert {(await each).model for each in during} <= {"scripted", TINY_NAME}
        assert (await decide()).model == TINY_NAME
        assert app.requests.calibration == calibration_for(TINY_NAME)
        assert app.requests.calibration != calibration_for("scripted")


async def test_a_stop_in_the_middle_of_a_switch_ends_it_and_changes_nothing(
    broker: PrivateBroker, connect: AsyncConnect, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        app, client = await stack.enter_async_context(running(broker, connect, DAEMON__DRAIN_S="0.1"))
        no_room(app)
        await begun(ToyTransport(app.requests))
        app.switching._drain_s = lambda: PATIENCE_S
        switch = asyncio.create_task(use(client, TINY))
        await until(lambda: app.switching.target)
        app.stop()
        assert (await switch)["code"] == Code.SHUTTING_DOWN
    assert list((tmp_path / "state").glob("model.json")) == []


async def test_info_has_the_hash_of_a_model_that_is_loaded_again_because_its_engine_died(
    broker: PrivateBroker, connect: AsyncConnect
) -> None:
    async with running(broker, connect) as (app, client):
        await use(client, TINY)
        await until(lambda: app._condition.sha256)
        known, pid = app._condition.sha256, app.supervisor.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: app.supervisor.phase is not Phase.READY)
        assert (await use(client, TINY))["switched"] is True
        await until(lambda: app._condition.sha256)
        assert app._condition.sha256 == known


async def test_info_never_has_the_hash_of_a_model_that_served_while_it_was_computed(
    broker: PrivateBroker, connect: AsyncConnect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(broker, connect) as (app, client):
        computed, waits = app._condition.hash_model, asyncio.Event()
        begun = asyncio.Event()

        async def slowly(path: Path | None) -> str | None:
            if path is not None:
                begun.set()
                await waits.wait()
            return await computed(path)

        monkeypatch.setattr(app._condition, "hash_model", slowly)
        wire = await connect.wire(client.topics.info)
        await use(client, TINY)
        await asyncio.wait_for(begun.wait(), PATIENCE_S)
        await use(client, "default")
        waits.set()
        await use(client, TINY)
        await until(lambda: app._condition.sha256)
        infos = [json.loads(said.payload)["model"] or {} for said in wire.heard]
        assert {said["sha256"] for said in infos if said.get("name") == "scripted"} == {None}
