"""ONNX models of random weights: blocks of four bits, the same files for the same arguments."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgeassist.models.files.onnx import read_onnx_folder
from edgeassist.trial_models import onnx_writer
from edgeassist.trial_models.onnx_graph import OnnxPrecision, quantize
from edgeassist.trial_models.synthetic import SHAPES
from edgeassist.trial_models.synthetic_onnx import write_onnx
from edgeassist.trial_models.vocabulary import Turns

TRIAL = SHAPES["trial"]


def digests(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def test_the_same_arguments_give_the_same_files_and_others_do_not(tmp_path: Path) -> None:
    models: dict[str, dict[str, Any]] = {"a": {}, "b": {}, "c": {"seed": 1}, "d": {"turns": Turns.ENDLESS}}
    for name, options in models.items():
        write_onnx(tmp_path / name, TRIAL, **options)
    same, again, seed, turns = (digests(tmp_path / name) for name in "abcd")
    assert same == again
    assert same["model.onnx.data"] != seed["model.onnx.data"]
    assert same["model.onnx.data"] != turns["model.onnx.data"]
    assert same["tokenizer.json"] == seed["tokenizer.json"]


@pytest.mark.parametrize("precision", list(OnnxPrecision))
def test_the_graph_is_sound_and_the_folder_can_be_read(tmp_path: Path, precision: OnnxPrecision) -> None:
    write_onnx(tmp_path / "model", TRIAL, precision=precision)
    graph = onnx.load(tmp_path / "model" / "model.onnx").graph
    names = {value.name for value in graph.initializer} | {value.name for value in graph.input}
    for node in graph.node:
        assert set(node.input) - {""} <= names, node.name
        names |= set(node.output)
    assert {value.name for value in graph.output} <= names
    assert read_onnx_folder(tmp_path / "model").quantization == (
        "" if precision is OnnxPrecision.F32 else precision
    )


def test_four_bits_keep_a_value_to_half_a_step() -> None:
    rows = np.random.default_rng(0).standard_normal((6, 96)).astype(np.float32)
    packed, scales = quantize(rows, 4)
    assert packed.shape == (6, 3, 16)
    assert scales.shape == (6, 3)
    values = np.stack([packed & 15, packed >> 4], axis=-1).reshape(6, 3, 32).astype(np.float32) - 8
    restored = (values * scales[..., None]).reshape(6, 96)
    steps = np.repeat(scales, 32, axis=1)
    assert np.all(np.abs(restored - rows) <= 0.5001 * steps)
    assert np.abs(values).max() == 7


def test_eight_bits_keep_a_value_to_half_a_step() -> None:
    rows = np.random.default_rng(0).standard_normal((6, 96)).astype(np.float32)
    values, scales = quantize(rows, 8)
    assert values.shape == (6, 3, 32)
    restored = ((values.astype(np.float32) - 128) * scales[..., None]).reshape(6, 96)
    assert np.all(np.abs(restored - rows) <= 0.5001 * np.repeat(scales, 32, axis=1))


def test_a_block_of_zeros_stays_zero() -> None:
    packed, scales = quantize(np.zeros((1, 32), np.float32), 4)
    assert set(packed.ravel()) == {0x88}
    assert np.all(np.isfinite(scales))


def test_what_can_not_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(onnx_writer, "write_tokenizer", fail)
    with pytest.raises(OSError, match="No space"):
        write_onnx(tmp_path / "model", TRIAL)
    assert list(tmp_path.iterdir()) == []


def test_phi_3_mini_has_its_published_size() -> None:
    assert SHAPES["phi-3-mini"].parameters == 3_821_079_552
