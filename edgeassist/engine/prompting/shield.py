"""A requester's text never becomes a control token. Sans-I/O.

Text such as `<|im_end|>` inside a message bypasses the template and reaches the tokenizer as plain text, so
that a requester can't forge a turn.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from edgeassist.engine.prompting.escapes import MARK, PLACE, escaped

# `re` compiles recursively, and a vocabulary may have tokens that are each other's beginnings, dozens deep.
_DEEPEST = 24


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a prompt. Control tokens are read in trusted ones only."""

    text: str
    trusted: bool


def control_pattern(control: Iterable[str]) -> re.Pattern[str]:
    """Return what matches any of these texts, the longest that fits, and `MARK`.

    It is a prefix tree, so that a vocabulary with thousands of control tokens costs no more per character
    than one with three.

    Args:
        control: The texts of a vocabulary's control tokens.
    """
    return re.compile(_tree(sorted({MARK, *control} - {""})))


def defuse(text: str, control: re.Pattern[str]) -> list[str]:
    """Cut a text so that no part holds what would be read as a control token.

    Args:
        text: Any.
        control: Matches control tokens; those of one character can't be cut and stay.
    """
    parts = []
    start = at = 0
    while match := control.search(text, at):
        at = match.start() + 1
        if len(match.group()) > 1:
            parts.append(text[start:at])
            start = at
    return [*parts, *([text[start:]] if start < len(text) else [])]


class Shield:
    """Takes texts out of the messages and tools of one prompt, and puts them back as plain text."""

    def __init__(self) -> None:
        self._held: list[str] = []

    def hold(self, text: str, control: re.Pattern[str]) -> str:
        """Return a text with marks in the place of control tokens."""
        return control.sub(lambda match: self._take(match.group()), text)

    def hold_all(self, text: str) -> str:
        """Return a mark in the place of a text; white space around it stays."""
        inside = text.strip()
        if not inside:
            return text
        before, _, after = text.partition(inside)
        return f"{before}{self._take(inside)}{after}"

    def release(self, rendered: str) -> list[Segment]:
        """Return a prompt that was rendered of held texts, as segments."""
        segments = []
        at = 0
        for place in PLACE.finditer(rendered):
            segments += [
                # A template that cuts a message in two may leave one mark of a pair.
                Segment(rendered[at : place.start()].replace(MARK, ""), trusted=True),
                Segment(escaped(self._text_of(int(place[1])), place[2]), trusted=False),
            ]
            at = place.end()
        segments.append(Segment(rendered[at:].replace(MARK, ""), trusted=True))
        return [segment for segment in segments if segment.text]

    def _take(self, text: str) -> str:
        self._held.append(text)
        return f"{MARK}{len(self._held) - 1}{MARK}"

    def _text_of(self, place: int) -> str:
        # What stands between the halves of two marks may read as a place that is not held.
        return self._held[place] if place < len(self._held) else ""


def _tree(texts: Sequence[str], depth: int = 0) -> str:
    """Return a regular expression for texts, which are sorted and differ."""
    common = _beginning(texts[0], texts[-1])
    ends = texts[0] == common
    rest = [text[len(common) :] for text in texts[ends:]]
    if not rest:
        return re.escape(common)
    if depth < _DEEPEST:
        branches = [_tree(list(group), depth + 1) for _, group in groupby(rest, key=lambda text: text[0])]
    else:
        branches = [re.escape(text) for text in sorted(rest, key=len, reverse=True)]
    # Greedy: the longer token before the one that it begins with.
    return f"{re.escape(common)}(?:{'|'.join(branches)}){'?' if ends else ''}"


def _beginning(one: str, other: str) -> str:
    """Return what two texts begin with."""
    differ = (at for at, (left, right) in enumerate(zip(one, other, strict=False)) if left != right)
    return one[: next(differ, min(len(one), len(other)))]
