"""Asks a model the tasks, one after another, and judges what it answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from edgeassist.errors import Code, EdgeAssistError
from edgeassist.evaluation.quality.confined import Confinement
from edgeassist.evaluation.quality.reading import Answer, code_of
from edgeassist.evaluation.quality.report import Quality, Verdict, verdict_of
from edgeassist.evaluation.quality.tasks import Task, digest_of, limited, read_tasks
from edgeassist.evaluation.source import BUILTIN, text_of

# The longest that one answer may take. A Raspberry Pi 5 writes 256 tokens of a model of 4 B in a minute.
DEADLINE_S = 300.0
# A model that answers none of so many in time answers none.
MOST_LATE = 3
# A task that the model does not take is wrong, and costs the others nothing.
_OF_ONE_TASK = frozenset({Code.CONTEXT_OVERFLOW, Code.TOO_LARGE, Code.INVALID_REQUEST})
INTERRUPTED = "the measurement was interrupted"


def load_tasks(name: str = BUILTIN, limit: int | None = None) -> list[Task]:
    """Return the tasks of a file, or those that come with the package (`builtin`); so many of them at most.

    Raises:
        ConfigurationError: There is no such file.
        InvalidRequestError: It holds none, or a line that is none.
    """
    return limited(read_tasks(text_of(name, "quality/tasks.jsonl", "--tasks"), name=name), limit)


async def evaluate_quality(
    ask: Callable[[str, int], Awaitable[str]],
    tasks: Sequence[Task],
    confinement: Confinement,
    on_step: Callable[[int, int], None] = lambda *_: None,
    *,
    deadline_s: float = DEADLINE_S,
) -> Quality:
    """Ask the tasks, and judge the answers. Those with code are left out where it can't be confined.

    A cancellation ends the measurement and not the call, once there is a verdict.

    Args:
        ask: Asks the model, and returns what it writes: the likeliest tokens, so many at most.
        tasks: The tasks.
        confinement: Runs the code of answers.
        on_step: Told before each task how many were asked, and how many will be.
        deadline_s: The longest that one answer may take; a later one is wrong.

    Raises:
        EdgeAssistError: The model can't be asked.
        asyncio.CancelledError: It was cancelled before the first verdict.
    """
    why_not = await confinement.why_not() if any(task.code for task in tasks) else None
    asked = [task for task in tasks if why_not is None or task.code is None]
    verdicts: list[Verdict] = []
    missing = None
    late = 0
    try:
        for number, task in enumerate(asked):
            on_step(number, len(asked))
            begun = time.perf_counter()
            try:
                async with asyncio.timeout(deadline_s):
                    written = await ask(task.prompt, task.max_tokens)
            except TimeoutError:
                late += 1
                verdicts.append(verdict_of(task, f"no answer within {deadline_s:g} s", "", deadline_s))
                if late == len(verdicts) == MOST_LATE:
                    missing = f"the first {MOST_LATE} answers took more than {deadline_s:g} s each"
                    break
                continue
            except EdgeAssistError as error:
                if error.code not in _OF_ONE_TASK:
                    raise
                verdicts.append(verdict_of(task, f"is refused: {error.message}", "", 0.0))
                continue
            took = time.perf_counter() - begun
            verdicts.append(verdict_of(task, await fault_of(task, written, confinement), written, took))
    except (EdgeAssistError, asyncio.CancelledError) as error:
        if not verdicts:
            raise
        missing = error.message if isinstance(error, EdgeAssistError) else INTERRUPTED
    return Quality(
        digest=digest_of(asked),
        verdicts=tuple(verdicts),
        left_out=len(tasks) - len(asked),
        why_left_out=why_not or "",
        missing=missing,
    )


async def fault_of(task: Task, written: str, confinement: Confinement) -> str | None:
    """Return what is wrong with an answer, its code run; None: nothing.

    Raises:
        UnconfinedError: Its code can't be confined.
    """
    answer = Answer.of(written)
    if not answer.text:
        return "is empty"
    fault = task.fault(answer)
    if fault is not None or task.code is None:
        return fault
    code = code_of(answer.text, task.code.function)
    if code is None:
        return f"defines no function {task.code.function}"
    return await confinement.run(code, task.code.function, task.code.asserts)
