"""The shipped cases on which decisions are calibrated and measured."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from itertools import pairwise, product
from typing import Any, NamedTuple

import pytest

LARGEST_FILE = 250_000  # bytes
KINDS = ("choice", "score", "yes_no")
LANGUAGES = ("en", "zh")
DOMAINS = ("home", "machines", "logs")
SPLITS = ("fit", "held-out")
# Reserved for examples: RFC 5737 and RFC 2606.
EXAMPLE_NETWORKS = ("192.0.2.", "198.51.100.", "203.0.113.")
CHINESE = re.compile(r"[\u4e00-\u9fff]")

TEXT = files("edgeassist").joinpath("assets/decisions/cases.jsonl").read_bytes().decode()
CASES: list[dict[str, Any]] = [json.loads(line) for line in TEXT.splitlines()]


class Question(NamedTuple):
    line: int
    language: str
    split: str
    asked: dict[str, Any]
    expected: str | float

    @property
    def options(self) -> list[str]:
        """A choice's options or a score's levels, in their order; a score in numbers has none."""
        return list(self.asked.get("criteria", ()))

    @property
    def place(self) -> float:
        """Where the right answer of a choice or a score stands, from 0 (first, lowest) to 1."""
        if "minimum" in self.asked:
            low, high = float(self.asked["minimum"]), float(self.asked["maximum"])
            return (float(self.expected) - low) / (high - low)
        return self.options.index(str(self.expected)) / (len(self.options) - 1)


def every_question(*, kind: str | None = None) -> Iterator[Question]:
    for line, case in enumerate(CASES, 1):
        for name, asked in case["questions"].items():
            if kind in {None, asked["type"]}:
                yield Question(line, case["language"], case["split"], asked, case["expected"][name])


def words_of(state: object) -> str:
    return state if isinstance(state, str) else json.dumps(state, ensure_ascii=False)


def alike(one: str, other: str) -> float:
    """The share of pairs of neighbouring characters that two texts have in common, 0 to 1."""
    pairs = [set(pairwise(text.lower())) for text in (one, other)]
    return len(pairs[0] & pairs[1]) / max(1, len(pairs[0] | pairs[1]))


def halves(values: Iterator[tuple[str, Any]]) -> tuple[list[Any], list[Any]]:
    """The values that come with `fit`, and those that come with `held-out`."""
    found: dict[str, list[Any]] = {split: [] for split in SPLITS}
    for split, value in values:
        found[split].append(value)
    return found["fit"], found["held-out"]


def test_every_line_is_a_case_with_an_answer_to_each_of_its_questions() -> None:
    for line, case in enumerate(CASES, 1):
        keys = {"state", "questions", "expected", "domain", "language", "split"}
        assert case.keys() == keys, line
        assert case["state"], line
        assert 1 <= len(case["questions"]) <= 8, line
        assert case["questions"].keys() == case["expected"].keys(), line
        assert case["domain"] in DOMAINS, line
        assert case["language"] in LANGUAGES, line
        assert case["split"] in SPLITS, line


def test_every_answer_is_one_that_its_question_offers() -> None:
    for question in every_question():
        asked, expected = question.asked, question.expected
        assert asked["instructions"].strip(), question
        if asked["type"] == "yes_no":
            assert expected in {"yes", "no"}, question
            assert set(question.options) in (set(), {"yes", "no"}), question
        elif "criteria" in asked:
            options = [option.casefold() for option in question.options]
            assert 2 <= len(options) <= 8, question
            assert len(set(options)) == len(options), question
            assert all(option == option.strip() for option in options), question
            assert expected in question.options, question
        else:
            assert asked["type"] == "score", question
            assert isinstance(expected, int | float), question
            low, high, step = asked["minimum"], asked["maximum"], asked["step"]
            assert low <= expected <= high, question
            assert (expected - low) / step == pytest.approx(round((expected - low) / step)), question


def test_the_file_stays_small_enough_for_the_wheel() -> None:
    assert len(TEXT.encode()) <= LARGEST_FILE


def test_the_text_is_plain_normalised_unicode_in_the_language_that_it_says() -> None:
    assert unicodedata.is_normalized("NFC", TEXT)
    assert not [sign for sign in TEXT if unicodedata.category(sign)[0] == "C" and sign != "\n"]
    assert "\ufffd" not in TEXT
    for line, (case, text) in enumerate(zip(CASES, TEXT.splitlines(), strict=True), 1):
        if case["language"] == "en":
            assert not re.search(r"[^\x00-\x7f°²³µ±]", text), line
        else:
            asked = (question["instructions"] for question in case["questions"].values())
            assert all(CHINESE.search(words) for words in asked), line


def test_no_address_or_host_is_anybodys() -> None:
    for address in re.findall(r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b", TEXT):
        assert address.startswith(EXAMPLE_NETWORKS), address
    assert not re.search(r"\b[\w-]+\.(?:com|net|de|cn|io|org)\b(?<!example\.org)", TEXT)
    assert "@" not in TEXT


def test_every_kind_in_every_language_has_enough_questions_half_of_them_held_out() -> None:
    counts = Counter((q.asked["type"], q.language, q.split) for q in every_question())
    for kind, language in product(KINDS, LANGUAGES):
        fit, held_out = (counts[kind, language, split] for split in SPLITS)
        assert fit + held_out >= 45, (kind, language)
        assert fit == pytest.approx(held_out, rel=0.15), (kind, language)


def test_every_domain_has_its_share_in_both_languages_and_both_halves() -> None:
    counts = Counter((case["domain"], case["language"], case["split"]) for case in CASES)
    for cell in product(DOMAINS, LANGUAGES, SPLITS):
        assert counts[cell] >= 15, cell


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_yes_is_right_as_often_as_no(language: str, split: str) -> None:
    answers = [
        q.expected for q in every_question(kind="yes_no") if (q.language, q.split) == (language, split)
    ]
    assert 0.45 <= answers.count("yes") / len(answers) <= 0.55


def test_the_right_option_of_a_choice_may_stand_anywhere() -> None:
    by_size: dict[int, Counter[int]] = {}
    for question in every_question(kind="choice"):
        options = question.options
        by_size.setdefault(len(options), Counter())[options.index(str(question.expected))] += 1
    assert set(by_size) >= {2, 3, 4, 5, 6, 7, 8}
    for size, places in by_size.items():
        counts = [places[place] for place in range(size)]
        assert max(counts) - min(counts) <= 1, (size, counts)


def test_the_longest_option_is_not_the_right_one_more_often_than_chance_has_it() -> None:
    choices = list(every_question(kind="choice"))
    longest = sum(max(q.options, key=len) == q.expected for q in choices)
    assert longest / len(choices) <= 0.35


@pytest.mark.parametrize("written", ["criteria", "minimum"])
def test_right_scores_spread_over_the_range(written: str) -> None:
    places = [q.place for q in every_question(kind="score") if written in q.asked]
    for share in (
        sum(place < 1 / 3 for place in places),
        sum(1 / 3 <= place <= 2 / 3 for place in places),
        sum(place > 2 / 3 for place in places),
    ):
        assert share / len(places) >= 0.15, places


def test_no_state_of_one_half_is_a_near_copy_of_one_in_the_other() -> None:
    fit, held_out = halves((case["split"], words_of(case["state"])) for case in CASES)
    for one, other in product(fit, held_out):
        assert alike(one, other) < 0.4, (one, other)


def test_no_question_of_one_half_is_worded_as_one_in_the_other() -> None:
    fit, held_out = halves((q.split, q.asked["instructions"]) for q in every_question())
    for one, other in product(fit, held_out):
        assert alike(one, other) < 0.7, (one, other)


def test_no_set_of_options_is_in_both_halves_or_comes_more_than_three_times() -> None:
    fit, held_out = halves(
        (q.split, frozenset(option.casefold() for option in q.options))
        for q in every_question()
        if q.options and q.asked["type"] != "yes_no"
    )
    assert not set(fit) & set(held_out)
    assert max(Counter(fit + held_out).values()) <= 3


def test_no_question_about_a_state_is_asked_twice() -> None:
    asked = Counter(
        (words_of(case["state"]), q["instructions"]) for case in CASES for q in case["questions"].values()
    )
    assert max(asked.values()) == 1
    assert max(Counter(words_of(case["state"]) for case in CASES).values()) == 1
