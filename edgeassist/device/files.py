"""Small files of /proc and /sys; one that is missing, unreadable or garbled is None.

Containers hide most of them, and every board lacks some.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/")


def read_text(path: Path) -> str | None:
    """Return the text of a file, without white space around it."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").strip()
    except OSError:
        return None


def read_int(path: Path, base: int = 10) -> int | None:
    """Return the number that a file holds."""
    text = read_text(path)
    return None if text is None else to_int(text, base)


def to_int(text: str, base: int = 10) -> int | None:
    """Return the number that a text is."""
    try:
        return int(text, base)
    except ValueError:
        return None


def at_least(least: int, value: int | None) -> int | None:
    """Return the value unless it is smaller than it can be."""
    return value if value is not None and value >= least else None
