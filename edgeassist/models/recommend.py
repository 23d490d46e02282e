"""Which model suits a device and a need, with the figures behind it. Sans-I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from edgeassist.models.catalogue import Entry, Variant, catalogue
from edgeassist.models.fit import Demand, Format, Memory, Misfit, judge, needed_bytes

# Tokens of context for a conversation with a device.
CONTEXT_TOKENS = 2048
# The share of a device's memory that we may take: the system and the device's own work need the rest.
MEMORY_SHARE = 0.75
# Tokens a second; below, an answer appears slower than a person reads.
LEAST_RATE = 5.0
# Answers at once that a server is asked for.
SERVER_SLOTS = 4
_KV_TYPE = "f16"


class Need(StrEnum):
    """What the device is for."""

    CHINESE = "chinese"
    """To talk Chinese."""
    ENGLISH = "english"
    """To write English as well as it can."""
    MEMORY = "memory"
    """To leave as much memory as possible to others."""
    PROTOTYPE = "prototype"
    """To try things out: the fastest answers."""
    SERVER = "server"
    """To answer several clients at once."""


@dataclass(frozen=True, slots=True)
class Board:
    """A device.

    Attributes:
        memory_bytes: All of its memory.
        bandwidth: Bytes a second that its cores read together.
    """

    memory_bytes: int
    bandwidth: float


@dataclass(frozen=True, slots=True)
class Option:
    """A model on a device.

    Attributes:
        entry: The model.
        variant: Its form.
        memory_bytes: What it takes with daemon, engine and context.
        tokens_per_s: How fast it answers one client.
        measured: Whether that was measured, or is bandwidth over bytes.
        objections: Why it does not suit; empty where it does.
    """

    entry: Entry
    variant: Variant
    memory_bytes: int
    tokens_per_s: float
    measured: bool
    objections: tuple[str, ...]

    @property
    def name(self) -> str:
        """Model and quantization."""
        return f"{self.entry.name} {self.variant.name}"

    @property
    def pull_name(self) -> str:
        """What `pull` takes for it."""
        return f"{self.entry.name}:{self.variant.name}".lower()


def recommend(
    board: Board, need: Need, measured: Mapping[str, float], models: Sequence[Entry] | None = None
) -> list[Option]:
    """Return all models, those that suit first and the best of them first, then the nearest to it.

    Args:
        board: The device.
        need: What it is for.
        measured: Tokens a second of `qwen2.5-0.5b:q4_0` and the like, where the bench has measured them.
        models: To choose from; None: the catalogue's.
    """
    options = [
        _weigh(entry, variant, board, need, measured)
        for entry in models or catalogue()
        for variant in entry.variants
    ]
    return sorted(options, key=lambda each: _rank(each, need))


def _rank(option: Option, need: Need) -> tuple[float, ...]:
    """Return what sorts those that suit by their worth, and then the others by how far they are from it."""
    if option.objections:
        return (1, len(option.objections), option.memory_bytes)
    return (0, *_WORTH[need](option))


def _weigh(entry: Entry, variant: Variant, board: Board, need: Need, measured: Mapping[str, float]) -> Option:
    weights = entry.weights(variant)
    contexts = SERVER_SLOTS if need is Need.SERVER else 1
    demand = Demand(CONTEXT_TOKENS, _KV_TYPE, contexts, kv_tokens=contexts * CONTEXT_TOKENS)
    ours = int(MEMORY_SHARE * board.memory_bytes)
    memory = needed_bytes(weights, demand)
    # Each token reads the weights once, and the KV cache of what was said before: half a context of it.
    read = variant.size_bytes * entry.active // entry.parameters + weights.kv_bytes(
        CONTEXT_TOKENS // 2, _KV_TYPE
    )
    known = measured.get(entry.speed_name(variant))
    rate = board.bandwidth / read if known is None else known
    objections = [entry.caveat] if entry.caveat else []
    if isinstance(judge(weights, demand, Memory(ours, ours)), Misfit):
        objections.append(
            f"needs {memory / 1e9:.1f} GB, and {ours / 1e9:.1f} GB of {board.memory_bytes / 1e9:.1f} may go "
            "to it"
        )
    if rate < LEAST_RATE:
        objections.append(f"{rate:.1f} tokens/s are slower than a person reads")
    if need is Need.CHINESE and "zh" not in entry.languages:
        objections.append("was not trained to answer in Chinese")
    if need is Need.SERVER and variant.format is Format.ONNX:
        objections.append("ONNX Runtime GenAI serves one client at a time on a CPU")
    return Option(entry, variant, memory, rate, known is not None, tuple(objections))


# What comes first among those that suit: of the same model, the form that keeps more of it.
_WORTH: Mapping[Need, Callable[[Option], tuple[float, ...]]] = {
    Need.CHINESE: lambda each: (-each.entry.parameters, -each.variant.size_bytes),
    Need.ENGLISH: lambda each: (-each.entry.parameters, -each.variant.size_bytes),
    Need.MEMORY: lambda each: (each.memory_bytes,),
    Need.PROTOTYPE: lambda each: (-each.tokens_per_s,),
    Need.SERVER: lambda each: (-each.entry.parameters, -each.variant.size_bytes),
}
