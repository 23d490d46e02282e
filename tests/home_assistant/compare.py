"""Our agent against core's llama.cpp integration on a llama-server, in one Home Assistant: outside CI.

    python -m tests.home_assistant.compare MODEL.gguf LLAMA_SERVER

Both have the same weights, threads, slots and context, and the settings that their integrations recommend.
Each sentence is said to one and then to the other, who begins changes; who waits computes nothing. Taken are
the seconds to the first word that is streamed, to the first entity that changes, and to the end. A model of
this size does not do everything right, so the times of what was not done are missing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from edgeassist.bench.server import LlamaServer
from edgeassist.sandbox import PrivateBroker
from tests.home_assistant import ending
from tests.home_assistant.agents import edgeassist, llama_cpp
from tests.home_assistant.driver import Driver, drive
from tests.home_assistant.process import home_assistant
from tests.home_assistant.talk import spoken
from tests.home_assistant.toys import ORDINARY

CONTEXT, SLOTS = 8192, 4
ANSWER_S = 600
# For what Home Assistant does after the answer's end.
SETTLE_S = 1.0
KITCHEN, BEDROOM = "Kitchen satellite", "Bedroom satellite"
OURS, THEIRS = "EdgeAssist", "llama.cpp integration"


@dataclass(frozen=True, slots=True)
class Sentence:
    """What is said, to which satellite, and the action that makes it worth doing."""

    said: str
    satellite: str | None = None
    before: tuple[str, str] | None = None


SENTENCES = (
    Sentence("Turn on the kitchen light", None, ("light.turn_off", "light.kitchen")),
    Sentence("What is the temperature in the kitchen?"),
    Sentence("Turn off the bedroom light", None, ("light.turn_on", "light.bedroom")),
    Sentence("Turn on the reading lamp", KITCHEN, ("light.turn_off", "light.reading_lamp")),
    Sentence("Close the living room blinds", None, ("cover.open_cover", "cover.living_room_blinds")),
    Sentence("Is the bathroom window open?", BEDROOM),
    Sentence("Turn on the coffee machine", KITCHEN, ("switch.turn_off", "switch.coffee_machine")),
    Sentence("Open the garage door", None, ("cover.close_cover", "cover.garage_door")),
    Sentence("Turn on the hall light", BEDROOM, ("light.turn_off", "light.hall")),
    Sentence("What can you do for me?"),
    Sentence("Turn on the bathroom fan", None, ("fan.turn_off", "fan.bathroom")),
    Sentence("Turn off the kitchen light", KITCHEN, ("light.turn_on", "light.kitchen")),
    Sentence("Pause the kitchen radio", None, ("media_player.media_play", "media_player.radio")),
    Sentence("Which lights are on?"),
    Sentence("Turn on the towel rail", BEDROOM, ("switch.turn_off", "switch.towel_rail")),
    Sentence("Turn off the reading lamp", None, ("light.turn_on", "light.reading_lamp")),
    Sentence("Close the bedroom blinds", BEDROOM, ("cover.open_cover", "cover.bedroom_blinds")),
    Sentence("Thank you, that is all."),
    Sentence("Turn on the living room light", None, ("light.turn_off", "light.living_room")),
    Sentence("Turn off the bathroom light", KITCHEN, ("light.turn_on", "light.bathroom")),
)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds since a sentence was said; None for what did not happen."""

    side: str
    said: str
    first_word_s: float | None
    change_s: float | None
    end_s: float
    changed: Sequence[str]
    spoken: str


