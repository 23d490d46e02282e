"""What came of the tasks: verdicts, and how many are right by kind and language. Sans-I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgeassist.evaluation.quality.tasks import Kind, Language, Task

ALL = "all"
# An answer's beginning is kept for the report.
KEPT_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class Verdict:
    """One task's result.

    Attributes:
        id: The task's.
        kind: What it is about.
        language: Its language.
        right: Whether the answer is right.
        why: What is wrong with it; empty where it is right.
        answer: What the model wrote; its first `KEPT_CHARACTERS`.
        took_s: From the question to the end of the answer.
    """

    id: str
    kind: Kind
    language: Language
    right: bool
    why: str
    answer: str
    took_s: float


@dataclass(frozen=True, slots=True)
class Score:
    """How many of how many tasks are right."""

    right: int
    tasks: int


@dataclass(frozen=True, slots=True)
class Quality:
    """A model's results.

    Attributes:
        digest: Of the tasks that were asked.
        verdicts: By task, in the order of the file.
        left_out: How many tasks were not asked.
        why_left_out: Why; empty where none was left out.
        missing: Why tasks are missing that should have been asked; None: none are.
        scores: By `all`, each kind and each language that has tasks.
    """

    digest: str
    verdicts: Sequence[Verdict]
    left_out: int = 0
    why_left_out: str = ""
    missing: str | None = None
    scores: Mapping[str, Score] = field(init=False)

    def __post_init__(self) -> None:
        """Count."""
        object.__setattr__(self, "scores", scores_of(self.verdicts))


def verdict_of(task: Task, fault: str | None, answer: str, took_s: float) -> Verdict:
    """Return a task's verdict; `fault` is what is wrong with the answer, None: nothing."""
    return Verdict(
        task.id,
        task.kind,
        task.language,
        fault is None,
        fault or "",
        answer[:KEPT_CHARACTERS],
        round(took_s, 2),
    )


def scores_of(verdicts: Sequence[Verdict]) -> dict[str, Score]:
    """Count right answers: of all, by kind, by language; only of groups that have tasks."""
    groups: dict[str, list[Verdict]] = {ALL: list(verdicts)}
    for name in Kind:
        groups[name.value] = [each for each in verdicts if each.kind is name]
    for language in Language:
        groups[language.value] = [each for each in verdicts if each.language is language]
    return {
        name: Score(sum(each.right for each in group), len(group)) for name, group in groups.items() if group
    }
