"""The model inside this package: EdgeAssist Tiny, `builtin:tiny`."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

_PREFIX = "builtin:"
TINY = Path("builtin:tiny")
# How to get a larger one; a line of the log.
NEXT_MODEL = (
    "builtin:tiny knows what is said to a home, and nothing else; for others: `edgeassist models list` says "
    "which suit this device, `edgeassist models pull qwen2.5-0.5b-instruct` gets one, and `edgeassist models "
    "use NAME` chooses it (docs/models.md)"
)


def is_builtin(path: Path) -> bool:
    """Whether a `model.path` begins with `builtin:`; the package need not have that model."""
    return str(path).startswith(_PREFIX)


def builtin_forms(path: Path) -> dict[str, Path]:
    """Return a built-in model's path for each backend that can serve it; empty if there is no such model."""
    if path != TINY:
        return {}
    return {"llama": _folder() / "edgeassist-tiny.gguf", "onnx": _folder() / "edgeassist-tiny-onnx"}


def action_schema() -> dict[str, Any]:
    """Return the JSON Schema of EdgeAssist Tiny's actions: `json_schema` of a request that is a command."""
    schema: dict[str, Any] = json.loads((_folder() / "action.schema.json").read_text())
    return schema


def home_grammar() -> str:
    """Return the Lark grammar of all that it may answer: `grammar` of a request that may also be a question.

    What begins with a brace is an action of the schema, on one line; anything else is a sentence.
    """
    schema = {"x-guidance": {"whitespace_flexible": False}, **action_schema()}
    action = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    return f"start: action | sentence\naction: %json {action}\nsentence: /[^{{\\s][^\\n]*/\n"


def _folder() -> Path:
    return Path(str(files("edgeassist"))) / "assets" / "tiny"
