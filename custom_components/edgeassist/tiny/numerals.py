"""Numbers in words become figures, which the model copies more safely.

Imports nothing of Home Assistant.
"""

from __future__ import annotations

import re

_UNITS = (
    *(
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
    ),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ENGLISH = re.compile(
    rf"\b(?:(?P<hundred>(?:a|one) hundred)"
    rf"|(?P<tens>{'|'.join(_TENS)})(?:[ -](?P<one>{'|'.join(_UNITS[1:10])}))?"
    rf"|(?P<unit>{'|'.join(_UNITS[::-1])}))(?: point (?P<part>{'|'.join(_UNITS[:10])}))?\b"
)
# "one" is a number only where something is counted.
_COUNTED = re.compile(r"^(?: ?%| percent| degrees?)|^$")
# From here on a word is always meant as a number.
_MANY = 10
_DIGITS = {sign: value for value, sign in enumerate("零一二三四五六七八九")} | {"两": 2}
_SIGNS = "[零一二三四五六七八九两十百]+"


def in_figures(text: str) -> str:
    """Return a text in lower case with its numbers in figures: 百分之三十 is 30%, "twenty five" is 25."""
    text = re.sub(f"百分之({_SIGNS})", lambda found: f"{_chinese(found[1])}%", text)
    text = re.sub(f"({_SIGNS})度半", lambda found: f"{_chinese(found[1])}.5度", text)
    text = re.sub(f"({_SIGNS})(?=度|%)", lambda found: str(_chinese(found[1])), text)
    text = re.sub(r"百分之(\d+)%?", r"\1%", text)
    text = re.sub(f"(?<=[到为成])({_SIGNS})(?=$|[，,的])", lambda found: str(_chinese(found[1])), text)
    text = _ENGLISH.sub(_english, text)
    return re.sub(r"\b(\d+) and a half\b", r"\1.5", text)


def _english(found: re.Match[str]) -> str:
    if found["hundred"]:
        value = 100
    elif found["tens"]:
        value = (_TENS.index(found["tens"]) + 2) * 10 + (_UNITS.index(found["one"]) if found["one"] else 0)
    else:
        value = _UNITS.index(found["unit"])
        rest = found.string[found.end() :]
        before = found.string[: found.start()]
        counted = _COUNTED.match(rest) or re.search(r"\b(?:to|by|at) $", before)
        if value < _MANY and not found["part"] and not counted:
            return found.group()
    return f"{value}.{_UNITS.index(found['part'])}" if found["part"] else str(value)


def _chinese(text: str) -> int:
    hundreds, found, rest = text.rpartition("百")
    total = 100 * _DIGITS.get(hundreds[-1:], 1) if found else 0
    tens, found, units = rest.rpartition("十")
    if found:
        total += 10 * _DIGITS.get(tens[-1:], 1)
    return total + _DIGITS.get(units[-1:], 0)
