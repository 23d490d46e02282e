import json
from pathlib import Path

import pytest

from edgeassist.models.files.control import control_of

SHARED = Path(__file__).parents[3] / "shared" / "models"


def control(*added: str, flagged: tuple[str, ...] = (), template: str = "") -> tuple[set[str], set[str]]:
    """Return what acts as a mark of turns, and of parts of a turn, among tokens that are merely added."""
    found = control_of(flagged=flagged, added=added, roles=[], template=template)
    return set(found.turns), set(found.parts)


@pytest.mark.parametrize(
    "token",
    [
        "<|assistant|>",
        "<｜User｜>",
        "<start_of_turn>",
        "[INST]",
        "[/INST]",
        "<|fim_prefix|>",
        "<unused7>",
        "[PAD7]",
    ],
)
def test_what_reads_as_a_mark_is_one_whatever_the_file_declares(token: str) -> None:
    assert control(token) == ({token}, set())


@pytest.mark.parametrize("token", ["<think>", "</think>", "<tool_call>", "</tool_response>", "<tools>"])
def test_marks_of_thoughts_and_tool_calls_are_parts_of_a_turn(token: str) -> None:
    assert control(token) == (set(), {token})
    assert control(token, flagged=(token,)) == ({token}, set())


@pytest.mark.parametrize(
    "token",
    ["  ", "\n\n", "\t", "7", "你好", "<h1>", "</table>", "<br>", "->", "<>", "<=", "[1]", "[]", "{", "a b"],
)
def test_blanks_digits_words_and_html_are_ordinary_text(token: str) -> None:
    assert control(token) == (set(), set())


def test_a_sentences_end_is_one_if_the_other_of_the_pair_tells_so_and_else_it_is_html() -> None:
    assert control("</s>", flagged=("<s>",)) == ({"<s>", "</s>"}, set())
    assert control("<s>", "</s>", "<b>") == (set(), set())


def test_the_tokens_that_the_file_names_are_control_tokens_whatever_they_look_like() -> None:
    found = control_of(flagged=["#"], added=["end"], roles=["end", ""], template=None)
    assert found.turns == {"#", "end"}


def test_ordinary_text_that_is_named_by_mistake_stays_text() -> None:
    found = control_of(flagged=["#"], added=["end"], roles=[",", "!", "the", "</s>", "#"], template=None)
    assert found.turns == {"#", "</s>"}


def test_role_marks_that_a_template_spells_out_are_control_tokens_without_a_token_of_their_own() -> None:
    template = "{% if m.role == 'user' %}[INST] <<SYS>>{{ m['content'] }}[/INST]<|end|>{% endif %}"
    assert control(template=template) == ({"[INST]", "[/INST]", "<<SYS>>", "<|end|>"}, set())


@pytest.mark.skipif(not SHARED.is_dir(), reason="Phi-3's tokenizer lies beside the project, and is not here")
def test_all_that_shapes_phi_3s_conversations_is_control() -> None:
    added = json.loads((SHARED / "phi3-tokenizer" / "tokenizer.json").read_text())["added_tokens"]
    found = control_of(
        flagged=[each["content"] for each in added if each["special"]],
        added=[each["content"] for each in added if not each["special"]],
        roles=[],
        template=None,
    )
    assert found.turns == {each["content"] for each in added}
    assert {"</s>", "<s>", "<|user|>", "<|assistant|>", "<|end|>"} <= found.turns
