"""Answers that begin with a call in JSON, but without its mark: bare, or in a fence. Sans-I/O.

So write models with little training in their template's form, such as Qwen2.5-Coder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# May stand before and behind the object.
FENCE = "```"
_FENCES = ("", FENCE, f"{FENCE}json")


class Unmarked:
    """Tells whether an answer begins with an object that first names a tool.

    Args:
        names: Of the tools.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._beginning = re.compile(beginning(names).encode())
        self._heads = tuple(f'{fence}{{"name":"{name}"'.encode() for fence in _FENCES for name in names)

    def begins(self, answer: bytes) -> bool | None:
        """Whether an answer that begins with these bytes does; None: that shows later."""
        if self._beginning.match(answer):
            return True
        bare = b"".join(answer.split())
        return None if any(head.startswith(bare) and head != bare for head in self._heads) else False


def beginning(names: Sequence[str]) -> str:
    """Return the regular expression of such a beginning, for Python and llguidance."""
    space = r"[ \t\r\n]*"
    name = "|".join(names)
    return rf'{space}(?:{FENCE}(?:json)?{space})?\{{{space}"name"{space}:{space}"(?:{name})"'
