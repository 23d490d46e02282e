"""One answer as its requester sees it: in order and complete, whatever was lost on the way. Sans-I/O."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from edgeassist.client.reading import Unread, WireEvent
from edgeassist.protocol.events import Accepted, Called, Chunk, Done, Failed


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

    - What comes after a gap in `seq` is left out: what was said before is missing. The terminal event has all
      text and calls, and what the caller lacks comes right before it, the text in one `Chunk`.
    - After the request was published again, `seq` may begin anew: a daemon that has restarted runs it again.
      So it does without that where an `accepted` comes with `seq` 0 (`on_crash`: `rerun`).
      What the caller has already is not yielded twice; as soon as the new answer differs from it (a call by
      its id, too), `Restarted` is yielded, and then the new one from its beginning.
    """

    def __init__(self) -> None:
        # What the caller has.
        self._shown = ""
        self._shown_calls: list[Called] = []
        # The text of this run from its beginning; None after a gap. And its calls.
        self._text: str | None = ""
        self._calls: list[Called] = []
        self._next_seq = 0
        self._repeated = False

    def repeated(self) -> None:
        """Note that the request was published again: from now on it may run a second time."""
        self._repeated = True

    def take(self, event: WireEvent | Unread) -> list[AnyEvent]:
        """Return what the caller gets for an event that arrived."""
        if event.seq < self._next_seq:
            anew = isinstance(event, Accepted) and event.seq == 0
            if not (self._repeated or anew or isinstance(event, Done | Failed)):  # QoS 1 may deliver twice
                return []
            self._repeated = False
            self._text, self._calls, self._next_seq = "", [], 0
        if event.seq > self._next_seq:
            self._text = None
        self._next_seq = event.seq + 1
        match event:
            case Chunk():
                return self._chunk(event)
            case Called():
                return self._call(event)
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
        return self._show(self._text, self._calls, event.id, event.seq)

    def _call(self, event: Called) -> list[AnyEvent]:
        if self._text is None:
            return []
        self._calls.append(event)
        if _begins(self._shown_calls, self._calls):
            return []
        return self._show(self._text, self._calls, event.id, event.seq)

    def _missing(self, end: Done | Failed) -> list[AnyEvent]:
        """Return what the caller lacks of an answer that has ended."""
        # Without `stream`, the end is all there is.
        if self._text == "" and not self._calls and not self._shown and not self._shown_calls:
            return []
        # An error may have no text at all, or less than an earlier run; and it has no calls.
        if isinstance(end, Failed):
            if self._shown.startswith(end.text):
                return []
            calls = self._shown_calls if end.text.startswith(self._shown) else []
            return self._show(end.text, calls, end.id, max(0, end.seq - 1))
        return self._show(end.text, calls_of(end), end.id, max(0, end.seq - 1))

    def _show(self, text: str, calls: list[Called], request: str, seq: int) -> list[AnyEvent]:
        """Return what makes these of the text and the calls that the caller has."""
        shown, self._shown = self._shown, text
        known, self._shown_calls = self._shown_calls, list(calls)
        events: list[AnyEvent] = []
        if not (text.startswith(shown) and _begins(calls, known)):
            shown, known = "", []
            events.append(Restarted(id=request, seq=seq))
        if text != shown:
            events.append(Chunk(id=request, seq=seq, text=text[len(shown) :]))
        return [*events, *(call.model_copy(update={"seq": seq}) for call in calls[len(known) :])]


def calls_of(done: Done) -> list[Called]:
    """Return the calls of a terminal event as events, each of them whole."""
    return [
        Called(
            id=done.id,
            seq=done.seq,
            index=index,
            tool_call_id=call.id,
            name=call.function.name,
            arguments=call.function.arguments,
        )
        for index, call in enumerate(done.tool_calls)
    ]


def _begins(calls: list[Called], others: list[Called]) -> bool:
    """Whether the calls begin with these others."""
    return [_said(call) for call in calls[: len(others)]] == [_said(call) for call in others]


def _said(call: Called) -> tuple[str | None, str | None, str]:
    return call.tool_call_id, call.name, call.arguments
