"""The weights before training: random ones, and in them a circuit that already copies.

A small model learns the words around a name long before it learns to copy the name: no gradient points at
the second half of a circuit whose first half is missing. So the circuit (induction heads: Olsson et al.,
2022) is there from the first step, the way that mimetic initialization (Trockman and Kolter, 2023) sets up
attention:

- Layer 0: heads 0, 1 and 2 see the tokens one, two and three back, by their biases alone: rotary positions
  turn these into a score that is highest so many tokens back. Each notes, in directions of its own, what it
  saw.
- Layer 1: head 0 sees the places whose notes say what the present token and the one before it are, head 3
  the present one and the last but one, for two words with a space between: what followed the last time. They
  copy the token that stands there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgeassist.trial_models.synthetic import Shape
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
_COPY = 14.0
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
    # Directions of the residual stream: what a token is, the notes of those before it, the copy.
    directions = torch.linalg.qr(torch.randn(shape.width, shape.width)).Q.T
    token, one, two, three, copy = directions.split((head, head, head // 2, head // 2, head))
    first, second = (_Heads(layer, shape, turns) for layer in decoder.layers[:2])
    for query, note in enumerate((one, two, three)):
        first.look_back(query, query + 1)
        first.pass_on(query, token, note, _NOTE)
    # A note is as much louder than an embedding as it takes less of the score.
    second.show(0, (one, two))
    second.look_for(0, ((token, _MATCH / 2), (one, _MATCH / 2 / _NOTE)))
    second.show(1, (one, three))
    second.look_for(3, ((token, _MATCH / 2), (two, _MATCH / 2 / _NOTE)))
    second.pass_on(0, copy, copy, _COPY)
    second.pass_on(3, copy, copy, _COPY)


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
        at, key = self._quiet_query(query) + sharp, self._quiet_key(query // 2) + sharp
        self._bias[key] = _BACK_BIAS
        self._bias[at] = _BACK_BIAS * torch.cos(tokens * self._turns[sharp])
        self._bias[at + self._head // 2] = -_BACK_BIAS * torch.sin(tokens * self._turns[sharp])

    def show(self, key: int, notes: Sequence[Tensor]) -> None:
        """Have two heads' keys show what each place says along some directions."""
        start = self._quiet_key(key)
        for number, there in enumerate(notes):
            dimensions = self._slow(number)
            self._weight[start + dimensions] = there[: len(dimensions)] * self._loudness(dimensions)

    def look_for(self, query: int, matches: Sequence[tuple[Tensor, float]]) -> None:
        """Have a head see where what its keys show is what is here along other directions.

        Args:
            query: Which head.
            matches: For each note: directions here, and what it scores where they agree.
        """
        start = self._quiet_query(query)
        for number, (here, score) in enumerate(matches):
            dimensions = self._slow(number)
            loudness = score / _MATCH * self._loudness(dimensions)
            self._weight[start + dimensions] = here[: len(dimensions)] * loudness

    def pass_on(self, query: int, read: Tensor, written: Tensor, loudness: float) -> None:
        """Have a head read what it sees along some directions and write it along others."""
        value = self._values + query // 2 * self._head
        self._weight[value : value + self._head] = read
        start = query * self._head
        self._out[:, start : start + self._head] *= _LEFT
        self._out[:, start : start + len(written)] = written.T * _EMBEDDED * loudness

    def _slow(self, number: int) -> Tensor:
        """Return the dimensions of one of two notes, of those that hardly turn within a list's length."""
        slow = (self._turns * _REACH < 1).nonzero().flatten()[number::2]
        return torch.cat((slow, slow + self._head // 2))

    def _loudness(self, dimensions: Tensor) -> float:
        """Return how loud both sides are, for a match of so many dimensions to score `_MATCH`."""
        return float((_MATCH * self._head**0.5 / len(dimensions)) ** 0.5)

    def _quiet_query(self, query: int) -> int:
        """Take most of what is random from a head's queries, and return where they are."""
        return self._quiet(query * self._head)

    def _quiet_key(self, key: int) -> int:
        """Take most of what is random from two heads' keys, and return where they are."""
        return self._quiet(self._keys + key * self._head)

    def _quiet(self, start: int) -> int:
        self._weight[start : start + self._head] *= _LEFT
        return start
