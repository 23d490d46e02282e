"""Which questions were watched once: what was told of them is to be taken away. Bounded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from edgeassist.protocol.decisions import Kind, Question
from edgeassist.protocol.values import NAME_PATTERN

# How many are remembered.
MAX_GONE = 256


class Gone(NamedTuple):
    """A question that a watch had once."""

    watch: str
    question: str
    kind: Kind


class Past:
    """The questions that there have been, as far as that is known."""

    def __init__(self) -> None:
        self._known: dict[Gone, None] = {}

    def note(self, watch: str, questions: Mapping[str, Kind]) -> None:
        """Note what a watch has, or had."""
        for name, kind in questions.items():
            if len(self._known) < MAX_GONE and re.fullmatch(NAME_PATTERN, name) is not None:
                self._known[Gone(watch, name, kind)] = None

    def gone(self, watched: Mapping[str, Mapping[str, Question]]) -> list[Gone]:
        """Return those that are no more, in the order of their noting.

        Args:
            watched: The questions of each watch that there is, by its name.
        """
        there = {
            Gone(watch, name, question.type)
            for watch, questions in watched.items()
            for name, question in questions.items()
        }
        return [each for each in self._known if each not in there]
