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
    """The languages that it speaks."""

    ENGLISH = "en"
    CHINESE = "zh"


@dataclass(frozen=True, slots=True)
class Rooms:
    """Names of rooms, and what others are made up of."""

    known: Lines
    first: Lines
    last: Lines
    owners: Lines


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a sensor reads: its name, and either a kind of number or the words for its states."""

    name: str
    values: str
    states: Lines


@dataclass(frozen=True, slots=True)
class Phrasings:
    """Lines that mean the same: those that train, and those that are held out."""

    train: Lines
    held_out: Lines


@dataclass(frozen=True, slots=True)
class Around:
    """What goes before and after what somebody says, and means nothing."""

    before: Lines
    after: Lines


@dataclass(frozen=True, slots=True)
class Words:
    """All words of one language.

    Attributes:
        preambles: How a system prompt may begin.
        heading: The line before the sensors.
        rooms: Names of rooms.
        devices: The names that people have for each kind of device.
        colors: Likewise.
        around_command: What is said around a command.
        around_question: Likewise.
        commands: What people say for each kind of command.
        quantities: What sensors read.
        questions: How people ask for each quantity; `any` fits all.
        chat: What else people say, by kind.
        replies: What is answered.
    """

    preambles: Lines
    heading: str
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
    # The plainest way to say a thing is the first of its lines, and it trains: else nothing would.
    firsts = frozenset(lines[0] for lines in groups)
    return Words(
        preambles=tuple(document["preambles"]),
        heading=document["heading"],
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
