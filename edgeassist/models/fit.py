"""Whether a model fits into memory, and how the KV cache is sized: the one answer for all who ask.

The engine, `check-config`, `doctor` and `recommend` hand in the same description of a model and the same
settings, so that none of them refuses what another would run. Sans-I/O.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from enum import StrEnum

from edgeassist.errors import MemoryShortError, ModelError
from edgeassist.models.kv import WINDOWED_BRANCHES, Block, Kept, Manner

# What the engine takes beside weights and KV cache: compute buffers and Python, and for each token of the
# vocabulary its text, its place in the table of bounds, and logits. Measured: 99 MB with 49,152 tokens, 176
# with 151,936, 241 with 262,144. The daemon, or a command of its size, is in memory already when it measures
# what is free.
OVERHEAD_BYTES = 70_000_000
TOKEN_BYTES = 700
# Batched decode gains most up to here: 4 sequences give 1.35 to 1.5 times the tokens of one, 8 give 1.7 times
# (measured on two cores), and each waits longer for its own.
MOST_SLOTS = 4
# A slot with a smaller share of the KV cache is not worth having.
LEAST_SLOT_TOKENS = 512
# Prefix cache budget: the KV cache's size, capped at this and at 1/8 of the memory beside the weights. But
# one context has room where 1/4 of that is enough: what does not fit is read anew with each question, and a
# home with its tools fills most of a context.
PREFIX_BYTES = 256 << 20
_PREFIX_SHARE = 8
_ONE_PREFIX_SHARE = 4
# The share of free memory that a second model may take beside the first. Other programs need some meanwhile,
# and what the first one keeps of ended prompts grows.
_BESIDE = 0.8
# The least that `model.context` and `engine.kv_tokens` can be set to.
_LEAST_TOKENS = 64


class Format(StrEnum):
    """A file format of models; each belongs to one backend."""

    GGUF = "gguf"
    ONNX = "onnx"


# The KV cache types of each format, the largest first. llama.cpp's are the values of `engine.kv_type`. ONNX
# models for a CPU have single precision, or half where the graph computes in it: an upper bound.
_KV_TYPES = {
    Format.GGUF: {"f16": Block(1, 2), "q8_0": Block(32, 34), "q4_0": Block(32, 18)},
    Format.ONNX: {"f32": Block(1, 4)},
}
# ONNX Runtime GenAI allocates as many KV cells as it is told.
_ONNX = Manner(cells=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The facts about a model that its memory follows from.

    Attributes:
        format: Of its file or files.
        size_bytes: Of its file or files.
        trained_context: Tokens that it was trained for; 0 where the file does not tell.
        kept: What it keeps of the tokens that it has read.
        vocabulary: Tokens that it knows; 0 where that can't be told.
    """

    format: Format
    size_bytes: int
    trained_context: int
    kept: Kept
    vocabulary: int = 0

    @property
    def kv_heads(self) -> int:
        """Key/value heads of all layers together."""
        return sum(each.count * each.heads for each in self.kept.layers)

    @property
    def key_size(self) -> int:
        """Values in a head's key; the most where layers differ."""
        return max((each.key_size for each in self.kept.layers), default=0)

    @property
    def overhead_bytes(self) -> int:
        """What the engine itself takes with this model."""
        return OVERHEAD_BYTES + TOKEN_BYTES * self.vocabulary

    @property
    def kv_types(self) -> tuple[str, ...]:
        """The KV cache types that go with this model, the largest first."""
        return tuple(
            name
            for name, block in _KV_TYPES[self.format].items()
            if not any(size % block.values for size in self.kept.sizes)
        )

    def kv_bytes(self, tokens: int, kv_type: str, manner: Manner | None = None) -> int:
        """Return the bytes of a KV cache of that many tokens, as the library allocates it.

        Args:
            tokens: Of all sequences together.
            kv_type: One of `kv_types`; a format with a single type has that.
            manner: How llama.cpp allocates it.
        """
        types = _KV_TYPES[self.format]
        block = types[kv_type] if len(types) > 1 else next(iter(types.values()))
        manner = _ONNX if self.format is Format.ONNX else manner or Manner()
        return self.kept.bytes(tokens, block, manner)


