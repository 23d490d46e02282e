"""The tokenizer of EdgeAssist Tiny: every text has tokens, and a name has the same ones everywhere."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.engine.messages import ChatMessage
from edgeassist.engine.prompting.chat import ChatTemplate
from edgeassist.trial_models.vocabulary import CONTROL_TOKENS
from scripts.train_tiny.dialogues.generator import make_dialogue, training_texts
from scripts.train_tiny.tokenizer import Encoder, Merges, learn_merges, load_merges, save_merges


@cache
def merges() -> Merges:
    return learn_merges(training_texts(300), 800)


@cache
def encoder() -> Encoder:
    return Encoder(merges())


def test_the_same_texts_give_the_same_merges() -> None:
    assert learn_merges(training_texts(300), 800) == merges()
    assert encoder().vocabulary.size == 800


def test_merges_are_read_as_they_were_written(tmp_path: Path) -> None:
    save_merges(tmp_path / "merges.txt", merges())
    assert load_merges(tmp_path / "merges.txt") == merges()


@given(st.text())
def test_any_text_comes_back_from_its_tokens(text: str) -> None:
    tokens = encoder().encode(text)
    if not any(token in text for token in CONTROL_TOKENS):
        assert encoder().decode(tokens) == text
    assert max(tokens, default=0) < encoder().vocabulary.size


NAMES = ["kitchen", "brintal", "gortdrom den", "卧室", "喊姥亭", "room 312", "bob's den"]
AROUND = [(" ", " "), ('":"', '","'), ("\n", ":"), (" ", "?"), ("，", "。")]


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [*((name, *around) for name in NAMES for around in AROUND), ("卧室", "把", "的"), ("喊姥亭", "在", "里")],
)
def test_a_name_has_the_same_tokens_wherever_it_stands(name: str, before: str, after: str) -> None:
    parts = [encoder().encode(part) for part in (before, name, after)]
    assert encoder().encode(before + name + after) == [token for part in parts for token in part]


def test_every_token_that_is_text_comes_back_as_itself() -> None:
    tokens = encoder().vocabulary.entries["tokenizer.ggml.tokens"].value
    for number, token in enumerate(tokens):
        text = encoder().decode([number])
        assert (text == "") == (token in CONTROL_TOKENS)


def test_digits_are_tokens_of_their_own() -> None:
    assert len(encoder().encode("1234567890")) == 10


def test_a_dialogue_has_the_assistants_words_and_the_end_of_its_turns_marked() -> None:
    dialogue = make_dialogue(1)
    encoded = encoder().dialogue(dialogue.system, [(turn.user, turn.reply) for turn in dialogue.turns])
    assert len(encoded.tokens) == len(encoded.spoken)
    spoken = [token for token, is_spoken in zip(encoded.tokens, encoded.spoken, strict=True) if is_spoken]
    assert spoken.count(encoder().end) == len(dialogue.turns)
    assert encoder().decode(spoken) == "".join(turn.reply for turn in dialogue.turns)


def test_a_dialogue_begins_with_the_prompt_of_its_first_turn() -> None:
    dialogue = make_dialogue(1)
    encoded = encoder().dialogue(dialogue.system, [(turn.user, turn.reply) for turn in dialogue.turns])
    prompt = encoder().prompt(dialogue.system, dialogue.turns[0].user)
    assert encoded.tokens[: len(prompt)] == prompt
    assert encoded.spoken[len(prompt)]


def test_the_chat_template_makes_the_prompt_that_was_trained_and_lowers_only_what_somebody_says() -> None:
    template = ChatTemplate(encoder().vocabulary.entries["tokenizer.chat_template"].value)
    system, user = "Sensors:\nKitchen power: 20 W", "Kitchen POWER?"
    messages = [ChatMessage(role="system", content=system), ChatMessage(role="user", content=user)]
    text = "".join(segment.text for segment in template.render(messages))
    assert text == (
        f"<|im_start|>system\n{system}<|im_end|>\n"
        "<|im_start|>user\nkitchen power?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert encoder().decode(encoder().prompt(system, user)) == re.sub(r"<\|im_\w+\|>", "", text)
