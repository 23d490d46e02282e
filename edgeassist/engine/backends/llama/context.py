"""A `llama_context`: the KV cache and what computes with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgeassist.engine.backends.llama.binding import llama_cpp
from edgeassist.engine.backends.llama.layout import Layout
from edgeassist.engine.backends.llama.log import LlamaLog
from edgeassist.engine.backends.llama.model import Model
from edgeassist.engine.backends.llama.weights import NO_DECODER
from edgeassist.engine.messages import FlashAttention, KvType, Load
from edgeassist.engine.prefill import READS
from edgeassist.engine.speculation import LENGTHS
from edgeassist.errors import ModelError

_KV_TYPES = {
    KvType.F16: llama_cpp.GGML_TYPE_F16,
    KvType.Q8_0: llama_cpp.GGML_TYPE_Q8_0,
    KvType.Q4_0: llama_cpp.GGML_TYPE_Q4_0,
}
_FLASH = {
    FlashAttention.AUTO: llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO,
    FlashAttention.ON: llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    FlashAttention.OFF: llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}


@dataclass(frozen=True, slots=True)
class Context:
    """A context and what it was made with.

    Attributes:
        handle: The `llama_context`.
        batch_size: The most tokens of one `llama_decode`.
        threads: Of every step until another number is set.
    """

    handle: Any
    batch_size: int
    threads: int


def rows_of(options: Load, slots: int) -> int:
    """Return the most tokens of one step."""
    return max(options.step_tokens, slots + 1, 1 + LENGTHS[-1])


def make_context(
    model: Model, options: Load, *, kv_tokens: int, layout: Layout, llama_log: LlamaLog
) -> Context:
    """Allocate a KV cache of that many tokens.

    Raises:
        ModelError: llama.cpp can't, or the model is no decoder.
    """
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = kv_tokens
    params.n_batch = params.n_ubatch = rows_of(options, layout.slots)
    params.n_seq_max = layout.sequences
    # A row of logits for each output of a step, 600 kB over 151,936 tokens; by default, one for each token.
    params.n_outputs_max = max(layout.slots, 1 + LENGTHS[-1]) + READS
    params.n_outputs_max_per_seq = max(1 + LENGTHS[-1], READS)
    params.n_threads = params.n_threads_batch = options.threads
    params.type_k = params.type_v = _KV_TYPES[options.kv_type]
    params.flash_attn_type = _FLASH[options.flash_attention]
    # One pool for all sequences: a prefix is shared by reference, and a long prompt uses what others don't.
    params.kv_unified = True
    # It keeps nothing for certain: llama.cpp takes the cells of what a window has passed all the same.
    params.swa_full = False
    params.no_perf = True
    handle = llama_cpp.llama_init_from_model(model.handle, params)
    if not handle:
        raise ModelError(
            f"llama.cpp can't make a context of {kv_tokens} tokens (engine.kv_tokens) with "
            f"engine.kv_type {options.kv_type}, engine.flash_attention {options.flash_attention}: "
            f"{llama_log.errors}"
        )
    pooled = llama_cpp.llama_pooling_type(handle) != llama_cpp.LLAMA_POOLING_TYPE_NONE
    # An encoder has no KV cache, and what it computes for one row depends on all others of the step.
    if pooled or not llama_cpp.llama_get_memory(handle) or not llama_cpp.llama_get_causal_attn(handle):
        raise ModelError(f"model.path: {options.path} {NO_DECODER}")
    return Context(handle, int(params.n_batch), options.threads)
