"""One request while it runs: what was said, what of it was sent, and when."""

from __future__ import annotations

from collections import abc
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from edgeassist.engine.backends.base import Bound
from edgeassist.engine.messages import Delta, DeltaKind, Finish, Finished
from edgeassist.engine.prompting.codec import Encoded
from edgeassist.engine.prompting.parser import AnswerParser, Part
from edgeassist.engine.sequence import Ending, Outcome, Sequence
from edgeassist.engine.step import Token


@dataclass(slots=True)
class Answer:
    """The bookkeeping of one answer. Times are in seconds, monotonic.

    Attributes:
        sequence: What computes it.
        prompt: What it answers.
        dropped: How many messages of history were left out of the prompt.
        parser: Turns its tokens' bytes into parts.
        bound: What it may be; None: anything.
        gather_s: How soon after the last delta text waits for more.
        started: When the request came.
        computed_s: The backend's `computed_s` then.
        first_token: When its first token was sampled; None: not yet.
        completion_tokens: How many tokens of it count.
        parts: All that is certain of it.
        sent: How many of the parts were sent.
        last_sent: When; None: never.
        budget: The most tokens of its thoughts; None: any number, or no thought can come any more.
        cut: The tokens that end a thought which is over its budget.
        reasoning_tokens: How many tokens are thoughts and their marks.
    """

    sequence: Sequence
    prompt: Encoded
    dropped: int
    parser: AnswerParser
    bound: Bound | None
    gather_s: float
    started: float
    computed_s: float
    first_token: float | None = None
    completion_tokens: int = 0
    parts: list[Part] = field(default_factory=list)
    sent: int = 0
    last_sent: float | None = None
    budget: int | None = None
    cut: abc.Sequence[Token] = ()
    reasoning_tokens: int = 0

    def __post_init__(self) -> None:
        self._note_budget()

    @property
    def text(self) -> str:
        """The answer's text so far, without thoughts and tool calls."""
        return "".join(part.text for part in self.parts if part.kind is DeltaKind.TEXT)

    def forced(self, sampled: abc.Sequence[Token]) -> abc.Sequence[Token]:
        """Return the tokens that follow those that a step sampled, without being sampled themselves.

        They end a thought that has reached its budget, or in which the model would end its turn: it has not
        answered yet. `take` gets both together.
        """
        if self.budget is None:
            return ()
        if self.reasoning_tokens + len(sampled) < self.budget and not sampled[-1].ends:
            return ()
        said = b"".join(token.piece for token in sampled if not token.ends)
        return self.cut if self.parser.thinks_after(said) else ()

    def take(self, outcome: Outcome, now: float) -> bool:
        """Add what a step sampled; return whether the answer has ended with it."""
        if self.first_token is None:
            self.first_token = now
        parser, parts = self.parser, self.parts
        for token in outcome.tokens:
            if not token.ends and not parser.stopped:
                thinking = parser.thinking
                parts += parser.push(token.piece)
                self.completion_tokens += 1
                self.reasoning_tokens += thinking or parser.thinking
        ended = outcome.ending is not None or parser.stopped
        if ended:
            parts += parser.finish()
        self._note_budget()
        return ended

    def _note_budget(self) -> None:
        """Let no draft reach beyond the budget: other tokens follow there."""
        if self.parser.settled:
            self.budget = self.sequence.draft_end = None
        elif self.budget is not None:
            self.sequence.draft_end = self.sequence.generated + self.budget - self.reasoning_tokens

    def due(self, now: float) -> bool:
        """Whether there are parts to send, gathered long enough; a call or the first of a kind at once."""
        if self.sent == len(self.parts):
            return False
        last = self.parts[-1].kind
        if last is DeltaKind.TOOL_CALL or (self.sent and last is not self.parts[self.sent - 1].kind):
            return True
        return self.last_sent is None or now - self.last_sent >= self.gather_s

    def send(self, now: float) -> list[Delta]:
        """Return the parts that were not sent yet; adjacent ones of one kind are one delta, but calls."""
        waiting = self.parts[self.sent :]
        self.sent, self.last_sent = len(self.parts), now
        if len(waiting) == 1:
            return [Delta(self.sequence.id, waiting[0].text, waiting[0].kind, self.completion_tokens)]
        deltas: list[Delta] = []
        for kind, parts in groupby(waiting, attrgetter("kind")):
            texts = [part.text for part in parts]
            whole = texts if kind is DeltaKind.TOOL_CALL else ["".join(texts)]
            deltas += [Delta(self.sequence.id, text, kind, self.completion_tokens) for text in whole]
        return deltas

    def finished(self, ending: Ending | None, now: float, computed_s: float) -> Finished:
        """Return the end of a complete answer, of which at least one token was sampled.

        Args:
            ending: How its sequence ended; None: a stop text ended the answer.
            now: When.
            computed_s: The backend's `computed_s` now.
        """
        sequence = self.sequence
        first_token = now if self.first_token is None else self.first_token
        return Finished(
            sequence.id,
            self._reason(ending),
            prompt_tokens=sequence.prompt_tokens,
            cached_tokens=sequence.cached,
            completion_tokens=self.completion_tokens,
            prefill_ms=(first_token - self.started) * 1000,
            decode_ms=(now - first_token) * 1000,
            dropped_messages=self.dropped,
            overhead_ms=(now - self.started - (computed_s - self.computed_s)) * 1000,
            reasoning_tokens=self.reasoning_tokens,
        )

    def _reason(self, ending: Ending | None) -> Finish:
        by_limit = ending is Ending.LIMIT and not self.parser.stopped
        called = any(part.kind is DeltaKind.TOOL_CALL for part in self.parts)
        if called and not (by_limit and self.parser.calling):
            return Finish.TOOL_CALLS
        return Finish.LENGTH if by_limit else Finish.STOP
