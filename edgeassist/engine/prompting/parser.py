"""An answer's bytes in, parts of a known kind out.

Thoughts are read around the rest of an answer, here, and tool calls around its text, in `calls.reading`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Protocol

import msgspec

from edgeassist.engine.messages import DeltaKind
from edgeassist.engine.prompting.text import TextStream, overlap
from edgeassist.engine.prompting.thoughts import Marks

# Returns how many bytes stand between what ends a thought, with the white space behind that, and an answer.
Lead = Callable[[bytes], int]

_TEXT = DeltaKind.TEXT
_THOUGHT = DeltaKind.THOUGHT


class Part(msgspec.Struct, frozen=True):
    """A stretch of an answer that is certain."""

    kind: DeltaKind
    text: str


class AnswerParser(Protocol):
    """Reads one answer."""

    @property
    def stopped(self) -> bool:
        """Whether the answer has reached a stop text, after which no part follows."""
        ...

    @property
    def verbatim(self) -> bool:
        """Whether the text is all that was read so far, without thoughts, calls and marks."""
        ...

    @property
    def thinking(self) -> bool:
        """Whether it is within a thought."""
        ...

    @property
    def settled(self) -> bool:
        """Whether no thought can come any more."""
        ...

    @property
    def calling(self) -> bool:
        """Whether it is within a tool call."""
        ...

    def push(self, piece: bytes) -> list[Part]:
        """Return the parts that became certain with a token's bytes; none of them is empty."""
        ...

    def finish(self) -> list[Part]:
        """Return what was held back, at the end of the answer."""
        ...

    def thinks_after(self, data: bytes) -> bool:
        """Whether it would be within a thought after these bytes."""
        ...


class TextParser:
    """Fulfils `AnswerParser` for a family without marks: all of the answer is text.

    Args:
        stop: Texts that end the answer; they and what follows them never come out.
    """

    thinking = False
    settled = True
    verbatim = True
    calling = False

    def __init__(self, stop: Sequence[str]) -> None:
        self.stopped = False
        self._stream = TextStream(stop)

    def push(self, piece: bytes) -> list[Part]:
        """Return the text that became certain (`AnswerParser.push`)."""
        text = self._stream.push(piece)
        self.stopped = self._stream.stopped
        return [Part(_TEXT, text)] if text else []

    def finish(self) -> list[Part]:
        """Return the text that was held back (`AnswerParser.finish`)."""
        text = self._stream.finish()
        self.stopped = self._stream.stopped
        return [Part(_TEXT, text)] if text else []

    def thinks_after(self, data: bytes) -> bool:
        """Never (`AnswerParser.thinks_after`)."""
        del data
        return False


class _Stage(Enum):
    """How far an answer is."""

    BEGINNING = auto()
    """It may begin with a mark."""
    THOUGHT = auto()
    AFTER = auto()
    """White space and marks before the text."""
    TEXT = auto()


class ThoughtParser:
    """Fulfils `AnswerParser` for a family that marks its thoughts, which come before anything else.

    Thoughts that are never closed are all of the answer. White space around thoughts belongs to the marks.

    Args:
        marks: The family's.
        rest: Reads what follows the thoughts.
        thinks: Whether the answer begins within a thought.
        lead: Of an answer that is bound: the text is all that follows, to the byte. None: white space and
            marks before the text are none of it.
    """

    def __init__(self, marks: Marks, rest: AnswerParser, *, thinks: bool, lead: Lead | None = None) -> None:
        self.stopped = False
        self.thinking = thinks
        self.settled = False
        self._plain = not thinks
        self._opening, self._closing = marks.opening.encode(), marks.closing.encode()
        # A prompt may have closed the thought, or begun the text, and the model does it again.
        self._skipped = [self._closing, *(mark.encode() for mark in marks.begins)] if lead is None else []
        self._lead = lead
        self._passed = 0
        self._stage = _Stage.BEGINNING
        self._held = b""
        self._said_thought = False
        self._thought = TextStream()
        self._rest = rest

    @property
    def verbatim(self) -> bool:
        """Whether there was no thought, and the rest was text (`AnswerParser.verbatim`)."""
        return self._plain and self._rest.verbatim

    @property
    def calling(self) -> bool:
        """Whether a call is read behind the thought (`AnswerParser.calling`)."""
        return self._rest.calling

    def push(self, piece: bytes) -> list[Part]:
        """Return the parts that became certain (`AnswerParser.push`)."""
        if self._stage is _Stage.TEXT:
            return self._say(piece)
        self._held += piece
        parts: list[Part] = []
        if self._stage is _Stage.BEGINNING:
            parts += self._begin()
        if self._stage is _Stage.THOUGHT:
            parts += self._think()
        if self._stage is _Stage.AFTER:
            parts += self._pass_marks()
        return parts

    def finish(self) -> list[Part]:
        """Return what was held back (`AnswerParser.finish`)."""
        held, self._held = self._held, b""
        if self.thinking:
            text = self._thought.push(held.rstrip()) + self._thought.finish()
            return [Part(_THOUGHT, text)] if text else []
        if self._lead is not None and self._stage is _Stage.AFTER:
            held = b""
        return [*self._say(held), *self._rest.finish()]

    def thinks_after(self, data: bytes) -> bool:
        """Look ahead (`AnswerParser.thinks_after`)."""
        if self.settled:
            return False
        held = self._held + data
        begun = self.thinking or held.lstrip().startswith(self._opening)
        return begun and self._closing not in held

    def _begin(self) -> list[Part]:
        held = self._held.lstrip()
        if held.startswith(self._opening):
            self.thinking = True
            self._enter(_Stage.THOUGHT, held[len(self._opening) :])
        elif self._opening.startswith(held):
            pass
        elif self.thinking:
            self._enter(_Stage.THOUGHT, held)
        elif any(mark.startswith(held) or held.startswith(mark) for mark in self._skipped):
            self._enter(_Stage.AFTER, held)
        else:
            return self._begin_text(self._held)
        return []

    def _think(self) -> list[Part]:
        before, closing, after = self._held.partition(self._closing)
        if closing:
            certain = before.rstrip()
            self.thinking = False
            if self._lead is not None:
                self._passed = self._lead(after)
                after = b""
            self._enter(_Stage.AFTER, after)
        else:
            # White space at the end may stand before the mark.
            certain = before[: len(before) - overlap(before, self._closing)].rstrip()
            self._held = before[len(certain) :]
        if not self._said_thought:
            certain = certain.lstrip()
        text = self._thought.push(certain) + (self._thought.finish() if closing else "")
        self._said_thought = self._said_thought or bool(certain)
        return [Part(_THOUGHT, text)] if text else []

    def _pass_marks(self) -> list[Part]:
        if self._lead is not None:
            begun = len(self._held) >= self._passed
            return self._begin_text(self._held[self._passed :]) if begun else []
        held = self._held.lstrip()
        for mark in self._skipped:
            if held.startswith(mark):
                held = held[len(mark) :].lstrip()
        self._held = held
        if any(mark.startswith(held) for mark in self._skipped):
            return []
        return self._begin_text(held)

    def _begin_text(self, text: bytes) -> list[Part]:
        self._enter(_Stage.TEXT, b"")
        return self._say(text)

    def _say(self, piece: bytes) -> list[Part]:
        parts = self._rest.push(piece)
        self.stopped = self._rest.stopped
        return parts

    def _enter(self, stage: _Stage, held: bytes) -> None:
        self._stage, self._held = stage, held
        self.settled = stage in {_Stage.AFTER, _Stage.TEXT}
        self._plain = self._plain and stage is _Stage.TEXT
