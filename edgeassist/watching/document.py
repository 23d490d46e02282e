"""What is known from a watch becomes the document that is published."""

from __future__ import annotations

from datetime import UTC, datetime

from edgeassist.protocol.decisions import Question
from edgeassist.protocol.watches import WatchAnswer, WatchState
from edgeassist.watching.options import WatchOptions
from edgeassist.watching.settling import Settled
from edgeassist.watching.watch import Report


def document_of(report: Report, options: WatchOptions, *, epoch: float) -> WatchState:
    """Return the document.

    Args:
        report: What is known.
        options: Of which watch.
        epoch: What to add to the report's times for seconds of Unix time.
    """

    def date(at: float | None) -> str | None:
        if at is None:
            return None
        return datetime.fromtimestamp(at + epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def answer(question: Question, known: Settled) -> WatchAnswer:
        last = known.answer
        if last is None:
            return WatchAnswer(type=question.type.value)
        return WatchAnswer(
            type=question.type.value,
            choice=known.choice,
            since=date(known.since),
            score=known.score,
            probabilities=last.probabilities,
            margin=last.margin,
            abstain=last.abstain,
            noul=last.noul,
        )

    return WatchState(
        answers={name: answer(options.questions[name], known) for name, known in report.answers.items()},
        reason=report.reason,
        state_at=date(report.state_at),
        answered_at=date(report.answered_at),
    )
