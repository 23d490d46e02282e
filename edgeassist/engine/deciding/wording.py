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
    return _about(decide, decide.state)


def neutral(decide: Decide) -> list[Asking]:
    """Return the same questions about nothing."""
    return _about(decide, _NOTHING)


def _about(decide: Decide, state: str) -> list[Asking]:
    system = [ChatMessage(SYSTEM, decide.instructions)] if decide.instructions else []
    # One text for all questions: an example's state stands in as many shots as it has answers.
    shots = [turn for shot in decide.shots for turn in _turns(shot, decide.questions)]
    return [
        Asking((*system, *shots, ChatMessage(USER, _put(state, question))), _options(question))
        for question in decide.questions
    ]


def _turns(shot: Shot, questions: Sequence[Question]) -> Iterator[ChatMessage]:
    for right in shot.answers:
        question = questions[right.question]
        said = dict(zip(question.options, _options(question), strict=True))
        yield ChatMessage(USER, _put(shot.state, question))
        yield ChatMessage(ASSISTANT, said.get(right.option, right.option))


def _put(state: str, question: Question) -> str:
    return f"{state}\n\n{question.text}\n{_listed(question, _options(question))}"


def _options(question: Question) -> tuple[str, ...]:
    if question.kind is QuestionKind.YES_NO:
        return ("是", "否") if _CHINESE.search(question.text) else ("Yes", "No")
    return question.options


def _listed(question: Question, options: Sequence[str]) -> str:
    notes = question.notes or [""] * len(options)
    named = [f"{option} ({note})" if note else option for option, note in zip(options, notes, strict=True)]
    if question.kind is QuestionKind.CHOICE:
        # In whichever order they came, so that it decides nothing.
        named.sort()
    return f"选项：{'、'.join(named)}" if _CHINESE.search(question.text) else f"Options: {', '.join(named)}"
