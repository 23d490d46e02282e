"""What our client makes of a device that was restarted while it answered, and of what it says then.

The device is played by the test: it says what a restarted one says, whenever the test wants it.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from edgeassist.client.answers import AnyEvent, Restarted
from edgeassist.client.requester import Requester
from edgeassist.client.retrying import MOST_INTERRUPTIONS
from edgeassist.errors import Code
from edgeassist.protocol.events import (
    Accepted,
    Chunk,
    Done,
    Failed,
    Timings,
    Usage,
    said_again,
)
from edgeassist.protocol.events import (
    AnyEvent as WireEvent,
)
from edgeassist.protocol.packets import Inbound
from tests.conftest import TOPICS, AsyncConnect, Wire, expect_done, expect_failed
from tests.patience import PATIENCE_S

INTERRUPTED = Failed(
    id="r", seq=2, code=Code.INTERRUPTED, message="restarted", retryable=True, text="one", device="box"
)


def accepted() -> Accepted:
    return Accepted(id="r", seq=0, device="box", position=0)


def chunk(seq: int, text: str) -> Chunk:
    return Chunk(id="r", seq=seq, text=text)


def done(seq: int, text: str) -> Done:
    return Done(
        id="r",
        seq=seq,
        text=text,
        finish_reason="stop",
        usage=Usage(prompt_tokens=1, cached_tokens=0, completion_tokens=1),
        timings=Timings(queue_ms=0, prefill_ms=0, decode_ms=0, total_ms=0),
        model="m",
        device="box",
    )


class Device:
    """Answers each prompt for the client `c` with the next of these lists."""

    def __init__(self, wire: Wire, *answers: list[WireEvent]) -> None:
        self.asked: list[bytes] = []
        self._wire = wire
        self._answers = list(answers)

    async def serve(self) -> None:
        """Answer until it is cancelled."""
        while True:
            await self._wire.until(lambda _: len(self._prompts()) > len(self.asked))
            self.asked.append(self._prompts()[len(self.asked)].payload)
            for event in self._answers.pop(0):
                self._wire.say(TOPICS.reply("r", "c"), event.payload(), qos=1)

    def _prompts(self) -> list[Inbound]:
        return [each for each in self._wire.heard if each.topic == TOPICS.prompt("c")]


@pytest.fixture
async def client(connect: AsyncConnect) -> Requester:
    """A client of a device that is online."""
    wire = await connect.wire()
    wire.say(TOPICS.status, b"online", qos=1, retain=True)
    made = await connect("c")
    assert await made.wait_online(PATIENCE_S)
    return made


async def ask(
    client: Requester, connect: AsyncConnect, *answers: list[WireEvent], **fields: Any
) -> tuple[list[AnyEvent], list[bytes]]:
    """Ask a device that answers so; return the events, and what the device was asked."""
    device = Device(await connect.wire(TOPICS.prompt("+")), *answers)
    serving = asyncio.create_task(device.serve(), name="device")
    try:
        async with asyncio.timeout(PATIENCE_S):
            return [event async for event in client.ask("x", id="r", **fields)], device.asked
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def test_an_interrupted_answer_is_asked_for_again_byte_for_byte(
    client: Requester, connect: AsyncConnect
) -> None:
    first: list[WireEvent] = [accepted(), chunk(1, "one"), INTERRUPTED]
    events, asked = await ask(client, connect, first, [accepted(), chunk(1, "one two"), done(2, "one two")])
    assert expect_done(events[-1]).text == "one two"
    assert [event.text for event in events if isinstance(event, Chunk)] == ["one", " two"]
    assert len(asked) == 2
    assert asked[0] == asked[1]


async def test_it_is_asked_for_so_often_and_no_more(client: Requester, connect: AsyncConnect) -> None:
    answers: list[list[WireEvent]] = [[accepted(), INTERRUPTED]] * (MOST_INTERRUPTIONS + 2)
    events, asked = await ask(client, connect, *answers)
    assert expect_failed(events[-1]).code is Code.INTERRUPTED
    assert len(asked) == MOST_INTERRUPTIONS + 1


async def test_who_says_what_is_to_become_of_it_is_told(client: Requester, connect: AsyncConnect) -> None:
    events, asked = await ask(client, connect, [accepted(), INTERRUPTED], on_crash="error")
    assert expect_failed(events[-1]).code is Code.INTERRUPTED
    assert [json.loads(each)["on_crash"] for each in asked] == ["error"]


async def test_an_answer_that_the_device_begins_anew_takes_the_place_of_the_first(
    client: Requester, connect: AsyncConnect
) -> None:
    both: list[WireEvent] = [accepted(), chunk(1, "one"), accepted(), chunk(1, "three"), done(2, "three")]
    events, _ = await ask(client, connect, both, on_crash="rerun")
    assert [event.text for event in events if isinstance(event, Chunk)] == ["one", "three"]
    assert any(isinstance(event, Restarted) for event in events)
    assert expect_done(events[-1]).text == "three"


async def test_of_an_end_that_is_said_again_the_first_to_be_heard_counts(
    client: Requester, connect: AsyncConnect
) -> None:
    end = done(3, "one two")
    events, _ = await ask(client, connect, [accepted(), chunk(1, "one"), said_again(end), said_again(end)])
    assert [event.text for event in events if isinstance(event, Chunk)] == ["one", " two"]
    assert [type(event) for event in events].count(Done) == 1
