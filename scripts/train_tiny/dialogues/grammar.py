"""Phrasings: lines with alternatives, `(a|b)`, and slots, `{thing}`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from random import Random

_CHOICE = re.compile(r"\(([^()]*)\)")
_SLOT = re.compile(r"(\{\w+\})")


def choose_alternatives(line: str, random: Random) -> str:
    """Return the line with each group of alternatives replaced by one of them."""
    while match := _CHOICE.search(line):
        line = line[: match.start()] + random.choice(match.group(1).split("|")) + line[match.end() :]
    return re.sub(" +", " ", line).strip()


def change_words(line: str, change: Callable[[str], str], random: Random) -> str:
    """Apply `change` to one of the texts between the line's slots; the slots stay."""
    parts = _SLOT.split(line)
    between = [at for at, part in enumerate(parts) if part.strip() and not _SLOT.fullmatch(part)]
    if between:
        at = random.choice(between)
        parts[at] = change(parts[at])
    return "".join(parts)


def fill(line: str, slots: Mapping[str, str]) -> str:
    """Return the line with its slots filled.

    Raises:
        KeyError: A slot has no value.
    """
    return _SLOT.sub(lambda match: slots[match.group()[1:-1]], line)


def slots_of(line: str) -> set[str]:
    """Return the names of a line's slots."""
    return {slot[1:-1] for slot in _SLOT.findall(line)}
