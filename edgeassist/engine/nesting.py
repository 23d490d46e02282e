"""How deep a client's JSON is nested: chat templates, and we, recurse. Sans-I/O."""

from __future__ import annotations

from typing import Any

# Of schemas, and of the arguments of calls.
MAX_DEPTH = 64


def depth_of(value: Any) -> int:
    """Return how many objects and lists stand in one another; 0 of any other JSON value."""
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    return depth
