"""The same cases asked otherwise: what should change no pick. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from edgeassist.evaluation.cases import Case, read_questions
from edgeassist.protocol.decisions import MAX_OPTION_CHARACTERS, Kind, Question, option_of

_CHINESE = ("\u4e00", "\u9fff")


class Variation(StrEnum):
    """How it is asked otherwise."""

    REPEATED = "repeated"
    """As before: what changes then is rounding, which depends on what else a step computes."""
    REVERSED = "reversed"
    """With a choice's options in reverse."""
    LENGTHENED = "lengthened"
    """With more words behind every second option's name."""
    PREFIXED = "prefixed"
    """With more words before it: names that begin alike are told apart late."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A case asked otherwise.

    Attributes:
        case: It.
        original: What its options were called, for the questions that differ.
    """

    case: Case
    original: Mapping[str, Mapping[str, str]]


def vary(cases: Iterable[Case], variation: Variation) -> Iterator[Variant]:
    """Yield the cases that can be asked otherwise. A scale keeps its order, and yes and no their names."""
    for case in cases:
        original = {
            name: names
            for name, question in case.questions.items()
            if list(names := _names(question, variation)) != list(question.options)
            or variation is Variation.REPEATED
        }
        if original:
            same = variation is Variation.REPEATED
            yield Variant(case if same else _asked_otherwise(case, original), original)


def _names(question: Question, variation: Variation) -> dict[str, str]:
    """Return the options' new names in their new order, and their old ones."""
    options = question.options
    match variation:
        case Variation.REVERSED if question.type is Kind.CHOICE:
            return {each: each for each in reversed(options)}
        case Variation.LENGTHENED | Variation.PREFIXED if (
            question.type is not Kind.YES_NO and question.criteria
        ):
            # Those at the places 0, 2, 4, so that names of the same question differ in length.
            longer = {
                (_longer(each, variation) if place % 2 == 0 else each): each
                for place, each in enumerate(options)
            }
            return longer if len(longer) == len(options) else {each: each for each in options}
        case _:
            return {each: each for each in options}


def _longer(option: str, variation: Variation) -> str:
    is_chinese = any(_CHINESE[0] <= character <= _CHINESE[1] for character in option)
    if variation is Variation.LENGTHENED:
        longer = f"{option}，就是这一项" if is_chinese else f"{option}, to say it in full"
    else:
        longer = f"可以说是{option}" if is_chinese else f"what is called {option}"
    return longer if len(longer) <= MAX_OPTION_CHARACTERS else option


def _asked_otherwise(case: Case, original: Mapping[str, Mapping[str, str]]) -> Case:
    """Return the case with other names, in its examples and expected answers too."""
    new = {name: {old: each for each, old in names.items()} for name, names in original.items()}

    def renamed(name: str, option: str) -> str:
        return new[name][option] if name in new else option

    fields: dict[str, Any] = json.loads(json.dumps(case.fields))
    for name, names in original.items():
        criteria = case.questions[name].criteria or {}
        fields["questions"][name]["criteria"] = {each: criteria[old] for each, old in names.items()}
    for example in fields.get("examples", ()):
        answers = example["answers"].items()
        example["answers"] = {name: renamed(name, option_of(answer)) for name, answer in answers}
    return replace(
        case,
        fields=fields,
        questions=read_questions(fields),
        expected={name: renamed(name, option) for name, option in case.expected.items()},
    )
