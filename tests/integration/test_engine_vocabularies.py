"""Vocabularies as people have them: of another size than the model, and with ends that nothing declares."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeassist.engine.backends.llama.log import LlamaLog
from edgeassist.engine.backends.llama.model import load_model
from edgeassist.engine.backends.loading import load_backend
from edgeassist.engine.messages import (
    Constraint,
    ConstraintKind,
    Finish,
    Finished,
    Load,
    LoadMode,
    Question,
    QuestionKind,
    Sampling,
)
from edgeassist.models.files.gguf_container import read_fields
from tests.integration.driver import Engine
from tests.other_models import rewrite

WARM = Sampling(temperature=2.0, top_k=0, top_p=1.0, min_p=0.0)
REGEX = Constraint(ConstraintKind.REGEX, "([a-z]{1,8} ){12}")


@pytest.fixture
def folder(trial_onnx: Path, tmp_path: Path) -> Path:
    """A model folder of the test's own."""
    return Path(shutil.copytree(trial_onnx, tmp_path / "model"))


def change(path: Path, how: Callable[[Any], object]) -> None:
    document = json.loads(path.read_text())
    how(document)
    path.write_text(json.dumps(document))


def shorten(tokenizer: Any, size: int = 400) -> None:
    """Leave only the first tokens: a model that pads its vocabulary has more rows than tokens."""
    model = tokenizer["model"]
    model["vocab"] = {text: number for text, number in model["vocab"].items() if number < size}
    model["merges"] = [each for each in model["merges"] if "".join(each.split(" ")) in model["vocab"]]


def lengthen(tokenizer: Any, size: int = 2000) -> None:
    """Add tokens that the model has no rows for, as Gemma 3's tokenizer has one for pictures."""
    vocab = tokenizer["model"]["vocab"]
    for number in range(len(vocab), size):
        vocab[f"Ġadded{number}"] = number
    tokenizer["added_tokens"].append({**tokenizer["added_tokens"][0], "id": size, "content": "<image>"})


@pytest.mark.parametrize("how", [shorten, lengthen])
def test_an_answer_ends_well_where_model_and_tokenizer_differ_in_size(
    fresh: Engine, folder: Path, how: Callable[[Any], object]
) -> None:
    change(folder / "tokenizer.json", how)
    fresh.load("onnx", folder)
    assert isinstance(fresh.answer("Tell me", sampling=WARM, max_tokens=100).ending, Finished)
    for _ in range(5):
        answer = fresh.answer("Tell me", sampling=WARM, max_tokens=100, constraint=REGEX)
        assert isinstance(answer.ending, Finished), answer.ending
        assert re.fullmatch(REGEX.text, answer.text)
        assert answer.ending.reason is Finish.STOP


def test_a_word_that_the_model_has_no_row_for_is_read_as_its_letters(fresh: Engine, folder: Path) -> None:
    token = {"id": 2000, "content": "kitchen", "special": False}
    change(folder / "tokenizer.json", lambda document: document["added_tokens"].append(token))
    fresh.load("onnx", folder)
    assert isinstance(fresh.answer("Is the kitchen warm?", max_tokens=5).ending, Finished)
    question = Question(QuestionKind.CHOICE, "Which room?", ("kitchen", "cellar"))
    assert fresh.decide("The kitchen is warm.", question)


# One turn after the other, with nothing that ends one.
ENDLESS = (
    "{% for m in messages %}{{ m.role + ': ' + m.content + ' ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)


def test_an_answer_ends_where_nothing_but_the_name_of_a_token_says_so(fresh: Engine, folder: Path) -> None:
    # Not 258, which is <|im_end|>.
    change(folder / "genai_config.json", lambda document: document["model"].update(eos_token_id=[3]))
    change(
        folder / "tokenizer_config.json",
        lambda document: document.update(eos_token=None, chat_template=ENDLESS),
    )
    fresh.load("onnx", folder)
    answers = [fresh.answer("Tell me", sampling=WARM, max_tokens=2000) for _ in range(3)]
    assert {answer.finished.reason for answer in answers} == {Finish.STOP}
    assert not any("<|" in answer.text for answer in answers)


def test_an_answer_of_a_gguf_model_ends_at_a_turn_that_the_file_does_not_declare(
    fresh: Engine, trial_model: Path, tmp_path: Path
) -> None:
    # 256 is <|endoftext|>, with which texts of a base model end.
    path = rewrite(trial_model, tmp_path / "base.gguf", {"tokenizer.ggml.eos_token_id": 256})
    fresh.load("llama", path)
    answers = [fresh.answer("Tell me", sampling=WARM, max_tokens=2000) for _ in range(3)]
    assert {answer.finished.reason for answer in answers} == {Finish.STOP}
    assert not any("<|" in answer.text for answer in answers)


def without_marks(path: Path, target: Path) -> Path:
    """Copy a model whose vocabulary has none of the marks that its template writes."""
    data = path.read_bytes()
    for mark in (b"<|im_start|>", b"<|im_end|>"):
        data = data.replace(mark, mark.replace(b"|", b"!"), 1)
    target.write_bytes(data)
    return target


def test_a_turns_end_that_the_vocabulary_has_no_token_for_ends_an_answer_as_text(
    trial_model: Path, tmp_path: Path
) -> None:
    def ends(path: Path) -> tuple[str, ...]:
        load = Load("llama", str(path), context=256, threads=1, step_tokens=64)
        return load_backend(load, lambda _: None).codec.ends

    assert ends(trial_model) == ()
    assert ends(without_marks(trial_model, tmp_path / "marks.gguf")) == ("<|im_end|>", "<|im_start|>")


def with_strike(path: Path, target: Path) -> Path:
    """Copy a model in whose vocabulary the word " of" is `</s>`."""
    length = (4).to_bytes(8, "little")
    data = path.read_bytes()
    assert length + " of".replace(" ", "Ġ").encode() in data
    target.write_bytes(data.replace(length + " of".replace(" ", "Ġ").encode(), length + b"</s>", 1))
    return target


@pytest.mark.parametrize("declared", [False, True])
def test_a_strike_out_of_html_ends_no_answer_unless_the_file_says_so(
    trial_model: Path, tmp_path: Path, *, declared: bool
) -> None:
    path = with_strike(trial_model, tmp_path / "html.gguf")
    texts = read_fields(path)["tokenizer.ggml.tokens"].values()
    strike = texts.index("</s>")
    if declared:
        path = rewrite(path, tmp_path / "declared.gguf", {"tokenizer.ggml.eos_token_id": strike})
    model = load_model(path, LoadMode.READ, LlamaLog(), lambda _: None)
    model.chat_template(None)
    assert (model.token(strike).ends, strike in model.ends) == (declared, declared)
    assert model.token(strike).piece == (b"" if declared else b"</s>")
