import json

import pytest

from edgeassist.engine.constraints.grammars import grammar_of
from edgeassist.engine.messages import Constraint, ConstraintKind
from edgeassist.errors import InvalidRequestError
from tests.judge.walks import allows, matcher, walks


def allowed(kind: ConstraintKind, text: str, *answers: str) -> list[bool]:
    grammar = grammar_of(Constraint(kind, text))
    return [allows(grammar, answer.encode()) for answer in answers]


def test_a_schema_and_a_regular_expression_have_their_grammars() -> None:
    assert allowed(ConstraintKind.JSON_SCHEMA, '{"type":"null"}', "null", "1") == [True, False]
    assert allowed(ConstraintKind.REGEX, r"^\d+$", "12", "1a") == [True, False]


@pytest.mark.parametrize(
    "text",
    [
        'start: "a" start',
        "start: start",
        'start: x\nx: "b" y\ny: ("c" | "d") x',
        'start: "a" x // and so on\n?x: "b" x | "c"+ x\nz: "x"',
        'start: x+\nx: x "b"',
        'start: x~2\nx: "(" x ")"',
        'start: [x] "a" y\nx: "b"\ny.2: /[a-z]/ y | %json {"enum": ["y: 1", "|"]} y',
        'start: "a" start\n%ignore /[ ]+/',
        'start: x{1,3}\nx: "b" x',
        'root ::= "a" root',
        'root ::= item+\nitem ::= "(" item ")" | [a-z] item',
    ],
)
def test_a_grammar_without_a_finite_text_is_refused(text: str) -> None:
    with pytest.raises(
        InvalidRequestError, match="grammar: no answer fulfils it: its first rule always leads"
    ):
        grammar_of(Constraint(ConstraintKind.GRAMMAR, text))


@pytest.mark.parametrize(
    "text",
    [
        'start: "a" start | "b"',
        'start: "a" start?',
        'start: "a" [start]',
        'start: "a" (start | "b" start)*',
        'start: x~0..2 "a"\nx: "b" x',
        'start: x{0,2} "a"\nx: "b" x',
        'start: "a"{\x1f2}',
        'start: "a"{' + "9" * 5000 + "}",
        'start: x\nx: y\n  | "(" x ")"\ny: Z\nZ: /z|\\/start: start/',
        'start: "start: start" // start: start\n# start: start\n',
        'start: "c" | x\nx: "b" x',
        'start: %json {"type": "object", "properties": {"start": {"const": ")(|"}}}',
        "start: WORD\n%import common.WORD",
        'root ::= "a" root?',
        'root ::= ("a" | "b" root)',
    ],
)
def test_a_grammar_with_a_finite_text_is_not(text: str) -> None:
    assert grammar_of(Constraint(ConstraintKind.GRAMMAR, text))


def test_a_choice_is_one_of_the_texts_exactly() -> None:
    texts = ["a", "ab", "two words", "é😀", "<|im_end|>", "a\nb", '"']
    assert allowed(ConstraintKind.CHOICE, json.dumps(texts), *texts) == [True] * len(texts)
    assert allowed(ConstraintKind.CHOICE, json.dumps(texts), "", "abc", "two  words", '"a"') == [False] * 4
    grammar = grammar_of(Constraint(ConstraintKind.CHOICE, json.dumps(texts)))
    assert {answer.decode() for answer in walks(grammar, 100, "choice")} == set(texts)


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        (ConstraintKind.CHOICE, "a,b", "choice: not a JSON list of texts"),
        (ConstraintKind.CHOICE, "[]", "choice: give a list of texts, one at least, none of them empty"),
        (ConstraintKind.CHOICE, '["a",1]', "choice: give a list of texts, one at least, none of them empty"),
        (ConstraintKind.CHOICE, '[""]', "choice: give a list of texts, one at least, none of them empty"),
        (ConstraintKind.CHOICE, '["\\ud800"]', "choice: half a surrogate pair is no character"),
        (ConstraintKind.CHOICE, json.dumps(["a"] * 1001), "choice: there are more than 1,000 texts"),
        (ConstraintKind.REGEX, "(?!a)", "regex: a lookahead is not enforced here"),
        (
            ConstraintKind.GRAMMAR,
            "start: <|im_end|>",
            "grammar: <|im_end|>, a control token, is not enforced here",
        ),
        (
            ConstraintKind.GRAMMAR,
            "start: %lark {}",
            "grammar: '%lark' is not enforced here",
        ),
        (ConstraintKind.GRAMMAR, "start: @other", "grammar: '@other' is not enforced here"),
        (ConstraintKind.GRAMMAR, "root ::= x", "grammar: not GBNF: Rule 'x' not found"),
        (ConstraintKind.GRAMMAR, 'root ::= "\\ud800"', "grammar: \\ud800 is no character"),
        (
            ConstraintKind.GRAMMAR,
            "root ::= <think>",
            "grammar: not GBNF: Expected name at line 1, 'root ::= ' ^ '<think>'",
        ),
    ],
)
def test_what_is_not_enforced_is_refused_with_the_fields_name(
    kind: ConstraintKind, text: str, told: str
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        grammar_of(Constraint(kind, text))
    assert refused.value.message == told


def test_a_lark_grammar_is_taken_as_it_is() -> None:
    lark = '%llguidance {}\nstart: "a" | "<b>%json@x" num // %json\nnum: /[0-9]+\\/<c>/\n%ignore " "\n'
    assert allowed(ConstraintKind.GRAMMAR, lark, "a", "<b>%json@x12/<c>", "b") == [True, True, False]


def test_llama_cpps_grammars_are_converted() -> None:
    gbnf = 'root ::= "\\u00e9\\x41" [\\u00e0-\\u00ff]{2,3} tail? # note\ntail ::= "\\U0001F600" | "/" [^a]\n'
    answers = ("éAàÿ", "éAàÿà😀", "éAàÿ/b", "éAàÿ/a", "éAà")
    assert allowed(ConstraintKind.GRAMMAR, gbnf, *answers) == [True, True, True, False, False]


def test_a_grammar_that_does_not_compile_is_an_error_of_its_matcher() -> None:
    assert matcher(grammar_of(Constraint(ConstraintKind.GRAMMAR, "start"))).is_error()


def test_a_schema_in_a_grammar_is_enforced_like_any_other() -> None:
    schema = '{"x-guidance":{"whitespace_flexible":false},"type":"object","properties":{"a":{"type":"null"}}}'
    lark = f'start: "say " %json {schema} end\nend: "." | "%json"\n'
    answers = ('say {"a":null}.', 'say {"a":null}%json', r'say {"\u0061":""}.', 'say {"a": null}.')
    assert allowed(ConstraintKind.GRAMMAR, lark, *answers) == [True, True, False, False]


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ('{"items":{"not":{}}}', "#/items: the keyword 'not' is not enforced here"),
        (
            '{"x-guidance":{"lenient":true}}',
            "#: the keyword 'x-guidance' is not enforced here: the answer is",
        ),
        ("{", "#: no JSON follows it"),
    ],
)
def test_a_schema_in_a_grammar_is_refused_like_any_other(schema: str, told: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        grammar_of(Constraint(ConstraintKind.GRAMMAR, f"start: %json {schema}"))
    assert refused.value.message.startswith(f"grammar: %json: {told}")
