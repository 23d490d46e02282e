"""How a decision is put to a model: the state first, so that all questions about it share its tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgeassist.engine.messages import ChatMessage, Decide, Question, QuestionKind, Shot
from edgeassist.engine.prompting.documents import ASSISTANT, SYSTEM, USER

# Stands for a state of which nothing is known.
_NOTHING = "N/A"
_CHINESE = re.compile("[\u4e00-\u9fff]")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Asking:
    """One question about one state, as a conversation whose next turn is the answer.

    Attributes:
        messages: Oldest first.
        options: How each option is answered, in the question's order.
    """

    messages: tuple[ChatMessage, ...]
    options: tuple[str, ...]


def askings(decide: Decide) -> list[Asking]:
    """Return a decision's questions about its state."""
    before = _before(decide)
    return [
        Asking((*before, ChatMessage(USER, _put(decide.state, question))), _options(question))
        for question in decide.questions
    ]


def neutral(decide: Decide) -> list[Asking | None]:
    """Return the options of each choice alone, about nothing; None for a question of another kind.

    Without what is asked, so that choices between the same options have it in common. Of the other kinds
    fewer answers are right with it taken off (docs/calibration.md).
    """
    before = _before(decide)
    return [
        Asking(
            (*before, ChatMessage(USER, f"{_NOTHING}\n\n{_listed(question)}")),
            _options(question),
        )
        if question.kind is QuestionKind.CHOICE
        else None
        for question in decide.questions
    ]


def _before(decide: Decide) -> list[ChatMessage]:
    """Return what is said before each question: one text for all, however many answers an example has."""
    system = [ChatMessage(SYSTEM, decide.instructions)] if decide.instructions else []
    return system + [turn for shot in decide.shots for turn in _turns(shot, decide.questions)]


def _turns(shot: Shot, questions: Sequence[Question]) -> Iterator[ChatMessage]:
    for right in shot.answers:
        question = questions[right.question]
        said = dict(zip(question.options, _options(question), strict=True))
        yield ChatMessage(USER, _put(shot.state, question))
        yield ChatMessage(ASSISTANT, said.get(right.option, right.option))


def _put(state: str, question: Question) -> str:
    asked = f"{state}\n\n{question.text}"
    if question.kind is QuestionKind.YES_NO and not any(question.notes):
        # How it is answered goes without saying, and the list makes fewer answers right.
        return asked
    return f"{asked}\n{_listed(question)}"


def _options(question: Question) -> tuple[str, ...]:
    if question.kind is QuestionKind.YES_NO:
        return ("是", "否") if _CHINESE.search(question.text) else ("Yes", "No")
    if _is_numbered(question):
        return tuple(str(number) for number, _ in enumerate(question.options, 1))
    return question.options


def _is_numbered(question: Question) -> bool:
    """Whether numbers stand for the options: for levels from low to high that are no numbers themselves."""
    return question.kind is QuestionKind.SCORE and not all(map(_NUMBER.fullmatch, question.options))


def _listed(question: Question) -> str:
    notes = question.notes or [""] * len(question.options)
    numbered = _is_numbered(question)
    names = question.options if numbered else _options(question)
    named = [f"{option} ({note})" if note else option for option, note in zip(names, notes, strict=True)]
    if numbered:
        return "\n".join(f"{number}. {each}" for number, each in enumerate(named, 1))
    if question.kind is QuestionKind.CHOICE:
        # In whichever order they came, so that it decides nothing.
        named.sort()
    return f"选项：{'、'.join(named)}" if _CHINESE.search(question.text) else f"Options: {', '.join(named)}"
