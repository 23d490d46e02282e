"""The words of a language, read from its file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from scripts.train_tiny.dialogues.split import Part, is_held_out

Lines = tuple[str, ...]


class Language(StrEnum):
    """The model's languages."""

    ENGLISH = "en"
    CHINESE = "zh"


@dataclass(frozen=True, slots=True)
class Rooms:
    """Known names of rooms, and parts to make up others from."""

    known: Lines
    first: Lines
    last: Lines
    owners: Lines


@dataclass(frozen=True, slots=True)
class Quantity:
    """A sensor's quantity: its name, and either a kind of number or its states."""

    name: str
    values: str
    states: Lines


@dataclass(frozen=True, slots=True)
class Phrasings:
    """Lines with the same meaning, split into training and held-out ones."""

    train: Lines
    held_out: Lines


@dataclass(frozen=True, slots=True)
class Around:
    """Filler phrases before and after an utterance."""

    before: Lines
    after: Lines


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts of the layouts of a sensor list.

    Attributes:
        headings: Lines above a list.
        train: The parts of each kind.
        new: Further ones, which occur only in layouts that are held out.
    """

    headings: Lines
    train: Mapping[str, Lines]
    new: Mapping[str, Lines]


@dataclass(frozen=True, slots=True)
class Words:
    """All words of one language.

    Attributes:
        preambles: First lines of a system prompt.
        heading: The line above the sensors.
        lists: Parts of other layouts of the list.
        rooms: Names of rooms.
        devices: Names for each kind of device.
        colors: Names for each color.
        around_command: Fillers around a command.
        around_question: Fillers around a question.
        commands: Phrasings of each command.
        quantities: Quantities that sensors read.
        questions: Phrasings of a question for each quantity; `any` fits all.
        chat: Phrasings of everything else, by task.
        replies: The model's replies.
    """

    preambles: Lines
    heading: str
    lists: Parts
    rooms: Rooms
    devices: Mapping[str, Lines]
    colors: Mapping[str, Lines]
    around_command: Around
    around_question: Around
    commands: Mapping[str, Phrasings]
    quantities: Mapping[str, Quantity]
    questions: Mapping[str, Phrasings]
    chat: Mapping[str, Phrasings]
    replies: Mapping[str, str]


@cache
def words_of(language: Language) -> Words:
    """Return the words of a language."""
    document = tomllib.loads((Path(__file__).parent / f"{language}.toml").read_text())
    groups = [
        document[table][name] for table in ("commands", "questions", "chat") for name in document[table]
    ]
    # The first line of a group always trains: otherwise a group might have no training line.
    firsts = frozenset(lines[0] for lines in groups)
    return Words(
        preambles=tuple(document["preambles"]),
        heading=document["heading"],
        lists=Parts(
            tuple(document["lists"]["headings"]),
            _lines(document["lists"]["train"]),
            _lines(document["lists"]["new"]),
        ),
        rooms=Rooms(**{key: tuple(names) for key, names in document["rooms"].items()}),
        devices=_lines(document["devices"]),
        colors=_lines(document["colors"]),
        around_command=_around(document["around"]["command"]),
        around_question=_around(document["around"]["question"]),
        commands=_phrasings(document["commands"], firsts),
        quantities={
            key: Quantity(each["name"], each.get("values", ""), tuple(each.get("states", ())))
            for key, each in document["quantities"].items()
        },
        questions=_phrasings(document["questions"], firsts),
        chat=_phrasings(document["chat"], firsts),
        replies=document["replies"],
    )


def _around(table: Mapping[str, Any]) -> Around:
    return Around(tuple(table["before"]), tuple(table["after"]))


def _lines(table: Mapping[str, Any]) -> dict[str, Lines]:
    return {key: tuple(lines) for key, lines in table.items()}


def _phrasings(table: Mapping[str, Any], firsts: frozenset[str]) -> dict[str, Phrasings]:
    return {
        key: Phrasings(
            train=tuple(line for line in lines if not _kept_back(line, firsts)),
            held_out=tuple(line for line in lines if _kept_back(line, firsts)),
        )
        for key, lines in table.items()
    }


def _kept_back(line: str, firsts: frozenset[str]) -> bool:
    return line not in firsts and is_held_out(Part.PHRASING, line)
