"""A requester's text never becomes a control token. Sans-I/O.

Text such as `<|im_end|>` inside a message bypasses the template and reaches the tokenizer as plain text, so
that a requester can't forge a turn.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

# Marks a place in a rendered prompt where a text was taken out. Messages that contain it are shielded, too.
MARK = "\ue000"


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a prompt. Control tokens are read in trusted ones only."""

    text: str
    trusted: bool


def control_pattern(control: Iterable[str]) -> re.Pattern[str]:
    """Return what matches any of these texts, and `MARK`.

    Args:
        control: The texts of a vocabulary's control tokens.
    """
    forgeries = sorted({MARK, *control} - {""}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, forgeries)))


class Shield:
    """Takes control tokens out of the messages of one prompt, and puts them back as plain text.

    Args:
        control: Matches them.
    """

    def __init__(self, control: re.Pattern[str]) -> None:
        self._control = control
        self._held: list[str] = []

    def hold(self, text: str) -> str:
        """Return a message's text with marks in the place of control tokens."""
        return self._control.sub(self._take, text)

    def release(self, rendered: str) -> list[Segment]:
        """Return a prompt that was rendered of held texts, as segments."""
        parts = re.split(f"{MARK}(\\d+){MARK}", rendered)
        segments = [
            # A template that cuts a message in two may leave one mark of a pair, whose index is not held.
            Segment("".join(self._held[int(part) :][:1]), trusted=False)
            if index % 2
            else Segment(part, trusted=True)
            for index, part in enumerate(parts)
        ]
        return [segment for segment in segments if segment.text]

    def _take(self, match: re.Match[str]) -> str:
        self._held.append(match.group())
        return f"{MARK}{len(self._held) - 1}{MARK}"
