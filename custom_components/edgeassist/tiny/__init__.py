"""EdgeAssist Tiny, the box's built-in model, as a conversation agent.

The model is given no tools: it answers a command with an action in JSON, and a question from the sensors in its prompt.
`hearing` prepares what was said, `judging` and `targets` decide what becomes of the answer, `agent` does it. All but
`agent` are pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MODEL_NAME = "EdgeAssist Tiny"


def is_tiny(info: Mapping[str, Any]) -> bool:
    """Return whether a box's retained `info` says that it runs EdgeAssist Tiny."""
    model = info.get("model")
    return isinstance(model, Mapping) and model.get("name") == MODEL_NAME