@dataclass(frozen=True, slots=True)
class Demand:
    """What the settings ask for.

    Attributes:
        context: `model.context`; the trained context caps it.
        kv_type: `engine.kv_type`; ONNX models have a type of their own.
        slots: `engine.slots`; None: choose.
        kv_tokens: `engine.kv_tokens`; None: choose.
        prefix_bytes: `engine.prefix_mb` in bytes; None: choose, 0: none.
        threads: Threads of a step.
        rows: `engine.step_tokens`, the most tokens of one.
        flash: Whether flash attention is used: `engine.flash_attention`.
    """

    context: int
    kv_type: str = "f16"
    slots: int | None = None
    kv_tokens: int | None = None
    prefix_bytes: int | None = None
    threads: int = 1
    rows: int = 512
    flash: bool = True

    def manner(self, kept: Kept, slots: int) -> Manner:
        """Return how the KV cache for so many slots is allocated."""
        return Manner(
            sequences=slots if kept.state_bytes else slots + WINDOWED_BRANCHES,
            rows=self.rows,
            flash=self.flash,
        )


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory in bytes; None where it can't be told.

    Attributes:
        free: What can be allocated now without swapping.
        total: What could be, if no other program used any.
    """

    free: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Sizes:
    """How a model that fits is laid out.

    Attributes:
        context: Tokens that one sequence may have.
        slots: Sequences at once.
        kv_tokens: Tokens in the KV cache, shared by all slots.
        prefix_bytes: The prefix cache's budget.
        needed_bytes: The least that weights, KV cache and engine take.
    """

    context: int
    slots: int
    kv_tokens: int
    prefix_bytes: int
    needed_bytes: int


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a model can't be loaded with these settings.

    Attributes:
        text: What is wrong; begins with the setting.
        remedy: What to do.
        passing: Whether it would fit if other programs ended.
    """

    text: str
    remedy: str
    passing: bool = False

    def error(self) -> ModelError:
        """Return it as the error that the engine and `check-config` raise."""
        kind = MemoryShortError if self.passing else ModelError
        return kind(f"{self.text}: {self.remedy}")


def fit(weights: Weights, demand: Demand, memory: Memory) -> Sizes:
    """Return how the model is laid out in memory.

    Raises:
        ModelError: The settings can't work with this model, or it will never fit.
        MemoryShortError: It does not fit into what is free at the moment.
    """
    verdict = judge(weights, demand, memory)
    if isinstance(verdict, Misfit):
        raise verdict.error()
    return verdict


