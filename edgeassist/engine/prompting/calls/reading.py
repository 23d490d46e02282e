"""Reads answers with tool calls, byte by byte: what is text in them, and where a form reads on. Sans-I/O."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from edgeassist.engine.messages import DeltaKind
from edgeassist.engine.prompting.calls.cursor import Cursor, GarbledError, Reading
from edgeassist.engine.prompting.calls.unmarked import Unmarked
from edgeassist.engine.prompting.parser import AnswerParser, Part
from edgeassist.engine.prompting.text import overlap

_SPACE = b" \t\r\n"
# Of so many bytes, the beginning of a mark at an answer's end is no text.
_CERTAIN = 4
# What may stand between the calls of a list.
_BETWEEN = b", \t\r\n]"


class CallParser:
    """Fulfils `AnswerParser`: text, and calls that a mark opens. White space around calls belongs to them.

    What turns out not to be a call is text, and what is cut off within a call is nothing.

    Args:
        opening: The mark; it and what follows is given to `read`.
        read: Reads a mark and what it opens, and tells of each call.
        rest: Reads text.
        sure: Whether the answer begins with a call.
        first: Whether only the answer's beginning may be a call.
        ends: What a model may end its turn with behind calls.
        unmarked: How an answer begins that is a call without a mark; `read` is given that beginning then.
    """

    def __init__(
        self,
        opening: tuple[str, ...],
        read: Callable[[Cursor], Reading],
        rest: AnswerParser,
        *,
        sure: bool,
        first: bool = False,
        ends: tuple[str, ...] = (),
        unmarked: Unmarked | None = None,
    ) -> None:
        self._openings = tuple(mark.encode() for mark in opening)
        self._ends = tuple(mark.encode() for mark in ends)
        self._read = read
        self._unmarked = unmarked
        self._rest = rest
        self._sure = sure
        self._first = first
        self._held = b""
        self._space = b""
        self._called = False
        self._left_out = False
        self._cut = False
        self._spoken = False
        self._reading: Reading | None = None
        self._cursor = Cursor()
        self._since = 0

    @property
    def stopped(self) -> bool:
        """Whether a stop text has come."""
        return self._rest.stopped

    @property
    def thinking(self) -> bool:
        """Never."""
        return self._rest.thinking

    @property
    def settled(self) -> bool:
        """Always."""
        return self._rest.settled

    @property
    def verbatim(self) -> bool:
        """Whether no call has begun."""
        called = self._called or self._left_out or self._reading is not None
        return self._rest.verbatim and not called

    @property
    def calling(self) -> bool:
        """Whether a call has begun that is not complete."""
        return self._cut or (
            self._reading is not None
            and (not self._since or bool(self._cursor.data[self._since :].strip(_BETWEEN)))
        )

    def push(self, piece: bytes) -> list[Part]:
        """Return the parts that became certain (`AnswerParser.push`)."""
        if self.stopped:
            return []
        parts: list[Part] = []
        if self._reading is not None:
            self._cursor.data += piece
        else:
            self._held += piece
        while True:
            if self._reading is not None and not self._go_on(parts):
                return parts
            if self._reading is None and not self._look(parts):
                return parts

    def finish(self) -> list[Part]:
        """Return what was held back (`AnswerParser.finish`)."""
        held, self._held = self._held, b""
        begun = max(overlap(held, mark) for mark in self._openings)
        if self._begins_unmarked(held) is None:
            begun = len(held.lstrip(_SPACE))
        if begun >= _CERTAIN or ((self._sure or self._called) and not self._spoken):
            held = held[: len(held) - begun].rstrip(_SPACE)
            self._left_out, self._cut = True, begun > 0
        if self._called and not held.strip(_SPACE):
            held = b""
        parts = self._rest.push(held) if held and not self.stopped else []
        return [*parts, *self._rest.finish()]

    def thinks_after(self, data: bytes) -> bool:
        """Ask the rest (`AnswerParser.thinks_after`)."""
        return self._rest.thinks_after(data)

    def _look(self, parts: list[Part]) -> bool:
        """Say what is text; whether a call begins behind it."""
        held = self._held
        if self._called and not self._spoken:
            held = held.lstrip(_SPACE)
            if end := next((end for end in self._ends if held.startswith(end)), None):
                held = held[len(end) :]
        if self._first and (self._spoken or self._called):
            self._say(held, parts)
            return False
        unmarked = self._begins_unmarked(held)
        if unmarked is None:
            self._held = held
            return False
        at = 0 if unmarked else self._begin(held)
        if at is None:
            marks = (*self._openings, *(self._ends if self._called else ()))
            keep = max(overlap(held, mark) for mark in marks)
            certain = held[: len(held) - keep].rstrip(_SPACE)
            if self._first and not certain:
                self._held = held
                return False
            self._held = held[len(certain) :]
            self._speak(certain, parts)
            if self._first and self._spoken:
                rest, self._held = self._held, b""
                self._say(rest, parts)
            return False
        before = held[:at].rstrip(_SPACE)
        self._space = held[len(before) : at]
        self._speak(before, parts)
        if self.stopped:
            self._held = b""
            return False
        parts += self._rest.finish()
        self._held, self._spoken = b"", False
        self._cursor, self._since = Cursor(), 0
        self._cursor.data += held[at:]
        self._reading = self._read(self._cursor)
        return True

    def _begins_unmarked(self, held: bytes) -> bool | None:
        """Whether a call without a mark begins; None: that shows later."""
        return self._unmarked is not None and not self._spoken and self._unmarked.begins(held)

    def _begin(self, held: bytes) -> int | None:
        """Return where a call begins."""
        if self._first:
            bare = held.lstrip(_SPACE)
            begins = any(bare.startswith(mark) for mark in self._openings)
            return len(held) - len(bare) if begins else None
        found = [at for mark in self._openings if (at := held.find(mark)) >= 0]
        return min(found, default=None)

    def _go_on(self, parts: list[Part]) -> bool:
        """Read on in a call; whether it has come to its end."""
        assert self._reading is not None  # noqa: S101 - asked before
        try:
            for call in self._reading:
                if call is None:
                    return False
                self._called, self._since = True, self._cursor.at
                parts.append(Part(DeltaKind.TOOL_CALL, msgspec.json.encode(call).decode()))
        except (GarbledError, RecursionError):
            # Of a list, what was understood was told already.
            text = bytes(self._cursor.data[self._since :])
            marks = (mark for mark in self._openings if text.startswith(mark))
            opening = b"" if self._since else next(marks, text[:1])
            self._held = text[len(opening) :]
            self._speak((b"" if self._since else self._space) + opening, parts)
        else:
            self._held = self._cursor.rest
        self._reading = None
        return True

    def _speak(self, text: bytes, parts: list[Part]) -> None:
        if text:
            self._spoken = True
            parts += self._rest.push(text)

    def _say(self, text: bytes, parts: list[Part]) -> None:
        self._held = b""
        self._speak(text, parts)
