"""Shared by `bench` and `bench --compare`: models, progress, interruption, checks for optional packages."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import platformdirs
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from edgeassist.cli.consoles import Console
from edgeassist.errors import ConfigurationError, ModelError
from edgeassist.models.builtin import builtin_forms

# A file of answers by prompt, in a model's place, needs no library.
ANSWERS = ".json"
# Called with a description of the next step and the number of steps done; None leaves the number unchanged.
Begin = Callable[[str, int | None], None]
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Shown:
    """How results are shown.

    Attributes:
        picture: A PNG file to write; None for none.
        as_json: Print all values as JSON.
        as_markdown: Print the table as Markdown.
    """

    picture: Path | None
    as_json: bool
    as_markdown: bool


def need(module: str, what: str, extra: str) -> None:
    """Raise a ModelError that names the extra to install if a module is missing."""
    if find_spec(module) is None:
        raise ModelError(f"{what} is not installed: pip install 'edgeassist[{extra}]'")


def need_backend(path: Path) -> None:
    """Raise a ModelError if the library for a model is not installed."""
    if path.is_dir():
        need("onnxruntime_genai", "onnxruntime-genai", "onnx")
    elif path.suffix != ANSWERS:
        need("llama_cpp", "llama-cpp-python", "llama")


def named_model(path: Path) -> Path:
    """Return the path of a model; for a built-in one, its GGUF file.

    Raises:
        ConfigurationError: It does not exist.
        ModelError: The library for it is not installed.
    """
    path = builtin_forms(path).get("llama", path)
    if not path.exists():
        raise ConfigurationError(f"there is no {path}: name a GGUF file or a folder of ONNX Runtime GenAI")
    need_backend(path)
    return path


def random_models(shape: str, quants: Sequence[str], threads: int, begin: Begin) -> list[Path]:
    """Return random-weight models from the user's cache, making missing ones."""
    need("gguf", "gguf, which writes models of random weights,", "bench")
    if "int4" in quants:
        need("onnx", "onnx, which writes models of random weights,", "bench")
        need("onnxruntime_genai", "onnxruntime-genai", "onnx")
    if set(quants) - {"int4"}:
        need("llama_cpp", "llama-cpp-python", "llama")
    # numpy and gguf come with extras; no other command should need them.
    from edgeassist.bench.models import synthetic_models  # noqa: PLC0415

    folder = platformdirs.user_cache_path("edgeassist") / "models"
    return synthetic_models(folder, shape, quants, threads=threads, on_step=lambda what: begin(what, None))


def run_until_signalled(measurement: Coroutine[Any, Any, Value]) -> Value:
    """Run a measurement; SIGINT and SIGTERM cancel it, and it stops what it started.

    Raises:
        KeyboardInterrupt: It was cancelled and has nothing to show.
    """

    async def run() -> Value:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        return await measurement

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


@contextmanager
def progress() -> Iterator[tuple[Begin, Callable[[int], None]]]:
    """Show how far it is: a bar on a terminal, a line for each step elsewhere.

    It is redrawn only between runs, so that drawing does not disturb the measurement.

    Yields:
        A function to call at the start of each step, and one to set the total number of steps.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines()
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        auto_refresh=False,
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=None)

        def begin(what: str, done: int | None) -> None:
            bar.update(task, completed=done, description=what, refresh=True)

        yield begin, lambda total: bar.reset(task, total=total)


def _lines() -> tuple[Begin, Callable[[int], None]]:
    begun = time.monotonic()
    steps = 0

    def begin(what: str, done: int | None) -> None:
        minutes, seconds = divmod(int(time.monotonic() - begun), 60)
        of = f"{done}/{steps} " if done is not None and steps else ""
        print(f"{minutes}:{seconds:02} {of}{what}", file=sys.stderr, flush=True)

    def count(total: int) -> None:
        nonlocal steps
        steps = total

    return begin, count
