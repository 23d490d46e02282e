"""What a model is that writes no text, and what is said of it."""

from __future__ import annotations

import pytest

from edgeassist.models.kinds import Traits, objection


@pytest.mark.parametrize(
    ("traits", "words"),
    [
        (Traits("bert"), "an embedding model"),
        (Traits("nomic-bert-moe"), "an embedding model"),
        (Traits("gemma-embedding"), "an embedding model"),
        (Traits("t5encoder"), "an embedding model"),
        (Traits("qwen3", pooling=3), "an embedding model"),
        (Traits("qwen3", pooling=4), "a reranker"),
        (Traits("llama", causal=False), "its attention is not causal"),
        (Traits("t5"), "an encoder-decoder model"),
        (Traits("marian-ssru"), "an encoder-decoder model"),
        (Traits("whisper"), "writes down speech"),
        (Traits("qwen3tts"), "makes speech"),
        (Traits("flux"), "draws pictures"),
        (Traits("llada"), "a diffusion model"),
        (Traits("qwen2", weights=False), "without weights, such as a vocabulary"),
        (Traits("", file="imatrix"), "an importance matrix"),
    ],
)
def test_what_writes_no_text_is_called_what_it_is_and_a_language_model_asked_for(
    traits: Traits, words: str
) -> None:
    said = objection(traits)
    assert said is not None
    assert words in said
    assert "name a language model that writes text (edgeassist recommend" in said


@pytest.mark.parametrize(
    ("traits", "words"),
    [
        (Traits("llama", file="adapter"), "an adapter (LoRA)"),
        (Traits("clip", file="mmproj"), "a projector (mmproj)"),
        (Traits("clip"), "a projector (mmproj)"),
        (Traits("eagle3"), "a draft model"),
        (Traits("controlvector"), "a control vector"),
    ],
)
def test_for_what_belongs_to_a_model_that_model_is_asked_for(traits: Traits, words: str) -> None:
    said = objection(traits)
    assert said is not None
    assert words in said
    assert "name the file of the model that it belongs to" in said


@pytest.mark.parametrize(
    "traits",
    [
        Traits("qwen2"),
        Traits("gemma3", pooling=0),
        Traits("pangu-embedded"),
        Traits("qwen2", pooling=0xFFFFFFFF),
        Traits("an architecture of next year", file="a new kind of file"),
    ],
)
def test_a_language_model_and_what_nobody_knows_are_let_through(traits: Traits) -> None:
    assert objection(traits) is None
