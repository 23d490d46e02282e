"""What a form reads a call with: its bytes as they come, and how far they are understood. Sans-I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Generator

from edgeassist.engine.messages import ToolCall

# Waits for more bytes (None), or tells of a whole call.
Reading = Generator[ToolCall | None, None, None]
Waiting = Generator[None, None, bytes]

_SPACES = re.compile(rb"[ \t\r\n]*")
_WORD = re.compile(rb"[A-Za-z0-9_.+-]*")
_IN_TEXT = re.compile(rb'["\\]')
_OUTSIDE = re.compile(rb'["{}\[\]]')


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
