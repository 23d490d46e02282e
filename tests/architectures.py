"""Models of every architecture that llama.cpp knows, tiny and without weights, which it makes itself.

It is told the metadata of one, after its own tests/test-llama-archs.cpp, and knows which tensors that has.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gguf
import llama_cpp

CONTEXT, LAYERS, WIDTH, HEADS, WORDS = 4096, 4, 256, 2, 128


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


Value = int | float | bool | str | list[int] | list[float] | list[str]

_LORA: dict[str, Value] = {
    "attention.decay_lora_rank": 8,
    "attention.iclr_lora_rank": 8,
    "attention.value_residual_mix_lora_rank": 8,
    "attention.gate_lora_rank": 8,
}
_INDEXED: dict[str, Value] = {
    "attention.indexer.head_count": 64,
    "attention.indexer.key_length": 128,
    "attention.indexer.top_k": 131072,
}
# What an architecture needs beside `_all`, or in the place of it.
_OWN: Mapping[str, dict[str, Value]] = {
    "gemma3n": {"block_count": 22, "embedding_length": 64},
    "gemma4": {
        "block_count": 6,
        "embedding_length_per_layer_input": 64,
        "attention.shared_kv_layers": 2,
        "attention.head_count": 4,
        "attention.head_count_kv": [2, 2, 2, 1, 2, 1],
        "attention.key_length": 64,
        "attention.value_length": 64,
        "attention.key_length_swa": 32,
        "attention.value_length_swa": 32,
        "rope.dimension_count": 64,
        "rope.dimension_count_swa": 32,
        "attention.sliding_window_pattern": [1, 1, 1, 0, 1, 0],
    },
    "nemotron_h": {"block_count": 3, "feed_forward_length": [0, 0, 384]},
    "nemotron_h_moe": {"block_count": 3, "feed_forward_length": [0, 0, 384]},
    "plamo2": {"ssm.group_count": 0},
    "mamba": {"ssm.group_count": 0},
    "jamba": {"ssm.group_count": 0},
    "hrm_text": {"block_count": 6, "hrm.layers_per_stack": 1, "hrm.h_cycles": 2, "hrm.l_cycles": 2},
    "deepseek32": _INDEXED,
    "glm-dsa": {**_INDEXED, "attention.indexer.types": [1, 0, 1, 0]},
    "minimax-m3": {
        **_INDEXED,
        "attention.indexer.head_count": HEADS,
        "attention.indexer.block_size": 4,
        "attention.indexer.local_blocks": 1,
        "rope.dimension_count": 64,
    },
    "gptneox": {"use_parallel_residual": False},
    "maple": {"swiglu_clamp_exp": 7.0},
    "rwkv6qwen2": {"token_shift_count": 1},
    "rwkv7": _LORA,
    "arwkv7": {**_LORA, "token_shift_count": 1},
    "graniteswitch": {
        "adapters.count": 1,
        "adapters.lora_rank": 8,
        "adapters.token_ids_activate": [5],
        "adapters.token_ids_substitute": [6],
    },
    "kimi-k3": {"attn_res.block_size": 12, "activation.situ_beta": 4.0, "activation.situ_linear_beta": 25.0},
    "chameleon": {"vocab_size": 10240},
    "nanbeige": {"num_loops": 2},
    "openelm": {
        "attention.head_count": [2, 4, 4, 2],
        "attention.head_count_kv": [1, 2, 2, 1],
        "attention.key_length": 64,
        "attention.value_length": 64,
    },
    "deci": {"attention.head_count": [2, 0, 2, 2], "attention.head_count_kv": [2, 0, 1, 2]},
}
_LATENT: dict[str, Value] = {
    "embedding_length": 128,
    "attention.head_count": 1,
    "attention.head_count_kv": 1,
    "attention.key_length": 576,
    "attention.value_length": 512,
    "attention.key_length_mla": 192,
    "attention.value_length_mla": 128,
    "rope.dimension_count": 64,
}
_LATENTS = _names("deepseek2 deepseek32 glm-dsa mistral4 kimi-linear bailingmoe3 kimi-k3")
_SSM: dict[str, Value] = {
    "ssm.inner_size": 2 * WIDTH,
    "ssm.conv_kernel": 4,
    "ssm.state_size": 128,
    "ssm.time_step_rank": HEADS,
    "ssm.group_count": 2,
}
_DELTA: dict[str, Value] = {**_SSM, "ssm.inner_size": WIDTH, "full_attention_interval": 2}
_KDA: dict[str, Value] = {
    "ssm.conv_kernel": 4,
    "kda.head_dim": 128,
    "kda.safe_gate": True,
    "kda.gate_lower_bound": -5.0,
}
# What a recurrent state's size follows from.
_STATES_OF: tuple[tuple[str, dict[str, Value]], ...] = (
    ("mamba mamba2 jamba falcon-h1 plamo2 granitehybrid nemotron_h nemotron_h_moe", _SSM),
    ("qwen3next qwen35 qwen35moe", _DELTA),
    ("minimax-01", {"full_attention_interval": 2}),
    ("lfm2 lfm2moe", {"shortconv.l_cache": 3}),
    ("kimi-linear bailingmoe3 kimi-k3", _KDA),
    ("rwkv6 rwkv6qwen2 rwkv7 arwkv7", {"wkv.head_size": WIDTH // HEADS}),
)
_STATE = {architecture: keys for architectures, keys in _STATES_OF for architecture in architectures.split()}
# Layers with no key/value heads are recurrent.
_STATES = _names(
    "plamo2 jamba nemotron_h nemotron_h_moe granitehybrid lfm2 lfm2moe kimi-linear bailingmoe3 kimi-k3"
)
_LISTED = _names("cohere2moe mimo2 step35 spark2_5 muse-glimmer granite_swa maple")


def metadata_of(architecture: str, **changes: Value) -> dict[str, Value]:
    """Return metadata, by the names that keys have without their architecture; changes with __ for a dot."""
    found: dict[str, Value] = _all()
    if architecture in _LATENTS:
        found |= _LATENT
    found |= _STATE.get(architecture, {}) | _OWN.get(architecture, {})
    layers = int(str(found["block_count"]))
    if architecture in _STATES:
        heads = int(str(found["attention.head_count"]))
        per_layer = [0 if at == 1 else heads for at in range(layers)]
        found["attention.head_count_kv"] = per_layer
        if architecture == "bailingmoe3":
            found["attention.head_count"] = per_layer
    if architecture in _LISTED:
        found["attention.sliding_window_pattern"] = [at % 2 for at in range(layers)]
    return found | {key.replace("__", "."): value for key, value in changes.items()}


def _all() -> dict[str, Value]:
    return {
        "vocab_size": WORDS,
        "context_length": CONTEXT,
        "embedding_length": WIDTH,
        "block_count": LAYERS,
        "leading_dense_block_count": 1,
        "feed_forward_length": 384,
        "logit_scale": 1.0,
        "time_mix_extra_dim": 64,
        "time_decay_extra_dim": 128,
        "attention.head_count": HEADS,
        "attention.head_count_kv": HEADS,
        "attention.max_alibi_bias": 8.0,
        "attention.clamp_kqv": 1.0,
        "attention.layer_norm_epsilon": 1e-5,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "attention.group_norm_epsilon": 1e-5,
        "attention.group_norm_groups": 8,
        "attention.q_lora_rank": 512,
        "attention.kv_lora_rank": 512,
        "attention.sliding_window": 256,
        "attention.sliding_window_pattern": 2,
        "rope.dimension_sections": [32, 32, 32, 32],
        "expert_feed_forward_length": 384,
        "expert_shared_feed_forward_length": 192,
        "expert_count": 2,
        "expert_used_count": 2,
        "expert_shared_count": 1,
        "expert_gating_func": 2,
        "expert_group_scale": 1.0,
        "experts_per_group": 1,
        "interleave_moe_layer_step": 2,
        "residual_scale": 3.5,
    }


def write_metadata(path: Path, architecture: str, metadata: Mapping[str, Value]) -> None:
    """Write a GGUF file without weights."""
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in metadata.items():
        _add(writer, f"{architecture}.{key}", value)
    # Apertus has these without its name.
    for key, number in (("alpha_n", 1.0), ("alpha_p", 1.0), ("beta", 1.0), ("eps", 1e-7)):
        _add(writer, f"xielu.{key}", number)
    writer.add_tokenizer_model("test")
    words = int(str(metadata["vocab_size"]))
    writer.add_token_list([f"tok_{number}" for number in range(words)])
    writer.add_token_scores([0.0] * words)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()


def _add(writer: gguf.GGUFWriter, key: str, value: Value) -> None:
    kinds = gguf.GGUFValueType
    if isinstance(value, list):
        writer.add_array(key, value)
    elif isinstance(value, bool):
        writer.add_key_value(key, value, kinds.BOOL)
    elif isinstance(value, int):
        writer.add_key_value(key, value, kinds.UINT32)
    else:
        writer.add_key_value(key, value, kinds.FLOAT32)


@contextmanager
def made_by_llama_cpp(path: Path) -> Iterator[Any]:
    """Yield the `llama_model` that llama.cpp makes of a file's metadata, with weights that are all zero."""
    base = ctypes.CDLL(str(Path(llama_cpp.__file__).parent / "lib" / "libggml-base.so"))

    class _Params(ctypes.Structure):
        _fields_ = (("no_alloc", ctypes.c_bool), ("ctx", ctypes.c_void_p))

    base.gguf_init_from_file.restype = ctypes.c_void_p
    base.gguf_init_from_file.argtypes = (ctypes.c_char_p, _Params)
    base.gguf_free.argtypes = (ctypes.c_void_p,)
    header = base.gguf_init_from_file(str(path).encode(), _Params(no_alloc=True, ctx=None))
    assert header
    fill = llama_cpp.llama_model_set_tensor_data_t(lambda _tensor, _data: None)
    model = llama_cpp.llama_model_init_from_user(
        header, fill, ctypes.c_void_p(0), llama_cpp.llama_model_default_params()
    )
    try:
        assert model, path
        yield model
    finally:
        if model:
            llama_cpp.llama_model_free(model)
        base.gguf_free(header)
