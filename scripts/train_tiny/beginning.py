"""The weights before training: random ones, and in them two heads that already copy.

A small model learns the words around a name long before it learns to copy the name: no gradient points at
the second half of a circuit whose first half is missing. So the circuit (an induction head: Olsson et al.,
2022) is there from the first step, the way that mimetic initialization (Trockman and Kolter, 2023) sets up
attention:

- Layer 0, head 0 sees the token before, by its biases alone: rotary positions turn them into a score that is
  highest one token back. It notes, in directions of its own, what that token was.
- Layer 1, head 0 sees the places whose note says what the present token is: what followed it the last time.
  It copies the token that stands there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scripts.train_tiny.model import Decoder

_EMBEDDED = 0.2
_SPREAD = 0.02
# What a token's logits begin with is this, times `_EMBEDDED`, times what 256 dimensions add up to.
_LAST_NORM = 0.3
# Of the head that sees the token before: rotary pairs that turn fast enough to tell it from its neighbours,
# and what they are worth.
_SHARP_PAIRS = 8
_BACK_BIAS = 5.7
# Of the head that sees the same token: tokens within which its pairs turn by less than a radian, the score of
# a match, and how loud note and copy are against an embedding.
_REACH = 300
_MATCH = 20.0
_NOTE = 2.0
_COPY = 10.0
# The heads that begin otherwise than at random begin with so little of it.
_LEFT = 0.1


def begin(decoder: Decoder) -> None:
    """Set a new decoder's weights, from torch's random numbers."""
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
    shape, (back, same) = decoder.shape, decoder.layers[:2]
    head = shape.width // shape.heads
    keys = shape.heads * head
    values = keys + shape.kv_heads * head
    turns = shape.rope_base ** -(torch.arange(0, head, 2) / head)
    directions = torch.linalg.qr(torch.randn(shape.width, shape.width)).Q.T
    token, note, copied = directions[: 3 * head].split(head)

    for layer in (back, same):
        layer.qkv.weight[:head] *= _LEFT
        layer.qkv.weight[keys : keys + head] *= _LEFT

    sharp = torch.arange(_SHARP_PAIRS)
    back.qkv.bias[keys + sharp] = _BACK_BIAS
    back.qkv.bias[sharp] = _BACK_BIAS * torch.cos(turns[sharp])
    back.qkv.bias[sharp + head // 2] = -_BACK_BIAS * torch.sin(turns[sharp])
    _pass_on(back, values, token, note, _NOTE)

    slow = (turns * _REACH < 1).nonzero().flatten()
    dimensions = torch.cat((slow, slow + head // 2))
    loudness = (_MATCH * head**0.5 / len(dimensions)) ** 0.5
    same.qkv.weight[dimensions] = token[: len(dimensions)] * loudness
    same.qkv.weight[keys + dimensions] = note[: len(dimensions)] * loudness
    _pass_on(same, values, copied, copied, _COPY)


def _pass_on(layer: nn.Module, values: int, read: Tensor, written: Tensor, loudness: float) -> None:
    """Have a layer's first head read what it sees along some directions and write it along others."""
    head = len(read)
    layer.qkv.weight[values : values + head] = read
    layer.out.weight[:, :head] = written.T * _EMBEDDED * loudness
