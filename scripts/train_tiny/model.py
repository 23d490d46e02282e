"""The decoder in plain torch: Qwen2's architecture, as both engines compute it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from edgeassist.trial_models.synthetic import Shape


class Decoder(nn.Module):
    """A decoder: grouped-query attention, rotary positions, a gated feed-forward network, tied embeddings.

    Args:
        shape: Its dimensions.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(_Layer(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, shape.rms_epsilon)
        cos, sin = _rotations(shape)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, tokens: Tensor, cache: Cache | None = None, branches: Tensor | None = None) -> Tensor:
        """Return the final hidden states, shape (batch, tokens, width).

        Args:
            tokens: Ids, shape (batch, tokens).
            cache: The KV cache of the tokens before; extended by these.
            branches: Of each token, as in `Encoded`; None: each sees all before it.
        """
        start = cache.length if cache else 0
        cos, sin = (table[start : start + tokens.shape[1]] for table in (self.cos, self.sin))
        seen = None
        if branches is not None:
            seen = _seen(branches)
            # A token's place is how many it sees; all heads turn alike.
            cos, sin = (table[seen.sum(-1) - 1] for table in (self.cos, self.sin))
        hidden = self.embedding(tokens)
        for number, layer in enumerate(self.layers):
            hidden = layer(hidden, cos, sin, cache, number, seen)
        return self.norm(hidden)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return logits, shape (..., vocabulary), of hidden states from `forward`, shape (..., width)."""
        return functional.linear(hidden, self.embedding.weight)

    def load_weights(self, named: Mapping[str, NDArray[np.float32]]) -> None:
        """Set the weights from what `weights` returns."""
        with torch.no_grad():
            for name, target in self._named().items():
                target.copy_(torch.from_numpy(named[name]))

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return the weights with GGUF's tensor names and shapes."""
        return {name: each.detach().float().contiguous().numpy() for name, each in self._named().items()}

    def _named(self) -> dict[str, Tensor]:
        """Return the weights by GGUF's names, as views of the parameters."""
        shape, named = self.shape, {}
        head = shape.width // shape.heads
        cuts = [shape.width, head * shape.kv_heads, head * shape.kv_heads]
        named["token_embd.weight"] = self.embedding.weight
        for number, layer in enumerate(self.layers):
            block = f"blk.{number}."
            for kind in ("weight", "bias"):
                parts = getattr(layer.qkv, kind).split(cuts)
                named |= {f"{block}attn_{part}.{kind}": each for part, each in zip("qkv", parts, strict=True)}
            gate, up = layer.gate_up.weight.chunk(2)
            named |= {
                f"{block}attn_norm.weight": layer.attention_norm.weight,
                f"{block}attn_output.weight": layer.out.weight,
                f"{block}ffn_norm.weight": layer.feed_norm.weight,
                f"{block}ffn_gate.weight": gate,
                f"{block}ffn_up.weight": up,
                f"{block}ffn_down.weight": layer.down.weight,
            }
        named["output_norm.weight"] = self.norm.weight
        return named


class Cache:
    """The KV cache of a batch."""

    def __init__(self) -> None:
        self._past: dict[int, tuple[Tensor, Tensor]] = {}

    @property
    def length(self) -> int:
        """Number of cached tokens."""
        return int(self._past[0][0].shape[2]) if self._past else 0

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append a layer's keys and values, each of shape (batch, heads, tokens, head size); return all."""
        if layer in self._past:
            past = self._past[layer]
            keys, values = torch.cat((past[0], keys), 2), torch.cat((past[1], values), 2)
        self._past[layer] = keys, values
        return keys, values


class _Layer(nn.Module):
    """Attention and feed-forward network; matrices with the same input are fused for speed."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head = shape.heads, shape.kv_heads, shape.width // shape.heads
        self.attention_norm = nn.RMSNorm(shape.width, shape.rms_epsilon)
        self.qkv = nn.Linear(shape.width, (shape.heads + 2 * shape.kv_heads) * self.head)
        self.out = nn.Linear(shape.width, shape.width, bias=False)
        self.feed_norm = nn.RMSNorm(shape.width, shape.rms_epsilon)
        self.gate_up = nn.Linear(shape.width, 2 * shape.ffn, bias=False)
        self.down = nn.Linear(shape.ffn, shape.width, bias=False)
        nn.init.zeros_(self.qkv.bias)

    def forward(
        self,
        hidden: Tensor,
        cos: Tensor,
        sin: Tensor,
        cache: Cache | None,
        number: int,
        seen: Tensor | None,
    ) -> Tensor:
        hidden = hidden + self._attend(self.attention_norm(hidden), cos, sin, cache, number, seen)
        gate, up = self.gate_up(self.feed_norm(hidden)).chunk(2, dim=-1)
        return hidden + self.down(functional.silu(gate) * up)

    def _attend(
        self,
        hidden: Tensor,
        cos: Tensor,
        sin: Tensor,
        cache: Cache | None,
        number: int,
        seen: Tensor | None,
    ) -> Tensor:
        batch, length, _ = hidden.shape
        heads = self.qkv(hidden).view(batch, length, -1, self.head).transpose(1, 2)
        turned, values = heads.split([self.heads + self.kv_heads, self.kv_heads], dim=1)
        queries, keys = _rotate(turned, cos, sin).split([self.heads, self.kv_heads], dim=1)
        if cache:
            keys, values = cache.extend(number, keys, values)
        group = self.heads // self.kv_heads
        keys, values = keys.repeat_interleave(group, 1), values.repeat_interleave(group, 1)
        # After the prompt, tokens come one at a time and attend to the whole cache.
        attended = functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=seen, is_causal=seen is None and length > 1
        )
        mixed: Tensor = self.out(attended.transpose(1, 2).reshape(batch, length, -1))
        return mixed


def _seen(branches: Tensor) -> Tensor:
    """Return which tokens each one sees, shape (batch, 1, tokens, tokens)."""
    before = torch.ones(branches.shape[1], branches.shape[1], dtype=torch.bool).tril()
    ours, theirs = branches[:, :, None], branches[:, None, :]
    return (before & ((theirs == 0) | (theirs == ours)))[:, None]


def _rotations(shape: Shape) -> tuple[Tensor, Tensor]:
    head = shape.width // shape.heads
    frequencies = shape.rope_base ** -(torch.arange(0, head, 2) / head)
    angles = torch.outer(torch.arange(shape.context), frequencies).repeat(1, 2)
    return angles.cos(), angles.sin()


def _rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = heads.chunk(2, dim=-1)
    return heads * cos + torch.cat((-second, first), dim=-1) * sin
