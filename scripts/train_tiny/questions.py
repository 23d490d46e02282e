"""Evaluation: questions of each kind, and how answers are judged."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator

from scripts.train_tiny.dialogues.generator import Dialogue, Task, make_question, tasks_of
from scripts.train_tiny.dialogues.language import Language, words_of
from scripts.train_tiny.dialogues.split import Split

MEASURED = (Split.SEEN, Split.PHRASINGS, Split.ROOMS, Split.VALUES, Split.LAYOUTS, Split.ALL)


@dataclass(frozen=True, slots=True)
class Question:
    """An evaluation question, with its split and task."""

    split: Split
    task: Task
    dialogue: Dialogue

    @property
    def right(self) -> str:
        """The right answer."""
        return self.dialogue.turns[0].reply


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of an answer.

    Attributes:
        exact: Equal to the right answer.
        valid: A valid action by the schema; None if the right answer is not an action.
        honest: Admits not knowing; None if the answer is known.
    """

    exact: bool
    valid: bool | None
    honest: bool | None


@dataclass(slots=True)
class Score:
    """Counts of one kind of question."""

    asked: int = 0
    exact: int = 0
    valid: int = 0
    honest: int = 0
    failures: list[tuple[str, str, str]] = field(default_factory=list)


Key = tuple[Split, Language, Task]


def questions(
    count: int, splits: Sequence[Split] = MEASURED, tasks: Sequence[Task] = tuple(Task)
) -> Iterator[Question]:
    """Yield `count` questions of each task, language and split."""
    for split in splits:
        for task in (each for each in tasks_of(split) if each in tasks):
            for language in Language:
                for number in range(count):
                    yield Question(split, task, make_question(task, language, split, number))


def judge(question: Question, answer: str) -> Verdict:
    """Judge an answer."""
    is_action = question.task is Task.ACTION
    unknown = words_of(question.dialogue.language).replies["unknown"].partition("}")[2]
    return Verdict(
        exact=answer == question.right,
        valid=is_valid_action(answer) if is_action else None,
        honest=answer.endswith(unknown) if question.task is Task.UNKNOWN else None,
    )


def is_valid_action(answer: str) -> bool:
    """Return True if a text is a valid action by the schema."""
    try:
        document = json.loads(answer)
    except ValueError:
        return False
    return bool(_validator().is_valid(document))


def tally(judged: Iterable[tuple[Question, str]], *, failures: int) -> dict[Key, Score]:
    """Return the score of each kind, with up to `failures` failures each: question, right answer, answer."""
    scores: dict[Key, Score] = defaultdict(Score)
    for question, answer in judged:
        verdict = judge(question, answer)
        score = scores[question.split, question.dialogue.language, question.task]
        score.asked += 1
        score.exact += verdict.exact
        score.valid += bool(verdict.valid)
        score.honest += bool(verdict.honest)
        if not verdict.exact and len(score.failures) < failures:
            score.failures.append((question.dialogue.turns[0].user, question.right, answer))
    return scores


def table(scores: Mapping[Key, Score]) -> str:
    """Return the scores as a Markdown table, in percent."""
    lines = [
        "| split | language | task | asked | exact | valid JSON | says it does not know |",
        "| --- | --- | --- | --: | --: | --: | --: |",
    ]
    for (split, language, task), score in scores.items():
        share = {
            name: f"{100 * getattr(score, name) / score.asked:.1f}" for name in ("exact", "valid", "honest")
        }
        valid = share["valid"] if task is Task.ACTION else ""
        honest = share["honest"] if task is Task.UNKNOWN else ""
        lines.append(
            f"| {split} | {language} | {task} | {score.asked} | {share['exact']} | {valid} | {honest} |"
        )
    return "\n".join(lines)


def wrong_fields(scores: Mapping[Key, Score]) -> Counter[str]:
    """Count the wrong fields of actions, over the failures kept in the scores."""
    counted: Counter[str] = Counter()
    for (_, _, task), score in scores.items():
        for _, right, answer in score.failures if task is Task.ACTION else ():
            counted.update(_differences(right, answer))
    return counted


def _differences(right: str, answer: str) -> list[str]:
    try:
        said: Any = json.loads(answer)
    except ValueError:
        return ["no JSON"]
    if not isinstance(said, dict):
        return ["no JSON object"]
    meant = json.loads(right)
    names = [name for name in {**meant, **said} if meant.get(name) != said.get(name)]
    return names or ["spelling"]


@cache
def _validator() -> Draft202012Validator:
    text = files("edgeassist").joinpath("assets/tiny/action.schema.json").read_text()
    return Draft202012Validator(json.loads(text))
