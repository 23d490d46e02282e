"""examples/gateway, between a real daemon and a PLC that pymodbus simulates."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from edgeassist.sandbox import HOST, PrivateBroker, free_port
from tests.conftest import AsyncConnect, StartDaemon, StartReady, Wire, kind
from tests.examples.program import WAIT_S, Program
from tests.examples.tools import EXAMPLES, changed, pymodbus

pytestmark = pytest.mark.timeout(420)  # the first test may have to get pymodbus

UNKNOWN, GOOD, REJECT = 0, 1, 2
CYCLE, VERDICT, FOR_CYCLE, HEARTBEAT = 0, 10, 11, 12
REPLY = "edgeassist/box/reply/press-1/"
STATE = "plant/press-1/state"
# Answers the part's pressure, which the test makes a word of by the gateway's own table.
PROMPT = "{pressure}"
WORDS = {"OK": GOOD, "120.0": GOOD, "90.0": REJECT}


class Plc:
    """The simulated PLC, as its program sees it.

    Attributes:
        gateway: The gateway at it, whose output tells why something is not seen.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self.gateway: Program | None = None
        self._part = 0
        self.history: list[tuple[int, int, bool]] = []
        self.beats = 0

    def part(self, pressure: int = 1200) -> int:
        """Make another part; return its cycle. The pressure is in tenths of a bar."""
        self._part += 1
        self._program.say(json.dumps({"1": 600, "2": pressure}))
        self._program.say(json.dumps({f"{CYCLE}": self._part}))
        return self._part

    async def sees(self, wanted: Callable[[int, int, bool], bool]) -> None:
        """Wait for verdict, its cycle and the alarm; `history` has all that there were."""
        try:
            async with asyncio.timeout(WAIT_S):
                while not (self.history and wanted(*self.history[-1])):
                    await self.turn()
        except TimeoutError:
            said = "" if self.gateway is None else self.gateway.output
            raise AssertionError(f"{self.history}; the gateway: {said}") from None

    async def turn(self) -> None:
        """Wait for any change."""
        state = json.loads((await self._program.until("\n")).splitlines()[-1])
        registers = state["registers"]
        self.beats = registers[HEARTBEAT]
        now = (registers[VERDICT], registers[FOR_CYCLE], state["alarm"])
        if not self.history or self.history[-1] != now:
            self.history.append(now)


Start = Callable[..., Any]


@pytest.fixture
async def start(broker: PrivateBroker, tmp_path: Path) -> AsyncIterator[Start]:
    """Start a PLC and a gateway, its settings changed on top; the gateway has made the line safe."""
    environ = {"PYTHONPATH": str(pymodbus())}
    async with AsyncExitStack() as stack:

        async def begin(**settings: object) -> tuple[Plc, Program]:
            port = free_port()
            simulated = Program(sys.executable, Path(__file__).parent / "plc.py", f"{port}", environ=environ)
            plc = Plc(await stack.enter_async_context(simulated))
            await plc.turn()
            settings = {
                "PROMPT": PROMPT,
                "WORDS": WORDS,
                "DEADLINE_S": 60.0,
                "POLL_S": 0.02,
                "BROKER": HOST,
                "PORT": broker.port,
                "DEVICE": "box",
                "PLC": HOST,
                "PLC_PORT": port,
                **settings,
            }
            program = changed(EXAMPLES / "gateway/gateway.py", tmp_path, **settings)
            gateway = await stack.enter_async_context(Program(sys.executable, program, environ=environ))
            plc.gateway = gateway
            await plc.sees(lambda verdict, _cycle, alarm: verdict == UNKNOWN and alarm)
            await gateway.until("broker: Success")
            return plc, gateway

        yield begin


async def as_the_device(connect: AsyncConnect) -> Wire:
    """Hear the prompts, where the test itself answers: late, twice, in the wrong order."""
    wire = await connect.wire("edgeassist/box/prompt/press-1")
    wire.say("edgeassist/box/status", "online", qos=1, retain=True)
    return wire


def answer_as_the_device(wire: Wire, question: bytes, text: str) -> None:
    event = {
        "id": json.loads(question)["id"],
        "seq": 0,
        "type": "done",
        "text": text,
        "finish_reason": "stop",
    }
    wire.say(REPLY + event["id"], json.dumps(event), qos=1)


async def test_a_verdict_and_its_cycle_are_written_and_the_alarm_follows_it(
    start: Start, ready: StartReady, connect: AsyncConnect
) -> None:
    await ready()
    wire = await connect.wire(STATE)
    plc, _ = await start()
    cycle = plc.part()
    await plc.sees(lambda *now: now == (GOOD, cycle, False))
    cycle = plc.part(900)
    await plc.sees(lambda *now: now == (REJECT, cycle, True))
    cycle = plc.part()
    await plc.sees(lambda *now: now == (GOOD, cycle, False))
    # Never good news with the alarm's old value before the news itself, nor bad news without the alarm.
    assert all(alarm for verdict, _, alarm in plc.history[1:] if verdict != GOOD)
    await wire.until(lambda m: json.loads(m.payload).get("verdict") == GOOD)


@pytest.mark.parametrize(
    "settings", [{"WORDS": {"OK": GOOD}}, {"WORDS": {"OK": GOOD, "120": GOOD}, "MAX_TOKENS": 1}]
)
async def test_another_word_or_half_of_one_is_no_verdict(
    start: Start, ready: StartReady, settings: dict[str, Any]
) -> None:
    await ready()
    plc, _ = await start(**settings)
    cycle = plc.part()
    await plc.sees(lambda *now: now == (UNKNOWN, cycle, True))


