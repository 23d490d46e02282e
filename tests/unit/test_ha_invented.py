"""A call that a model writes as text is not said; JSON that somebody has asked for is."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_components.edgeassist.invented import InventedCallError, Words

TOOLS = ("intent__HassTurnOn", "intent__HassTurnOff", "todo__HassListAddItem", "GetLiveContext")


def said(pieces: Iterable[str], tools: Iterable[str] | None = TOOLS) -> str:
    words = Words(tools)
    return "".join([*map(words.take, pieces), words.rest()])


@pytest.mark.parametrize(
    ("text", "tool"),
    [
        # All from Qwen2.5-Coder-0.5B, in Home Assistant.
        ('{"name": "intent__HassTurnOnResponse", "arguments": {"name": "Kitchen Light"', None),
        ('{"name": "intent__HassTurnOff", "arguments": {"name": "Hall"}}', "intent__HassTurnOff"),
        ('```json\n{\n  "name": "intent__HassTurnOnAllTimers",\n  "arguments": {}\n}\n```', None),
        ('{"name": "HassTurnOn", "arguments": {"message": "It is on."}}', "intent__HassTurnOn"),
        ('Sure. {"function": {"name": "GetLiveContext"}}', "GetLiveContext"),
        ("{'name': 'play_music', 'parameters': {}}", None),
        ('<tool_call>\n{"name": "HassTurnOn"}', None),
        ("<function=light_on>", None),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_call_as_text_ends_the_answer(text: str, tool: str | None, size: int) -> None:
    with pytest.raises(InventedCallError) as invented:
        said(text[start : start + size] for start in range(0, len(text), size))
    assert invented.value.tool == tool


@pytest.mark.parametrize(
    "text",
    [
        'As data: {"name": "Kitchen", "state": "on"}',
        '"Good night!"',
        "[laughs] Good night.",
        "It is `on`, a < b, and {so on}.",
        "name: HassTurnOn",
        "",
    ],
)
def test_what_is_no_call_is_said_as_it_is(text: str) -> None:
    assert said(text) == text


@pytest.mark.parametrize(
    "text",
    [
        '{"canceled": 0, "area": "garage"}',
        '```json\n{"temperature": 21}\n```',
        '[{"name": "Kitchen"}, {"na',
        "{}",
    ],
)
def test_an_answer_that_is_nothing_but_json_is_not_said(text: str) -> None:
    with pytest.raises(InventedCallError) as invented:
        said(text)
    assert invented.value.tool is None
    assert said(text, None) == text


def test_words_are_said_as_they_come() -> None:
    words = Words(TOOLS)
    assert words.take("The light is on.") == "The light is on."
    assert words.take(' {"na') == " "
    assert words.take('me": "Kitchen"}') == ""
    assert words.rest() == '{"name": "Kitchen"}'


def test_an_answer_that_begins_anew_has_nothing_of_the_one_before() -> None:
    words = Words(TOOLS)
    assert words.take('{"name": ') == ""
    words.forget()
    assert words.take("It is on.") == "It is on."


def test_where_no_tools_were_offered_all_is_said() -> None:
    assert said(['{"name": "intent__HassTurnOn", "arguments": {}}'], None).startswith("{")


@given(st.lists(st.text(st.sampled_from('{}`<>tolfunci"name: '))))
def test_nothing_is_lost_or_added(pieces: list[str]) -> None:
    try:
        assert said(pieces) == "".join(pieces)
    except InventedCallError:
        assert "{" in "".join(pieces) or "<" in "".join(pieces)
