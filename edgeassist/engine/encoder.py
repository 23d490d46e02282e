"""Long prompts are turned into tokens in a thread of their own, so that answers go on streaming meanwhile.

Template and tokenizer take up to a second for the longest prompts, which is many steps, and so may a schema
or tools that are compiled. Other prompts take less than a tenth of a step, and are encoded in the loop: those
that came at once then begin in the same step.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue

from edgeassist.engine.deciding.branches import Inquiry
from edgeassist.engine.messages import Decide, Encoding, Question, Start
from edgeassist.engine.preparation import Prepared
from edgeassist.errors import EdgeAssistError, InternalError

log = logging.getLogger(__name__)

# In characters, and what the template writes around a message.
_LONG = 8192
_AROUND = 16


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request's prompt as tokens, or why there is none.

    Attributes:
        request: Whose.
        started: When it came, in seconds of the monotonic clock.
        prepared: What the answer begins with, or what a decision reads.
    """

    request: Start | Decide
    started: float
    prepared: Prepared | Inquiry | EdgeAssistError


class Encoder:
    """Encodes one prompt after the other. Its thread begins with the first long one.

    Args:
        prepare: Encodes a request's conversation, and compiles its constraint or tools. Any thread.
        emit: Told when the thread begins with a prompt, and when that is done.
        deliver: Given what the thread has encoded.
    """

    def __init__(
        self,
        prepare: Callable[[Start | Decide], Prepared | Inquiry],
        *,
        emit: Callable[[list[Encoding]], None],
        deliver: Callable[[Prompt], None],
    ) -> None:
        self._prepare = prepare
        self._emit = emit
        self._deliver = deliver
        self._queue: SimpleQueue[tuple[Start | Decide, float]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        # As many as the daemon counts slots, at most.
        self._wanted: set[str] = set()

    def submit(self, request: Start | Decide, started: float) -> Prompt | None:
        """Return the prompt of a request; None if it takes long, and is delivered later."""
        if not _takes_long(request):
            return self._prompt(request, started)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="encoder", daemon=True)
            self._thread.start()
        self._wanted.add(request.id)
        self._queue.put((request, started))
        return None

    def withdraw(self, request: str) -> bool:
        """Take a request back that `submit` has not delivered yet; False where there is none."""
        wanted = request in self._wanted
        self._wanted.discard(request)
        return wanted

    def _run(self) -> None:
        while True:
            request, started = self._queue.get()
            if request.id in self._wanted:
                self._emit([Encoding(request.id)])
                prompt = self._prompt(request, started)
                self._emit([Encoding(request.id, done=True)])
                self._deliver(prompt)

    def _prompt(self, request: Start | Decide, started: float) -> Prompt:
        try:
            return Prompt(request, started, self._prepare(request))
        except EdgeAssistError as error:
            return Prompt(request, started, error)
        except Exception as error:
            log.exception("the prompt of %s could not be encoded", request.id)
            return Prompt(request, started, InternalError(f"the prompt could not be encoded: {error!r}"))


def _takes_long(request: Start | Decide) -> bool:
    if isinstance(request, Decide):
        return _characters_of(request) > _LONG
    return _characters(request) > _LONG or request.constraint is not None or request.tools is not None


def _characters(request: Start) -> int:
    """Return about how many characters a request's conversation has."""
    calls = (call for message in request.messages for call in message.calls)
    return sum(len(message.content) + _AROUND for message in request.messages) + sum(
        len(call.arguments) + _AROUND for call in calls
    )


def _characters_of(request: Decide) -> int:
    """Return about how many characters the conversations of a decision have."""
    shots = sum(
        len(shot.state) + _worded(request.questions[right.question]) + 2 * _AROUND
        for shot in request.shots
        for right in shot.answers
    )
    with_each = len(request.instructions) + len(request.state) + shots + _AROUND
    return len(request.questions) * with_each + sum(map(_worded, request.questions))


def _worded(question: Question) -> int:
    return len(question.text) + sum(map(len, question.options)) + sum(map(len, question.notes))
