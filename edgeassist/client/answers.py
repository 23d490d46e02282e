"""One answer as its requester sees it: in order and complete, whatever was lost on the way. Sans-I/O."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from edgeassist.client.reading import Unread, WireEvent
from edgeassist.protocol.events import Chunk, Done, Failed


class Restarted(BaseModel):
    """The text so far is void: the device ran the request again, and the new text is another.

    Made by the client; it is not part of the wire contract. The new text follows, from its beginning.
    """

    model_config = ConfigDict(frozen=True)

    type: Literal["restarted"] = "restarted"
    id: str
    seq: int


AnyEvent = WireEvent | Restarted


class AnswerStream:
    """Turns the events of one answer that arrive into the events that a caller of `ask` gets. Sans-I/O.

    - A chunk after a gap in `seq` is left out: the text before it is missing. The terminal event has all of
      the text, and what the caller lacks comes in one `Chunk` right before it.
    - After the request was published again, `seq` may begin anew: a daemon that has restarted runs it again.
      Text that the caller has already is not yielded twice; as soon as the new text differs from it,
      `Restarted` is yielded, and then the new text from its beginning.
    """

    def __init__(self) -> None:
        # What the caller has.
        self._shown = ""
        # The text of this run from its beginning; None after a gap.
        self._text: str | None = ""
        self._next_seq = 0
        self._repeated = False

    def repeated(self) -> None:
        """Note that the request was published again: from now on it may run a second time."""
        self._repeated = True

    def take(self, event: WireEvent | Unread) -> list[AnyEvent]:
        """Return what the caller gets for an event that arrived."""
        if event.seq < self._next_seq:
            if not self._repeated and not isinstance(event, Done | Failed):  # QoS 1 may deliver twice
                return []
            self._repeated = False
            self._text, self._next_seq = "", 0
        if event.seq > self._next_seq:
            self._text = None
        self._next_seq = event.seq + 1
        match event:
            case Chunk():
                return self._chunk(event)
            case Done() | Failed():
                return [*self._missing(event), event]
            case Unread():
                return []
            case _:
                return [event]

    def _chunk(self, event: Chunk) -> list[AnyEvent]:
        if self._text is None:
            return []
        self._text += event.text
        if self._shown.startswith(self._text):
            return []
        return self._show(self._text, event.id, event.seq)

    def _missing(self, end: Done | Failed) -> list[AnyEvent]:
        """Return the text that the caller lacks of an answer that has ended."""
        if end.text == self._shown or (self._text == "" and not self._shown):  # the latter: without `stream`
            return []
        # An error may have no text at all, or less than an earlier run.
        if isinstance(end, Failed) and self._shown.startswith(end.text):
            return []
        return self._show(end.text, end.id, max(0, end.seq - 1))

    def _show(self, text: str, request: str, seq: int) -> list[AnyEvent]:
        """Return what makes `text` of the text that the caller has."""
        shown, self._shown = self._shown, text
        if text.startswith(shown):
            return [Chunk(id=request, seq=seq, text=text[len(shown) :])]
        chunks = [Chunk(id=request, seq=seq, text=text)] if text else []
        return [Restarted(id=request, seq=seq), *chunks]
