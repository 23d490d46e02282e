"""Shapes of models whose memory is not one KV entry for each token and layer.

Their memory can't be cut at any token: a recurrent state knows only where it stands, and a sliding window
has lost what it moved past.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import gguf

from edgeassist.trial_models.synthetic import Shape, Tensor, matrix


@dataclass(frozen=True, slots=True)
class Convolutions(Shape):
    """LFM2: layers with short convolutions, every second with attention instead.

    Attributes:
        taps: Tokens that a convolution looks at.
    """

    taps: int = 4

    @property
    def architecture(self) -> str:
        """The name llama.cpp knows this kind of model by."""
        return "lfm2"

    def tensors(self) -> Iterator[Tensor]:
        """Yield the tensors; the last norm has a name of its own here."""
        for tensor in Shape.tensors(self):
            if tensor.name != "output_norm.weight":
                yield tensor
        yield Tensor("token_embd_norm.weight", (self.width,), mean=self.loudness)

    def layer(self, layer: int) -> Iterator[Tensor]:
        """Yield the tensors of one layer."""
        block = f"blk.{layer}."
        attends = self._kv_heads(layer) > 0
        for tensor in Shape.layer(self, layer):
            if attends or "attn_" not in tensor.name or "norm" in tensor.name:
                yield tensor
        if attends:
            for name in ("attn_q_norm", "attn_k_norm"):
                yield Tensor(f"{block}{name}.weight", (self.width // self.heads,), mean=1.0)
        else:
            yield Tensor(f"{block}shortconv.conv.weight", (self.width, self.taps), deviation=1.0, single=True)
            yield matrix(f"{block}shortconv.in_proj", (3 * self.width, self.width))
            yield matrix(f"{block}shortconv.out_proj", (self.width, self.width), 0.3)

    def describe(self, writer: gguf.GGUFWriter) -> None:
        """Tell a GGUF writer the dimensions."""
        Shape.describe(self, writer)
        writer.add_vocab_size(self.vocabulary)
        writer.add_uint32(f"{self.architecture}.shortconv.l_cache", self.taps)

    def kv_heads_told(self) -> list[int]:
        """Return the key/value heads of each layer."""
        return [self._kv_heads(layer) for layer in range(self.layers)]

    def _kv_heads(self, layer: int) -> int:
        return self.kv_heads if layer % 2 else 0


@dataclass(frozen=True, slots=True)
class Recurrent(Shape):
    """Mamba 2: a state of fixed size in each layer, and no attention.

    Attributes:
        state: Values of a channel's state.
    """

    state: int = 16

    @property
    def architecture(self) -> str:
        """The name llama.cpp knows this kind of model by."""
        return "mamba2"

    def layer(self, layer: int) -> Iterator[Tensor]:
        """Yield the tensors of one layer."""
        block = f"blk.{layer}."
        inner, mixed = 2 * self.width, 2 * self.width + 2 * self.state
        yield Tensor(f"{block}attn_norm.weight", (self.width,), mean=1.0)
        yield matrix(f"{block}ssm_in", (inner + mixed + self.heads, self.width))
        yield Tensor(f"{block}ssm_conv1d.weight", (mixed, 4), deviation=0.5, single=True)
        yield Tensor(f"{block}ssm_conv1d.bias", (mixed,), deviation=0.1)
        yield Tensor(f"{block}ssm_dt.bias", (self.heads,), deviation=0.5)
        yield Tensor(f"{block}ssm_a", (self.heads, 1), mean=-0.1, single=True)
        yield Tensor(f"{block}ssm_d", (self.heads, 1), mean=1.0, single=True)
        yield Tensor(f"{block}ssm_norm.weight", (1, inner), mean=1.0, single=True)
        yield matrix(f"{block}ssm_out", (self.width, inner))

    def describe(self, writer: gguf.GGUFWriter) -> None:
        """Tell a GGUF writer the dimensions."""
        writer.add_context_length(self.context)
        writer.add_embedding_length(self.width)
        writer.add_block_count(self.layers)
        writer.add_feed_forward_length(0)
        writer.add_head_count(0)
        writer.add_layer_norm_rms_eps(self.rms_epsilon)
        writer.add_ssm_conv_kernel(4)
        writer.add_ssm_inner_size(2 * self.width)
        writer.add_ssm_state_size(self.state)
        writer.add_ssm_time_step_rank(self.heads)
        writer.add_ssm_group_count(1)


@dataclass(frozen=True, slots=True)
class DeltaNet(Shape):
    """Qwen3.5: layers with a gated delta rule, whose state is a matrix for each head; every second attends.

    Attributes:
        state: Rows and columns of a head's state.
    """

    state: int = 16

    @property
    def architecture(self) -> str:
        """The name llama.cpp knows this kind of model by."""
        return "qwen35"

    def layer(self, layer: int) -> Iterator[Tensor]:
        """Yield the tensors of one layer."""
        block = f"blk.{layer}."
        keys, values = self.kv_heads * self.state, self.heads * self.state
        for tensor in Shape.layer(self, layer):
            if "ffn_norm" in tensor.name:
                yield Tensor(f"{block}post_attention_norm.weight", (self.width,), mean=1.0)
            elif "attn_q." in tensor.name and layer % 2:
                # With a gate for each value of a head.
                yield matrix(f"{block}attn_q", (2 * self.width, self.width))
            elif layer % 2 or "attn_" not in tensor.name or "norm" in tensor.name:
                yield tensor
        if layer % 2:
            for name in ("attn_q_norm", "attn_k_norm"):
                yield Tensor(f"{block}{name}.weight", (self.width // self.heads,), mean=1.0)
            return
        yield matrix(f"{block}attn_qkv", (2 * keys + values, self.width))
        yield matrix(f"{block}attn_gate", (values, self.width))
        yield Tensor(f"{block}ssm_conv1d.weight", (2 * keys + values, 4), deviation=0.5, single=True)
        yield Tensor(f"{block}ssm_dt.bias", (self.heads,), deviation=0.5)
        yield Tensor(f"{block}ssm_a", (self.heads,), mean=-0.1)
        yield matrix(f"{block}ssm_beta", (self.heads, self.width))
        yield matrix(f"{block}ssm_alpha", (self.heads, self.width))
        yield Tensor(f"{block}ssm_norm.weight", (self.state,), mean=1.0)
        yield matrix(f"{block}ssm_out", (self.width, values), 0.3)

    def describe(self, writer: gguf.GGUFWriter) -> None:
        """Tell a GGUF writer the dimensions."""
        Shape.describe(self, writer)
        head = self.width // self.heads
        writer.add_rope_dimension_count(head)
        writer.add_rope_dimension_sections([head // 4, head // 8, head // 8, 0])
        writer.add_key_length(head)
        writer.add_value_length(head)
        writer.add_uint32(f"{self.architecture}.full_attention_interval", 2)
        writer.add_ssm_conv_kernel(4)
        writer.add_ssm_inner_size(self.heads * self.state)
        writer.add_ssm_state_size(self.state)
        writer.add_ssm_time_step_rank(self.heads)
        writer.add_ssm_group_count(self.kv_heads)


@dataclass(frozen=True, slots=True)
class Windows(Shape):
    """Gemma 3: layers that look a window's tokens back, every second all the way.

    Attributes:
        window: In tokens.
    """

    window: int = 64

    @property
    def architecture(self) -> str:
        """The name llama.cpp knows this kind of model by."""
        return "gemma3"

    def layer(self, layer: int) -> Iterator[Tensor]:
        """Yield the tensors of one layer."""
        block = f"blk.{layer}."
        yield from Shape.layer(self, layer)
        for name in ("attn_q_norm", "attn_k_norm"):
            yield Tensor(f"{block}{name}.weight", (self.width // self.heads,), mean=1.0)
        for name in ("post_attention_norm", "post_ffw_norm"):
            yield Tensor(f"{block}{name}.weight", (self.width,), mean=1.0)

    def describe(self, writer: gguf.GGUFWriter) -> None:
        """Tell a GGUF writer the dimensions."""
        Shape.describe(self, writer)
        writer.add_sliding_window(self.window)
        writer.add_array(
            f"{self.architecture}.attention.sliding_window_pattern",
            [layer % 2 == 0 for layer in range(self.layers)],
        )


TRIALS: dict[str, Shape] = {
    shape.name: shape
    for shape in (
        Convolutions(
            name="convolutions",
            layers=4,
            width=64,
            ffn=128,
            heads=4,
            kv_heads=2,
            vocabulary=1024,
            context=8192,
            qkv_biases=False,
        ),
        Recurrent(
            name="recurrent",
            layers=2,
            width=64,
            ffn=0,
            heads=4,
            kv_heads=4,
            vocabulary=1024,
            context=8192,
            qkv_biases=False,
        ),
        DeltaNet(
            name="delta-net",
            layers=4,
            width=64,
            ffn=128,
            heads=4,
            kv_heads=2,
            vocabulary=1024,
            context=8192,
            qkv_biases=False,
        ),
        Windows(
            name="windows",
            layers=4,
            width=64,
            ffn=128,
            heads=4,
            kv_heads=2,
            vocabulary=1024,
            context=8192,
            qkv_biases=False,
        ),
    )
}
