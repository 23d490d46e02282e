"""Draws docs/demo.svg: what `edgeassist demo` shows. Run it with the Python of `.venv`."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

PICTURE = Path(__file__).parents[1] / "docs/demo.svg"
COLUMNS = 96
ASKED = "Is the bedroom window open?"
# From a cold start.
LIMIT_S = 120.0
# Rich names web fonts of another host; a picture in a document must not load anything.
_WEB_FONTS = re.compile(r"@font-face \{\{.*?\n    \}\}\n", re.DOTALL)
# It is hidden while a line is written over, and shown again in between.
_CURSOR = re.compile(r"\x1b\[\?25[hl]")
# A line that is written over, this one or the one above.
_ERASED = re.compile(r"[^\n]*\x1b\[2K|[^\n]*\n\x1b\[1A")
_CONTROL = re.compile(r"\x1b\[[?\d;]*[a-zA-Z]")


def record() -> str:
    """Return what the demo writes on a terminal, after one question typed and an empty line.

    Raises:
        TimeoutError: It did not end in time.
    """
    terminal, its_end = pty.openpty()
    # A width and colours of its own, whatever this terminal is like.
    environ = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": "60"}
    # What it names as a command is one word, as where EdgeAssist is installed.
    environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}"
    demo = [sys.executable, "-m", "edgeassist", "demo"]
    with subprocess.Popen(demo, stdin=its_end, stdout=its_end, stderr=its_end, env=environ) as process:  # noqa: S603
        os.close(its_end)
        try:
            return _converse(terminal, [f"{ASKED}\n", "\n"])
        finally:
            process.kill()
            os.close(terminal)


def _converse(terminal: int, lines: list[str]) -> str:
    """Type a line at each prompt; return all that was written until the other end is closed."""
    written, seen, until = b"", 0, time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        if not select.select([terminal], [], [], 1.0)[0]:
            continue
        try:
            written += os.read(terminal, 65536)
        except OSError:
            return written.decode()
        said = _CONTROL.sub("", written[seen:].decode(errors="replace"))
        if lines and "Your turn" in written.decode(errors="replace") and said.endswith("you> "):
            seen = len(written)
            os.write(terminal, lines.pop(0).encode())
    raise TimeoutError("the demo did not end")


def shown(written: str) -> str:
    """Return what is left on the screen: a status line that was written over is gone."""
    kept = _ERASED.sub("", _CURSOR.sub("", written.replace("\r", "")))
    return _CONTROL.sub(lambda found: found[0] if found[0].endswith("m") else "", kept).strip()


def draw(text: Text, title: str, columns: int = COLUMNS) -> str:
    """Return the picture of a terminal that shows the text, an SVG document."""
    console = Console(width=columns, record=True, file=io.StringIO())
    console.print(text, soft_wrap=True)
    return console.export_svg(title=title, theme=MONOKAI, code_format=_WEB_FONTS.sub("", CONSOLE_SVG_FORMAT))


if __name__ == "__main__":
    PICTURE.write_text(draw(Text.from_ansi(shown(record())), "./scripts/demo.sh"), encoding="utf-8")
    print(f"{PICTURE.name}: {PICTURE.stat().st_size / 1e3:.0f} kB")
