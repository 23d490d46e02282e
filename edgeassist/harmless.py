"""Text of somebody else's on a terminal: nothing in it is a command to that. Sans-I/O.

A device's name, a reason or an answer is whatever its sender put there. Written as it is, an escape sequence
in it could move the cursor, rename the window or fill the clipboard (ECMA-48; C1 controls act as well).
"""

from __future__ import annotations

import re

# What stands for each character that is left out, so that it shows that there was one.
MARK = "\ufffd"
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff"
_IN_TEXT = re.compile(f"[{_CONTROLS}]")
# Line and paragraph separators, and what turns the direction of the text around it.
_IN_LINE = re.compile(f"[{_CONTROLS}\t\n\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_IN_JSON = re.compile("[\x7f-\x9f]")


def line(text: str) -> str:
    """Return the text as it may stand within a line."""
    return _IN_LINE.sub(MARK, text)


def lines(text: str) -> str:
    """Return a text of several lines, with its line breaks and tabs."""
    return _IN_TEXT.sub(MARK, text.replace("\r\n", "\n"))


def in_json(document: str) -> str:
    """Return the same JSON with the controls escaped that it allows in texts: DEL, and C1."""
    return _IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", document)
