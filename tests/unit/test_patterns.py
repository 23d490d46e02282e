import re

import pytest
from hypothesis import given, settings
from llguidance import LLMatcher

from edgeassist.engine.constraints.patterns import found, whole
from edgeassist.engine.constraints.refusals import Refusal
from tests.judge.strategies import PATTERNS
from tests.judge.walks import allows, walks


def allowed(pattern: str, *answers: str) -> list[bool]:
    grammar = LLMatcher.grammar_from_regex(whole(pattern))
    return [allows(grammar, answer.encode()) for answer in answers]


def holding(pattern: str, *answers: str, ascii_only: bool = False) -> list[bool]:
    grammar = LLMatcher.grammar_from_regex(found(pattern, ascii_only=ascii_only))
    return [allows(grammar, answer.encode()) for answer in answers]


@pytest.mark.parametrize(
    ("pattern", "answers", "expected"),
    [
        ("yes|no", ["yes", "no", "yesno", ""], [True, True, False, False]),
        ("^a|b$", ["a", "b", "ab"], [True, True, False]),
        (r"\d{3}-\d+?", ["123-4", "12-4", "١٢٣-4"], [True, False, False]),
        ('a/b"#&&~~--', ['a/b"#&&~~--'], [True]),
        (r"[[&&b\]]+", ["[&b]", "c"], [True, False]),
        ("(?:x|(y))?", ["", "x", "y", "xy"], [True, True, True, False]),
        (r"\x41\u65e5\.", ["A日.", "A日x"], [True, False]),
        ("[^a-c]", ["d", "日", "a", ""], [True, True, False, False]),
        ("", ["", "a"], [True, False]),
    ],
)
def test_a_regular_expression_is_the_whole_answer(
    pattern: str, answers: list[str], expected: list[bool]
) -> None:
    assert allowed(pattern, *answers) == expected


@pytest.mark.parametrize(
    ("pattern", "answers", "expected"),
    [
        ("a", ["a", "xay", "\na\n", "b"], [True, True, True, False]),
        ("^a|b$", ["ax", "xb", "xa"], [True, True, False]),
        ("^$", ["", "a"], [True, False]),
    ],
)
def test_a_pattern_is_found_anywhere_but_for_its_anchors(
    pattern: str, answers: list[str], expected: list[bool]
) -> None:
    assert holding(pattern, *answers) == expected


@pytest.mark.parametrize(
    ("pattern", "disputed"),
    [
        ("^.$", "\r\u2028\u2029\n"),
        (r"^\s$", "\x1c\x85\ufeff"),
        (r"^\S$", "\x1c\x85\ufeff "),
        (r"^[^\s]$", "\x1c\x85\ufeff "),
        (r"^\w$", "é٣"),
        (r"^\W$", "é٣"),
        (r"^\d$", "٣"),
        (r"^\D$", "٣"),
        (r"^[^\d]$", "٣"),
    ],
)
def test_a_character_on_which_dialects_differ_is_not_written(pattern: str, disputed: str) -> None:
    assert holding(pattern, *disputed) == [False] * len(disputed)


@pytest.mark.parametrize(
    ("pattern", "answers"),
    [
        (".", "aé日 "),
        (r"\s", " \t\u00a0\u3000"),
        (r"\S", "aé日😀"),
        (r"\w", "aZ_9"),
        (r"\W", "- .。"),
        (r"\D", "aé日-"),
        (r"[\W\d]", "-5"),
    ],
)
def test_a_class_is_all_that_they_agree_on(pattern: str, answers: str) -> None:
    assert allowed(pattern, *answers) == [True] * len(answers)


@settings(derandomize=True, deadline=None)
@given(PATTERNS)
def test_python_finds_the_pattern_in_every_answer(pattern: str) -> None:
    for answer in walks(LLMatcher.grammar_from_regex(found(pattern)), 20, pattern):
        assert re.search(pattern, answer.decode()), answer


def test_names_have_printable_ascii_only_where_that_is_asked() -> None:
    assert holding("^[^x].", "ab", "a日", "日b", "a\n", ascii_only=True) == [True, False, False, False]


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("(?=a)", "a lookahead is not enforced here"),
        ("(?<!a)", "a lookbehind is not enforced here"),
        ("(?P<n>a)", "a named group is not enforced here"),
        ("(?i)a", "a group with flags is not enforced here"),
        (r"(a)\1", r"'\1' (what a group matched) is not enforced here"),
        (r"\bword", r"'\b' is not enforced here"),
        (r"\p{L}", r"'\p' is not enforced here"),
        ("a^b", "'^' works only at an end of the pattern or of its alternatives"),
        ("(a$)", "'$' works only at an end of the pattern or of its alternatives"),
        ("(a", "a group is not closed"),
        ("a)", "unexpected ')' at character 2"),
        ("[a", "it ends too early"),
        ("\\", "it ends too early"),
        ("[]", "'[]' and '[^]' mean different things to different readers"),
        ("[z-a]", "the range z-a goes backwards"),
        (r"[a-\d]", "a range in brackets goes from one character to another"),
        ("a**", r"'*' at character 3 repeats nothing; for the character, write '\*'"),
        ("a{,3}", r"'{' at character 2 begins no count; for the character, write '\{'"),
        ("a{3,2}", "{3,2} counts backwards"),
        ("a{1001}", "something in it repeats more than 1,000 times"),
        ("(a{100}){11}", "something in it repeats more than 1,000 times"),
        ("a{" + "9" * 9999 + "}", "it has more than 4,096 characters"),
        (r"\u00g0", r"'\u' takes 4 hexadecimal digits"),
        (r"\ud800", "half a surrogate pair is no character"),
        ("(" * 40, "more than 32 groups stand in one another"),
    ],
)
def test_what_dialects_do_not_agree_on_is_refused_in_words(pattern: str, told: str) -> None:
    with pytest.raises(Refusal) as refused:
        whole(pattern)
    assert refused.value.reason == told
