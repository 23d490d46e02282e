"""Another model takes the place of the one that is served, while prompts come."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeassist.client import AsyncClient
from edgeassist.client.requester import Requester
from edgeassist.errors import EdgeAssistError
from edgeassist.protocol.events import Accepted, Chunk, Done
from edgeassist.protocol.packets import Inbound
from edgeassist.sandbox import HOST, PrivateBroker
from tests import preloaded
from tests.conftest import AsyncConnect, StartReady, environ_of, expect_done
from tests.patience import PATIENCE_S

TINY = "builtin:tiny"
TINY_NAME = "EdgeAssist Tiny"
SCRIPTED = "scripted"
LONG = "!script repeat=150 delay_ms=20\nabcd"


async def use(
    client: Requester, model: str, on_progress: Callable[[dict[str, Any]], None] | None = None
) -> Any:
    """Have another model served; return the response."""
    return await client.command(
        "model", wait_s=PATIENCE_S, on_progress=on_progress, action="use", model=model
    )


async def served(client: Requester) -> str:
    """Return the name of the model that answers now."""
    return expect_done(await client.answer("hello", max_tokens=1)).model


async def health(client: Requester) -> dict[str, Any]:
    return dict(json.loads(await client.state(client.topics.health) or b"{}"))


async def test_another_model_serves_from_then_on_and_all_that_is_said_of_it_follows(
    ready: StartReady,
) -> None:
    _, client = await ready()
    progress: list[dict[str, Any]] = []
    response = await use(client, TINY, progress.append)
    assert response.status == "ok", response
    assert response.data | {"took_ms": 0} == {
        "model": TINY_NAME, "switched": True, "beside": True, "took_ms": 0
    }  # fmt: skip
    assert progress[0]["step"] == "loading"
    assert await served(client) == TINY_NAME
    info: dict[str, Any] = {**((await client.command("info")).data or {})}
    assert (info["model"]["name"], info["model"]["backend"]) == (TINY_NAME, "llama")
    said = await client.wait_health(frozenset({"ready"}), PATIENCE_S)
    assert said is not None
    assert (said["model"], said["engine_restarts"]) == (TINY_NAME, 0)


async def test_a_stream_that_runs_ends_on_the_model_that_began_it(ready: StartReady) -> None:
    _, client = await ready()
    events = client.ask(LONG, max_tokens=500)
    async for event in events:
        if isinstance(event, Chunk):
            break
    response = await use(client, TINY)
    assert response.status == "ok"
    assert await served(client) == TINY_NAME
    end = [event async for event in events][-1]
    assert isinstance(end, Done)
    assert (end.model, end.text) == (SCRIPTED, "abcd" * 150)


async def test_the_choice_outlives_a_restart_until_the_default_is_used_again(
    ready: StartReady, connect: AsyncConnect
) -> None:
    daemon, client = await ready()
    await use(client, TINY)
    daemon.stop()
    daemon.start()
    assert await client.wait_online(PATIENCE_S)
    assert await client.wait_health(frozenset({"ready"}), PATIENCE_S)
    assert await served(client) == TINY_NAME
    assert "the model was chosen" in daemon.log.read_text()
    await use(client, "default")
    assert await served(client) == SCRIPTED
    listed: dict[str, Any] = {**((await client.command("model")).data or {})}
    assert [each["name"] for each in listed["models"]] == [TINY]


async def test_a_model_that_can_not_be_loaded_changes_nothing_and_says_why(
    ready: StartReady, tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "broken.gguf").write_bytes(b"GGUF" + b"\0" * 64)
    _, client = await ready(library__folder=folder)
    for name, words in (("broken", "broken.gguf"), ("nothing", "there is no model 'nothing'")):
        response = await use(client, name)
        assert response.status == "error"
        assert words in response.error.message
    assert "scripted serves on" in (await use(client, "broken")).error.message
    assert await served(client) == SCRIPTED


async def test_a_model_that_is_broken_at_a_start_leaves_the_configured_one_and_the_box_serves(
    ready: StartReady, trial_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    mine = folder / "mine.gguf"
    mine.write_bytes(trial_model.read_bytes())
    daemon, client = await ready(library__folder=folder)
    assert (await use(client, "mine")).status == "ok"
    daemon.stop()
    mine.write_bytes(trial_model.read_bytes()[:-4096])
    daemon.start()
    assert await client.wait_online(PATIENCE_S)
    assert await client.wait_health(frozenset({"ready"}), PATIENCE_S), daemon.log.read_text()
    assert await served(client) == SCRIPTED
    assert "the chosen model can't be used" in daemon.log.read_text()


async def test_what_stands_retained_follows_the_model(ready: StartReady, connect: AsyncConnect) -> None:
    _, client = await ready()
    wire = await connect.wire(client.topics.info)
    await use(client, TINY)
    await wire.until(lambda said: named(said) == TINY_NAME and bool(model_of(said)["sha256"]))
    wire.heard.clear()
    await use(client, "default")
    await wire.until(lambda said: named(said) == SCRIPTED)
    assert next(model_of(said)["sha256"] for said in wire.heard if named(said) == SCRIPTED) is None


def model_of(said: Inbound) -> dict[str, Any]:
    return dict(json.loads(said.payload)["model"] or {})


def named(said: Inbound) -> str | None:
    return model_of(said).get("name")


async def test_a_model_that_nobody_asks_sleeps_and_the_next_prompt_wakes_it(
    ready: StartReady, connect: AsyncConnect, tmp_path: Path
) -> None:
    config = tmp_path / "box.toml"
    config.write_text("[model]\nsleep_idle_s = 0.5\n")
    _, client = await ready(config=config)
    wire = await connect.wire(client.topics.health)
    said = await wire.until(sleeps)
    asleep = json.loads(said.payload)
    assert (asleep["state"], asleep["model"], asleep["engine_memory_bytes"]) == ("ready", SCRIPTED, None)
    assert "the model sleeps: the next request loads it" in asleep["reason"]
    assert ((await client.command("ping")).data or {})["state"] == "ready"
    accepted, *_, end = [event async for event in client.ask("hello")]
    assert isinstance(accepted, Accepted)
    assert accepted.model_ready_in_s is not None
    assert 0 < accepted.model_ready_in_s < PATIENCE_S
    assert (accepted.model, expect_done(end).text) == (SCRIPTED, "hello")
    # It may sleep again at once; told never to, it wakes for good.
    config.write_text("")
    assert (await client.command("reload")).data == {"applied": ["model.sleep_idle_s"], "restart_needed": []}
    wire.heard.clear()
    await wire.until(lambda said: not sleeps(said))
    accepted, *_ = [event async for event in client.ask("hello")]
    assert isinstance(accepted, Accepted)
    assert accepted.model_ready_in_s is None
    assert (await health(client))["engine_restarts"] == 0


def sleeps(said: Inbound) -> bool:
    return bool(json.loads(said.payload)["sleeping"])


async def test_a_sleeping_device_serves_another_model_and_counts_as_ready(
    ready: StartReady, connect: AsyncConnect
) -> None:
    _, client = await ready(model__sleep_idle_s=0.5)
    wire = await connect.wire(client.topics.health)
    await wire.until(sleeps)
    assert (await use(client, TINY)).data["model"] == TINY_NAME
    assert await served(client) == TINY_NAME


WATCH = """
[[watch]]
name = "laundry"
topics = ["washer/power"]
interval_s = 1
questions = { done = { type = "yes_no", instructions = "Done?" } }
"""


async def test_watches_ask_on_over_a_switch(ready: StartReady, connect: AsyncConnect, tmp_path: Path) -> None:
    config = tmp_path / "box.toml"
    config.write_text(WATCH)
    _, client = await ready(config=config)
    wire = await connect.wire("edgeassist/box/watch/laundry")

    def answered_at(said: Inbound) -> str | None:
        return json.loads(said.payload)["answered_at"] if said.payload else None

    await wire.until(lambda said: bool(said.payload))
    seen: set[str | None] = {None}
    for model, state in ((TINY, "yes"), ("default", "no")):
        switch = asyncio.create_task(use(client, model))
        wire.say("washer/power", state)
        seen.add(answered_at(await wire.until(lambda said: answered_at(said) not in seen)))
        assert (await switch).status == "ok"
    wire.say("washer/power", "yes yes")
    await wire.until(lambda said: json.loads(said.payload)["answers"]["done"]["choice"] == "yes")


async def test_the_command_line_and_the_python_client_switch_the_daemon_that_runs(
    ready: StartReady, broker: PrivateBroker
) -> None:
    daemon, client = await ready()
    environ = {key: value for key, value in os.environ.items() if not key.startswith("EDGEASSIST_")}
    environ |= environ_of(broker.port) | {"STATE_DIRECTORY": str(daemon.log.parent / "state")}

    async def command(*arguments: str) -> tuple[int | None, str]:
        ended = await asyncio.to_thread(preloaded.run, "models", *arguments, environ=environ)
        return ended.returncode, ended.stderr + ended.stdout

    status, said = await command("use", TINY)
    assert (status, said.splitlines()[-1]) == (0, f"{TINY_NAME} is served now")
    assert await served(client) == TINY_NAME
    status, said = await command("use", "nothing")
    assert status != 0
    assert "there is no model 'nothing'" in said
    async with AsyncClient(HOST, broker.port, device="box") as python:
        progress: list[dict[str, Any]] = []
        assert (await python.use_model("default", progress.append))["model"] == SCRIPTED
        assert (await python.models())["switching_to"] is None
        with pytest.raises(EdgeAssistError, match="there is no model"):
            await python.use_model("nothing")
    assert await served(client) == SCRIPTED
