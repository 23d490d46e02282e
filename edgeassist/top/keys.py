"""Which keys were pressed, by what a terminal sends. Sans-I/O."""

from __future__ import annotations

import re
from enum import Enum, auto


class Key(Enum):
    """What a key stands for."""

    QUIT = auto()
    PAUSE = auto()
    HELP = auto()
    REDRAW = auto()
    NEXT = auto()
    BEFORE = auto()
    OTHER = auto()


_KEYS = {
    **dict.fromkeys(("q", "Q", "\x03"), Key.QUIT),
    **dict.fromkeys(("p", "P", " "), Key.PAUSE),
    **dict.fromkeys(("?", "h", "H"), Key.HELP),
    "\x0c": Key.REDRAW,
    **dict.fromkeys(("\t", "\x1b[B", "\x1bOB", "\x1b[C", "\x1bOC", "j", "l"), Key.NEXT),
    **dict.fromkeys(("\x1b[Z", "\x1b[A", "\x1bOA", "\x1b[D", "\x1bOD", "k"), Key.BEFORE),
}
# A control sequence (CSI), one of SS3, or one character; ECMA-48, 5.4.
_ONE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1bO.|[^\x1b]|\x1b(?=\x1b|[^\[O])", re.DOTALL)
_MOST_UNREAD = 32


class Keyboard:
    """Reads what the terminal sends, also where a sequence comes in pieces."""

    def __init__(self) -> None:
        self._unread = ""

    def feed(self, data: bytes) -> list[Key]:
        """Return the keys that are complete now."""
        text = self._unread + data.decode(errors="replace")
        keys, end = [], 0
        while (found := _ONE.match(text, end)) is not None:
            keys.append(_KEYS.get(found[0], Key.OTHER))
            end = found.end()
        # What begins a sequence waits for its rest; what can't be one is dropped.
        self._unread = text[end:] if len(text) - end <= _MOST_UNREAD else ""
        return keys

    def pause(self) -> list[Key]:
        """Return the key of a sequence that was begun and does not go on: Escape."""
        begun, self._unread = self._unread, ""
        return [Key.OTHER] if begun else []
