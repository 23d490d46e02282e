"""The model inside this package: EdgeAssist Tiny, `builtin:tiny`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

_PREFIX = "builtin:"
TINY = Path("builtin:tiny")
# How to get a larger one; a line of the log.
NEXT_MODEL = (
    "builtin:tiny knows what is said to a home, and nothing else; to move to Qwen2.5-0.5B: `hf download "
    "Qwen/Qwen2.5-0.5B-Instruct-GGUF qwen2.5-0.5b-instruct-q4_0.gguf --local-dir DIR`, name that file in "
    "model.path, and restart (docs/models.md)"
)


def is_builtin(path: Path) -> bool:
    """Whether a `model.path` begins with `builtin:`; the package need not have that model."""
    return str(path).startswith(_PREFIX)


def builtin_forms(path: Path) -> dict[str, Path]:
    """Return a built-in model's path for each backend that can serve it; empty if there is no such model."""
    if path != TINY:
        return {}
    folder = Path(str(files("edgeassist"))) / "assets" / "tiny"
    return {"llama": folder / "edgeassist-tiny.gguf", "onnx": folder / "edgeassist-tiny-onnx"}
