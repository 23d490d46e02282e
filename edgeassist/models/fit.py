"""Whether a model fits into memory, and how the KV cache is sized: the one answer for all who ask.

The engine, `check-config`, `doctor` and `recommend` hand in the same description of a model and the same
settings, so that none of them refuses what another would run. Sans-I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edgeassist.errors import MemoryShortError, ModelError

# What the engine takes beside weights and KV cache: compute buffers, vocabulary and Python, measured with
# Qwen2.5-0.5B (docs/performance.md, Memory). The daemon, or a command of its size, is in memory already when
# it measures what is free.
OVERHEAD_BYTES = 70_000_000
# Batched decode gains most up to here: 4 sequences give 1.35 to 1.5 times the tokens of one, 8 give 1.7 times
# (measured on two cores), and each waits longer for its own.
MOST_SLOTS = 4
# A slot with a smaller share of the KV cache is not worth having.
LEAST_SLOT_TOKENS = 512
# Prefix cache budget: the KV cache's size, capped at this and at 1/8 of the memory beside the weights.
PREFIX_BYTES = 256 << 20
_PREFIX_SHARE = 8
# The least that `model.context` and `engine.kv_tokens` can be set to.
_LEAST_TOKENS = 64


class Format(StrEnum):
    """A file format of models; each belongs to one backend."""

    GGUF = "gguf"
    ONNX = "onnx"


@dataclass(frozen=True, slots=True)
class _Block:
    """How a KV cache type stores values: `values` of them take `size` bytes."""

    values: int
    size: int


# The KV cache types of each format, the largest first. llama.cpp's are the values of `engine.kv_type`. ONNX
# models for a CPU have single precision, or half where the graph computes in it: an upper bound.
_KV_TYPES = {
    Format.GGUF: {"f16": _Block(1, 2), "q8_0": _Block(32, 34), "q4_0": _Block(32, 18)},
    Format.ONNX: {"f32": _Block(1, 4)},
}
# llama.cpp allocates KV cells in multiples of this; ONNX Runtime GenAI what it is told.
_CELLS = {Format.GGUF: 256, Format.ONNX: 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The facts about a model that its memory follows from.

    Attributes:
        format: Of its file or files.
        size_bytes: Of its file or files.
        trained_context: Tokens that it was trained for; 0 where the file does not tell.
        kv_heads: Key/value heads of all layers together.
        key_size: Values in a head's key.
        value_size: Values in a head's value.
    """

    format: Format
    size_bytes: int
    trained_context: int
    kv_heads: int
    key_size: int
    value_size: int

    @property
    def kv_types(self) -> tuple[str, ...]:
        """The KV cache types that go with this model, the largest first."""
        return tuple(
            name
            for name, block in _KV_TYPES[self.format].items()
            if self.key_size % block.values == self.value_size % block.values == 0
        )

    def kv_bytes_per_token(self, kv_type: str) -> int:
        """Return the bytes of KV cache that one token takes; a format with a single type has that."""
        types = _KV_TYPES[self.format]
        block = types[kv_type] if len(types) > 1 else next(iter(types.values()))
        return self.kv_heads * (self.key_size + self.value_size) * block.size // block.values

    def kv_bytes(self, tokens: int, kv_type: str) -> int:
        """Return the bytes of a KV cache of that many tokens, as the library allocates it."""
        cells = _CELLS[self.format]
        return -(-tokens // cells) * cells * self.kv_bytes_per_token(kv_type)


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
    """

    context: int
    kv_type: str = "f16"
    slots: int | None = None
    kv_tokens: int | None = None
    prefix_bytes: int | None = None
    threads: int = 1


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
    context = min(demand.context, weights.trained_context or demand.context)
    slots, kv_tokens = demand.slots, demand.kv_tokens
    if weights.format is Format.ONNX:
        slots, kv_tokens = 1, None
    wrong = _misfit_of_settings(weights, demand.kv_type, context, kv_tokens)
    wrong = wrong or _misfit_of_memory(weights, demand.kv_type, context, kv_tokens, memory)
    if wrong is not None:
        return wrong

    per_token = max(1, weights.kv_bytes_per_token(demand.kv_type))
    room = _room(weights, memory)
    needed = needed_bytes(weights, demand)
    if kv_tokens is None:
        kv_tokens = context * (slots or MOST_SLOTS)
        if room is not None:
            kv_tokens = max(context, min(kv_tokens, room // per_token // 2))
    if slots is None:
        slots = max(1, min(MOST_SLOTS, 2 * demand.threads, kv_tokens // LEAST_SLOT_TOKENS))
    prefix_bytes = most_prefix_bytes(weights, demand, memory)
    if demand.prefix_bytes is None:
        prefix_bytes = min(prefix_bytes, kv_tokens * per_token)
    return Sizes(context, slots, kv_tokens, prefix_bytes, needed)


def most_prefix_bytes(weights: Weights, demand: Demand, memory: Memory) -> int:
    """Return the most that the prefix cache may take, whatever the KV cache takes."""
    if demand.prefix_bytes is not None:
        return demand.prefix_bytes
    room = _room(weights, memory)
    return PREFIX_BYTES if room is None else min(PREFIX_BYTES, room // _PREFIX_SHARE)


def _room(weights: Weights, memory: Memory) -> int | None:
    return None if memory.free is None else memory.free - weights.size_bytes - OVERHEAD_BYTES


def needed_bytes(weights: Weights, demand: Demand) -> int:
    """Return the least that weights, engine and KV cache (one context, or as set) take."""
    tokens = min(demand.context, weights.trained_context or demand.context)
    if weights.format is not Format.ONNX:
        tokens = demand.kv_tokens or tokens
    return weights.size_bytes + weights.kv_bytes(tokens, demand.kv_type) + OVERHEAD_BYTES


def _misfit_of_settings(weights: Weights, kv_type: str, context: int, kv_tokens: int | None) -> Misfit | None:
    if kv_tokens is not None and kv_tokens < context:
        return Misfit(
            f"engine.kv_tokens: {kv_tokens} tokens do not hold even one conversation of {context} "
            "(model.context)",
            "raise the one or lower the other",
        )
    if weights.format is Format.GGUF and kv_type not in weights.kv_types:
        values = _KV_TYPES[weights.format][kv_type].values
        size = weights.key_size if weights.key_size % values else weights.value_size
        return Misfit(
            f"engine.kv_type: {kv_type} stores values in blocks of {values}, which does not divide "
            f"this model's head size of {size}",
            f"set engine.kv_type to {weights.kv_types[-1]}",
        )
    return None


def _misfit_of_memory(
    weights: Weights, kv_type: str, context: int, kv_tokens: int | None, memory: Memory
) -> Misfit | None:
    free = memory.free
    tokens = kv_tokens or context
    fixed = weights.size_bytes + OVERHEAD_BYTES
    kv_bytes = weights.kv_bytes(tokens, kv_type)
    if free is None or fixed + kv_bytes <= free:
        return None
    parts = f"weights ({_mib(weights.size_bytes)}) and the engine itself ({_mib(OVERHEAD_BYTES)})"
    if fixed > free:
        text = f"model.path: {parts} need {_mib(fixed)}, and {_mib(free)} of memory are free"
        ways = ["choose a smaller model or quantization (edgeassist recommend)"]
        passing = memory.total is not None and fixed <= memory.total
    else:
        setting = "model.context" if kv_tokens is None else "engine.kv_tokens"
        text = (
            f"{setting}: {tokens} tokens of KV cache need {_mib(kv_bytes)} beside {parts}, and {_mib(free)} "
            "of memory are free"
        )
        changes = _smaller(weights, kv_type, context, kv_tokens, free - fixed)
        ways = [f"set {', or '.join(changes)}"] if changes else []
        ways.append("choose a smaller model (edgeassist recommend)")
        passing = memory.total is not None and fixed + kv_bytes <= memory.total
    if passing:
        text += " at the moment"
        ways.insert(0, "end other programs")
    return Misfit(text, ", or ".join(ways), passing)


def _smaller(weights: Weights, kv_type: str, context: int, kv_tokens: int | None, room: int) -> list[str]:
    """Return the changes of settings with which the KV cache fits into `room` bytes."""
    changes = []
    cells = _CELLS[weights.format]
    most = room // max(1, weights.kv_bytes_per_token(kv_type)) // cells * cells
    if most >= _LEAST_TOKENS:
        setting = "model.context" if kv_tokens is None else "engine.kv_tokens"
        if kv_tokens is not None and most < context:
            setting = "model.context and engine.kv_tokens"
        changes.append(f"{setting} to {most} or less")
    types = weights.kv_types
    smaller = types[types.index(kv_type) + 1 :] if kv_type in types else ()
    fitting = [name for name in smaller if weights.kv_bytes(kv_tokens or context, name) <= room]
    if fitting:
        changes.append(f"engine.kv_type to {fitting[0]}")
    return changes


def _mib(size: int) -> str:
    return f"{size >> 20} MiB"
