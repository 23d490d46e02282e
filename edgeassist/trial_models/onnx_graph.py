"""The graph and weights of an ONNX model; the only importer of `onnx`.

The graph is the one that the library's own model builder makes for a CPU: grouped-query attention, weights in
blocks of four or eight bits, single precision between them. The builder itself needs torch, transformers and,
for Phi-3-mini, 24 GB of memory; this writes tensor after tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgeassist.trial_models.synthetic import Shape, Tensor, tensors

GRAPH = "model.onnx"
WEIGHTS = "model.onnx.data"
_MICROSOFT = "com.microsoft"
_OPSET = 21
_IR_VERSION = 10
# Values of a row that share a scale, and the level at which activations are rounded to eight bits for the
# product, both as the builder has them for a CPU.
_BLOCK = 32
_ACCURACY_LEVEL = 4
_ALIGNMENT = 64
_BYTE = 8
# The sliding window of Phi-3-mini, in tokens.
_PHI3_WINDOW = 2047

Floats = NDArray[np.float32]


class OnnxPrecision(StrEnum):
    """How the matrices are stored; embeddings, norms and biases are always single precision."""

    INT4 = "int4"
    INT8 = "int8"
    F32 = "f32"

    @property
    def bits(self) -> int:
        """Bits of a value."""
        return {OnnxPrecision.INT4: 4, OnnxPrecision.INT8: 8, OnnxPrecision.F32: 32}[self]


def write_weights(
    folder: Path,
    shape: Shape,
    rows_of: Callable[[Tensor], Iterable[Floats]],
    precision: OnnxPrecision,
) -> None:
    """Write graph and weights.

    Args:
        folder: Where to.
        shape: The model's dimensions.
        rows_of: Returns a tensor's values, some rows at a time; called once for each, in order.
        precision: Of the matrices.
    """
    with (folder / WEIGHTS).open("wb") as file:
        graph = _Graph(shape, _Store(file, precision))
        for tensor in tensors(shape):
            graph.take(tensor, rows_of(tensor))
        onnx.save(graph.finish(), folder / GRAPH)


class _Store:
    """The file beside the graph, and what the graph says of it."""

    def __init__(self, file: BinaryIO, precision: OnnxPrecision) -> None:
        self._file = file
        self.precision = precision
        self.initializers: list[TensorProto] = []
        # Of each matrix, what the product's node takes beside its input.
        self.matrices: dict[str, tuple[tuple[int, int], list[str]]] = {}

    def add(self, name: str, blocks: Iterable[NDArray[Any]]) -> str:
        """Append an array, given some rows at a time; return its name."""
        self._file.write(bytes(-self._file.tell() % _ALIGNMENT))
        offset, rows, columns, kind = self._file.tell(), 0, (), np.dtype(np.float32)
        for block in blocks:
            block.tofile(self._file)
            rows, columns, kind = rows + block.shape[0], block.shape[1:], block.dtype
        proto = TensorProto(name=name, dims=(rows, *columns), data_location=TensorProto.EXTERNAL)
        proto.data_type = helper.np_dtype_to_tensor_dtype(kind)
        where = {"location": WEIGHTS, "offset": str(offset), "length": str(self._file.tell() - offset)}
        for key, value in where.items():
            proto.external_data.add(key=key, value=value)
        self.initializers.append(proto)
        return name

    def add_matrix(self, name: str, blocks: Iterable[Floats]) -> None:
        """Append a matrix of shape (out, in) to multiply with."""
        if self.precision is OnnxPrecision.F32:
            whole = np.concatenate(list(blocks))
            self.matrices[name] = whole.shape, [self.add(name, [np.ascontiguousarray(whole.T)])]
            return
        scales: list[Floats] = []

        def packed() -> Iterator[NDArray[np.uint8]]:
            for block in blocks:
                values, scale = quantize(block, self.precision.bits)
                scales.append(scale)
                yield values

        stored = self.add(f"{name}.q{self.precision.bits}", packed())
        rows, groups, _ = self.initializers[-1].dims
        self.matrices[name] = (rows, groups * _BLOCK), [stored, self.add(f"{name}.scales", scales)]


class _Graph:
    """Puts nodes together while the weights pass by, in the order of `tensors`."""

    def __init__(self, shape: Shape, store: _Store) -> None:
        self._shape = shape
        self._store = store
        self._nodes: list[onnx.NodeProto] = []
        self._parts: dict[str, Floats] = {}

    def take(self, tensor: Tensor, blocks: Iterable[Floats]) -> None:
        """Store one tensor: queries, keys and values become one matrix, as the builder makes them."""
        store, name = self._store, tensor.name
        part = name.split(".")[-2]
        if name == "token_embd.weight":
            kept = list(blocks)
            store.add(name, kept)
            if self._shape.tied_embeddings:
                store.add_matrix("output.weight", kept)
        elif part in {"attn_q", "attn_k", "attn_v"}:
            self._parts[name] = np.concatenate(list(blocks))
        elif len(tensor.dimensions) > 1:
            if part == "attn_output":
                self._pack(name.removesuffix("attn_output.weight"))
            store.add_matrix(name, blocks)
        else:
            store.add(name, blocks)

    def finish(self) -> onnx.ModelProto:
        """Return the model, once all tensors were taken."""
        shape, head = self._shape, self._shape.width // self._shape.heads
        self._prepare()
        hidden = self._node("Gather", ["token_embd.weight", "input_ids"], "embedded")
        normed = self._node(
            "SimplifiedLayerNormalization",
            [hidden, "blk.0.attn_norm.weight"],
            "blk.0.attn_norm",
            axis=-1,
            epsilon=shape.rms_epsilon,
            stash_type=1,
        )
        inputs = [_value("input_ids", TensorProto.INT64, "batch", "tokens")]
        inputs.append(_value("attention_mask", TensorProto.INT64, "batch", "total"))
        outputs = [_value("logits", TensorProto.FLOAT, "batch", "tokens", shape.vocabulary)]
        for layer in range(shape.layers):
            hidden, normed = self._layer(layer, hidden, normed)
            for kind in ("key", "value"):
                past, present = f"past_key_values.{layer}.{kind}", f"present.{layer}.{kind}"
                inputs.append(_value(past, TensorProto.FLOAT, "batch", shape.kv_heads, "past", head))
                outputs.append(_value(present, TensorProto.FLOAT, "batch", shape.kv_heads, "total", head))
        self._matmul("output", normed, "logits")
        graph = helper.make_graph(self._nodes, shape.name, inputs, outputs, self._store.initializers)
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)

    def _pack(self, block: str) -> None:
        names = [f"{block}attn_{each}" for each in "qkv"]
        self._store.add_matrix(
            f"{block}attn_qkv.weight", [self._parts.pop(f"{each}.weight") for each in names]
        )
        if self._shape.qkv_biases:
            biases = [self._parts.pop(f"{each}.bias") for each in names]
            self._store.add(f"{block}attn_qkv.bias", [np.concatenate(biases)])

    def _prepare(self) -> None:
        """Make what all layers share: how long the sequence is, and the angles of its positions."""
        shape = self._shape
        # Inside the graph: the library infers shapes from it before it reads the file beside.
        self._store.initializers.append(numpy_helper.from_array(np.ones(1, np.int64), "one"))
        self._node("ReduceSum", ["attention_mask", "one"], "attended", keepdims=0)
        self._node("Sub", ["attended", "one"], "past")
        self._node("Cast", ["past"], "past32", to=TensorProto.INT32)
        self._node("Shape", ["attention_mask"], "mask_shape")
        self._node("Gather", ["mask_shape", "one"], "total")
        self._node("Squeeze", ["total"], "total0")
        self._node("Cast", ["total0"], "total32", to=TensorProto.INT32)
        head = shape.width // shape.heads
        frequencies = shape.rope_base ** -(np.arange(0, head, 2) / head)
        angles = np.outer(np.arange(shape.context), frequencies)
        self._store.add("cos", [np.cos(angles).astype(np.float32)])
        self._store.add("sin", [np.sin(angles).astype(np.float32)])

    def _layer(self, layer: int, hidden: str, normed: str) -> tuple[str, str]:
        """Add a layer; return its sum, and that normalised for the next one."""
        shape, block = self._shape, f"blk.{layer}"
        qkv = self._matmul(f"{block}.attn_qkv", normed)
        if shape.qkv_biases:
            qkv = self._node("Add", [qkv, f"{block}.attn_qkv.bias"], f"{block}.attn_qkv.biased")
        past = [f"past_key_values.{layer}.{kind}" for kind in ("key", "value")]
        attended = self._node(
            "GroupQueryAttention",
            [qkv, "", "", *past, "past32", "total32", "cos", "sin"],
            f"{block}.attended",
            *(f"present.{layer}.{kind}" for kind in ("key", "value")),
            domain=_MICROSOFT,
            num_heads=shape.heads,
            kv_num_heads=shape.kv_heads,
            do_rotary=1,
            rotary_interleaved=0,
            scale=(shape.width // shape.heads) ** -0.5,
            local_window_size=_PHI3_WINDOW if architecture_of(shape) == "phi3" else -1,
        )
        change = self._matmul(f"{block}.attn_output", attended)
        hidden, normed = self._add_norm(hidden, change, f"{block}.ffn_norm")
        gate, up = (self._matmul(f"{block}.ffn_{each}", normed) for each in ("gate", "up"))
        self._node("Sigmoid", [gate], f"{block}.sigmoid")
        self._node("Mul", [gate, f"{block}.sigmoid"], f"{block}.silu")
        self._node("Mul", [f"{block}.silu", up], f"{block}.gated")
        change = self._matmul(f"{block}.ffn_down", f"{block}.gated")
        after = f"blk.{layer + 1}.attn_norm" if layer + 1 < shape.layers else "output_norm"
        return self._add_norm(hidden, change, after)

    def _add_norm(self, hidden: str, change: str, norm: str) -> tuple[str, str]:
        total, normed = f"{norm}.sum", f"{norm}.out"
        self._node(
            "SkipSimplifiedLayerNormalization",
            [hidden, change, f"{norm}.weight"],
            *(normed, "", "", total),
            domain=_MICROSOFT,
            epsilon=self._shape.rms_epsilon,
        )
        return total, normed

    def _matmul(self, matrix: str, value: str, output: str = "") -> str:
        (rows, columns), weights = self._store.matrices[f"{matrix}.weight"]
        output = output or f"{matrix}.out"
        if len(weights) == 1:
            return self._node("MatMul", [value, *weights], output)
        return self._node(
            "MatMulNBits",
            [value, *weights],
            output,
            domain=_MICROSOFT,
            K=columns,
            N=rows,
            bits=self._store.precision.bits,
            block_size=_BLOCK,
            accuracy_level=_ACCURACY_LEVEL,
        )

    def _node(self, kind: str, inputs: list[str], *outputs: str, domain: str = "", **options: Any) -> str:
        node = helper.make_node(kind, inputs, outputs, name=f"/{outputs[0]}", domain=domain, **options)
        self._nodes.append(node)
        return outputs[0]


def quantize(rows: Floats, bits: int) -> tuple[NDArray[np.uint8], Floats]:
    """Return rows in blocks of integers, and a scale for each block.

    A value v stands for (v - 8) times the scale with four bits, for (v - 128) times the scale with eight. Of
    four bits, two values share a byte, the first in its lower half.

    Args:
        rows: Shape (rows, columns); columns are a multiple of 32.
        bits: Four or eight.
    """
    blocks = rows.reshape(len(rows), -1, _BLOCK)
    middle = 1 << (bits - 1)
    scales = np.abs(blocks).max(axis=2) / (middle - 1)
    scales = np.maximum(scales, np.finfo(np.float32).tiny)
    values = (np.rint(blocks / scales[..., None]) + middle).astype(np.uint8)
    packed = values if bits == _BYTE else values[..., ::2] | values[..., 1::2] << 4
    return packed, scales.astype(np.float32)


def _value(name: str, kind: int, *dimensions: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, dimensions)


def architecture_of(shape: Shape) -> str:
    """Return the library's name for the kind of model."""
    return "phi3" if shape.name.startswith("phi-3") else shape.architecture
