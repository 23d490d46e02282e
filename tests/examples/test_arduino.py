"""examples/arduino, compiled for this machine with the headers in tests/examples/arduino."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgeassist.sandbox import HOST, PrivateBroker
from edgeassist.testing import calling
from tests.conftest import AsyncConnect, StartReady, Wire
from tests.examples.board import PROMPTS, asked, times_asked
from tests.examples.program import Program
from tests.examples.tools import EXAMPLES, changed

SKETCH = EXAMPLES / "arduino/ask/ask.ino"
SHIMS = Path(__file__).parent / "arduino"
# Where the real library's src folder is at hand, that; docs/compatibility.md says which was tried.
LIBRARY = Path(os.environ.get("EDGEASSIST_PUBSUBCLIENT", SHIMS / "pubsubclient"))
COMPILE_S = 240
BUFFER_BYTES = 256
REPLIES = "edgeassist/box/reply/esp32/#"
SLOW = "!script delay_ms=100 repeat=40\n"

pytestmark = pytest.mark.timeout(420)  # the first test compiles

Sketch = Callable[..., Program]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[PrivateBroker]:
    """A Mosquitto that logs every packet."""
    with PrivateBroker(tmp_path, ("allow_anonymous true", "log_type all")) as running:
        yield running


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Everything but the sketch, compiled."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    folder = tmp_path_factory.mktemp("objects")
    sources = [SHIMS / "host.cpp", LIBRARY / "PubSubClient.cpp"]
    targets = [folder / f"{source.stem}.o" for source in sources]
    for source, target in zip(sources, targets, strict=True):
        compile_cpp("-c", source, "-o", target)
    return targets


def compile_cpp(*arguments: str | Path) -> None:
    # A board has no sanitizer: here, a byte written beside the buffer ends the sketch.
    checks = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover"]
    command = ["g++", "-std=c++17", "-Wall", *checks, f"-I{SHIMS}", f"-I{LIBRARY}", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_S, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.fixture
def sketch(objects: list[Path], broker: PrivateBroker, tmp_path: Path) -> Sketch:
    """Make a board with the sketch, its settings changed on top."""

    def make(change: Callable[[str], str] | None = None, **settings: object) -> Program:
        told = {"BROKER": HOST, "PORT": broker.port, "DEVICE": "box", **settings}
        source = changed(SKETCH, tmp_path, **told)
        if change is not None:
            source.write_text(change(source.read_text()))
        compile_cpp(*objects, "-include", "Arduino.h", "-x", "c++", source, "-o", tmp_path / "ask")
        return Program(tmp_path / "ask", environ={"ASAN_OPTIONS": "detect_leaks=0"})

    return make


def pieces(wire: Wire) -> list[bytes]:
    """Return the pieces of text that came, without the empty ones."""
    return [
        m.payload for m in wire.heard if "/reply/" in m.topic and not m.topic.endswith("/end") and m.payload
    ]


async def test_answers_and_errors_are_shown_and_a_prompt_that_does_not_fit_is_refused_on_the_board(
    sketch: Sketch, ready: StartReady
) -> None:
    await ready()
    async with sketch() as board:
        board.say('Say "Grüße" \\ 厨')
        assert await board.until("\n(done)\n") == 'Say "Grüße" \\ 厨\n(done)\n'
        board.say("")
        assert await board.until(")\n") == "\n(invalid_request: the prompt is empty)\n"
        board.say("x" * 200)
        assert "too long" in await board.until(")\n")
        board.say("still there")
        assert await board.until("\n(done)\n") == "still there\n(done)\n"


def as_documented(sketch: str) -> str:
    """Return it with the two changes of docs/structured-answers.md, and a light that says what it does."""
    page = (EXAMPLES.parent / "docs" / "structured-answers.md").read_text()
    for new in re.findall(r"^```cpp\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        first = new.partition("(")[0]
        start = sketch.index(first)
        sketch = sketch[:start] + new.rstrip("\n") + sketch[_end(sketch, start) :]
    light = "#define LED_BUILTIN 2\n#define HIGH 1\n#define LOW 0\n"
    return light + 'void digitalWrite(int, int to) { Serial.printf("(light %d)", to); }\n' + sketch


def _end(sketch: str, start: int) -> int:
    """Return where the statement, or the function on one line, ends that begins there."""
    line = sketch.index("\n", start)
    return line if sketch[line - 1] == "}" else sketch.index(";\n", start) + 1


def that_calls(sketch: str) -> str:
    """Return it with the changes of docs/tools.md."""
    page = (EXAMPLES.parent / "docs" / "tools.md").read_text()
    packet, board, request, end, branch = re.findall(r"^```cpp\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    reply = sketch.index("  if (strcmp(topic, replyTopic) == 0) {")
    sketch = sketch[:reply] + sketch[sketch.index("  }\n", reply) + 4 :]
    for old, new in (
        ("const int PACKET = MQTT_MAX_PACKET_SIZE;", packet.rstrip()),
        ("// Asks. False where", f"{board}\n// Asks. False where"),
        ('  snprintf(endTopic, sizeof endTopic, "%s/end", replyTopic);\n', end),
        ("  event[length] = 0;\n", f"  event[length] = 0;\n{branch}"),
    ):
        assert sketch.count(old) == 1, old
        sketch = sketch.replace(old, new)
    start = sketch.index("  int length = snprintf(request")
    sketch = sketch[:start] + request.rstrip("\n") + sketch[_end(sketch, start) :]
    light = "#define LED_BUILTIN 2\n#define HIGH 1\n#define LOW 0\n"
    return light + 'void digitalWrite(int, int to) { Serial.printf("(light %d)", to); }\n' + sketch


async def test_a_call_switches_a_light_as_documented(
    sketch: Sketch, ready: StartReady, connect: AsyncConnect, tmp_path: Path
) -> None:
    answers = tmp_path / "answers.json"
    calls = {"on": calling("set_relay", on=True), "off": calling("set_relay", on=False), "no": "no"}
    answers.write_text(json.dumps(calls))
    await ready(model__backend="scripted", model__path=answers)
    wire = await connect.wire(PROMPTS, REPLIES)
    async with sketch(that_calls) as board:
        for prompt, shown in [("on", "(light 1)"), ("off", "(light 0)")]:
            board.say(prompt)
            assert await board.until("(done)\n") == f"{shown}\n(done)\n"
    assert json.loads(asked(wire)[0])["tools"][0]["function"]["name"] == "set_relay"
    replies = [json.loads(message.payload) for message in wire.heard if "/reply/" in message.topic]
    assert [event["type"] for event in replies] == ["tool_call", "done"] * 2
    assert all(len(json.dumps(event, separators=(",", ":"))) < 256 for event in replies)


async def test_one_word_of_a_choice_switches_a_light_as_documented(
    sketch: Sketch, ready: StartReady, connect: AsyncConnect
) -> None:
    await ready()
    wire = await connect.wire(PROMPTS)
    async with sketch(as_documented) as board:
        for prompt, shown in [("on", "(light 1)"), ("off", "(light 0)"), ("of", "")]:
            board.say(prompt)
            assert await board.until("(done)\n") == f"{shown}\n(done)\n"
        board.say("x" * 100)
        assert await board.until("(done)\n") == "\n(done)\n"
        board.say("x" * 120)
        assert "too long" in await board.until(")\n")
    assert json.loads(asked(wire)[0])["choice"] == ["on", "off"]


async def test_a_long_answer_and_its_end_come_in_packets_that_fit(
    sketch: Sketch, ready: StartReady, connect: AsyncConnect
) -> None:
    await ready()
    wire = await connect.wire(PROMPTS, REPLIES)
    async with sketch(PREFIX="!script repeat=60\n") as board:
        for number in range(25):  # a client that drops packets at QoS 1 is deaf after 20
            board.say(f'say "{number}", ')
            assert await board.until("\n(done)\n") == f'say "{number}", ' * 60 + "\n(done)\n"
    for message in wire.heard:
        assert 1 + 2 + 2 + len(message.topic) + 2 + len(message.payload) <= BUFFER_BYTES


async def test_a_packet_that_does_not_fit_is_dropped_and_the_next_answer_is_heard(
    sketch: Sketch, ready: StartReady, connect: AsyncConnect
) -> None:
    await ready()
    wire = await connect.wire(REPLIES)
    async with sketch() as board:
        board.say("first")
        await board.until("(done)")
        wire.say("edgeassist/box/reply/esp32/other", "x" * 1000)
        wire.say("edgeassist/box/reply/esp32/other", "not for this request")
        board.say("second")
        assert await board.until("(done)") == "\nsecond\n(done)"


async def test_nobody_there_costs_no_more_than_the_limit_and_is_cancelled(
    sketch: Sketch, connect: AsyncConnect
) -> None:
    wire = await connect.wire("edgeassist/#")
    wire.say("edgeassist/box/status", "online", retain=True)  # of a device that died a moment ago
    async with sketch(LIMIT_S=1) as board:
        board.say("Hello")
        await board.until("(timeout: ")
        cancel = await wire.until(lambda message: message.topic == "edgeassist/box/command/cancel/esp32")
    assert cancel.payload.decode() == json.loads(asked(wire)[0])["id"]


async def test_a_full_device_is_asked_again_when_it_says(
    sketch: Sketch, ready: StartReady, connect: AsyncConnect
) -> None:
    await ready(engine__slots=1, admission__queue=1)
    wire = await connect.wire("edgeassist/box/reply/#")
    for name in ("a", "b"):
        wire.say(
            "edgeassist/box/prompt", json.dumps({"id": name, "prompt": "!script delay_ms=500\n" + "x" * 400})
        )
    await wire.until(lambda message: message.topic.endswith("/reply/b"))
    async with sketch() as board:
        board.say("Hello")
        await wire.until(lambda message: b'"busy"' in message.payload)
        wire.say("edgeassist/box/command/cancel", "all")
        assert "Hello\n(done)" in await board.until("(done)")


@pytest.mark.parametrize("away", [False, True], ids=["in_its_midst", "until_after_its_end"])
async def test_an_answer_is_whole_though_the_link_was_lost(
    sketch: Sketch, ready: StartReady, broker: PrivateBroker, connect: AsyncConnect, *, away: bool
) -> None:
    await ready(engine__speculate=False)
    wire = await connect.wire(PROMPTS, REPLIES)
    async with sketch(PREFIX=SLOW) as board:
        board.say("slowly ")
        await wire.until(lambda _: bool(pieces(wire)))
        if away:
            board.signal(signal.SIGSTOP)
        broker.stop()
        broker.start()
        if away:
            await wire.until(lambda message: message.topic.endswith("/end"))
            board.signal(signal.SIGCONT)
        shown = await board.until("\n(done)\n")
    assert shown.rpartition("\n(again)\n")[2] == "slowly " * 40 + "\n(done)\n"
    assert len(set(asked(wire))) == 1
    assert times_asked(broker) > 1
