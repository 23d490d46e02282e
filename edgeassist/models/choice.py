"""Which model a `model.path` means, and which backend serves it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from edgeassist.errors import ModelError
from edgeassist.models.builtin import TINY, builtin_forms, is_builtin
from edgeassist.models.files.onnx import about_stranger, is_onnx_folder

# The import name of the package that each backend needs.
_PACKAGES = {"llama": "llama_cpp", "onnx": "onnxruntime_genai"}
# What `scripted` reads answers from; it ignores the path of a model.
_ANSWERS = ".json"


@dataclass(frozen=True, slots=True)
class Choice:
    """The model to serve.

    Attributes:
        path: Its file or folder; None where the backend needs none.
        backend: `llama`, `onnx` or `scripted`.
    """

    path: Path | None
    backend: str


def choose_model(path: Path, wanted: str) -> Choice:
    """Return the file or folder that `model.path` means, and the backend that serves it.

    Args:
        path: The setting `model.path`: a GGUF file, a folder of ONNX Runtime GenAI, or `builtin:tiny`.
        wanted: The setting `model.backend`: `auto`, or a backend to insist on.

    Raises:
        ModelError: No backend can serve it.
    """
    if wanted == "scripted":
        return Choice(path if path.suffix == _ANSWERS else None, wanted)
    if is_builtin(path):
        return _choose_form(path, wanted)
    try:
        there = path.exists()
    except OSError as error:
        raise ModelError(f"model.path: can't look at {path}: {error.strerror}") from None
    if not there:
        raise ModelError(f"model.path: there is no {path}: correct the setting, or put the model there")
    return Choice(path, _backend_of(path) if wanted == "auto" else wanted)


def is_installed(backend: str) -> bool:
    """Whether the package that a backend needs is installed."""
    return backend not in _PACKAGES or importlib.util.find_spec(_PACKAGES[backend]) is not None


def _choose_form(path: Path, wanted: str) -> Choice:
    """Return a built-in model in a format whose backend is installed, if one is."""
    forms = builtin_forms(path)
    if not forms:
        raise ModelError(f"model.path: there is no {path} in this package: it has {TINY}")
    able = [backend for backend in forms if is_installed(backend)] or list(forms)
    backend = able[0] if wanted == "auto" else wanted
    return Choice(forms[backend], backend)


def _backend_of(path: Path) -> str:
    if is_onnx_folder(path):
        return "onnx"
    if path.is_dir():
        raise ModelError(f"model.path: {about_stranger(path)}")
    return "llama"
