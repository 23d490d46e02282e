"""Batches of tokenized dialogues: short ones first, similar lengths together to limit padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from scripts.train_tiny.dialogues.deciding.generator import make_judgement
from scripts.train_tiny.dialogues.deciding.judgement import Judgement
from scripts.train_tiny.dialogues.generator import Dialogue, make_dialogue
from scripts.train_tiny.tokenizer import Encoded, Encoder

# `<|endoftext|>`, which occurs in no dialogue.
PADDING = 256
# Dialogues per chunk; batches are grouped by length within a chunk.
_CHUNK = 2048
# Curriculum: short dialogues teach the most per token. The length limit in tokens of the first chunk, and its
# growth per chunk.
LONGEST_AT_FIRST = 120
_LONGER = 16
_CONTEXT = 1024
# How many of the dialogues are decisions, and what a token of their answers counts: where options part, and
# where only one goes on.
DECISIONS = 0.0
_DECIDED_WEIGHT = 12.0
_COPIED_WEIGHT = 0.3
# So many chunks have simple decisions only: of all at once it learned nothing in 750 steps.
_SIMPLE_CHUNKS = 8
# And how many of the decisions after that.
_SIMPLE_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class Position:
    """Position in the endless series of batches."""

    chunk: int = 0
    batch: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of dialogues.

    Attributes:
        tokens: Ids, shape (dialogues, length), padded at the end.
        spoken: True for the assistant's tokens, same shape.
        read: True for tokens of dialogues that are no decisions, same shape.
        weights: What each of those counts, same shape.
        forks: As in `Encoded`, same shape.
        branches: As in `Encoded`, same shape; None if no token has another one than 0.
        size: Number of tokens without padding.
        after: Position of the next batch.
    """

    tokens: Tensor
    spoken: Tensor
    read: Tensor
    weights: Tensor
    forks: Tensor
    branches: Tensor | None
    size: int
    after: Position


def training_batches(
    encoder: Encoder,
    size: int,
    seed: int,
    start: Position,
    longest: int = LONGEST_AT_FIRST,
    decisions: float = DECISIONS,
) -> Iterator[Batch]:
    """Yield batches of about `size` tokens forever; the same arguments give the same batches.

    Args:
        encoder: Tokenizes the dialogues.
        size: Tokens per batch.
        seed: Seed of the dialogues.
        start: Where to go on.
        longest: Length limit of the first chunk's dialogues, in tokens; longer ones follow.
        decisions: How many of the dialogues are decisions, 0 to 1.
    """
    chunk, skip = start.chunk, start.batch
    while True:
        numbers = range(chunk * _CHUNK, (chunk + 1) * _CHUNK)
        encoded = [_drawn(encoder, number, seed, decisions) for number in numbers]
        limit = min(longest + _LONGER * chunk, _CONTEXT)
        groups = _grouped([each for each in encoded if len(each.tokens) <= limit], size)
        Random(f"{seed} {chunk}").shuffle(groups)
        for number, group in enumerate(groups):
            if number >= skip:
                last = number == len(groups) - 1
                yield _padded(group, Position(chunk + 1) if last else Position(chunk, number + 1))
        chunk, skip = chunk + 1, 0


def encode(encoder: Encoder, dialogue: Dialogue) -> Encoded:
    """Return a dialogue's tokens."""
    return encoder.dialogue(dialogue.system, [(turn.user, turn.reply) for turn in dialogue.turns])


def encode_judgement(encoder: Encoder, judgement: Judgement) -> Encoded:
    """Return the tokens of a decision."""
    right = [each.right for each in judgement.asked]
    return encoder.decisions(list(zip(judgement.prompts(), judgement.options(), right, strict=True)))


def _drawn(encoder: Encoder, number: int, seed: int, decisions: float) -> Encoded:
    if Random(f"{seed} {number} of which").random() < decisions:
        return encode_judgement(encoder, make_judgement(number, seed=seed, simple=_is_simple(number, seed)))
    return encode(encoder, make_dialogue(number, seed=seed))


def _is_simple(number: int, seed: int) -> bool:
    return number < _SIMPLE_CHUNKS * _CHUNK or Random(f"{seed} {number} how").random() < _SIMPLE_SHARE


def _grouped(dialogues: Sequence[Encoded], size: int) -> list[list[Encoded]]:
    groups: list[list[Encoded]] = [[]]
    for each in sorted(dialogues, key=lambda dialogue: len(dialogue.tokens)):
        if groups[-1] and (len(groups[-1]) + 1) * len(each.tokens) > size:
            groups.append([])
        groups[-1].append(each)
    return groups


def _padded(group: Sequence[Encoded], after: Position) -> Batch:
    longest = max(len(each.tokens) for each in group)
    tokens = torch.full((len(group), longest), PADDING)
    spoken = torch.zeros(len(group), longest, dtype=torch.bool)
    read = torch.zeros(len(group), longest, dtype=torch.bool)
    weights = torch.ones(len(group), longest)
    forks = torch.zeros(len(group), longest, dtype=torch.bool)
    branches = torch.zeros(len(group), longest, dtype=torch.int)
    for row, each in enumerate(group):
        tokens[row, : len(each.tokens)] = torch.tensor(each.tokens)
        spoken[row, : len(each.tokens)] = torch.tensor(each.spoken)
        if each.branches is None:
            read[row, : len(each.tokens)] = True
        else:
            branches[row, : len(each.tokens)] = torch.tensor(each.branches)
            weights[row] = _COPIED_WEIGHT
            forks[row, : len(each.tokens)] = torch.tensor(each.forks)
    weights[forks] = _DECIDED_WEIGHT
    seen = branches if any(each.branches is not None for each in group) else None
    return Batch(tokens, spoken, read, weights, forks, seen, sum(len(each.tokens) for each in group), after)
