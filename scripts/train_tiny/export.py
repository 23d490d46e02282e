"""The weights as a GGUF file and as a folder of ONNX Runtime GenAI, with the same tokenizer in both."""

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
    """How the matrices are stored; norms and biases are always single precision."""

    EIGHT_BITS = "eight-bits"
    SINGLE = "single"


_GGUF_TYPES = {
    Storage.EIGHT_BITS: (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    Storage.SINGLE: (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
}
# ONNX gets the values that GGUF's blocks hold. Both formats have blocks of 32 with a scale, so it stores
# those very values again. What differs is how sums are rounded, and llama.cpp's KV memory in half
# precision.
_ONNX_TYPES = {Storage.EIGHT_BITS: OnnxPrecision.INT8, Storage.SINGLE: OnnxPrecision.F32}


def export_gguf(path: Path, shape: Shape, weights: Weights, vocabulary: Vocabulary, storage: Storage) -> None:
    """Write a GGUF file, which appears under its name only when it is whole.

    Args:
        path: Where to; its folder is made where missing.
        shape: The model's dimensions.
        weights: By their names in the file.
        vocabulary: Its tokenizer.
        storage: How matrices are stored.

    Raises:
        OSError: It can't be written.
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
    """Write a folder of ONNX Runtime GenAI, which appears under its name only when it is whole.

    Args:
        folder: Where to.
        shape: The model's dimensions.
        weights: By their names in a GGUF file.
        vocabulary: Its tokenizer.
        storage: How matrices are stored.

    Raises:
        OSError: It can't be written.
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
