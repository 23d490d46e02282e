"""Our agent against core's llama.cpp integration on a llama-server, in one Home Assistant: outside CI.

    python -m tests.home_assistant.compare MODEL.gguf LLAMA_SERVER [--bare] [--typed] [--local-first]

Both have the same weights, threads, slots and context, and the settings that their integrations recommend.
Each sentence is said to one and then to the other, who begins changes; who waits computes nothing. Taken are
the seconds to the first word that is streamed, to the first entity that changes, and to the end. A time
counts where what came of it is right: what was to change has changed and nothing else, or what was asked was
told, and nothing that was said is code.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from edgeassist.bench.server import LlamaServer
from edgeassist.models.files.gguf import read_gguf
from edgeassist.sandbox import PrivateBroker
from tests.home_assistant import ending
from tests.home_assistant.agents import edgeassist, llama_cpp
from tests.home_assistant.compared import SENTENCES, Kind, Sentence, is_right
from tests.home_assistant.driver import Driver, drive
from tests.home_assistant.process import home_assistant
from tests.home_assistant.talk import spoken
from tests.home_assistant.toys import ORDINARY

CONTEXT, SLOTS = 8192, 4
ANSWER_S = 600
# For what Home Assistant does after the answer's end.
SETTLE_S = 1.0
OURS, THEIRS = "EdgeAssist", "llama.cpp integration"


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds since a sentence was said; None for what did not happen."""

    side: str
    said: str
    kind: Kind
    right: bool
    first_word_s: float | None
    change_s: float | None
    end_s: float
    changed: Sequence[str]
    spoken: str


async def measure(house: Driver, side: str, pipeline: str, sentence: Sentence) -> Timing:
    """Say a sentence to a pipeline, and see what comes of it."""
    for action, *entities in sentence.before:
        await house.call(action, *entities)
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
    states = {entity: state["state"] for entity, state in (await house.states()).items()}
    return Timing(
        side=side,
        said=sentence.said,
        kind=sentence.kind,
        right=is_right(sentence, {entity for _, entity in changed}, states, spoken(heard)),
        first_word_s=words[0] if words else None,
        change_s=changed[0][0] if changed else None,
        end_s=heard[-1].after_s,
        changed=[entity for _, entity in changed],
        spoken=spoken(heard),
    )


def table(timings: Sequence[Timing]) -> str:
    """Return as Markdown how many were right on each side, and medians of those that were right on both."""
    lines = [f"| | {OURS} | {THEIRS} | ratio |", "| --- | --- | --- | --- |"]
    for kind in Kind:
        of_kind = [each for each in timings if each.kind is kind]
        right = {
            side: {each.said: each for each in of_kind if each.side == side and each.right}
            for side in (OURS, THEIRS)
        }
        number = len({each.said for each in of_kind})
        lines.append(
            f"| {kind}, right | {len(right[OURS])} of {number} | {len(right[THEIRS])} of {number} | |"
        )
        both = right[OURS].keys() & right[THEIRS].keys()
        for name, what in (
            ("first_word_s", "first word"),
            ("change_s", "the entity has changed"),
            ("end_s", "end"),
        ):
            medians = [
                _median(getattr(each, name) for said, each in right[side].items() if said in both)
                for side in (OURS, THEIRS)
            ]
            own = [_median(getattr(each, name) for each in right[side].values()) for side in (OURS, THEIRS)]
            for label, (ours, theirs) in (
                (f"of the {len(both)} right on both", medians),
                ("of its right ones", own),
            ):
                if ours is not None or theirs is not None:
                    ratio = f"{ours / theirs:.2f}" if ours and theirs else ""
                    lines.append(f"| {kind}: {what}, {label} | {_shown(ours)} | {_shown(theirs)} | {ratio} |")
    return "\n".join(lines)


def _median(seconds: Iterable[float | None]) -> float | None:
    known = [each for each in seconds if each is not None]
    return median(known) if known else None


def _shown(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.2f} s"


def without_marks(model: Path) -> str:
    """Return a model's template as if its calls had no marks; a llama-server reads that off it."""
    template = read_gguf(model).template or ""
    without = re.sub(r" within <tool_call></tool_call> XML tags", " and nothing else", template)
    return re.sub(r"(?:\\n)?</tool_call>|<tool_call>(?:\\n)?", "", without)


async def main(options: argparse.Namespace) -> None:
    """Run the command."""
    timings: list[Timing] = []
    threads = os.cpu_count() or 1
    async with AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeassist-compare-")))
        broker = stack.enter_context(PrivateBroker(scratch))
        running = stack.enter_context(home_assistant(scratch / "home", broker.port))
        more: tuple[str, ...] = ()
        if options.bare:
            (scratch / "bare.jinja").write_text(without_marks(options.model))
            more = ("--chat-template-file", str(scratch / "bare.jinja"))
        server = LlamaServer(
            options.server,
            options.model,
            folder=scratch,
            threads=threads,
            context=CONTEXT,
            slots=SLOTS,
            more=more,
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
            side: await house.pipeline(
                await stack.enter_async_context(agent), local_first=options.local_first
            )
            for side, agent in agents.items()
        }
        sentences = [replace(each, satellite=None) if options.typed else each for each in SENTENCES]
        for number, sentence in enumerate(sentences[: options.only]):
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
    parser.add_argument(
        "--bare",
        action="store_true",
        help="llama-server takes calls as this model writes them, without marks: by a template made for that",
    )
    parser.add_argument("--typed", action="store_true", help="no satellites")
    parser.add_argument(
        "--local-first",
        action="store_true",
        help="Home Assistant's own sentences first, as its frontend has it",
    )
    parser.add_argument("--report", type=Path, help="a file for every sentence, as JSON")
    ending.run(main(parser.parse_args()))
