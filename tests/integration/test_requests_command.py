"""`edgeassist requests`, and the command behind it; the examination that is asked for over MQTT."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edgeassist.cli.main import app
from edgeassist.errors import EdgeAssistError
from edgeassist.protocol.findings import Examination
from edgeassist.protocol.listing import RequestList
from tests.conftest import StartReady, TakeBox, environ_of
from tests.patience import PATIENCE_S

SLOW = {"prompt": "!script repeat=4000 delay_ms=20\nabcd", "max_tokens": 4000}


async def run(port: int, *arguments: str) -> tuple[int, str]:
    """Give the command; return its exit status and what it prints."""
    # In a thread, since it has an event loop of its own; a process for each costs more than all that it does.
    ended = await asyncio.to_thread(
        CliRunner().invoke, app, ["requests", *arguments], env={**environ_of(port), "COLUMNS": "120"}
    )
    said = ended.exception.message if isinstance(ended.exception, EdgeAssistError) else ""
    return ended.exit_code, ended.output + said


async def test_what_runs_and_waits_is_printed_and_ended(take_box: TakeBox) -> None:
    box = await take_box(engine__slots=1, engine__speculate="false")
    wire = await box.connect.wire("edgeassist/box/reply/#")
    wire.say("edgeassist/box/prompt/listed", json.dumps({"id": "runs", **SLOW}), qos=1)
    await wire.until(lambda message: b'"chunk"' in message.payload)
    wire.say("edgeassist/box/prompt/listed", json.dumps({"id": "waits", "priority": "low", **SLOW}), qos=1)
    await wire.until(lambda message: b'"accepted"' in message.payload and b'"waits"' in message.payload)

    status, printed = await run(box.port, "--json", "--client", "listed")
    assert status == 0, printed
    listed = RequestList.model_validate_json(printed)
    assert [(each.id, each.state, each.position) for each in listed.requests] == [
        ("runs", "running", None),
        ("waits", "waiting", 0),
    ]
    assert (listed.requests[0].completion_tokens or 0) > 0
    assert "abcd" not in printed

    status, printed = await run(box.port, "--client", "listed", "--cancel", "waits")
    assert (status, printed) == (0, "cancelled: 1\n")
    status, printed = await run(box.port)
    assert status == 0
    assert "waits" not in printed
    (row,) = [line.split() for line in printed.splitlines() if "runs" in line]
    assert row[:5] == ["runs", "listed", "prompt", "normal", "running"]
    assert printed.splitlines()[-1] == "1 running, 0 waiting"
    status, printed = await run(box.port, "--client", "listed", "--cancel", "waits")
    assert status != 0
    assert "no request 'waits' waits or runs" in printed
    assert await run(box.port, "--client", "listed", "--cancel-all") == (0, "cancelled: 1\n")
    assert await run(box.port) == (0, "0 running, 0 waiting\n")


async def test_two_ways_to_end_requests_are_one_too_many(take_box: TakeBox) -> None:
    box = await take_box(engine__slots=1, engine__speculate="false")
    status, printed = await run(box.port, "--cancel", "x", "--cancel-all")
    assert status == 2
    assert "give one of the two" in printed


async def test_the_box_examines_itself_with_its_own_settings_and_answers_meanwhile(
    take_box: TakeBox,
) -> None:
    box = await take_box(engine__slots=1, engine__speculate="false")
    first = asyncio.create_task(box.client.command("doctor", wait_s=PATIENCE_S))
    await asyncio.sleep(0)  # it is published with its first step
    second = await box.client.command("doctor", wait_s=PATIENCE_S)
    assert second.error is not None
    assert second.error.code == "busy"
    assert (await box.client.command("ping")).status == "ok"
    response = await first
    assert response.status == "ok", response
    found = Examination.model_validate(response.data)
    said = {(each.area, each.severity.value): each.text for each in found.findings}
    assert said["daemon", "ok"] == "edgeassist/box is online and answers"
    assert "scripted" in said["model", "warning"]
    assert not [each for each in found.findings if each.area == "broker" and each.severity != "ok"]


async def test_an_examination_under_way_holds_up_no_stop(ready: StartReady) -> None:
    daemon, client = await ready()
    examined = asyncio.create_task(client.command("doctor", wait_s=PATIENCE_S))
    await asyncio.sleep(0)
    children: list[int] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(children) < 2:  # the engine, and what examines
            await asyncio.sleep(0.02)
            children = _children(daemon.pid)
    assert await asyncio.to_thread(daemon.stop) == 0
    response = await examined
    assert response.error is not None
    assert response.error.code == "shutting_down"
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("payload", ['{"limit": 0}', '{"limit": "many"}', '{"clients": "a"}'])
async def test_what_can_not_be_listed_is_refused_with_the_field(take_box: TakeBox, payload: str) -> None:
    box = await take_box(engine__slots=1, engine__speculate="false")
    arguments: dict[str, Any] = json.loads(payload)
    response = await box.client.command("requests", **arguments)
    assert response.error is not None
    assert response.error.code == "invalid_request"
    assert next(iter(arguments)) in response.error.message


async def test_a_clients_name_gives_a_terminal_no_orders(take_box: TakeBox) -> None:
    box = await take_box(engine__slots=1, engine__speculate="false")
    wire = await box.connect.wire("edgeassist/box/reply/#")
    # Of a control character, Mosquitto would end the connection.
    name = "evil\u202e[red]x"
    wire.say(f"edgeassist/box/prompt/{name}", json.dumps({"id": "evil", **SLOW}), qos=1)
    async with asyncio.timeout(PATIENCE_S):
        while "evil" not in (printed := (await run(box.port))[1]):
            await asyncio.sleep(0.1)
    assert "evil�[red]x" in printed
    assert (await run(box.port, "--cancel", "evil"))[0] == 0
