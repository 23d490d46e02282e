"""How many of a public dataset's sentences an agent does right, in a real Home Assistant; outside CI.

    git clone https://github.com/allenporter/home-assistant-datasets
    git clone https://github.com/allenporter/home-assistant-synthetic-home
    python -m tests.home_assistant.score home-assistant-datasets/datasets/assist-mini \
        home-assistant-synthetic-home --agent builtin:tiny

The homes are those of the dataset, made by the custom component that it was made for; states are compared by
its rules. `--agent` is a model of ours (`builtin:tiny`, a file), `home-assistant` for its own sentences, or
the URL of a llama-server for core's llama.cpp integration.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from edgeassist.sandbox import PrivateBroker
from tests.home_assistant import ending
from tests.home_assistant.agents import OWN, edgeassist, llama_cpp
from tests.home_assistant.assist_tasks import States, Task, Verdict, judge, read_tasks
from tests.home_assistant.driver import Driver, drive
from tests.home_assistant.installation import Version
from tests.home_assistant.process import home_assistant

ANSWER_S = 300
# What Home Assistant does after it has replied; only a sentence that went wrong waits for so long.
SETTLE_S = 1.0
_COMPONENT = "custom_components/synthetic_home"
_FITTED = (
    # As the dataset's own evaluation sets it, since nothing waits for covers to move.
    ("cover.py", r"(?m)^COVER_INSTANT = False$", "COVER_INSTANT = True"),
    # Version 4.1.1 does not load in Home Assistant 2026.11, where this name is no longer found in `sensor`.
    ("sensor.py", r"(?m)^    StateType,\n", ""),
    (
        "sensor.py",
        r"(?m)^from \.const import",
        "from homeassistant.helpers.typing import StateType\n\nfrom .const import",
    ),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task."""

    task: Task
    verdict: Verdict
    reply: str
    seconds: float
    wrong: Sequence[str]


async def run(house: Driver, config: Path, agent: str, tasks: Iterable[Task]) -> AsyncIterator[Outcome]:
    """Say each task's sentence in its home.

    Args:
        house: A Home Assistant with the custom component.
        config: Its folder of configuration.
        agent: The agent's entity.
        tasks: What is said.

    Raises:
        RuntimeError: A home can't be made as the dataset has it.
    """
    for task in tasks:
        await house.clear("synthetic_home")
        (config / "home.yaml").write_text(yaml.safe_dump(task.home, sort_keys=False))
        entry = await house.add("synthetic_home", config_filename="home.yaml")
        before = await _states(house, entry["entry_id"])
        begun = time.monotonic()
        try:
            reply = (await house.say(task.said, agent, patience_s=ANSWER_S)).speech
        except TimeoutError:
            reply = f"(no answer within {ANSWER_S} s)"
        seconds = time.monotonic() - begun
        verdict, wrong = judge(task, before, await _states(house, entry["entry_id"]), reply)
        if verdict is not Verdict.RIGHT:
            await asyncio.sleep(SETTLE_S)
            verdict, wrong = judge(task, before, await _states(house, entry["entry_id"]), reply)
        yield Outcome(task, verdict, reply, seconds, wrong)


async def _states(house: Driver, entry: str) -> States:
    ours = [entity for entity, known in (await house.entities()).items() if known["config_entry_id"] == entry]
    states = await house.states()
    away = [entity for entity in ours if states[entity]["state"] in {"unavailable", "unknown"}]
    if not ours or away:
        entries = [each for each in await house.entries("synthetic_home") if each["entry_id"] == entry]
        raise RuntimeError(f"the dataset's home has no states for {away or 'anything'}: {entries}")
    return {entity: {"state": states[entity]["state"], **states[entity]["attributes"]} for entity in ours}


@asynccontextmanager
async def _agent(name: str, house: Driver, broker: int, folder: Path) -> AsyncIterator[str]:
    if name == "home-assistant":
        yield OWN
        return
    started = llama_cpp(house, name) if "://" in name else edgeassist(house, broker, folder, model__path=name)
    async with started as agent:
        yield agent


