"""Models with random weights for the bench and the tests: a real one's arithmetic, no download.

What such a model writes is a salad of words. Its speed and memory are those of a trained model of its shape.
"""

from __future__ import annotations

import math
import os
import tempfile
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import gguf
import numpy as np

from edgeassist.trial_models.vocabulary import (
    SPECIAL_TOKENS,
    Entry,
    Turns,
    borrow_vocabulary,
    make_up_vocabulary,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

# How the logits are spread. Small embeddings keep a tied model from repeating its last word.
_EMBEDDING = 0.02
_LOGIT_SPREAD = 3.0
# What attention adds is much the same from token to token; more of it and the text goes round in circles.
_ATTENTION_SHARE = 0.3
_BIAS = 0.1
_BLOCK = 1024 * 1024


class Precision(StrEnum):
    """How the weights are stored; norms and biases are always f32."""

    F16 = "f16"
    F32 = "f32"


@dataclass(frozen=True, slots=True)
class Shape:
    """The dimensions of a decoder with grouped-query attention and a gated feed-forward network.

    Raises:
        ValueError: Dimensions that no model can have.
    """

    name: str
    layers: int
    width: int
    ffn: int
    heads: int
    kv_heads: int
    vocabulary: int
    context: int
    rope_base: float = 1e6
    rms_epsilon: float = 1e-6
    tied_embeddings: bool = True
    qkv_biases: bool = True

    def __post_init__(self) -> None:
        if self.width % self.heads or self.heads % self.kv_heads:
            raise ValueError(f"{self.name}: heads must divide the width, and kv_heads the heads")
        if self.vocabulary <= SPECIAL_TOKENS:
            raise ValueError(f"{self.name}: a vocabulary has more than {SPECIAL_TOKENS} tokens")

    @property
    def architecture(self) -> str:
        """The name llama.cpp knows this kind of model by."""
        return "qwen2" if self.qkv_biases else "llama"

    @property
    def parameters(self) -> int:
        """The number of weights."""
        return sum(tensor.size for tensor in tensors(self))

    def tensors(self) -> Iterator[Tensor]:
        """Yield the tensors, named as in a GGUF file, in the order that they are drawn in."""
        yield self.embeddings
        for layer in range(self.layers):
            yield from self.layer(layer)
        yield Tensor("output_norm.weight", (self.width,), mean=self.loudness)
        if not self.tied_embeddings:
            yield replace(self.embeddings, name="output.weight")

    @property
    def embeddings(self) -> Tensor:
        """The table of the vocabulary."""
        dimensions = (self.vocabulary, self.width)
        return Tensor("token_embd.weight", dimensions, deviation=_EMBEDDING, per_token=True)

    @property
    def loudness(self) -> float:
        """What the last norm multiplies with, so that logits are spread as they should be."""
        return _LOGIT_SPREAD / (_EMBEDDING * math.sqrt(self.width))

    def layer(self, layer: int) -> Iterator[Tensor]:
        """Yield the tensors of one layer."""
        width, kv_width = self.width, self.width // self.heads * self.kv_heads
        block = f"blk.{layer}."
        for norm in ("attn_norm", "ffn_norm"):
            yield Tensor(f"{block}{norm}.weight", (width,), mean=1.0)
        matrices = {
            "attn_q": (width, width),
            "attn_k": (kv_width, width),
            "attn_v": (kv_width, width),
            "attn_output": (width, width),
            "ffn_gate": (self.ffn, width),
            "ffn_up": (self.ffn, width),
            "ffn_down": (width, self.ffn),
        }
        for name, dimensions in matrices.items():
            share = _ATTENTION_SHARE if name == "attn_output" else 1.0
            yield matrix(block + name, dimensions, share)
            if self.qkv_biases and name in {"attn_q", "attn_k", "attn_v"}:
                yield Tensor(f"{block}{name}.bias", dimensions[:1], deviation=_BIAS)

    def kv_heads_told(self) -> int | list[int]:
        """Return the key/value heads as the file tells them: of each layer, where layers differ."""
        return self.kv_heads

    def describe(self, writer: gguf.GGUFWriter) -> None:
        """Tell a GGUF writer the dimensions."""
        writer.add_context_length(self.context)
        writer.add_embedding_length(self.width)
        writer.add_block_count(self.layers)
        writer.add_feed_forward_length(self.ffn)
        writer.add_head_count(self.heads)
        writer.add_head_count_kv(self.kv_heads_told())
        writer.add_rope_freq_base(self.rope_base)
        writer.add_layer_norm_rms_eps(self.rms_epsilon)


SHAPES: Mapping[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape(
            # As its publisher's GGUF files are: with an output matrix of their own, which the original shares
            # with the embeddings.
            name="qwen2.5-0.5b",
            layers=24,
            width=896,
            ffn=4864,
            heads=14,
            kv_heads=2,
            vocabulary=151_936,
            context=32_768,
            tied_embeddings=False,
        ),
        Shape(
            name="phi-3-mini",
            layers=32,
            width=3072,
            ffn=8192,
            heads=32,
            kv_heads=32,
            vocabulary=32_064,
            context=4096,
            rope_base=1e4,
            rms_epsilon=1e-5,
            tied_embeddings=False,
            qkv_biases=False,
        ),
        Shape(
            name="trial",
            layers=2,
            width=64,
            ffn=128,
            heads=4,
            kv_heads=2,
            vocabulary=1024,
            context=8192,
        ),
    )
}


