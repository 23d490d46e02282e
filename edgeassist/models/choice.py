"""Which backend serves a model, from what its path holds."""

from __future__ import annotations

from pathlib import Path

from edgeassist.errors import ModelError

_GENAI_CONFIG = "genai_config.json"


def choose_backend(path: Path | None, wanted: str) -> str:
    """Return `llama`, `onnx` or `scripted`.

    Args:
        path: The setting `model.path`.
        wanted: The setting `model.backend`: `auto`, or a backend to insist on.

    Raises:
        ModelError: Nothing can serve that.
    """
    if wanted == "scripted":
        return wanted
    if path is None:
        raise ModelError(
            "model.path is not set: name a GGUF file there, or a folder of ONNX Runtime GenAI (or, to try "
            'the daemon without a model, set model.backend to "scripted")',
        )
    try:
        there = path.exists()
    except OSError as error:
        raise ModelError(f"model.path: can't look at {path}: {error.strerror}") from None
    if not there:
        raise ModelError(f"model.path: there is no {path}: correct the setting, or put the model there")
    if wanted != "auto":
        return wanted
    if (path / _GENAI_CONFIG).is_file():
        return "onnx"
    if path.is_dir():
        raise ModelError(
            f"model.path: {path} is a folder without {_GENAI_CONFIG}: name the GGUF file in it, or a folder "
            "of ONNX Runtime GenAI"
        )
    return "llama"
