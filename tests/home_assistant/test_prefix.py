"""How much of a home a box reads again: hardly anything, whoever asks, and after a restart too.

The model's weights are random, since only what is read counts.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edgeassist.trial_models.synthetic import SHAPES, Precision, write_gguf
from tests.conftest import AsyncConnect, StartReady, Wire
from tests.home_assistant.driver import Driver
from tests.home_assistant.toys import ORDINARY

pytestmark = pytest.mark.timeout(1500)

AGENT = "conversation.edgeassist"


async def usage(wire: Wire, answers: int) -> dict[str, int]:
    """Wait for so many answers, and return the counts of the last."""

    def ends() -> list[dict[str, int]]:
        events = [json.loads(message.payload) for message in wire.heard]
        assert not [event for event in events if event["type"] == "error"]
        return [event["usage"] for event in events if event["type"] == "done"]

    await wire.until(lambda _: len(ends()) >= answers)
    return ends()[answers - 1]


def anew(usage: dict[str, int]) -> float:
    """Return the part of a prompt that was read anew."""
    return 1 - usage["cached_tokens"] / usage["prompt_tokens"]


async def test_a_home_is_read_once(
    house: Driver, ready: StartReady, connect: AsyncConnect, tmp_path: Path
) -> None:
    # A token of it is a letter or two.
    model = tmp_path / "patient.gguf"
    write_gguf(model, replace(SHAPES["trial"], context=32_768), precision=Precision.F32)
    daemon, _ = await ready(model__path=str(model), model__context=32_768, engine__state_mb=512)
    await house.furnish(ORDINARY)
    entry = await house.add("edgeassist", base="edgeassist", device="box", client="ha-test")
    [agent] = [
        each["subentry_id"]
        for each in await house.subentries(entry["entry_id"])
        if each["subentry_type"] == "conversation"
    ]
    flow = await house.begin_subentry(entry["entry_id"], "conversation", subentry_id=agent)
    flow = await house.submit(flow, recommended=False, llm_hass_api=["assist"])
    await house.submit(flow, think="off", max_tokens=8, temperature=0)
    await house.shows(AGENT, lambda state: state and state["state"] != "unavailable")
    wire = await connect.wire("edgeassist/box/reply/ha-test/+")
    pipeline = await house.pipeline(AGENT)

    first = await house.say("Is the garage door open?", AGENT)
    cold = await usage(wire, 1)
    assert anew(cold) > 0.99
    await house.say("What is the temperature in the kitchen?", AGENT)
    assert anew(await usage(wire, 2)) <= 0.05
    await house.say("And in the bedroom?", AGENT, conversation=first.conversation)
    assert anew(await usage(wire, 3)) <= 0.05
    for number, name in enumerate(("Kitchen satellite", "Bedroom satellite"), 4):
        await house.streamed("Turn on the light", pipeline, device=await house.device(name))
        assert anew(await usage(wire, number)) <= 0.05

    daemon.stop()
    await house.shows(AGENT, lambda state: state and state["state"] == "unavailable")
    daemon.start()
    await house.shows(AGENT, lambda state: state and state["state"] != "unavailable")
    await house.say("Is the front door locked?", AGENT)
    assert anew(await usage(wire, 6)) <= 0.05
    await house.remove(entry["entry_id"])
