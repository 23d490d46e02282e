"""Texts that were taken out of a prompt are escaped, as the template escapes what is around them. Sans-I/O.

A template writes tools and calls as JSON, or as Python would. Where a text was taken out of them it escapes a
mark; what is put back there has to be escaped likewise, or a quotation mark in it would end a string.
"""

from __future__ import annotations

import json
import re

# Marks a place in a rendered prompt where a text was taken out. Messages that contain it are shielded, too.
MARK = "\ue000"
# How what stands around a place is escaped: as JSON, as JSON in ASCII, as Python's `repr` does.
JSON, ASCII, PYTHON = "jar"
PLACE = re.compile(f"{MARK}([0-9]{{1,9}})([{JSON}{ASCII}{PYTHON}]{{0,9}}){MARK}")
# In an escaped text a backslash of its own is doubled.
_ESCAPED_MARK = re.compile(rf"(?<!\\)((?:\\\\)*)\\u{ord(MARK):04x}")


class Data(str):
    """A text with marks in it that `repr` leaves as they are, also inside of lists and dicts."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return it quoted, with its marks."""
        return note(super().__repr__(), PYTHON)


def note(text: str, how: str) -> str:
    """Return an escaped text with its marks, which tell that what is put back is to be escaped likewise."""
    if how != JSON:
        text = _ESCAPED_MARK.sub(rf"\1{MARK}", text)
    return PLACE.sub(rf"{MARK}\1\2{how}{MARK}", text) if MARK in text else text


def escaped(text: str, how: str) -> str:
    """Return a text in the way in which its place was escaped, the innermost first."""
    for each in how:
        if each == PYTHON:
            # With the other quotation mark in it, it is quoted with single ones.
            text = repr(f'"{text}')[2:-1]
        else:
            text = json.dumps(text, ensure_ascii=each == ASCII)[1:-1]
    return text
