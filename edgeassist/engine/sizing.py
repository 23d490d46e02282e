"""What a `Load` asks of memory, in the terms of `models.fit`, which decides."""

from __future__ import annotations

from edgeassist.engine.messages import FlashAttention, Load
from edgeassist.models.fit import Demand, Memory


def demand_of(options: Load) -> Demand:
    """Return the settings that the sizes follow from."""
    return Demand(
        context=options.context,
        kv_type=options.kv_type.value,
        slots=options.slots,
        kv_tokens=options.kv_tokens,
        prefix_bytes=options.prefix_bytes,
        threads=options.threads,
        rows=options.step_tokens,
        flash=options.flash_attention is not FlashAttention.OFF,
    )


def memory_of(options: Load) -> Memory:
    """Return the memory that the daemon has found."""
    return Memory(options.memory_bytes or None, options.total_memory_bytes or None)
