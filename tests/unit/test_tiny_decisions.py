"""The decisions that EdgeAssist Tiny learns from and is measured with."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import islice, product

import pytest

from edgeassist.engine.messages import QuestionKind as Kind
from scripts.train_tiny.dialogues.deciding.generator import make_judgement, make_measured
from scripts.train_tiny.dialogues.deciding.judgement import Asked, Judgement
from scripts.train_tiny.dialogues.deciding.words import decision_words
from scripts.train_tiny.dialogues.grammar import slots_of
from scripts.train_tiny.dialogues.language import Language, Phrasings, words_of
from scripts.train_tiny.dialogues.layouts import unseen_layouts
from scripts.train_tiny.dialogues.split import Part, Split, is_held_out

# So many options that their places can be told apart.
FEW = 3


@cache  # by the process that runs these tests, not by all that collect them
def drawn() -> Sequence[Judgement]:
    """Return as many decisions as make their shares tell."""
    return [make_judgement(number) for number in range(2500)]


def documented() -> Iterator[tuple[Judgement, dict[str, dict[str, str]]]]:
    """Yield English decisions about lists in the documented layout, with these by quantity and room."""
    quantities = [each.name for each in words_of(Language.ENGLISH).quantities.values()]
    for judgement in drawn():
        heading, *lines = judgement.state.split("\n")
        if heading != "Sensors:" or judgement.language is not Language.ENGLISH:
            continue
        values: dict[str, dict[str, str]] = {}
        for line in lines:
            name, colon, value = line.partition(": ")
            quantity = next((each for each in quantities if name.endswith(f" {each}")), "")
            if not colon or not quantity:
                break
            values.setdefault(quantity, {})[name.removesuffix(f" {quantity}")] = value
        else:
            yield judgement, values


def answer_of(asked: Asked) -> str:
    return asked.options[asked.right]


def test_the_same_number_gives_the_same_decision_and_another_one_does_not() -> None:
    assert make_judgement(7) == make_judgement(7)
    assert make_judgement(7) != make_judgement(8)
    assert make_judgement(7) != make_judgement(7, seed=1)


def test_decisions_are_of_both_languages_and_all_kinds_and_each_option_is_there_once() -> None:
    assert {each.language for each in drawn()} == set(Language)
    asked = [each for judgement in drawn() for each in judgement.asked]
    assert {each.kind for each in asked} == set(Kind)
    for each in asked:
        alike = [" ".join(option.casefold().split()) for option in each.options]
        assert len(set(alike)) == len(alike) >= 2, each
        assert 0 <= each.right < len(each.options)


def test_what_is_asked_ends_with_its_options_as_the_engine_puts_them() -> None:
    for judgement in drawn()[:300]:
        for messages, options in zip(judgement.prompts(), judgement.options(), strict=True):
            *_, listed = messages[-1].content.split("\n")
            assert listed.startswith(("Options: ", "选项："))
            assert all(option in listed.lower() for option in options)


def test_no_place_in_the_list_is_right_more_often_than_others() -> None:
    places = Counter[int]()
    for judgement in drawn():
        for each in judgement.asked:
            if each.kind is Kind.CHOICE and len(each.options) == FEW:
                places[sorted(each.options).index(answer_of(each))] += 1
    assert min(places.values()) > 0.8 * max(places.values())


def test_nothing_makes_no_answer_likelier() -> None:
    answers = Counter(
        answer_of(each)
        for number in range(6000)
        if (judgement := make_judgement(number, seed=3)).state == "N/A"
        for each in judgement.asked
        if each.kind is Kind.YES_NO
    )
    assert 0.8 < answers["yes"] / answers["no"] < 1.25


def test_the_coldest_room_is_the_one_with_the_lowest_reading() -> None:
    found = 0
    for judgement, values in documented():
        for asked in judgement.asked:
            if re.search("(coldest|coolest)( room)?[?.]?$", asked.text):
                rooms = values["temperature"]
                assert answer_of(asked) == min(rooms, key=lambda room: float(rooms[room].split(" ")[0]))
                found += 1
    assert found


def test_lights_that_are_on_are_counted() -> None:
    found = 0
    for judgement, values in documented():
        for asked in judgement.asked:
            if re.search("(lights|lamps) (that )?are on|rooms is the light on", asked.text):
                assert int(answer_of(asked)) == list(values["light"].values()).count("on")
                found += 1
    assert found


def test_what_is_read_is_what_the_list_says() -> None:
    found = 0
    for judgement, values in documented():
        for asked in judgement.asked:
            for quantity, rooms in values.items():
                for room, value in rooms.items():
                    if asked.text in {f"What is the {room} {quantity}?", f"Read the {room} {quantity}."}:
                        assert answer_of(asked) in {value.lower(), value.lower().split(" ")[0]}
                        found += 1
    assert found


@pytest.mark.parametrize(("language", "table"), tuple(product(Language, ("asked", "told", "needs"))))
def test_every_question_has_phrasings_to_learn_and_no_phrasing_is_on_both_sides(
    language: Language, table: str
) -> None:
    groups: Mapping[str, Phrasings] = getattr(decision_words(language), table)
    for name, group in groups.items():
        assert group.train, name
        assert not set(group.train) & set(group.held_out)
        assert all(is_held_out(Part.PHRASING, line) for line in group.held_out)
        slots = [slots_of(line) for line in (*group.train, *group.held_out)]
        assert set.union(*slots) <= {
            *(
                "room",
                "the_room",
                "other",
                "device",
                "quantity",
                "state",
                "order",
                "label",
                "key",
                "value",
                "n",
            ),
            *("name", "a", "b", "low"),
        }
    held_out = sum(len(group.held_out) for group in groups.values())
    assert 0.1 < held_out / sum(len(group.train) + len(group.held_out) for group in groups.values()) < 0.3


def test_both_languages_ask_the_same() -> None:
    english, chinese = map(decision_words, (Language.ENGLISH, Language.CHINESE))
    for table in ("asked", "told", "needs", "orders", "near", "labels", "levels"):
        assert getattr(english, table).keys() == getattr(chinese, table).keys()


@pytest.mark.parametrize("language", Language)
def test_what_is_measured_in_new_layouts_is_in_none_that_trains(language: Language) -> None:
    for number in islice(range(1000), len(unseen_layouts(language)[:20])):
        judgement = make_measured(language, Split.LAYOUTS, number)
        assert judgement.asked
        assert judgement == make_measured(language, Split.LAYOUTS, number)


@pytest.mark.parametrize("split", [Split.SEEN, Split.PHRASINGS, Split.ROOMS, Split.ALL])
def test_every_split_has_decisions_of_all_kinds(split: Split) -> None:
    kinds = {
        each.kind for number in range(30) for each in make_measured(Language.ENGLISH, split, number).asked
    }
    assert kinds == set(Kind)
