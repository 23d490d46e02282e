"""How many sequences, and how much KV memory for them: a pure choice."""

from __future__ import annotations

from dataclasses import dataclass

from edgeassist.errors import MemoryShortError, ModelError

# Batched decode gains most up to here: 4 sequences give 1.35 to 1.5 times the tokens of one, 8 give 1.7 times
# (measured on two cores), and each waits longer for its own.
MOST_SLOTS = 4
# A slot that could hold less is not worth having.
LEAST_SLOT_TOKENS = 512
# For the states of ended sequences: as much as KV memory has, up to an eighth of the room and so much.
PREFIX_BYTES = 256 << 20
_PREFIX_SHARE = 8


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked for, and what there is.

    Attributes:
        context: Tokens that one sequence may have.
        bytes_per_token: What KV memory takes for a token.
        room_bytes: Memory for all of it; 0 where nobody knows.
        total_room_bytes: What there would be if no other program had any; likewise.
        threads: To compute with.
        slots: Sequences at once; None: choose.
        kv_tokens: Tokens in KV memory; None: choose.
        prefix_bytes: What the states of ended sequences may take; None: choose, 0: none.
    """

    context: int
    bytes_per_token: int
    room_bytes: int = 0
    total_room_bytes: int = 0
    threads: int = 1
    slots: int | None = None
    kv_tokens: int | None = None
    prefix_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Sizes:
    """What was chosen; the terms are those of `Demand`."""

    slots: int
    kv_tokens: int
    prefix_bytes: int


def check_fits(what: str, way_out: str, *, needed: int, free: int, total: int) -> None:
    """Raise unless so many bytes are free; what would fit if others had less may fit later.

    Args:
        what: Begins the sentence: "model.path: the weights in FILE take".
        way_out: Ends it.
        needed: Bytes.
        free: Bytes; 0 where nobody knows.
        total: Bytes that there would be if no other program had any; likewise.

    Raises:
        ModelError: They are not, and never will be as far as anybody knows.
        MemoryShortError: They are not at the moment.
    """
    if not free or needed <= free:
        return
    said = f"{what} {needed >> 20} MiB, and {free >> 20} MiB of memory are free"
    if needed <= total:
        raise MemoryShortError(f"{said} at the moment: end other programs, or {way_out}")
    raise ModelError(f"{said}: {way_out}")


def size_kv(demand: Demand) -> Sizes:
    """Choose.

    Sequences share KV memory, so it need not hold a full context for each: when it runs out, the youngest
    waits. It takes at most half of the room, unless one context needs
    more: the computation wants memory too.

    Raises:
        ModelError: Not even one full context fits.
        MemoryShortError: It does not at the moment.
    """
    per_token = max(1, demand.bytes_per_token)
    most = demand.room_bytes // per_token if demand.room_bytes else None
    wanted = demand.kv_tokens or demand.context * (demand.slots or MOST_SLOTS)
    if demand.kv_tokens is not None and demand.kv_tokens < demand.context:
        raise ModelError(
            f"engine.kv_tokens: {demand.kv_tokens} tokens do not hold even one conversation of "
            f"{demand.context} (model.context): raise the one or lower the other",
        )
    setting, least = "model.context", demand.context
    if demand.kv_tokens is not None:
        setting, least = "engine.kv_tokens", demand.kv_tokens
    if most is not None and least > most:
        later = least * per_token <= demand.total_room_bytes
        raise (MemoryShortError if later else ModelError)(
            f"{setting}: {least} tokens of context need {least * per_token >> 20} MiB beside the weights, "
            f"and {demand.room_bytes >> 20} MiB are free: set {setting} to {most} or less, or "
            "engine.kv_type to a smaller one",
        )
    kv_tokens = wanted
    if demand.kv_tokens is None and most is not None:
        kv_tokens = max(demand.context, min(wanted, most // 2))
    chosen = max(1, min(MOST_SLOTS, 2 * demand.threads, kv_tokens // LEAST_SLOT_TOKENS))
    slots = chosen if demand.slots is None else demand.slots
    prefix_bytes = demand.prefix_bytes
    if prefix_bytes is None:
        room = demand.room_bytes // _PREFIX_SHARE if demand.room_bytes else PREFIX_BYTES
        prefix_bytes = min(PREFIX_BYTES, room, kv_tokens * per_token)
    return Sizes(slots, kv_tokens, prefix_bytes)
