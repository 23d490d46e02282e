"""examples/micropython, with MicroPython's unix port and its umqtt.simple."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from edgeassist.sandbox import HOST, PrivateBroker
from tests.conftest import AsyncConnect, StartReady, kind
from tests.examples.board import PROMPTS, asked, times_asked
from tests.examples.program import Program
from tests.examples.tools import EXAMPLES, changed, micropython, umqtt

pytestmark = pytest.mark.timeout(420)  # the first test may have to get MicroPython

BOARD = EXAMPLES / "micropython"
REPLIES = "edgeassist/box/reply/esp32/#"
SLOW = "!script delay_ms=100 repeat=40\nslowly "
# Asks what stands on its command line, one after the other, and prints what it gets as JSON; at "wait", it
# waits for a line.
DRIVER = """
import json, sys
from assistant import Assistant, Failure
port, limit_s = int(sys.argv[1]), float(sys.argv[2])
assistant = Assistant("127.0.0.1", "box", "esp32", port=port)
for prompt in sys.argv[3:]:
    if prompt == "wait":
        sys.stdin.readline()
        continue
    drawn = []
    try:
        got = {"text": assistant.ask(prompt, limit_s, drawn.append)}
    except Failure as failure:
        got = {"code": failure.code, "retryable": failure.retryable, "text": failure.text}
    got["drawn"] = drawn
    print("got " + json.dumps(got))
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[PrivateBroker]:
    """A Mosquitto that logs every packet."""
    with PrivateBroker(tmp_path, ("allow_anonymous true", "log_type all")) as running:
        yield running


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A board's files: the example, umqtt, and a driver of the test's."""
    folder = tmp_path / "board"
    shutil.copytree(umqtt() / "umqtt", folder / "umqtt")
    changed(BOARD / "assistant.py", folder, NETWORK_S=1, PING_S=1)
    (folder / "driver.py").write_text(DRIVER)
    return folder


def asking(board: Path, broker: PrivateBroker, *prompts: str, limit_s: float = 30.0) -> Program:
    return Program(*micropython(), "driver.py", f"{broker.port}", f"{limit_s}", *prompts, cwd=board)


async def got(program: Program) -> dict[str, Any]:
    await program.until("got ")
    return dict(json.loads(await program.until("\n")))


def packet_bytes(topic: str, payload: bytes) -> int:
    """Return a packet's size: header, length in two bytes, topic, packet id, payload."""
    return 1 + 2 + 2 + len(topic.encode()) + 2 + len(payload)


async def test_the_console_shows_answers_and_errors(
    board: Path, ready: StartReady, broker: PrivateBroker
) -> None:
    await ready()
    changed(BOARD / "main.py", board, BROKER=HOST, PORT=broker.port, DEVICE="box")
    async with Program(*micropython(), "main.py", cwd=board) as program:
        program.say('Say "this" \\ and that')
        assert '\nSay "this" \\ and that\n' in await program.until("(21 characters)")
        program.say("")
        await program.until("(invalid_request: the prompt is empty)")


async def test_a_long_answer_comes_whole_and_in_packets_that_fit(
    board: Path, ready: StartReady, broker: PrivateBroker, connect: AsyncConnect
) -> None:
    await ready()
    wire = await connect.wire(REPLIES)
    words = 'Grüße, "厨" \\ 😀\n'
    async with asking(board, broker, f"!script repeat=40\n{words}", "again") as program:
        answer = await got(program)
        assert answer["text"] == words * 40
        assert len(answer["drawn"]) > 1
        assert all(later.startswith(former) for former, later in pairwise(answer["drawn"]))
        assert (await got(program))["text"] == "again"
    assert max(packet_bytes(each.topic, each.payload) for each in wire.heard) <= 512


async def test_an_error_is_told_from_an_answer(board: Path, ready: StartReady, broker: PrivateBroker) -> None:
    await ready()
    async with asking(board, broker, "", "!script fail_after=2\nto be broken off") as program:
        assert await got(program) == {"code": "invalid_request", "retryable": False, "text": "", "drawn": []}
        broken = await got(program)
        assert broken["code"] == "internal"
        assert "to be broken off".startswith(broken["text"])


async def test_a_full_device_is_asked_again_when_it_says(
    board: Path, ready: StartReady, broker: PrivateBroker, connect: AsyncConnect
) -> None:
    await ready(engine__slots=1, admission__queue=1)
    wire = await connect.wire("edgeassist/box/reply/#")
    for name in ("a", "b"):
        wire.say(
            "edgeassist/box/prompt", json.dumps({"id": name, "prompt": "!script delay_ms=500\n" + "x" * 400})
        )
    await wire.until(lambda message: message.topic.endswith("/reply/b"))
    async with asking(board, broker, "Hello") as program:
        await wire.until(lambda message: b'"busy"' in message.payload)
        wire.say("edgeassist/box/command/cancel", "all")
        assert (await got(program))["text"] == "Hello"


async def test_nobody_there_costs_no_more_than_the_limit_and_is_cancelled(
    board: Path, broker: PrivateBroker, connect: AsyncConnect
) -> None:
    wire = await connect.wire("edgeassist/#")
    wire.say("edgeassist/box/status", "online", retain=True)  # of a device that died a moment ago
    async with asking(board, broker, "Hello", limit_s=1) as program:
        assert (await got(program))["code"] == "timeout"
    name = json.loads(asked(wire)[0])["id"]
    cancel = await wire.until(lambda message: message.topic == "edgeassist/box/command/cancel/esp32")
    assert cancel.payload.decode() == name


async def test_a_broker_that_falls_silent_does_not_stop_the_board(
    board: Path, ready: StartReady, broker: PrivateBroker
) -> None:
    await ready()
    async with asking(board, broker, "Hello", "wait", "Anybody?", "Still there?", limit_s=4) as program:
        await got(program)
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            program.say("")  # published now, and never acknowledged
            assert (await got(program))["code"] == "timeout"
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        await got(program)


@pytest.mark.parametrize("away", [False, True], ids=["in_its_midst", "until_after_its_end"])
async def test_an_answer_is_whole_though_the_link_was_lost(
    board: Path, ready: StartReady, broker: PrivateBroker, connect: AsyncConnect, *, away: bool
) -> None:
    await ready(engine__speculate=False)
    wire = await connect.wire(PROMPTS, REPLIES)
    async with asking(board, broker, SLOW) as program:
        await wire.until(lambda message: kind(message) == "chunk")
        if away:
            program.signal(signal.SIGSTOP)
        broker.stop()
        broker.start()
        if away:
            await wire.until(lambda message: kind(message) == "done")
            program.signal(signal.SIGCONT)
        assert (await got(program))["text"] == "slowly " * 40
    assert len(set(asked(wire))) == 1
    assert times_asked(broker) > 1
