"""Bytes in, text out: whole characters only, and nothing that may begin a stop text. Sans-I/O."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import AnyStr


class TextStream:
    """Turns the bytes of sampled tokens into text that is certain.

    A token may end inside a character, and a stop text may be spread over tokens: what is undecided is
    held back until later bytes, or `finish`, decide it.

    Args:
        stop: Texts that end the answer; they and what follows them never come out.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._stop = tuple(stop)
        self._held = ""
        self.stopped = False

    def push(self, piece: bytes) -> str:
        """Return the text that became certain with these bytes; sets `stopped` at a stop text."""
        return self._take(self._decoder.decode(piece))

    def finish(self) -> str:
        """Return what was held back; bytes of an unfinished character become U+FFFD."""
        text = self._take(self._decoder.decode(b"", final=True))
        rest, self._held = self._held, ""
        return text + rest

    def _take(self, text: str) -> str:
        if self.stopped:
            return ""
        self._held += text
        found = [(at + len(stop), -len(stop)) for stop in self._stop if (at := self._held.find(stop)) >= 0]
        if found:
            # The one that is complete first, the longest of several: so the borders of tokens don't matter.
            cut = sum(min(found))
            self.stopped = True
        else:
            cut = len(self._held) - max((overlap(self._held, stop) for stop in self._stop), default=0)
        certain, self._held = self._held[:cut], "" if self.stopped else self._held[cut:]
        return certain


def overlap(text: AnyStr, stop: AnyStr) -> int:
    """Return how many characters or bytes at the end of text could begin the stop text."""
    for size in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:size]):
            return size
    return 0
