"""The events of an answer, read and put in order. Imports nothing of Home Assistant, does no I/O.

What is made of events here is what `edgeassist.client.answers` makes of them; tests/unit/test_ha_events.py
holds the two together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events: which request it belongs to, and its number in the stream, from 0."""

    id: str
    seq: int


@dataclass(frozen=True, slots=True)
class Accepted(Event):
    """The request will be answered.

    Attributes:
        position: Its place in the queue.
        model_ready_in_s: Seconds until the model is loaded; None while it is.
    """

    position: int = 0
    model_ready_in_s: float | None = None


@dataclass(frozen=True, slots=True)
class Progress(Event):
    """Tokens of the prompt: `processed` of `total`, of which `cached` cost no work."""

    processed: int = 0
    cached: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Reasoning(Event):
    """The next piece of what the model thinks."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class Chunk(Event):
    """The next piece of the text."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class Called(Event):
    """The model calls a tool; `arguments` is a JSON object as text."""

    call: str = ""
    name: str = ""
    arguments: str = "{}"


@dataclass(frozen=True, slots=True)
class Restarted(Event):
    """Text and calls so far are void: the box ran the request again, and the new answer is another.

    Made here; it is not part of the wire contract.
    """


@dataclass(frozen=True, slots=True)
class Done(Event):
    """The answer is complete.

    Attributes:
        text: All of it.
        calls: All calls, in their order.
        answers: Of a decision, by the question's name; as the wire has them.
        document: The whole event.
    """

    text: str = ""
    finish_reason: str = "stop"
    calls: tuple[Called, ...] = ()
    usage: Mapping[str, int] = field(default_factory=dict)
    answers: Mapping[str, Any] | None = None
    document: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """The request failed; `text` is what was said before."""

    code: str = "internal"
    message: str = ""
    retryable: bool = False
    retry_after_ms: int | None = None
    text: str = ""


def read_object(payload: str | bytes) -> dict[str, Any] | None:
    """Return a JSON object; None for anything else that somebody published, however deep it is nested."""
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def read_event(payload: str | bytes) -> Event | None:
    """Return the event; a bare `Event` for a kind that is not known here, None for what is none at all.

    An end that can't be made out is a failure that says so, so that whoever waits for it hears of it.
    """
    document = read_object(payload)
    if document is None:
        return None
    known = Event(id=document.get("id"), seq=document.get("seq"))  # type: ignore[arg-type]
    if not isinstance(known.id, str) or type(known.seq) is not int:
        return None
    kind = str(document.get("type"))
    try:
        return _READERS[kind](known, document) if kind in _READERS else known
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        if kind in {"done", "error"}:
            return Failed(known.id, known.seq, message="the end of the answer can't be read")
        return known


def _done(known: Event, document: dict[str, Any]) -> Done:
    answers = document.get("answers")
    usage = {name: count for name, count in document["usage"].items() if isinstance(count, int)}
    calls = tuple(
        Called(
            known.id,
            known.seq,
            _text(call["id"]),
            _text(call["function"]["name"]),
            _text(call["function"]["arguments"]),
        )
        for call in document.get("tool_calls", ())
    )
    return Done(
        known.id,
        known.seq,
        text=_text(document.get("text", "")),
        finish_reason=_text(document["finish_reason"]),
        calls=calls,
        usage=usage,
        answers=answers if isinstance(answers, dict) else None,
        document=document,
    )


def _failed(known: Event, document: dict[str, Any]) -> Failed:
    pause = document.get("retry_after_ms")
    return Failed(
        known.id,
        known.seq,
        code=str(document.get("code", "internal")),
        message=str(document.get("message", "")),
        retryable=document.get("retryable") is True,
        retry_after_ms=pause if isinstance(pause, int) else None,
        text=str(document.get("text", "")),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("must be text")
    return value


_READERS = {
    "accepted": lambda known, document: Accepted(
        known.id, known.seq, int(document.get("position", 0)), document.get("model_ready_in_s")
    ),
    "progress": lambda known, document: Progress(
        known.id, known.seq, int(document["processed"]), int(document["cached"]), int(document["total"])
    ),
    "reasoning": lambda known, document: Reasoning(known.id, known.seq, _text(document["text"])),
    "chunk": lambda known, document: Chunk(known.id, known.seq, _text(document["text"])),
    "tool_call": lambda known, document: Called(
        known.id,
        known.seq,
        _text(document["tool_call_id"]),
        _text(document["name"]),
        _text(document["arguments"]),
    ),
    "done": _done,
    "error": _failed,
}


class AnswerStream:
    """Turns the events of one answer that arrive into those that who asked gets: in order and complete.

    - What comes after a gap in `seq` is left out: what was said before is missing. The end has all text and
      calls, and what lacks comes right before it.
    - After the request was published again, `seq` may begin anew: a box that restarted runs it again. So it
      does without that where an `accepted` comes with `seq` 0. What is known does not come twice; where the
      new answer differs, `Restarted` comes, and then all of it.
    """

    def __init__(self) -> None:
        # What was given.
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

    def take(self, event: Event) -> list[Event]:
        """Return what is to be given for an event that arrived."""
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
            case Accepted() | Progress() | Reasoning():
                return [event]
            case _:
                return []

    def _chunk(self, event: Chunk) -> list[Event]:
        if self._text is None:
            return []
        self._text += event.text
        if self._shown.startswith(self._text):
            return []
        return self._show(self._text, self._calls, event)

    def _call(self, event: Called) -> list[Event]:
        if self._text is None:
            return []
        self._calls.append(event)
        if _begins(self._shown_calls, self._calls):
            return []
        return self._show(self._text, self._calls, event)

    def _missing(self, end: Done | Failed) -> list[Event]:
        """Return what lacks of an answer that has ended."""
        # Without `stream`, the end is all there is.
        if self._text == "" and not self._calls and not self._shown and not self._shown_calls:
            return []
        before = replace(end, seq=max(0, end.seq - 1))
        # An error may have no text at all, or less than an earlier run; and it has no calls.
        if isinstance(end, Failed):
            if self._shown.startswith(end.text):
                return []
            return self._show(end.text, self._shown_calls if end.text.startswith(self._shown) else [], before)
        return self._show(end.text, list(end.calls), before)

    def _show(self, text: str, calls: list[Called], at: Event) -> list[Event]:
        """Return what makes these of the text and the calls that were given."""
        shown, self._shown = self._shown, text
        known, self._shown_calls = self._shown_calls, list(calls)
        events: list[Event] = []
        if not (text.startswith(shown) and _begins(calls, known)):
            shown, known = "", []
            events.append(Restarted(at.id, at.seq))
        if text != shown:
            events.append(Chunk(at.id, at.seq, text[len(shown) :]))
        return [*events, *(replace(call, seq=at.seq) for call in calls[len(known) :])]


def _begins(calls: list[Called], others: list[Called]) -> bool:
    """Whether the calls begin with these others."""
    return [_said(call) for call in calls[: len(others)]] == [_said(call) for call in others]


def _said(call: Called) -> tuple[str, str, str]:
    return call.call, call.name, call.arguments
