"""What the two ways of `bench` share: the models, the progress bar, what has to be installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import platformdirs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from edgeassist.errors import ConfigurationError, ModelError
from edgeassist.models.builtin import builtin_forms

# Told what begins, in words, and how many steps are done; None: as many as before.
Begin = Callable[[str, int | None], None]


def need(module: str, what: str, extra: str) -> None:
    """Raise a ModelError that says which extra to install, where a module is missing."""
    if find_spec(module) is None:
        raise ModelError(f"{what} is not installed: pip install 'edgeassist[{extra}]'")


def need_backend(path: Path) -> None:
    """Raise a ModelError where what serves a model is not installed."""
    if path.is_dir():
        need("onnxruntime_genai", "onnxruntime-genai", "onnx")
    else:
        need("llama_cpp", "llama-cpp-python", "llama")


def named_model(path: Path) -> Path:
    """Return the path of a model that exists, or raise a ConfigurationError; a built-in one's GGUF file."""
    path = builtin_forms(path).get("llama", path)
    if not path.exists():
        raise ConfigurationError(f"there is no {path}: name a GGUF file or a folder of ONNX Runtime GenAI")
    need_backend(path)
    return path


def random_models(shape: str, quants: Sequence[str], threads: int, begin: Begin) -> list[Path]:
    """Return models of random weights from the user's cache; those that are missing are made."""
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


@contextmanager
def progress() -> Iterator[tuple[Begin, Callable[[int], None]]]:
    """Draw a bar between runs only: a refreshing one would take time from what it shows.

    Yields:
        What is told of each beginning; and what is told how many steps there are.
    """
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        auto_refresh=False,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("", total=None)

        def begin(what: str, done: int | None) -> None:
            bar.update(task, completed=done, description=what, refresh=True)

        yield begin, lambda total: bar.reset(task, total=total)
