"""An answer's bytes in, parts of a known kind out.

A model family that marks thoughts or tool calls in its text has a parser of its own, which its codec makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from edgeassist.engine.messages import DeltaKind
from edgeassist.engine.prompting.text import TextStream


class Part(NamedTuple):
    """A stretch of an answer that is certain."""

    kind: DeltaKind
    text: str


class AnswerParser(Protocol):
    """Reads one answer.

    Attributes:
        stopped: Whether the answer has reached a stop text, after which no part follows.
    """

    stopped: bool

    def push(self, piece: bytes) -> list[Part]:
        """Return the parts that became certain with a token's bytes; none of them is empty."""
        ...

    def finish(self) -> list[Part]:
        """Return what was held back, at the end of the answer."""
        ...


class TextParser:
    """Fulfils `AnswerParser` for a family without marks: all of the answer is text.

    Args:
        stop: Texts that end the answer; they and what follows them never come out.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self.stopped = False
        self._stream = TextStream(stop)

    def push(self, piece: bytes) -> list[Part]:
        """Return the text that became certain (`AnswerParser.push`)."""
        return self._parts(self._stream.push(piece))

    def finish(self) -> list[Part]:
        """Return the text that was held back (`AnswerParser.finish`)."""
        return self._parts(self._stream.finish())

    def _parts(self, text: str) -> list[Part]:
        self.stopped = self._stream.stopped
        return [Part(DeltaKind.TEXT, text)] if text else []
