"""Reads small files of /proc and /sys; a missing, unreadable or garbled one reads as None.

Containers hide most of them, and every board lacks some.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/")


def read_text(path: Path) -> str | None:
    """Return a file's text without surrounding white space."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").strip()
    except OSError:
        return None


def read_int(path: Path, base: int = 10) -> int | None:
    """Return the number in a file."""
    text = read_text(path)
    return None if text is None else to_int(text, base)


def to_int(text: str, base: int = 10) -> int | None:
    """Parse a number."""
    try:
        return int(text, base)
    except ValueError:
        return None


def at_least(least: int, value: int | None) -> int | None:
    """Return the value; None if it is smaller than `least`, which means that it is no valid reading."""
    return value if value is not None and value >= least else None
