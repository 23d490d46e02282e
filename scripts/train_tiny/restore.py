"""Reads an exported model back, to train it further."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from scripts.train_tiny.tokenizer import Merges


def read_merges(path: Path) -> Merges:
    """Return the tokenizer's merges of a GGUF file from `export_gguf`."""
    field = gguf.GGUFReader(path).fields["tokenizer.ggml.merges"]
    pairs = (merge.split(" ") for merge in field.contents())
    return [(left, right) for left, right in pairs]


def read_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return the weights of a GGUF file from `export_gguf` in single precision, by tensor name."""
    return {
        each.name: np.array(gguf.dequantize(each.data, each.tensor_type), np.float32)
        for each in gguf.GGUFReader(path).tensors
    }
