"""One answer of a box, as Home Assistant's chat log takes it. Imports nothing of Home Assistant."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Any

from .events import Called, Chunk, Done, Event, Reasoning, Restarted
from .failures import Failure, Why
from .invented import Words


class Answer:
    """One answer, while it comes.

    Attributes:
        words: What of its text is held back.
        calls: What it has called.
        goes_round: Whether it calls again what was called: it would go on like this.
    """

    def __init__(self, made: Set[tuple[str, str]], names: Iterable[str] | None) -> None:
        self.words = Words(names)
        self.calls: list[Called] = []
        self.goes_round = False
        self._made = made
        self._said = False

    def take(self, event: Event) -> dict[str, Any] | None:
        """Return what an event adds to the chat log, if it does.

        Raises:
            Failure: The box began anew, and what was said can't be taken back.
            InventedCallError: Its text is a call.
        """
        match event:
            case Reasoning():
                return {"thinking_content": event.text}
            case Chunk():
                if text := self.words.take(event.text):
                    self._said = True
                    return {"content": text}
            case Called():
                # What it has called anew counts.
                self.goes_round = key_of(event) in self._made or key_of(event) in map(key_of, self.calls)
                if not self.goes_round:
                    self.calls.append(event)
            case Restarted() if self._said:
                raise Failure(Why.RESTARTED)
            case Restarted():
                self.words.forget()
                self.calls = []
            case Done():
                self.calls += event.calls[len(self.calls) :]
            case _:
                pass
        return None


def key_of(call: Called) -> tuple[str, str]:
    """Return what makes a call the same as another."""
    return call.name, call.arguments
