"""Models as people have them: vocabularies of another size, ends that nothing declares, several templates."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeassist.engine.backends.llama.log import LlamaLog
from edgeassist.engine.backends.llama.model import Model
from edgeassist.engine.backends.llama.weights import load_weights
from edgeassist.engine.messages import (
    Constraint,
    ConstraintKind,
    Finish,
    Finished,
    LoadMode,
    Question,
    QuestionKind,
    Sampling,
)
from edgeassist.models.files.gguf import read_gguf
from edgeassist.models.files.gguf_container import read_fields
from tests.integration.driver import Engine
from tests.other_models import rewrite
from tests.tools_templates import HERMES, QUESTION, TOOLS

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


TURN_END = "258"  # <|im_end|>
# What ends an answer: ids of tokens, and texts.
ENDS = """
import sys
from edgeassist.engine.backends.loading import load_backend
from edgeassist.engine.messages import Load

load = Load(sys.argv[1], sys.argv[2], context=256, threads=1, step_tokens=64)
model = load_backend(load, lambda _: None)
print(*model.ends)
print(*model.codec.ends)
"""


def ends_of(backend: str, path: Path) -> tuple[list[str], list[str]]:
    command = [sys.executable, "-c", ENDS, backend, str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    ids, texts = ended.stdout.splitlines()
    return ids.split(), texts.split()


# One turn after the other, with nothing that ends one.
ENDLESS = (
    "{% for m in messages %}{{ m.role + ': ' + m.content + ' ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)


def test_an_answer_ends_where_nothing_but_the_name_of_a_token_says_so(folder: Path) -> None:
    change(folder / "genai_config.json", lambda document: document["model"].update(eos_token_id=[3]))
    change(
        folder / "tokenizer_config.json",
        lambda document: document.update(eos_token=None, chat_template=ENDLESS),
    )
    assert TURN_END in ends_of("onnx", folder)[0]


def test_an_answer_of_a_gguf_model_ends_at_a_turn_that_the_file_does_not_declare(
    trial_model: Path, tmp_path: Path
) -> None:
    # 256 is <|endoftext|>, with which texts of a base model end.
    path = rewrite(trial_model, tmp_path / "base.gguf", {"tokenizer.ggml.eos_token_id": 256})
    assert TURN_END in ends_of("llama", path)[0]


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
    assert ends_of("llama", trial_model)[1] == []
    path = without_marks(trial_model, tmp_path / "marks.gguf")
    assert ends_of("llama", path)[1] == ["<|im_end|>", "<|im_start|>"]


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
    model = Model(load_weights(path, LoadMode.READ, LlamaLog()))
    speech = model.speech(None)
    assert (model.token(strike).ends, strike in speech.ends) == (declared, declared)
    assert model.token(strike).piece == (b"" if declared else b"</s>")


def rendered(path: Path, *, configured: str | None = None) -> tuple[str, str]:
    """Return what a GGUF model reads of a question: without tools, and with some."""
    chat = Model(load_weights(path, LoadMode.READ, LlamaLog())).speech(configured).chat
    without, with_tools = (chat.render([QUESTION], tools=tools) for tools in (None, TOOLS))
    return "".join(each.text for each in without), "".join(each.text for each in with_tools)


def test_a_gguf_models_template_for_tools_is_used_where_there_are_any(
    trial_model: Path, tmp_path: Path
) -> None:
    path = rewrite(trial_model, tmp_path / "two.gguf", {"tokenizer.chat_template.tool_use": HERMES})
    without, with_tools = rendered(path)
    assert without == rendered(trial_model)[0]
    assert "<tool>" in with_tools
    assert "<tool>" not in rendered(trial_model)[1]
    assert read_gguf(path).template_for_tools == HERMES
    # What `model.template` names takes the place of both.
    assert rendered(path, configured=read_gguf(trial_model).template) == rendered(trial_model)
