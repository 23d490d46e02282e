"""The choice among backends; a backend's library is imported when it is chosen."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from edgeassist.engine.messages import Load
from edgeassist.errors import ModelError

if TYPE_CHECKING:
    from edgeassist.engine.backends.base import Finish, LoadedModel


def begin_backend(options: Load) -> Finish:
    """Begin to load a model with the backend that the options name, and import its library.

    What of it needs no Python goes on from here on.

    Raises:
        ModelError: The backend is unknown, its library is not installed, or the model can't be loaded.
    """
    # One backend a process: the others' libraries are not loaded.
    match options.backend:
        case "scripted":
            from edgeassist.engine.backends import scripted  # noqa: PLC0415 - as said above

            return partial(scripted.load, options)
        case "llama":
            if find_spec("llama_cpp") is None:
                raise ModelError("llama-cpp-python is not installed: pip install 'edgeassist[llama]'")
            from edgeassist.engine.backends.llama import loading as llama  # noqa: PLC0415 - as said above

            return llama.begin(options)
        case "onnx":
            if find_spec("onnxruntime_genai") is None:
                raise ModelError("onnxruntime-genai is not installed: pip install 'edgeassist[onnx]'")
            from edgeassist.engine.backends.ortgenai import backend as ort  # noqa: PLC0415 - as said above

            return partial(ort.load, options)
        case unknown:
            raise ModelError(f"model.backend {unknown!r} is none of: llama, onnx, scripted")


def load_backend(options: Load, progress: Callable[[float], None]) -> LoadedModel:
    """Load the model with the backend that the options name (`begin_backend`, `Finish`)."""
    return begin_backend(options)(progress)