def judge(weights: Weights, demand: Demand, memory: Memory) -> Sizes | Misfit:
    """Return what `fit` returns, or why it does not.

    Slots share the KV cache, so it need not hold a full context for each: when it runs out, the youngest
    sequence is preempted. It takes at most half of the memory beside the weights, unless one context needs
    more.
    """
    if weights.format is Format.ONNX:
        demand = replace(demand, slots=1, kv_tokens=None)
    context = min(demand.context, weights.trained_context or demand.context)
    wrong = _misfit_of_settings(weights, demand, context) or _misfit_of_memory(
        weights, demand, context, memory
    )
    if wrong is not None:
        return wrong

    room = _room(weights, memory)
    slots, kv_tokens = demand.slots, demand.kv_tokens
    if kv_tokens is None:
        kv_tokens = context * (slots or MOST_SLOTS)
        if room is not None:
            kv_tokens = max(context, _most_tokens(weights, demand, kv_tokens, room // 2))
    if slots is None:
        slots = max(1, min(MOST_SLOTS, 2 * demand.threads, kv_tokens // LEAST_SLOT_TOKENS))
        while slots > 1 and room is not None and _kv_bytes(weights, demand, kv_tokens, slots) > room:
            slots -= 1
    prefix_bytes = most_prefix_bytes(weights, demand, memory)
    if demand.prefix_bytes is None:
        prefix_bytes = min(prefix_bytes, _kv_bytes(weights, demand, kv_tokens, slots))
    return Sizes(context, slots, kv_tokens, prefix_bytes, needed_bytes(weights, demand))


def most_prefix_bytes(weights: Weights, demand: Demand, memory: Memory) -> int:
    """Return the most that the prefix cache may take, whatever the KV cache takes."""
    if demand.prefix_bytes is not None:
        return demand.prefix_bytes
    room = _room(weights, memory)
    context = min(demand.context, weights.trained_context or demand.context)
    one = _kv_bytes(weights, demand, context)
    if room is None:
        return max(PREFIX_BYTES, one)
    return max(min(PREFIX_BYTES, room // _PREFIX_SHARE), min(one, room // _ONE_PREFIX_SHARE))


def kept_tokens(weights: Weights, demand: Demand, most_bytes: int) -> int:
    """Return how many tokens of one prompt so many bytes of state hold; never more than the context."""
    context = min(demand.context, weights.trained_context or demand.context)
    return _most_tokens(weights, replace(demand, slots=1), context, most_bytes)


def kept_bytes(weights: Weights, demand: Demand) -> int:
    """Return the bytes of a state of one prompt that fills the context."""
    context = min(demand.context, weights.trained_context or demand.context)
    return _kv_bytes(weights, replace(demand, slots=1), context)


def _room(weights: Weights, memory: Memory) -> int | None:
    return None if memory.free is None else memory.free - weights.size_bytes - weights.overhead_bytes


def needed_bytes(weights: Weights, demand: Demand) -> int:
    """Return the least that weights, engine and KV cache (one context, or as set) take."""
    tokens = min(demand.context, weights.trained_context or demand.context)
    if weights.format is not Format.ONNX:
        tokens = demand.kv_tokens or tokens
    return weights.size_bytes + _kv_bytes(weights, demand, tokens) + weights.overhead_bytes


def fits_beside(weights: Weights, demand: Demand, memory: Memory, *, held_bytes: int) -> bool:
    """Whether the model can be loaded, laid out as if it were alone, while another one is in memory still.

    Args:
        weights: Of the model to load.
        demand: What the settings ask for.
        memory: As it is now.
        held_bytes: What the other one's end will free.

    Raises:
        ModelError: It does not even fit when the other one has gone; MemoryShortError where it may later.
    """
    free = memory.free
    later = memory if free is None else Memory(free + held_bytes, memory.total)
    sizes = fit(weights, demand, later)
    needed = (
        weights.size_bytes + _kv_bytes(weights, demand, sizes.kv_tokens, sizes.slots) + weights.overhead_bytes
    )
    return free is None or needed <= _BESIDE * free


def _kv_bytes(weights: Weights, demand: Demand, tokens: int, slots: int | None = None) -> int:
    """Return the bytes of a KV cache; without a number of slots, with as few as there can be."""
    return weights.kv_bytes(tokens, demand.kv_type, demand.manner(weights.kept, slots or demand.slots or 1))


def _most_tokens(weights: Weights, demand: Demand, limit: int, room: int) -> int:
    """Return how many tokens, of so many at most, a KV cache of `room` bytes has."""
    return bisect_right(range(1, limit + 1), room, key=lambda tokens: _kv_bytes(weights, demand, tokens))


def _misfit_of_settings(weights: Weights, demand: Demand, context: int) -> Misfit | None:
    if demand.kv_tokens is not None and demand.kv_tokens < context:
        return Misfit(
            f"engine.kv_tokens: {demand.kv_tokens} tokens do not hold even one conversation of {context} "
            "(model.context)",
            "raise the one or lower the other",
        )
    if weights.format is Format.GGUF and demand.kv_type not in weights.kv_types:
        values = _KV_TYPES[weights.format][demand.kv_type].values
        size = next(size for size in sorted(weights.kept.sizes) if size % values)
        return Misfit(
            f"engine.kv_type: {demand.kv_type} stores values in blocks of {values}, which does not divide "
            f"this model's head size of {size}",
            f"set engine.kv_type to {weights.kv_types[-1]}",
        )
    return None


def _misfit_of_memory(weights: Weights, demand: Demand, context: int, memory: Memory) -> Misfit | None:
    free = memory.free
    tokens = demand.kv_tokens or context
    fixed = weights.size_bytes + weights.overhead_bytes
    kv_bytes = _kv_bytes(weights, demand, tokens)
    if free is None or fixed + kv_bytes <= free:
        return None
    parts = f"weights ({_mib(weights.size_bytes)}) and the engine itself ({_mib(weights.overhead_bytes)})"
    if fixed > free:
        text = f"model.path: {parts} need {_mib(fixed)}, and {_mib(free)} of memory are free"
        ways = ["choose a smaller model or quantization (edgeassist recommend)"]
        passing = memory.total is not None and fixed <= memory.total
    else:
        setting = "model.context" if demand.kv_tokens is None else "engine.kv_tokens"
        text = (
            f"{setting}: {tokens} tokens of KV cache need {_mib(kv_bytes)} beside {parts}, and {_mib(free)} "
            "of memory are free"
        )
        changes = _smaller(weights, demand, context, free - fixed)
        ways = [f"set {', or '.join(changes)}"] if changes else []
        ways.append("choose a smaller model (edgeassist recommend)")
        passing = memory.total is not None and fixed + kv_bytes <= memory.total
    if passing:
        text += " at the moment"
        ways.insert(0, "end other programs")
    return Misfit(text, ", or ".join(ways), passing)


def _smaller(weights: Weights, demand: Demand, context: int, room: int) -> list[str]:
    """Return the changes of settings with which the KV cache fits into `room` bytes."""
    changes = []
    kv_tokens = demand.kv_tokens
    most = _most_tokens(weights, demand, kv_tokens or context, room)
    if most >= _LEAST_TOKENS:
        setting = "model.context" if kv_tokens is None else "engine.kv_tokens"
        if kv_tokens is not None and most < context:
            setting = "model.context and engine.kv_tokens"
        changes.append(f"{setting} to {most} or less")
    fewer = range((demand.slots or 1) - 1, 0, -1)
    if slots := next((n for n in fewer if _kv_bytes(weights, demand, kv_tokens or context, n) <= room), 0):
        changes.append(f"engine.slots to {slots}")
    types = weights.kv_types
    smaller = types[types.index(demand.kv_type) + 1 :] if demand.kv_type in types else ()
    fitting = [
        name
        for name in smaller
        if _kv_bytes(weights, replace(demand, kv_type=name), kv_tokens or context) <= room
    ]
    if fitting:
        changes.append(f"engine.kv_type to {fitting[0]}")
    return changes


def _mib(size: int) -> str:
    return f"{size >> 20} MiB"
