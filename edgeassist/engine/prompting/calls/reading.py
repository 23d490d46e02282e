"""Reads answers with tool calls, byte by byte: each form says what follows what. Sans-I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator

import msgspec

from edgeassist.engine.messages import DeltaKind, ToolCall
from edgeassist.engine.prompting.calls.unmarked import Unmarked
from edgeassist.engine.prompting.parser import AnswerParser, Part
from edgeassist.engine.prompting.text import overlap

# Waits for more bytes (None), or tells of a whole call.
Reading = Generator[ToolCall | None, None, None]
Waiting = Generator[None, None, bytes]

_SPACE = b" \t\r\n"
_SPACES = re.compile(rb"[ \t\r\n]*")
_WORD = re.compile(rb"[A-Za-z0-9_.+-]*")
_IN_TEXT = re.compile(rb'["\\]')
_OUTSIDE = re.compile(rb'["{}\[\]]')
# Of so many bytes, the beginning of a mark at an answer's end is no text.
_CERTAIN = 4
# What may stand between the calls of a list.
_BETWEEN = b", \t\r\n]"


class GarbledError(Exception):
    """What was read is no call."""


class Cursor:
    """What was read since a call's opening, and how far it is understood."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.at = 0

    @property
    def rest(self) -> bytes:
        """What is not understood yet."""
        return bytes(self.data[self.at :])

    def spaces(self) -> Waiting:
        """Pass white space; wait for what follows it."""
        while True:
            found = _SPACES.match(self.data, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self.data):
                return bytes(self.data[self.at : self.at + 1])
            yield None

    def take(self, *texts: bytes) -> Waiting:
        """Pass the first of these texts that comes, and return it."""
        while True:
            rest = self.rest
            if found := next((text for text in texts if rest.startswith(text)), None):
                self.at += len(found)
                return found
            if not any(text.startswith(rest) for text in texts):
                raise GarbledError
            yield None

    def until(self, mark: bytes) -> Waiting:
        """Return what stands before a mark, and pass both."""
        start = self.at
        while (end := self.data.find(mark, start)) < 0:
            start = max(self.at, len(self.data) - len(mark) + 1)
            yield None
        before, self.at = bytes(self.data[self.at : end]), end + len(mark)
        return before

    def word(self) -> Waiting:
        """Return a name, a number or the like."""
        while True:
            found = _WORD.match(self.data, self.at)
            end = found.end() if found else self.at
            if end < len(self.data):
                break
            yield None
        word, self.at = bytes(self.data[self.at : end]), end
        if not word:
            raise GarbledError
        return word

    def json(self) -> Waiting:
        """Return a JSON value as it is written."""
        first = yield from self.spaces()
        if first not in {b"{", b"[", b'"'}:
            return (yield from self.word())
        at, depth, in_text = self.at, 0, False
        while True:
            found = (_IN_TEXT if in_text else _OUTSIDE).search(self.data, at)
            if found is None or (found[0] == b"\\" and found.end() == len(self.data)):
                at = len(self.data) if found is None else found.start()
                yield None
                continue
            at = found.end()
            match found[0]:
                case b"\\":
                    at += 1
                    continue
                case b'"':
                    in_text = not in_text
                case b"{" | b"[":
                    depth += 1
                case _:
                    depth -= 1
            if not depth and not in_text:
                break
        value, self.at = bytes(self.data[self.at : at]), at
        return value


def text_of(data: bytes) -> str:
    """Return bytes as text.

    Raises:
        GarbledError: They are none.
    """
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise GarbledError from None


def object_of(text: str) -> dict[str, object]:
    """Return a JSON object.

    Raises:
        GarbledError: It is none.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise GarbledError from None
    if not isinstance(found, dict):
        raise GarbledError
    return found


def call_of(name: str, arguments: str) -> ToolCall:
    """Return a call.

    Raises:
        GarbledError: The arguments are no JSON object.
    """
    object_of(arguments)
    return ToolCall(name, arguments)


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
