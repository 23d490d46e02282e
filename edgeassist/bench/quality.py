"""How many tasks with known answers a side does right, asked as its clients ask (`evaluation/quality`)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from edgeassist.bench.contender import Contender, Question, collect
from edgeassist.bench.device import Device
from edgeassist.bench.figures import Better, Comparison, Figure, spread
from edgeassist.bench.plan import HEADROOM, Plan
from edgeassist.bench.sides import make_sides
from edgeassist.evaluation.quality.confined import Confinement
from edgeassist.evaluation.quality.evaluate import evaluate_quality
from edgeassist.evaluation.quality.report import ALL, Quality
from edgeassist.evaluation.quality.tasks import MAX_CODE_TOKENS, Kind, Language, Task

# The longest prompt of a task, in tokens; more than its characters are none.
_PROMPT_TOKENS = 1024
# Tasks from one line of progress to the next.
_STEP = 10
_LABELS = {
    ALL: "right answers",
    **{kind.value: f"right: {kind}" for kind in Kind},
    Language.EN.value: "right: in English",
    Language.ZH.value: "right: in Chinese",
}

OnStep = Callable[[str, int], None]


async def quality_of(model: Path, plan: Plan, tasks: Sequence[Task], on_step: OnStep) -> Quality:
    """Start a model, ask it the tasks one after another, and stop it.

    Args:
        model: The GGUF file, or the folder of an ONNX model.
        plan: Threads and context.
        tasks: The tasks.
        on_step: Told every few tasks what is done, and how many were.

    Raises:
        EdgeAssistError: The model can't be asked.
        asyncio.CancelledError: It was cancelled before there was a verdict.
    """
    with tempfile.TemporaryDirectory(prefix="edgeassist-bench-") as folder:
        device = Device(model, folder=Path(folder), threads=plan.threads, context=_context(plan), slots=1)
        return await _ask(device, tasks, on_step)


async def qualities_of(model: Path, plan: Plan, tasks: Sequence[Task], on_step: OnStep) -> dict[str, Quality]:
    """Ask the device, and then the plan's peer; return what came, by side (`quality_of`)."""
    found: dict[str, Quality] = {}
    with tempfile.TemporaryDirectory(prefix="edgeassist-bench-") as folder:
        sides = make_sides(model, plan, Path(folder), context=_context(plan), slots=1, threads=plan.threads)
        for number, side in enumerate(sides):

            def step(what: str, done: int, before: int = number * len(tasks)) -> None:
                on_step(what, before + done)

            found[side.name] = await _ask(side, tasks, step)
            if found[side.name].missing is not None:
                break
    return found


def quality_rows(qualities: Mapping[str, Quality]) -> tuple[Comparison, ...]:
    """Return a row for all answers, each kind and each language, with the models or sides that have it."""
    rows = []
    for group, label in _LABELS.items():
        scores = {name: each.scores[group] for name, each in qualities.items() if group in each.scores}
        if scores:
            tasks = max(score.tasks for score in scores.values())
            rows.append(
                Comparison(
                    Figure(label, f"of {tasks}", Better.HIGHER, decimals=0, most=tasks),
                    {name: spread([score.right]) for name, score in scores.items()},
                )
            )
    return tuple(rows)


def quality_notes(qualities: Mapping[str, Quality]) -> list[str]:
    """Return what to know of the figures, as lines: which tasks were left out, what is missing."""
    lines = {
        f"{each.left_out} tasks with code were left out: {each.why_left_out}"
        for each in qualities.values()
        if each.left_out
    }
    missing = [
        f"{name}: after {len(each.verdicts)} tasks: {each.missing}"
        for name, each in qualities.items()
        if each.missing is not None
    ]
    return [*sorted(lines), *missing]


async def _ask(side: Contender, tasks: Sequence[Task], on_step: OnStep) -> Quality:
    async def ask(prompt: str, max_tokens: int) -> str:
        return (await collect(side, Question(prompt, max_tokens, judged=True))).text

    def step(number: int, count: int) -> None:
        if number % _STEP == 0:
            on_step(f"{side.name}: task {number + 1} of {count}", number)

    try:
        await side.start()
        await side.settle()
        return await evaluate_quality(ask, tasks, Confinement.found(), step)
    finally:
        await side.stop()


def _context(plan: Plan) -> int:
    return max(plan.slot_tokens or 0, _PROMPT_TOKENS + MAX_CODE_TOKENS + HEADROOM)
