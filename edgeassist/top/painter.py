"""Lines become what a terminal must be sent, which is only what is different from before. Sans-I/O.

Rich's Live sends the whole screen each time, which is 2 to 4 kB; over a slow line the difference is felt.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

# The alternate screen, no cursor, and no wrapping at the right edge; and back (xterm's ctlseqs).
ENTER = b"\x1b[?1049h\x1b[?25l\x1b[?7l"
LEAVE = b"\x1b[?7h\x1b[?25h\x1b[?1049l"
_MARKS = "▁▂▃▄▅▆▇█●▶→←↓↑…�"
_PLAIN_MARKS = str.maketrans(_MARKS, "_.,-=+*#*>><v^~?")
_CLEAR = "\x1b[H\x1b[2J"


class Painter:
    """Knows what the terminal shows.

    Args:
        environ: Says which colours there are: TERM, COLORTERM, NO_COLOR.
        encoding: The terminal's; marks that it lacks have stand-ins, and other characters a question mark.
    """

    def __init__(self, environ: Mapping[str, str], encoding: str = "utf-8") -> None:
        self._encoding = encoding
        self._marks = {} if _can_say(encoding) else _PLAIN_MARKS
        self._console = Console(
            file=io.StringIO(),
            force_terminal=True,
            width=10_000,
            highlight=False,
            _environ=environ,
        )
        self._shown: list[Any] = []
        self._cleared = False

    def forget(self) -> None:
        """Paint all of the next picture: the terminal shows something else."""
        self._cleared = False

    def paint(self, lines: Sequence[Text]) -> bytes:
        """Return what makes the terminal show these lines; nothing where it does."""
        written = []
        if not self._cleared:
            self._shown, self._cleared = [], True
            written.append(_CLEAR)
        for number, line in enumerate(lines):
            look = (line.plain, line.style, tuple(line.spans))
            if number >= len(self._shown):
                self._shown.append(None)
            if self._shown[number] != look:
                self._shown[number] = look
                written.append(f"\x1b[{number + 1};1H{self._encoded(line)}\x1b[K")
        return "".join(written).translate(self._marks).encode(self._encoding, errors="replace")

    def _encoded(self, line: Text) -> str:
        with self._console.capture() as capture:
            self._console.print(line, end="", soft_wrap=True)
        return capture.get()


def _can_say(encoding: str) -> bool:
    try:
        _MARKS.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
