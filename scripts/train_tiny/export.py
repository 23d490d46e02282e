"""Exports the weights as a GGUF file and as an ONNX Runtime GenAI folder, with the same tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

import gguf
import numpy as np
from numpy.typing import NDArray

from edgeassist.trial_models.onnx_graph import OnnxPrecision
from edgeassist.trial_models.onnx_writer import write_onnx_folder
from edgeassist.trial_models.synthetic import Shape, Tensor, add_shape, tensors
from edgeassist.trial_models.vocabulary import Vocabulary

Weights = Mapping[str, NDArray[np.float32]]

TITLE = "EdgeAssist Tiny"
LICENCE = "apache-2.0"
DESCRIPTION = (
    "Turns what people say to a home into actions, and answers from its sensors. English and Chinese."
)


class Storage(StrEnum):
    """The format of matrices; norms and biases are always in single precision."""

    EIGHT_BITS = "eight-bits"
    SINGLE = "single"


_GGUF_TYPES = {
    Storage.EIGHT_BITS: (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    Storage.SINGLE: (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
}
# ONNX gets the dequantized GGUF values. Both formats use blocks of 32 with a scale, so it stores the same
# values exactly. The engines still differ in rounding, and llama.cpp's KV cache is in half precision.
_ONNX_TYPES = {Storage.EIGHT_BITS: OnnxPrecision.INT8, Storage.SINGLE: OnnxPrecision.F32}


def export_gguf(path: Path, shape: Shape, weights: Weights, vocabulary: Vocabulary, storage: Storage) -> None:
    """Write a GGUF file atomically.

    Args:
        path: The file; its folder is created if missing.
        shape: The model's dimensions.
        weights: By GGUF tensor name.
        vocabulary: The tokenizer.
        storage: The format of matrices.
    """
    kind, file_type = _GGUF_TYPES[storage]
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        unfinished = Path(folder) / path.name
        writer = gguf.GGUFWriter(unfinished, shape.architecture)
        writer.add_name(TITLE)
        writer.add_description(DESCRIPTION)
        writer.add_license(LICENCE)
        writer.add_languages(["en", "zh"])
        writer.add_file_type(file_type)
        add_shape(writer, shape, vocabulary.entries)
        for tensor in tensors(shape):
            values = _values(tensor, weights)
            if len(tensor.dimensions) == 1:
                writer.add_tensor(tensor.name, values)
            else:
                writer.add_tensor(tensor.name, gguf.quantize(values, kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        unfinished.replace(path)


def export_onnx(
    folder: Path, shape: Shape, weights: Weights, vocabulary: Vocabulary, storage: Storage
) -> None:
    """Write an ONNX Runtime GenAI folder atomically.

    Args:
        folder: The folder to write.
        shape: The model's dimensions.
        weights: By GGUF tensor name.
        vocabulary: The tokenizer.
        storage: The format of matrices.
    """
    kind, _ = _GGUF_TYPES[storage]

    def rows_of(tensor: Tensor) -> Iterable[NDArray[np.float32]]:
        values = _values(tensor, weights)
        if len(tensor.dimensions) == 1:
            return [values]
        return [gguf.dequantize(gguf.quantize(values, kind), kind)]

    write_onnx_folder(folder, shape, vocabulary, rows_of, _ONNX_TYPES[storage])


def _values(tensor: Tensor, weights: Weights) -> NDArray[np.float32]:
    values = weights[tensor.name]
    if values.shape != tensor.dimensions:
        raise ValueError(f"{tensor.name} is of shape {values.shape} and not {tensor.dimensions}")
    return np.ascontiguousarray(values, np.float32)