async def measure(house: Driver, side: str, pipeline: str, sentence: Sentence) -> Timing:
    """Say a sentence to a pipeline, and see what comes of it."""
    if sentence.before:
        await house.call(*sentence.before)
    device = await house.device(sentence.satellite) if sentence.satellite else None
    toys = {toy.entity for toy in ORDINARY.toys}
    changed: list[tuple[float, str]] = []
    async with house.subscribe("subscribe_events", event_type="state_changed") as events:
        begun = asyncio.get_running_loop().time()

        async def watch() -> None:
            while True:
                event = await events.until(lambda event: event["data"]["entity_id"] in toys, 3600)
                changed.append((asyncio.get_running_loop().time() - begun, event["data"]["entity_id"]))

        watching = asyncio.create_task(watch(), name="watches states")
        events_of_run = house.run(sentence.said, pipeline, device=device, patience_s=ANSWER_S)
        heard = [each async for each in events_of_run]
        await asyncio.sleep(SETTLE_S)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    words = [each.after_s for each in heard if each.delta.get("content")]
    return Timing(
        side=side,
        said=sentence.said,
        first_word_s=words[0] if words else None,
        change_s=changed[0][0] if changed else None,
        end_s=heard[-1].after_s,
        changed=[entity for _, entity in changed],
        spoken=spoken(heard),
    )


def table(timings: Sequence[Timing]) -> str:
    """Return medians as Markdown: of all that happened on a side, and of what happened on both."""
    lines = ["| | " + " | ".join((OURS, THEIRS, "ratio")) + " |", "| --- | --- | --- | --- |"]
    for name, what in (
        ("first_word_s", "first word"),
        ("change_s", "first entity that changes"),
        ("end_s", "end"),
    ):
        sides = {side: _of(timings, side, name) for side in (OURS, THEIRS)}
        both = [said for said in sides[OURS] if said in sides[THEIRS]]
        if both:
            ours, theirs = (median(sides[side][said] for said in both) for side in (OURS, THEIRS))
            lines.append(f"| {what}, of {len(both)} | {ours:.2f} s | {theirs:.2f} s | {ours / theirs:.2f} |")
    return "\n".join(lines)


def _of(timings: Sequence[Timing], side: str, name: str) -> Mapping[str, float]:
    found: dict[str, float | None] = {each.said: getattr(each, name) for each in timings if each.side == side}
    return {said: seconds for said, seconds in found.items() if seconds is not None}


async def main(options: argparse.Namespace) -> None:
    """Run the command."""
    timings: list[Timing] = []
    threads = os.cpu_count() or 1
    async with AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeassist-compare-")))
        broker = stack.enter_context(PrivateBroker(scratch))
        running = stack.enter_context(home_assistant(scratch / "home", broker.port))
        server = LlamaServer(
            options.server, options.model, folder=scratch, threads=threads, context=CONTEXT, slots=SLOTS
        )
        stack.push_async_callback(server.stop)
        await server.start()
        house = await stack.enter_async_context(drive(running))
        await house.furnish(ORDINARY)
        agents: dict[str, Any] = {
            OURS: edgeassist(
                house,
                broker.port,
                scratch / "daemon",
                model__path=options.model,
                model__context=CONTEXT,
                engine__slots=SLOTS,
            ),
            THEIRS: llama_cpp(house, f"{server.process.url}/v1"),
        }
        pipelines = {
            side: await house.pipeline(await stack.enter_async_context(agent))
            for side, agent in agents.items()
        }
        for number, sentence in enumerate(SENTENCES[: options.only]):
            for side in (OURS, THEIRS) if number % 2 else (THEIRS, OURS):
                timing = await measure(house, side, pipelines[side], sentence)
                timings.append(timing)
                sys.stderr.write(json.dumps(asdict(timing), ensure_ascii=False) + "\n")
        sys.stderr.writelines(f"log: {line}\n" for line in running.complaints())
    if options.report:
        options.report.write_text(
            json.dumps([asdict(each) for each in timings], indent=1, ensure_ascii=False)
        )
    sys.stdout.write(f"{options.model.name}, {threads} threads\n\n{table(timings)}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m tests.home_assistant.compare",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("model", type=Path, help="a GGUF file")
    parser.add_argument("server", type=Path, help="the program llama-server")
    parser.add_argument("--only", type=int, default=len(SENTENCES), help="how many sentences")
    parser.add_argument("--report", type=Path, help="a file for every sentence, as JSON")
    ending.run(main(parser.parse_args()))