def component(checkout: Path, folder: Path) -> tuple[Path, Path]:
    """Copy the dataset's custom component as its own evaluation uses it, and get the package that it needs.

    Returns:
        The component, and a folder with the package.
    """
    copy = folder / "synthetic_home"
    shutil.copytree(checkout / _COMPONENT, copy)
    for name, pattern, replacement in _FITTED:
        module = copy / name
        module.write_text(re.sub(pattern, replacement, module.read_text()))
    requirements = json.loads((copy / "manifest.json").read_text())["requirements"]
    packages = folder / "packages"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(packages)]
    pip += ["--python-version", "3.14", "--only-binary", ":all:", *requirements]
    subprocess.run(pip, check=True, timeout=ANSWER_S)
    return copy, packages


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the figures as Markdown: by category, and by what went wrong."""
    lines = ["| | right | of |", "| --- | --- | --- |"]
    categories = sorted({each.task.category for each in outcomes})
    for name in [*categories, "all"]:
        ours = [each for each in outcomes if name in {each.task.category, "all"}]
        right = sum(each.verdict is Verdict.RIGHT for each in ours)
        lines.append(f"| {name} | {right} ({right / len(ours):.0%}) | {len(ours)} |")
    kinds = Counter(each.verdict for each in outcomes)
    lines += ["", *(f"- {kind}: {number}" for kind, number in kinds.most_common())]
    seconds = sorted(each.seconds for each in outcomes)
    lines += [f"- median time to the whole answer: {seconds[len(seconds) // 2]:.2f} s"]
    return "\n".join(lines)


def document(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return the outcomes as JSON."""
    return [
        {
            "record": each.task.record,
            "said": each.task.said,
            "verdict": each.verdict,
            "reply": each.reply,
            "seconds": round(each.seconds, 3),
            "wrong": list(each.wrong),
        }
        for each in outcomes
    ]


async def main(options: argparse.Namespace) -> None:
    """Run the command."""
    tasks = [task for task in read_tasks(options.dataset) for _ in range(options.count)]
    outcomes: list[Outcome] = []
    async with AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeassist-score-")))
        copy, packages = component(options.component, scratch)
        broker = stack.enter_context(PrivateBroker(scratch))
        running = stack.enter_context(
            home_assistant(
                scratch / "home", broker.port, options.version, components=[copy], packages=[packages]
            )
        )
        stack.callback(lambda: sys.stderr.writelines(f"log: {line}\n" for line in running.complaints()))
        house = await stack.enter_async_context(drive(running))
        agent = await stack.enter_async_context(_agent(options.agent, house, broker.port, scratch / "daemon"))
        async for outcome in run(house, scratch / "home/config", agent, tasks):
            outcomes.append(outcome)
            sys.stderr.write(f"{outcome.verdict}: {outcome.task.said} → {outcome.reply}\n")
            sys.stderr.writelines(f"    {line}\n" for line in outcome.wrong)
    if options.report:
        options.report.write_text(json.dumps(document(outcomes), indent=1, ensure_ascii=False))
    sys.stdout.write(f"{options.agent}, Home Assistant {options.version}\n\n{table(outcomes)}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m tests.home_assistant.score",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("dataset", type=Path, help="a dataset's folder, such as datasets/assist-mini")
    parser.add_argument("component", type=Path, help="a checkout of home-assistant-synthetic-home")
    parser.add_argument(
        "--agent", default="builtin:tiny", help="a model, `home-assistant`, or a llama-server's URL"
    )
    parser.add_argument("--version", type=Version, default=Version.NEWEST, help="of Home Assistant")
    parser.add_argument(
        "--count", type=int, default=1, help="how often each sentence is said (the dataset: 4)"
    )
    parser.add_argument("--report", type=Path, help="a file for every outcome, as JSON")
    ending.run(main(parser.parse_args()))
