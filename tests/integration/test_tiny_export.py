"""What is exported for both engines: the same tokens, and the same answers from the same weights."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from edgeassist.engine.messages import ChatMessage, Finished
from edgeassist.trial_models.synthetic import Shape, draw, tensors
from edgeassist.trial_models.vocabulary import Turns
from scripts.train_tiny.dialogues.generator import Task, make_question, training_texts
from scripts.train_tiny.dialogues.language import Language
from scripts.train_tiny.dialogues.split import Split
from scripts.train_tiny.export import Storage, Weights, export_gguf, export_onnx
from scripts.train_tiny.shape import tiny_shape
from scripts.train_tiny.tokenizer import Encoder, learn_merges
from tests.integration.driver import Engine

STRANGE = [
    "naïve Ω 🙂 ÿ",
    "\x01\x7f",
    "  two  spaces\n\n\tand a tab ",
    "'s 'S it's",
    "ABC。，“”x",
    "１２３ ٣ ½",
]
PROGRAM = """
import json, sys
from edgeassist.engine.backends.loading import load_backend
from edgeassist.engine.messages import ChatMessage, Load
options = Load(sys.argv[1], sys.argv[2], context=1024, threads=1, step_tokens=64)
codec = load_backend(options, lambda _: None).codec
for system, user in json.load(sys.stdin):
    messages = [ChatMessage("system", system)] * bool(system) + [ChatMessage("user", user)]
    print(json.dumps([int(token) for token in codec.encode(messages).tokens]))
"""


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(learn_merges(training_texts(300), 800))


@pytest.fixture(scope="module")
def shape(encoder: Encoder) -> Shape:
    return tiny_shape(encoder.vocabulary.size)


@pytest.fixture(scope="module")
def weights(encoder: Encoder, shape: Shape) -> Weights:
    """Random weights of the model's own shape that never produce a part of a character.

    A trained model produces whole characters; invalid UTF-8 becomes different text in each backend's library.
    """
    random, loudness = np.random.default_rng(0), encoder.vocabulary.loudness(Turns.ENDING)
    loudness[[token for token in range(len(loudness)) if "\ufffd" in encoder.decode([token])]] = 0
    return {each.name: np.concatenate(list(draw(each, random, loudness))) for each in tensors(shape)}


@pytest.fixture(scope="module", params=list(Storage))
def models(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    encoder: Encoder,
    shape: Shape,
    weights: Weights,
) -> Mapping[str, Path]:
    """Both exports, by the engine's name for their backend."""
    folder = tmp_path_factory.mktemp("tiny")
    paths = {"llama": folder / "tiny.gguf", "onnx": folder / "tiny-onnx"}
    export_gguf(paths["llama"], shape, weights, encoder.vocabulary, request.param)
    export_onnx(paths["onnx"], shape, weights, encoder.vocabulary, request.param)
    return paths


def asked() -> list[tuple[str, str]]:
    """Return what people say: a system prompt, and a question."""
    dialogues = [
        make_question(task, language, Split.SEEN, number)
        for task in (Task.ACTION, Task.READING)
        for language in Language
        for number in range(10)
    ]
    return [(each.system, each.turns[0].user) for each in dialogues]


@pytest.mark.parametrize("backend", ["llama", "onnx"])
def test_both_engines_make_the_tokens_that_training_made(
    encoder: Encoder, models: Mapping[str, Path], backend: str
) -> None:
    prompts = [*asked(), *(("", text) for text in STRANGE)]
    ended = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, backend, str(models[backend])],
        input=json.dumps(prompts),
        capture_output=True,
        text=True,
        check=True,
    )
    told = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("[")]
    assert told == [encoder.prompt(system, user) for system, user in prompts]


def answers(backend: str, path: Path, count: int = 40) -> list[str]:
    with Engine() as engine:
        engine.load(backend, path, context=1024)
        endings = []
        for system, user in asked()[:count]:
            messages = (*((ChatMessage("system", system),) if system else ()), ChatMessage("user", user))
            endings.append(engine.answer("", messages=messages, max_tokens=24))
        assert all(isinstance(each.ending, Finished) for each in endings)
        return [each.text for each in endings]


def test_both_engines_say_the_same_greedily_in_single_precision(
    tmp_path: Path, encoder: Encoder, shape: Shape, weights: Weights
) -> None:
    export_gguf(tmp_path / "tiny.gguf", shape, weights, encoder.vocabulary, Storage.SINGLE)
    export_onnx(tmp_path / "tiny-onnx", shape, weights, encoder.vocabulary, Storage.SINGLE)
    said = answers("llama", tmp_path / "tiny.gguf"), answers("onnx", tmp_path / "tiny-onnx")
    assert len(set(said[0])) > 10
    # llama.cpp keeps KV memory in half precision, and the likeliest tokens of random weights are often close.
    same = sum(map(str.__eq__, *said))
    assert same >= 36


@pytest.mark.parametrize("backend", ["llama", "onnx"])
def test_the_engine_loads_an_export_and_answers(models: Mapping[str, Path], backend: str) -> None:
    assert len(answers(backend, models[backend], 2)) == 2


def test_eight_bits_for_both_engines_fit_into_the_package(
    tmp_path: Path, encoder: Encoder, shape: Shape, weights: Weights
) -> None:
    export_gguf(tmp_path / "tiny.gguf", shape, weights, encoder.vocabulary, Storage.EIGHT_BITS)
    export_onnx(tmp_path / "tiny-onnx", shape, weights, encoder.vocabulary, Storage.EIGHT_BITS)
    assert sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) < 16e6


def test_weights_of_another_shape_are_refused_and_leave_nothing(
    tmp_path: Path, encoder: Encoder, shape: Shape, weights: Weights
) -> None:
    wrong = {**weights, "output_norm.weight": np.ones(3, np.float32)}
    for write in (export_gguf, export_onnx):
        with pytest.raises(ValueError, match=r"output_norm\.weight is of shape \(3,\)"):
            write(tmp_path / "tiny", shape, wrong, encoder.vocabulary, Storage.SINGLE)
    assert list(tmp_path.iterdir()) == []