async def test_an_error_is_no_verdict(start: Start, ready: StartReady) -> None:
    await ready()
    plc, gateway = await start(PROMPT="!script fail_after=1\n120.0")
    cycle = plc.part()
    await plc.sees(lambda *now: now == (UNKNOWN, cycle, True))
    await gateway.until("internal: ")


async def test_no_answer_in_time_is_the_safe_state_and_a_late_one_changes_nothing(
    start: Start, connect: AsyncConnect
) -> None:
    wire = await as_the_device(connect)
    plc, gateway = await start(DEADLINE_S=3.0)
    late = plc.part()
    await plc.sees(lambda *now: now == (UNKNOWN, late, True))
    await gateway.until("no answer within 3.0 s")
    first = (await wire.until(lambda _: True)).payload
    answer_as_the_device(wire, first, "120.0")
    # The next part's answer has come behind the late one.
    cycle = plc.part()
    question = (await wire.until(lambda m: m.payload != first)).payload
    answer_as_the_device(wire, first, "120.0")
    answer_as_the_device(wire, question, "90.0")
    await plc.sees(lambda *now: now == (REJECT, cycle, True))
    assert GOOD not in [verdict for verdict, _, _ in plc.history]


async def test_a_repeated_answer_acts_once(start: Start, connect: AsyncConnect) -> None:
    wire = await as_the_device(connect)
    plc, _ = await start()
    first_cycle = plc.part(900)
    first = (await wire.until(lambda _: True)).payload
    answer_as_the_device(wire, first, "90.0")
    answer_as_the_device(wire, first, "120.0")
    await plc.sees(lambda *now: now == (REJECT, first_cycle, True))
    cycle = plc.part(900)
    question = (await wire.until(lambda m: m.payload != first)).payload
    answer_as_the_device(wire, first, "120.0")
    answer_as_the_device(wire, question, "90.0")
    await plc.sees(lambda *now: now == (REJECT, cycle, True))
    assert GOOD not in [verdict for verdict, _, _ in plc.history]


async def test_what_can_not_be_read_on_the_reply_topic_is_passed_over(
    start: Start, ready: StartReady, connect: AsyncConnect
) -> None:
    await ready()
    wire = await connect.wire("nothing")
    plc, _ = await start()
    for payload in (b"\xff", b"[]", b"{", b'{"type": "done"}'):
        wire.say(f"{REPLY}x", payload, qos=1)
    cycle = plc.part()
    await plc.sees(lambda *now: now == (GOOD, cycle, False))


async def test_a_question_outlives_a_restart_of_the_broker_and_is_the_same(
    start: Start, ready: StartReady, connect: AsyncConnect, broker: PrivateBroker
) -> None:
    await ready()
    wire = await connect.wire("edgeassist/box/prompt/press-1", f"{REPLY}#")
    plc, _ = await start(PROMPT="!script delay_ms=700\n{pressure}", DEADLINE_S=30.0)
    cycle = plc.part()
    await wire.until(lambda m: m.topic.endswith("/prompt/press-1"))
    broker.stop()
    broker.start()
    await plc.sees(lambda *now: now == (GOOD, cycle, False))
    assert len({m.payload for m in wire.heard if kind(m) is None}) == 1


async def test_without_a_broker_every_part_gets_the_safe_state_in_time_and_the_next_one_a_verdict_after_it(
    start: Start, ready: StartReady, broker: PrivateBroker
) -> None:
    await ready()
    plc, gateway = await start(DEADLINE_S=1.0)
    broker.stop()
    missed = plc.part()
    await plc.sees(lambda *now: now == (UNKNOWN, missed, True))
    broker.start()
    await gateway.until("broker: Success")
    async with asyncio.timeout(WAIT_S):
        while plc.history[-1][0] != GOOD:  # the daemon may be back a moment later
            cycle = plc.part()
            await plc.sees(lambda _verdict, for_cycle, _alarm, cycle=cycle: for_cycle == cycle)
    assert (GOOD, missed, False) not in plc.history


async def test_a_part_that_goes_on_before_its_answer_gets_none(start: Start, connect: AsyncConnect) -> None:
    wire = await as_the_device(connect)
    plc, gateway = await start()
    gone = plc.part()
    first = (await wire.until(lambda _: True)).payload
    cycle = plc.part()
    await gateway.until("the part went on")
    question = (await wire.until(lambda m: m.payload != first)).payload
    answer_as_the_device(wire, first, "120.0")
    answer_as_the_device(wire, question, "120.0")
    await plc.sees(lambda *now: now == (GOOD, cycle, False))
    assert gone not in [for_cycle for verdict, for_cycle, _ in plc.history if verdict == GOOD]


async def test_it_shows_that_it_lives_and_leaves_the_safe_state_when_it_stops(
    start: Start, ready: StartReady
) -> None:
    await ready()
    plc, gateway = await start()
    cycle = plc.part()
    await plc.sees(lambda *now: now == (GOOD, cycle, False))
    beats = plc.beats
    async with asyncio.timeout(WAIT_S):
        while plc.beats == beats:
            await plc.turn()
    gateway.signal(signal.SIGTERM)
    assert (await gateway.ended())[0] == 0
    await plc.sees(lambda *now: now == (UNKNOWN, cycle, True))


async def test_the_built_in_model_gives_a_verdict(
    start: Start, daemon: StartDaemon, connect: AsyncConnect
) -> None:
    daemon(model__path="builtin:tiny")
    client = await connect()
    assert await client.wait_health(frozenset({"ready"}), 60)
    plc, _ = await start(
        SYSTEM="Sensors:\ngarage door: open",
        PROMPT="Is the garage door open?",
        WORDS={"OK": GOOD, "THE GARAGE DOOR IS OPEN": GOOD},
        MAX_TOKENS=32,
        DEADLINE_S=30.0,
    )
    cycle = plc.part()
    await plc.sees(lambda *now: now == (GOOD, cycle, False))
