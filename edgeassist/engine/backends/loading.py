"""The choice among backends; a backend's library is imported when it is chosen."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from edgeassist.engine.backends.base import LoadedModel
from edgeassist.engine.messages import Load
from edgeassist.errors import ModelError

# Loads a model, given all that the engine was told, and what is called with the fraction done, often enough
# to show that it moves. Raises a ModelError where it can't be loaded, a MemoryShortError where it does not
# fit into what is free of memory now.
Loader = Callable[[Load, Callable[[float], None]], LoadedModel]


def backend_of(name: str) -> Loader:
    """Return what loads models with a backend, and import its library.

    Args:
        name: As in `Load`.

    Raises:
        ModelError: The backend is unknown, or its library is not installed.
    """
    # One backend a process: the others' libraries are not loaded.
    match name:
        case "scripted":
            from edgeassist.engine.backends import scripted  # noqa: PLC0415 - as said above

            return scripted.load
        case "llama":
            if find_spec("llama_cpp") is None:
                raise ModelError("llama-cpp-python is not installed: pip install 'edgeassist[llama]'")
            from edgeassist.engine.backends.llama import loading as llama  # noqa: PLC0415 - as said above

            return llama.load
        case "onnx":
            if find_spec("onnxruntime_genai") is None:
                raise ModelError("onnxruntime-genai is not installed: pip install 'edgeassist[onnx]'")
            from edgeassist.engine.backends.ortgenai import backend as ort  # noqa: PLC0415 - as said above

            return ort.load
        case unknown:
            raise ModelError(f"model.backend {unknown!r} is none of: llama, onnx, scripted")


def load_backend(options: Load, progress: Callable[[float], None]) -> LoadedModel:
    """Load the model with the backend that the options name (`Loader`, `backend_of`)."""
    return backend_of(options.backend)(options, progress)
