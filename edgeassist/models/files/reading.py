"""The reader for each backend's files."""

from __future__ import annotations

from pathlib import Path

from edgeassist.errors import ModelError
from edgeassist.models.files.description import ModelFile
from edgeassist.models.files.gguf import read_gguf
from edgeassist.models.files.onnx import read_onnx_folder


def read_model(path: Path, backend: str) -> ModelFile:
    """Describe what `model.path` names.

    Args:
        path: A GGUF file for the backend `llama`, a folder of ONNX Runtime GenAI for `onnx`.
        backend: That serves it.

    Raises:
        ModelError: It can't be loaded; the message names the setting, and says why and what to do.
    """
    try:
        return read_onnx_folder(path) if backend == "onnx" else read_gguf(path)
    except ModelError as error:
        raise ModelError(f"model.path: {error.message}") from None
