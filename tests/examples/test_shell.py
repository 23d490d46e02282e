"""examples/shell, with Mosquitto's own clients."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from edgeassist.sandbox import HOST, PrivateBroker, free_port
from tests.conftest import Box, TakeBox
from tests.examples.program import Program
from tests.examples.tools import EXAMPLES, changed

SHELL = EXAMPLES / "shell"
# All that JSON writes otherwise, and what a careless reader would take for the end.
TEXT = 'Say "厨" \\ \\n, {"type":"error"}\nand 100 %s'
OK, FAILED, USAGE, UNAVAILABLE, TEMPORARY = 0, 1, 2, 69, 75
SLOW = "!script delay_ms=50 repeat=2000\nslowly "


@pytest.fixture
async def box(take_box: TakeBox) -> Box:
    """A device that all of these tests ask."""
    return await take_box()


@pytest.fixture
def folder(box: Box, tmp_path: Path) -> Path:
    """The scripts, with its broker."""
    return scripts(tmp_path, box.port)


def scripts(tmp_path: Path, port: int, **settings: object) -> Path:
    folder = tmp_path / "shell"
    folder.mkdir(exist_ok=True)
    for name in ("ask.sh", "stream.sh", "cancel.sh"):
        changed(SHELL / name, folder)
    changed(SHELL / "edgeassist.sh", folder, BROKER=HOST, PORT=port, DEVICE="box", **settings)
    return folder


async def run(script: Path, *arguments: str, name: str = "") -> tuple[int, str]:
    async with Program(script, *arguments, environ={"ID": name} if name else {}) as program:
        return await program.ended()


@pytest.mark.parametrize("script", ["ask.sh", "stream.sh"])
async def test_a_text_comes_back_as_it_was_asked(folder: Path, script: str) -> None:
    assert await run(folder / script, TEXT) == (OK, TEXT + "\n")


async def test_a_long_answer_is_printed_while_it_comes(folder: Path) -> None:
    async with Program(folder / "stream.sh", SLOW, environ={"ID": "grows"}) as program:
        assert (await program.until("slowly slowly")).startswith("slowly ")
        assert await run(folder / "cancel.sh", "grows") == (OK, "")


@pytest.mark.parametrize("script", ["ask.sh", "stream.sh"])
@pytest.mark.parametrize(
    "case",
    [
        ("", USAGE, "invalid_request: the prompt is empty"),
        ("!script fail_after=1\nx", FAILED, "internal: "),
        (SLOW, TEMPORARY, "deadline_exceeded: "),
    ],
)
async def test_an_error_is_told_from_an_answer(
    tmp_path: Path, box: Box, script: str, case: tuple[str, int, str]
) -> None:
    prompt, status, said = case
    ended, output = await run(scripts(tmp_path, box.port, LIMIT=3) / script, prompt)
    assert ended == status
    assert said in output


@pytest.mark.parametrize("script", ["ask.sh", "stream.sh"])
async def test_a_device_that_is_not_there_costs_no_more_than_the_limit(
    broker: PrivateBroker, tmp_path: Path, script: str
) -> None:
    status, output = await run(scripts(tmp_path, broker.port, LIMIT=2) / script, "Hello", name="x1")
    assert status == TEMPORARY
    assert "no answer within 2 s" in output
    assert "ID=x1" in output


@pytest.mark.parametrize("script", ["ask.sh", "stream.sh", "cancel.sh"])
async def test_a_broker_that_is_not_there_is_said(tmp_path: Path, script: str) -> None:
    assert (await run(scripts(tmp_path, free_port()) / script, "Hello"))[0] == UNAVAILABLE


async def test_the_same_id_brings_the_same_answer_and_no_second_run(box: Box, folder: Path) -> None:
    wire = await box.connect.wire("edgeassist/box/reply/#")
    for _ in range(2):
        assert await run(folder / "ask.sh", "Hello", name="twice") == (OK, "Hello\n")
    await wire.until(lambda _: len(wire.heard) == 2)
    first, second = (json.loads(message.payload) for message in wire.heard)
    assert first["timings"] == second["timings"]


async def test_ctrl_c_cancels_the_request_on_the_device(box: Box, folder: Path) -> None:
    wire = await box.connect.wire("edgeassist/box/reply/#")
    async with Program(folder / "stream.sh", SLOW) as program:
        await program.until("slowly")
        program.signal(signal.SIGINT)
        assert (await program.ended())[0] == FAILED
    assert (await wire.answer())["code"] == "cancelled"


async def test_cancel_ends_a_stream_by_its_id(folder: Path) -> None:
    async with Program(folder / "stream.sh", SLOW, environ={"ID": "ended"}) as program:
        await program.until("slowly")
        assert await run(folder / "cancel.sh", "ended") == (OK, "")
        status, output = await program.ended()
    assert status == FAILED
    assert "cancelled: " in output
    assert (await run(folder / "cancel.sh", "ended"))[0] == FAILED


async def test_an_account_is_used_where_a_password_is_set(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    passwords.touch(mode=0o600)
    subprocess.run(
        ["mosquitto_passwd", "-b", passwords, "shell", "a secret"], check=True, capture_output=True
    )
    with PrivateBroker(tmp_path, ("allow_anonymous false", f"password_file {passwords}")) as broker:
        assert (await run(scripts(tmp_path, broker.port, LIMIT=1) / "ask.sh", "Hello"))[0] == UNAVAILABLE
        told = scripts(tmp_path, broker.port, LIMIT=1, PASSWORD='"a secret"')  # noqa: S106 - as it stands in the script
        assert (await run(told / "ask.sh", "Hello"))[0] == TEMPORARY
