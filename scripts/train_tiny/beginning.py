"""Initial weights: random, plus a hand-made circuit that copies (induction heads).

A small model learns the words around a name long before it learns to copy the name: half a circuit gets no
gradient towards its other half. So the circuit (induction heads: Olsson et al., 2022) is set up at
initialization, in the manner of mimetic initialization (Trockman and Kolter, 2023):

- Layer 0: heads 0, 1 and 2 attend one, two and three tokens back. Their query and key biases alone do this:
  rotary embedding turns them into a score that peaks at that distance. Each head writes the token it sees
  (a note) to its own directions of the residual stream.
- Layer 1: heads 0 and 3 attend to positions that followed the current context before. Head 0 matches the
  current token and the previous one; head 3 the current one and the one before the previous, for two words
  with a space between. Both copy the token at that position.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgeassist.trial_models.synthetic import Shape
from scripts.train_tiny.model import Decoder

_EMBEDDED = 0.2
_SPREAD = 0.02
# Initial scale of the final norm; with `_EMBEDDED` and the width it sets the scale of the first logits.
_LAST_NORM = 0.3
# Previous-token heads: the number of rotary pairs that rotate fast enough to tell neighbours apart, and the
# size of their biases.
_SHARP_PAIRS = 8
_BACK_BIAS = 5.7
# Matching heads use pairs that rotate by less than a radian over this many tokens; then the attention score
# of a match, and the scale of notes and copies relative to an embedding.
_REACH = 300
_MATCH = 40.0
_NOTE = 2.0
_COPY = 14.0
# The share of random weights kept in heads that are set up by hand.
_LEFT = 0.1


def begin(decoder: Decoder) -> None:
    """Initialize a decoder in place, using torch's random state.

    Args:
        decoder: At least two layers, two KV heads and four query heads.
    """
    with torch.no_grad():
        _draw(decoder)
        _induce(decoder)


def _draw(decoder: Decoder) -> None:
    nn.init.normal_(decoder.embedding.weight, std=_EMBEDDED)
    nn.init.constant_(decoder.norm.weight, _LAST_NORM)
    # Each layer adds to the residual stream twice: scale down with depth.
    adding = _EMBEDDED / (2 * decoder.shape.layers) ** 0.5
    for name, matrix in decoder.layers.named_parameters():
        if matrix.dim() > 1:
            nn.init.normal_(matrix, std=adding if name.endswith(("out.weight", "down.weight")) else _SPREAD)


def _induce(decoder: Decoder) -> None:
    shape = decoder.shape
    head = shape.width // shape.heads
    turns = shape.rope_base ** -(torch.arange(0, head, 2) / head)
    # Orthogonal directions of the residual stream: the token, notes of the tokens before it, the copy.
    directions = torch.linalg.qr(torch.randn(shape.width, shape.width)).Q.T
    token, one, two, three, copy = directions.split((head, head, head // 2, head // 2, head))
    first, second = (_Heads(layer, shape, turns) for layer in decoder.layers[:2])
    for query, note in enumerate((one, two, three)):
        first.look_back(query, query + 1)
        first.pass_on(query, token, note, _NOTE)
    # Divide by `_NOTE`: notes are larger than embeddings by that factor.
    second.show(0, (one, two))
    second.look_for(0, ((token, _MATCH / 2), (one, _MATCH / 2 / _NOTE)))
    second.show(1, (one, three))
    second.look_for(3, ((token, _MATCH / 2), (two, _MATCH / 2 / _NOTE)))
    second.pass_on(0, copy, copy, _COPY)
    second.pass_on(3, copy, copy, _COPY)


class _Heads:
    """Sets up the attention heads of a layer; two query heads share a KV head."""

    def __init__(self, layer: nn.Module, shape: Shape, turns: Tensor) -> None:
        self._weight, self._bias, self._out = layer.qkv.weight, layer.qkv.bias, layer.out.weight
        self._head = 2 * len(turns)
        self._keys = shape.heads * self._head
        self._values = self._keys + shape.kv_heads * self._head
        self._turns = turns

    def look_back(self, query: int, tokens: int) -> None:
        """Make a query head attend `tokens` tokens back."""
        sharp = torch.arange(_SHARP_PAIRS)
        at, key = self._quiet_query(query) + sharp, self._quiet_key(query // 2) + sharp
        self._bias[key] = _BACK_BIAS
        self._bias[at] = _BACK_BIAS * torch.cos(tokens * self._turns[sharp])
        self._bias[at + self._head // 2] = -_BACK_BIAS * torch.sin(tokens * self._turns[sharp])

    def show(self, key: int, notes: Sequence[Tensor]) -> None:
        """Make a KV head's keys expose each position's components along the given directions."""
        start = self._quiet_key(key)
        for number, there in enumerate(notes):
            dimensions = self._slow(number)
            self._weight[start + dimensions] = there[: len(dimensions)] * self._loudness(dimensions)

    def look_for(self, query: int, matches: Sequence[tuple[Tensor, float]]) -> None:
        """Make a query head attend where the keys match this position's components.

        Args:
            query: Index of the query head.
            matches: For each direction given to `show`: directions to read here, and the score of a match.
        """
        start = self._quiet_query(query)
        for number, (here, score) in enumerate(matches):
            dimensions = self._slow(number)
            loudness = score / _MATCH * self._loudness(dimensions)
            self._weight[start + dimensions] = here[: len(dimensions)] * loudness

    def pass_on(self, query: int, read: Tensor, written: Tensor, loudness: float) -> None:
        """Make a head read along some directions of the attended position and write along others."""
        value = self._values + query // 2 * self._head
        self._weight[value : value + self._head] = read
        start = query * self._head
        self._out[:, start : start + self._head] *= _LEFT
        self._out[:, start : start + len(written)] = written.T * _EMBEDDED * loudness

    def _slow(self, number: int) -> Tensor:
        """Return the dimensions for match 0 or 1: half of those that hardly rotate within `_REACH` tokens."""
        slow = (self._turns * _REACH < 1).nonzero().flatten()[number::2]
        return torch.cat((slow, slow + self._head // 2))

    def _loudness(self, dimensions: Tensor) -> float:
        """Return the scale of query and key at which a match in these dimensions scores `_MATCH`."""
        return float((_MATCH * self._head**0.5 / len(dimensions)) ** 0.5)

    def _quiet_query(self, query: int) -> int:
        """Damp a query head's random weights; return their offset."""
        return self._quiet(query * self._head)

    def _quiet_key(self, key: int) -> int:
        """Damp a KV head's random key weights; return their offset."""
        return self._quiet(self._keys + key * self._head)

    def _quiet(self, start: int) -> int:
        self._weight[start : start + self._head] *= _LEFT
        return start
