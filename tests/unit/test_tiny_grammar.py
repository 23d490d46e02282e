"""The grammar of EdgeAssist Tiny's answers, as llguidance reads it."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator
from llguidance import LLMatcher, LLTokenizer
from llguidance.gbnf_to_lark import any_to_lark

from edgeassist.models.builtin import action_schema, home_grammar
from edgeassist.protocol.requests import PromptRequest
from scripts.train_tiny.dialogues.generator import Task, make_dialogue

BYTES = LLTokenizer("byte")
MATCHER = LLMatcher(BYTES, LLMatcher.grammar_from_lark(any_to_lark(home_grammar())))


def accepts(answer: str) -> bool:
    """Whether it is a whole answer of the grammar."""
    matcher = MATCHER.deep_copy()
    tokens = BYTES.tokenize_str(answer)
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


def test_a_device_takes_it_as_grammar_and_the_schema_as_json_schema() -> None:
    assert PromptRequest(prompt="x", grammar=home_grammar()).constraints == ("grammar",)
    assert PromptRequest(prompt="x", json_schema=action_schema()).constraints == ("json_schema",)
    Draft202012Validator.check_schema(action_schema())


def test_nothing_that_the_model_is_taught_to_answer_is_forbidden() -> None:
    replies = {(turn.task, turn.reply) for number in range(600) for turn in make_dialogue(number).turns}
    assert {task for task, _ in replies} == set(Task)
    assert [reply for _, reply in replies if not accepts(reply)] == []


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "{",
        "{}",
        '{"action":"turn_on"}',
        '{"action":"turn_on","device":"oven"}',
        '{"action":"turn_on","device":"light"',
        '{"action":"turn_on","device":"light"} and more',
        '{ "action": "turn_on", "device": "light" }',
        ' {"action":"turn_on","device":"oven"}',
        '{"action":"set","device":"light","property":"brightness","value":"30"}',
        "two\nlines",
    ],
)
def test_no_answer_that_looks_like_an_action_is_anything_but_a_valid_one(answer: str) -> None:
    assert not accepts(answer)


def test_a_room_whose_name_goes_on_for_ever_is_ended() -> None:
    action = '{"action":"turn_on","device":"light","room":"%s"}'
    assert accepts(action % ("天" * 32))
    assert not accepts(action % ("天" * 33))


def test_keys_come_in_the_order_that_the_model_has_learnt() -> None:
    action = {"action": "set", "device": "light", "property": "brightness", "value": 30}
    assert accepts(json.dumps(action, separators=(",", ":")))
    assert not accepts(json.dumps(dict(reversed(action.items())), separators=(",", ":")))