def write_gguf(
    path: Path,
    shape: Shape,
    *,
    seed: int = 0,
    precision: Precision = Precision.F16,
    vocabulary: Path | None = None,
    turns: Turns = Turns.ENDING,
) -> None:
    """Write a model of random weights; the same arguments give the same file.

    The file appears under its name only when it is whole. Weights are made and written in blocks, so that
    memory does not grow with the file.

    Args:
        path: Where to; its folder is made where missing.
        shape: The model's dimensions.
        seed: Of the random weights.
        precision: Of the matrices.
        vocabulary: A GGUF file whose vocabulary to take over instead of a made-up one; its size replaces
            the shape's.
        turns: Whether it ends its answers by itself.

    Raises:
        ModelError: The file to borrow the vocabulary from can't be read.
        OSError: The file can't be written.
    """
    words = make_up_vocabulary(shape.vocabulary) if vocabulary is None else borrow_vocabulary(vocabulary)
    shape = replace(shape, vocabulary=words.size)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        unfinished = Path(folder) / path.name
        _write_metadata(unfinished, shape, precision, words.entries)
        with unfinished.open("ab") as file:
            _write_weights(file, shape, precision, np.random.default_rng(seed), words.loudness(turns))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)


@dataclass(frozen=True, slots=True)
class Tensor:
    """What to fill a tensor with: normally distributed values, one row per token where `per_token`.

    Those of one dimension, and where `single`, are in single precision always.
    """

    name: str
    dimensions: tuple[int, ...]
    mean: float = 0.0
    deviation: float = 0.0
    per_token: bool = False
    single: bool = False

    @property
    def size(self) -> int:
        """The number of values."""
        return math.prod(self.dimensions)

    def dtype(self, precision: Precision) -> np.dtype[Any]:
        """Return what a value is stored as."""
        half = precision is Precision.F16 and len(self.dimensions) > 1 and not self.single
        return np.dtype("<f2" if half else "<f4")


def matrix(name: str, dimensions: tuple[int, int], share: float = 1.0) -> Tensor:
    """Return a matrix that keeps the size of what it multiplies, but for `share`; shape (rows, columns)."""
    return Tensor(f"{name}.weight", dimensions, deviation=share * dimensions[1] ** -0.5)


def tensors(shape: Shape) -> Iterator[Tensor]:
    """Yield the tensors of a model (`Shape.tensors`)."""
    return shape.tensors()


def _write_metadata(path: Path, shape: Shape, precision: Precision, entries: Mapping[str, Entry]) -> None:
    file_type = gguf.LlamaFileType.MOSTLY_F16 if precision is Precision.F16 else gguf.LlamaFileType.ALL_F32
    writer = gguf.GGUFWriter(path, shape.architecture)
    writer.add_name(f"{shape.name} (random weights)")
    writer.add_file_type(file_type)
    add_shape(writer, shape, entries)
    for tensor in tensors(shape):
        dtype = tensor.dtype(precision)
        writer.add_tensor_info(tensor.name, tensor.dimensions, dtype, tensor.size * dtype.itemsize)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()


def add_shape(writer: gguf.GGUFWriter, shape: Shape, entries: Mapping[str, Entry]) -> None:
    """Tell a GGUF writer a model's dimensions and its vocabulary's entries."""
    shape.describe(writer)
    for key, entry in entries.items():
        writer.add_key_value(key, entry.value, entry.kind, entry.item)


def _write_weights(
    file: BinaryIO,
    shape: Shape,
    precision: Precision,
    random: np.random.Generator,
    loudness: NDArray[np.float32],
) -> None:
    """Append the tensor data; the gguf package's writer wants each tensor whole, this one takes blocks."""
    for tensor in tensors(shape):
        file.write(bytes(-file.tell() % gguf.GGUF_DEFAULT_ALIGNMENT))
        for block in draw(tensor, random, loudness):
            block.astype(tensor.dtype(precision)).tofile(file)
    file.write(bytes(-file.tell() % gguf.GGUF_DEFAULT_ALIGNMENT))


def draw(
    tensor: Tensor, random: np.random.Generator, loudness: NDArray[np.float32]
) -> Iterator[NDArray[np.float32]]:
    """Yield a tensor's values, some rows at a time.

    Args:
        tensor: Which.
        random: Where they come from.
        loudness: A factor for each token's row, shape (vocabulary,).
    """
    rows, *columns = tensor.dimensions
    step = max(1, _BLOCK // math.prod(columns))
    for start in range(0, rows, step):
        end = min(start + step, rows)
        block = random.standard_normal((end - start, *columns), np.float32)
        block *= tensor.deviation
        block += tensor.mean
        if tensor.per_token:
            block *= loudness[start:end, None]
        yield block
