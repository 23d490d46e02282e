"""Models of random weights: whole, repeatable, and with a vocabulary that can say anything."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import gguf
import jinja2.sandbox
import numpy as np
import pytest

from edgeassist.errors import ModelError
from edgeassist.models.files.gguf import read_gguf
from edgeassist.models.files.gguf_container import read_fields
from edgeassist.trial_models import synthetic
from edgeassist.trial_models.synthetic import SHAPES, Precision, Shape, write_gguf
from edgeassist.trial_models.vocabulary import CHAT_TEMPLATE, SPECIAL_TOKENS
from edgeassist.trial_models.words import WORDS

SHARED_VOCABULARY = Path(__file__).parents[3] / "shared" / "models" / "ggml-vocab-qwen2.gguf"
TRIAL = SHAPES["trial"]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "trial.gguf"
    write_gguf(path, TRIAL)
    return path


@pytest.fixture(scope="module")
def tensors(trial: Path) -> dict[str, np.ndarray]:
    return {tensor.name: np.array(tensor.data) for tensor in gguf.GGUFReader(trial).tensors}


def strings(path: Path, key: str) -> list[str]:
    return [str(value) for value in read_fields(path)[key].values()]


def integer(path: Path, key: str) -> int:
    return int(read_fields(path)[key].values()[0])


def test_the_trial_model_is_small(trial: Path) -> None:
    assert trial.stat().st_size < 2_000_000


def test_the_same_seed_gives_the_same_file(tmp_path: Path, trial: Path) -> None:
    write_gguf(tmp_path / "again.gguf", TRIAL)
    assert (tmp_path / "again.gguf").read_bytes() == trial.read_bytes()


def test_another_seed_gives_other_weights(tmp_path: Path, trial: Path) -> None:
    write_gguf(tmp_path / "other.gguf", TRIAL, seed=1)
    assert (tmp_path / "other.gguf").read_bytes() != trial.read_bytes()


def test_the_block_size_does_not_change_the_weights(
    tmp_path: Path, trial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic, "_BLOCK", 1000)
    write_gguf(tmp_path / "blocks.gguf", TRIAL)
    assert (tmp_path / "blocks.gguf").read_bytes() == trial.read_bytes()


def test_both_precisions_hold_the_same_weights(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    path = tmp_path / "exact.gguf"
    write_gguf(path, TRIAL, precision=Precision.F32)
    exact = {tensor.name: tensor.data for tensor in gguf.GGUFReader(path).tensors}
    assert exact.keys() == tensors.keys()
    for name, values in exact.items():
        assert values.dtype == np.float32
        np.testing.assert_allclose(tensors[name], values, rtol=1e-3, atol=1e-6)


def test_every_weight_is_finite_and_no_matrix_is_constant(tensors: dict[str, np.ndarray]) -> None:
    for name, values in tensors.items():
        assert np.isfinite(values).all(), name
        assert values.ndim == 1 or np.ptp(values) > 0, name


@pytest.mark.parametrize(("tied", "biases"), [(True, True), (True, False), (False, True), (False, False)])
def test_a_shape_has_the_tensors_its_options_ask_for(tmp_path: Path, *, tied: bool, biases: bool) -> None:
    path = tmp_path / "model.gguf"
    shape = dataclasses.replace(TRIAL, tied_embeddings=tied, qkv_biases=biases)
    write_gguf(path, shape)
    names = {tensor.name for tensor in gguf.GGUFReader(path).tensors}
    assert ("output.weight" in names) is not tied
    assert ("blk.1.attn_k.bias" in names) is biases
    assert read_gguf(path).architecture == ("qwen2" if biases else "llama")
    assert read_gguf(path).parameters == shape.parameters


def test_every_byte_is_a_token_of_its_own(trial: Path) -> None:
    tokens = strings(trial, "tokenizer.ggml.tokens")
    assert len(tokens) == len(set(tokens)) == TRIAL.vocabulary
    assert all(len(token) == 1 for token in tokens[:256])
    assert "Ġ" in tokens[:256]
    assert set("azAZ09.,!?ĠĊ") <= set(tokens[:256])


def test_control_tokens_are_typed_as_such_and_the_end_of_a_turn_ends_an_answer(trial: Path) -> None:
    tokens = strings(trial, "tokenizer.ggml.tokens")
    types = read_fields(trial)["tokenizer.ggml.token_type"].values()
    control = {token for token, kind in zip(tokens, types, strict=True) if kind == gguf.TokenType.CONTROL}
    assert control == {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}
    assert tokens[integer(trial, "tokenizer.ggml.eos_token_id")] == "<|im_end|>"


def test_the_parts_and_the_result_of_every_merge_are_tokens(trial: Path) -> None:
    tokens = set(strings(trial, "tokenizer.ggml.tokens"))
    for merge in strings(trial, "tokenizer.ggml.merges"):
        left, right = merge.split(" ")
        assert {left, right, left + right} <= tokens


def test_the_trial_model_knows_only_real_words(trial: Path) -> None:
    tokens = strings(trial, "tokenizer.ggml.tokens")
    words = [token for token in tokens[SPECIAL_TOKENS:] if token.removeprefix("Ġ") in WORDS]
    assert len(words) == len(WORDS)
    assert all(token.startswith("Ġ") for token in tokens[SPECIAL_TOKENS:])


def test_words_are_invented_where_the_real_ones_run_out(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write_gguf(path, dataclasses.replace(TRIAL, vocabulary=5000))
    tokens = strings(path, "tokenizer.ggml.tokens")
    assert len(set(tokens)) == 5000
    assert all(token[1:].isalpha() and token.isprintable() for token in tokens[SPECIAL_TOKENS:])


def test_words_are_louder_than_bytes_and_word_beginnings(trial: Path, tensors: dict[str, np.ndarray]) -> None:
    tokens = strings(trial, "tokenizer.ggml.tokens")
    deviation = tensors["token_embd.weight"].astype(np.float32).std(axis=1)
    words = [index for index, token in enumerate(tokens) if token.removeprefix("Ġ") in WORDS]
    words = [index for index in words if index >= SPECIAL_TOKENS]
    audible = {*words, *map(tokens.index, (",", ".", "<|im_end|>"))}
    quiet = [index for index in range(len(tokens)) if index not in audible]
    assert deviation[words].min() > 3 * deviation[quiet].max()
    assert deviation[tokens.index("<|im_end|>")] > deviation[words].mean()


def test_the_chat_template_renders_turns_and_the_start_of_the_answer() -> None:
    template = jinja2.sandbox.ImmutableSandboxedEnvironment().from_string(CHAT_TEMPLATE)
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "你好"}]
    assert template.render(messages=messages, add_generation_prompt=True) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n你好<|im_end|>\n<|im_start|>assistant\n"
    )
    assert template.render(messages=messages[1:]) == "<|im_start|>user\n你好<|im_end|>\n"


def test_a_vocabulary_can_be_borrowed_from_another_model(tmp_path: Path, trial: Path) -> None:
    path = tmp_path / "borrower.gguf"
    write_gguf(path, dataclasses.replace(TRIAL, vocabulary=5000), vocabulary=trial)
    lent = {key: field for key, field in read_fields(trial).items() if key.startswith("tokenizer.")}
    got = {key: field for key, field in read_fields(path).items() if key.startswith("tokenizer.")}
    assert got == lent
    assert got["tokenizer.ggml.tokens"].count == TRIAL.vocabulary


def test_a_real_vocabulary_is_borrowed_whole(tmp_path: Path) -> None:
    if not SHARED_VOCABULARY.exists():
        pytest.skip("the real vocabulary is not beside the project")
    path = tmp_path / "model.gguf"
    write_gguf(path, TRIAL, vocabulary=SHARED_VOCABULARY)
    lent, got = read_fields(SHARED_VOCABULARY), read_fields(path)
    assert got["tokenizer.ggml.tokens"].count == 151_936
    assert "tokenizer.chat_template" in got
    for key in ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.merges"):
        assert got[key] == lent[key]


def test_a_file_without_a_vocabulary_lends_none(tmp_path: Path) -> None:
    lender = tmp_path / "lender.gguf"
    writer = gguf.GGUFWriter(lender, "qwen2")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(ModelError, match="has no vocabulary to borrow"):
        write_gguf(tmp_path / "model.gguf", TRIAL, vocabulary=lender)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "model.gguf"
    path.write_bytes(b"old")
    monkeypatch.setattr(synthetic, "_write_weights", fail)
    with pytest.raises(OSError, match="No space left"):
        write_gguf(path, TRIAL)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    write_gguf(tmp_path / "new" / "folder" / "model.gguf", TRIAL)
    assert list((tmp_path / "new" / "folder").iterdir()) == [tmp_path / "new" / "folder" / "model.gguf"]


@pytest.mark.parametrize("change", [{"heads": 5}, {"kv_heads": 3}, {"vocabulary": SPECIAL_TOKENS}])
def test_a_shape_no_model_can_have_is_refused(change: dict[str, int]) -> None:
    fields = {field.name: getattr(TRIAL, field.name) for field in dataclasses.fields(TRIAL)}
    with pytest.raises(ValueError, match="trial: "):
        Shape(**(fields | change))
