"""The words of decisions in a language, read from its file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from scripts.train_tiny.dialogues.language import Language, Lines, Phrasings
from scripts.train_tiny.dialogues.split import Part, is_held_out


@dataclass(frozen=True, slots=True)
class Levels:
    """Levels of a quantity.

    Attributes:
        names: Several sets of names, from low to high.
        cuts: The numbers where one level ends and the next begins.
    """

    names: tuple[Lines, ...]
    cuts: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class DecisionWords:
    """All words of one language.

    Attributes:
        asked: Phrasings of questions, by what is asked.
        told: Phrasings of what somebody or something tells, by what it tells.
        needs: What people say when they want something, by what that is.
        orders: What may be done, by what it is.
        near: For each need, others whose orders are no wrong answer to it.
        labels: Names of kinds of utterances, actions, topics and events.
        levels: Of quantities.
        other: Everything else, as in the file.
    """

    asked: Mapping[str, Phrasings]
    told: Mapping[str, Phrasings]
    needs: Mapping[str, Phrasings]
    orders: Mapping[str, Lines]
    near: Mapping[str, Lines]
    labels: Mapping[str, Lines]
    levels: Mapping[str, Sequence[Levels]]
    other: Mapping[str, Any]


@cache
def decision_words(language: Language) -> DecisionWords:
    """Return the words of a language."""
    document = tomllib.loads((Path(__file__).parent / f"{language}.toml").read_text())
    return DecisionWords(
        asked=_phrasings(document["asked"]),
        told=_phrasings(document["told"]),
        needs=_phrasings(document["needs"]),
        orders=_lines(document["orders"]),
        near=_lines(document["near"]),
        labels=_lines(document["labels"]),
        levels={
            quantity: [Levels(tuple(map(tuple, each["names"])), tuple(each["cuts"])) for each in several]
            for quantity, several in document["levels"].items()
        },
        other=document,
    )


def _lines(table: Mapping[str, Any]) -> dict[str, Lines]:
    return {key: tuple(lines) for key, lines in table.items()}


def _phrasings(table: Mapping[str, Any]) -> dict[str, Phrasings]:
    """Split lines into those that train and those that don't; the first line of each group trains."""
    split = {}
    for key, lines in table.items():
        held_out = tuple(line for line in lines[1:] if is_held_out(Part.PHRASING, line))
        split[key] = Phrasings(tuple(line for line in lines if line not in held_out), held_out)
    return split
