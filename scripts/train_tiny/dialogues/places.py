"""Names of rooms: common ones and made-up ones, so that the model learns to copy names."""

from __future__ import annotations

from functools import cache
from random import Random

from edgeassist.trial_models.words import WORDS
from scripts.train_tiny.dialogues.language import Language, words_of
from scripts.train_tiny.dialogues.split import Part, is_held_out

# How often a name is a known one.
_KNOWN_SHARE = 0.5
_CAPITAL_SHARE = 0.4
_STARTS = (
    *"bcdfghjklmnprstvwyz",
    *("br", "ch", "cl", "dr", "fl", "gr", "pl", "sh", "st", "th", "tr", "qu", "sc", "sp", "sw", "wh", "wr"),
)
_VOWELS = (*"aeiou" * 3, "ai", "ea", "ee", "ie", "oa", "oo", "ou", "oy", "y")
_ENDS = (
    *("", "", "", "", "l", "m", "n", "r", "s", "t", "ck", "nd", "rt"),
    *("ly", "ry", "ng", "er", "th", "w", "x", "y", "p", "d", "ge", "st"),
)
_SHORTEST_WORD = 4
_ORDINARY = tuple(word for word in WORDS if len(word) >= _SHORTEST_WORD)
_LARGEST_NUMBER = 399


def draw_room(language: Language, random: Random, *, held_out: bool) -> str:
    """Return a room's name, either from training or held out."""
    while True:
        name = _draw(language, random)
        if is_held_out(Part.ROOM, name) == held_out:
            return name


def as_said(name: str, random: Random) -> str:
    """Return a room's name as typed: sometimes with a capital if it contains a person's name."""
    return name.capitalize() if "'s " in name and random.random() < _CAPITAL_SHARE else name


def with_article(name: str) -> str:
    """Return an English room's name for use in a sentence: `the kitchen`, `anna's room`."""
    return name if "'s " in name or name[-1].isdigit() else f"the {name}"


def _draw(language: Language, random: Random) -> str:
    rooms = words_of(language).rooms
    if random.random() < _KNOWN_SHARE:
        return random.choice(rooms.known)
    if language is Language.ENGLISH:
        last = random.choice(rooms.last)
        return random.choice(
            (
                f"{random.choice(rooms.owners)}'s {last}",
                f"{random.choice(rooms.first)} {last}",
                f"room {random.randint(1, _LARGEST_NUMBER)}",
                f"{random.choice(_ORDINARY)} {last}",
                f"{_english_word(random)} {last}",
                f"{_english_word(random)} {last}",
                _english_word(random),
                _english_word(random),
            )
        )
    last = random.choice(rooms.last)
    return random.choice(
        (
            f"{random.choice(rooms.owners)}的房间",
            f"{random.choice(rooms.owners)}房间",
            f"{random.choice(rooms.first)}{last}",
            f"{random.randint(1, _LARGEST_NUMBER)}号房",
            f"{_chinese_word(random)}{last}",
            f"{_chinese_word(random)}{last}",
            _chinese_word(random) + random.choice(_common_characters()),
        )
    )


def _english_word(random: Random) -> str:
    syllables = [
        random.choice(_STARTS) + random.choice(_VOWELS) + random.choice(_ENDS)
        for _ in range(random.choice((1, 2, 2, 3)))
    ]
    return "".join(syllables)


def _chinese_word(random: Random) -> str:
    return "".join(random.choice(_common_characters()) for _ in range(random.choice((1, 2))))


@cache
def _common_characters() -> str:
    """Return the 3,755 characters of GB 2312's first level, rows 16 to 55."""
    codes = (bytes((row + 0xA0, column + 0xA0)) for row in range(16, 56) for column in range(1, 95))
    return "".join(code.decode("gb2312", errors="ignore") for code in codes)
