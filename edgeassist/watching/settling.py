"""What an answer counts as: one that holds, and is ahead of the last by enough, so that it does not flap."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgeassist.protocol.decisions import DecisionAnswer


@dataclass(frozen=True, slots=True)
class Settled:
    """What is known of one question.

    Attributes:
        choice: What counts; None: nothing yet.
        since: Since when it does.
        score: The expected value in the last answer that agreed with it.
        answer: The last answer.
        candidate: What would count if it held.
        held_since: Since when it has held.
    """

    choice: str | None = None
    since: float | None = None
    score: float | None = None
    answer: DecisionAnswer | None = None
    candidate: str | None = None
    held_since: float = 0.0

    def take(self, answer: DecisionAnswer, now: float, *, dwell_s: float, hysteresis: float) -> Settled:
        """Return what is known after an answer.

        One that abstains, or is not far enough ahead of what counts, changes nothing but that the one before
        no longer holds.
        """
        known = replace(self, answer=answer)
        if answer.choice == self.choice:
            return replace(known, score=answer.score, candidate=None)
        shares = answer.probabilities or {answer.choice: 1.0}
        ahead = shares[answer.choice] - shares.get(self.choice or "", 0.0)
        if answer.abstain or (self.choice is not None and ahead < hysteresis):
            return replace(known, candidate=None)
        if answer.choice != self.candidate:
            known = replace(known, candidate=answer.choice, held_since=now)
        return known.settle(now, dwell_s=dwell_s)

    def settle(self, now: float, *, dwell_s: float) -> Settled:
        """Return what is known once the last answer has held until now."""
        if self.candidate is None or self.answer is None or now < self.held_since + dwell_s:
            return self
        return replace(self, choice=self.candidate, since=now, score=self.answer.score, candidate=None)
