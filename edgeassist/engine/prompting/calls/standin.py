"""Reads calls in the form `<tool_call>JSON</tool_call>`, until the families' forms are there."""

from __future__ import annotations

import msgspec

from edgeassist.engine.messages import DeltaKind, ToolCall
from edgeassist.engine.prompting.parser import AnswerParser, Part
from edgeassist.engine.prompting.text import overlap

_OPENING, _CLOSING = "<tool_call>", "</tool_call>"


class _Call(msgspec.Struct):
    name: str
    arguments: msgspec.Raw


class StandInParser:
    """Fulfils `AnswerParser`."""

    thinking = False
    settled = True

    def __init__(self, rest: AnswerParser) -> None:
        self.stopped = False
        self.verbatim = True
        self._rest = rest
        self._held = ""

    def push(self, piece: bytes) -> list[Part]:
        """Return the parts that became certain (`AnswerParser.push`)."""
        parts = self._rest.push(piece)
        self.stopped = self._rest.stopped
        return self._read("".join(part.text for part in parts))

    def finish(self) -> list[Part]:
        """Return what was held back (`AnswerParser.finish`)."""
        parts = self._read("".join(part.text for part in self._rest.finish()))
        held, self._held = self._held, ""
        whole = held.strip() and not held.startswith(_OPENING)
        return [*parts, Part(DeltaKind.TEXT, held)] if whole else parts

    def thinks_after(self, data: bytes) -> bool:
        """Never (`AnswerParser.thinks_after`)."""
        del data
        return False

    def _read(self, text: str) -> list[Part]:
        self._held += text
        parts: list[Part] = []
        while _OPENING in self._held:
            before, _, after = self._held.partition(_OPENING)
            if before.strip():
                parts.append(Part(DeltaKind.TEXT, before))
            self.verbatim = False
            self._held = _OPENING + after
            said, closing, rest = after.partition(_CLOSING)
            if not closing:
                return parts
            call = msgspec.json.decode(said, type=_Call)
            written = msgspec.json.encode(ToolCall(call.name, bytes(call.arguments).decode())).decode()
            parts.append(Part(DeltaKind.TOOL_CALL, written))
            self._held = rest
        data = self._held.encode()
        certain = data[: len(data) - overlap(data, _OPENING.encode())].decode()
        if certain.strip():
            parts.append(Part(DeltaKind.TEXT, certain))
            self._held = self._held[len(certain) :]
        return parts
