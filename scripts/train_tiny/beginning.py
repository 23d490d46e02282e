"""The weights before training: random ones, and in them a circuit that already copies.

A small model learns the words around a name long before it learns to copy the name: no gradient points at
the second half of a circuit whose first half is missing. So the circuit (induction heads: Olsson et al.,
2022) is there from the first step, the way that mimetic initialization (Trockman and Kolter, 2023) sets up
attention:

- Layer 0: head 0 sees the token before, and head 1 the one before that, by their biases alone: rotary
  positions turn these into a score that is highest so many tokens back. Each notes, in directions of its own,
  what it saw.
- Layer 1: head 0 sees the places whose notes say what the present token and the one before it are, head 2
  those that agree in the present one: what followed the last time. They copy the token that stands there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgeassist.models.synthetic import Shape
from scripts.train_tiny.model import Decoder

_EMBEDDED = 0.2
_SPREAD = 0.02
# What a token's logits begin with is this, times `_EMBEDDED`, times what 256 dimensions add up to.
_LAST_NORM = 0.3
# Of the heads that look back: rotary pairs that turn fast enough to tell a token from its neighbours, and
# what they are worth.
_SHARP_PAIRS = 8
_BACK_BIAS = 5.7
# Of the heads that look for the same tokens: within so many tokens their pairs turn by less than a radian;
# the score of a match; how loud note and copy are against an embedding.
_REACH = 300
_MATCH = 40.0
_NOTE = 2.0
_COPY = 10.0
# The queries and keys that begin otherwise than at random begin with so little of it.
_LEFT = 0.1


def begin(decoder: Decoder) -> None:
    """Set a new decoder's weights, from torch's random numbers.

    Args:
        decoder: With two layers or more, two heads for keys, and twice as many for queries.
    """
    with torch.no_grad():
        _draw(decoder)
        _induce(decoder)


def _draw(decoder: Decoder) -> None:
    nn.init.normal_(decoder.embedding.weight, std=_EMBEDDED)
    nn.init.constant_(decoder.norm.weight, _LAST_NORM)
    # Every layer adds twice to the residual stream: the more there are, the less each at the beginning.
    adding = _EMBEDDED / (2 * decoder.shape.layers) ** 0.5
    for name, matrix in decoder.layers.named_parameters():
        if matrix.dim() > 1:
            nn.init.normal_(matrix, std=adding if name.endswith(("out.weight", "down.weight")) else _SPREAD)


def _induce(decoder: Decoder) -> None:
    shape = decoder.shape
    head = shape.width // shape.heads
    turns = shape.rope_base ** -(torch.arange(0, head, 2) / head)
    # Directions of the residual stream: what a token is, the notes of one and of two tokens back, the copy.
    token, one, two, copy = torch.linalg.qr(torch.randn(shape.width, shape.width)).Q.T.split(head)
    first, second = (_Heads(layer, shape, turns) for layer in decoder.layers[:2])
    first.look_back(0, 1)
    first.look_back(1, 2)
    first.pass_on(0, token, one, _NOTE)
    first.pass_on(1, token, two, _NOTE)
    # A note is as much louder than an embedding as it takes less of the score.
    second.look_for(0, [(token, one, _MATCH / 2), (one, two, _MATCH / 2 / _NOTE)])
    second.look_for(2, [(token, one, _MATCH)])
    second.pass_on(0, copy, copy, _COPY)
    second.pass_on(2, copy, copy, _COPY)


class _Heads:
    """The heads of a layer, to be set up; two for queries share one for keys."""

    def __init__(self, layer: nn.Module, shape: Shape, turns: Tensor) -> None:
        self._weight, self._bias, self._out = layer.qkv.weight, layer.qkv.bias, layer.out.weight
        self._head = 2 * len(turns)
        self._keys = shape.heads * self._head
        self._values = self._keys + shape.kv_heads * self._head
        self._turns = turns

    def look_back(self, query: int, tokens: int) -> None:
        """Have a head see what is so many tokens back."""
        sharp = torch.arange(_SHARP_PAIRS)
        at, key = query * self._head + sharp, self._quiet(query) + sharp
        self._bias[key] = _BACK_BIAS
        self._bias[at] = _BACK_BIAS * torch.cos(tokens * self._turns[sharp])
        self._bias[at + self._head // 2] = -_BACK_BIAS * torch.sin(tokens * self._turns[sharp])

    def look_for(self, query: int, matches: Sequence[tuple[Tensor, Tensor, float]]) -> None:
        """Have a head see where what stands there along some directions is what is here along others.

        Args:
            query: Which head.
            matches: Directions here, directions there, and what it scores where they agree.
        """
        slow = (self._turns * _REACH < 1).nonzero().flatten()
        key = self._quiet(query)
        for number, (here, there, score) in enumerate(matches):
            pairs = slow[number :: len(matches)]
            dimensions = torch.cat((pairs, pairs + self._head // 2))
            loudness = (score * self._head**0.5 / len(dimensions)) ** 0.5
            self._weight[query * self._head + dimensions] = here[: len(dimensions)] * loudness
            self._weight[key + dimensions] = there[: len(dimensions)] * loudness

    def pass_on(self, query: int, read: Tensor, written: Tensor, loudness: float) -> None:
        """Have a head read what it sees along some directions and write it along others."""
        value = self._values + query // 2 * self._head
        self._weight[value : value + self._head] = read
        self._out[:, query * self._head : (query + 1) * self._head] = written.T * _EMBEDDED * loudness

    def _quiet(self, query: int) -> int:
        """Take most of what is random from a head, and return where its keys are."""
        key = self._keys + query // 2 * self._head
        for start in (query * self._head, key):
            self._weight[start : start + self._head] *= _LEFT
        return key
