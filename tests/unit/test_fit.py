"""Whether a model fits into memory, and how it is laid out there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import gguf
import msgspec
import pytest

from edgeassist.engine import sizing
from edgeassist.engine.messages import KvType
from edgeassist.errors import MemoryShortError, ModelError
from edgeassist.loads import load_of
from edgeassist.models.choice import Choice
from edgeassist.models.fit import (
    LEAST_SLOT_TOKENS,
    MOST_SLOTS,
    OVERHEAD_BYTES,
    PREFIX_BYTES,
    Demand,
    Format,
    Memory,
    Misfit,
    Sizes,
    Weights,
    fit,
    fits_beside,
    judge,
    needed_bytes,
)
from edgeassist.models.kv import Kept, Layers, alike
from edgeassist.settings import Settings
from edgeassist.settings.schema import EngineSettings, ModelSettings
from edgeassist.wiring import demand_of

MIB = 1 << 20
# Qwen2.5-0.5B's shape: 12,288 bytes of KV cache per token in f16.
WEIGHTS = Weights(
    format=Format.GGUF,
    size_bytes=352 * MIB,
    trained_context=32_768,
    kept=alike(24, 2, 64),
)
ONNX = replace(WEIGHTS, format=Format.ONNX)
FIXED = WEIGHTS.size_bytes + OVERHEAD_BYTES


def beside(size: int, total: int | None = None) -> Memory:
    """Return a memory with that much free beside the weights, daemon and engine."""
    return Memory(FIXED + size, None if total is None else FIXED + total)


def misfit(demand: Demand, memory: Memory, weights: Weights = WEIGHTS) -> Misfit:
    verdict = judge(weights, demand, memory)
    assert isinstance(verdict, Misfit)
    return verdict


@pytest.mark.parametrize(
    ("demand", "memory", "sizes"),
    [
        pytest.param(Demand(4096, threads=4), Memory(), (4, 16_384, 192 * MIB), id="memory unknown"),
        pytest.param(Demand(4096, threads=1), Memory(), (2, 16_384, 192 * MIB), id="one thread"),
        pytest.param(Demand(4096, threads=4), beside(8192 * MIB), (4, 16_384, 192 * MIB), id="plenty"),
        pytest.param(Demand(4096, threads=4), beside(192 * MIB), (4, 8192, 48 * MIB), id="half of the room"),
        pytest.param(Demand(4096, threads=4), beside(50 * MIB), (4, 4096, 50 * MIB // 4), id="one context"),
        pytest.param(
            Demand(4096, "q4_0", threads=4), Memory(), (4, 16_384, 54 * MIB), id="a smaller KV cache type"
        ),
        pytest.param(Demand(1024, slots=9), Memory(), (9, 9216, 108 * MIB), id="slots set"),
        pytest.param(Demand(1024, kv_tokens=2048), Memory(), (2, 2048, 24 * MIB), id="KV cache set"),
        pytest.param(Demand(1024, prefix_bytes=0), Memory(), (2, 4096, 0), id="no prefix cache"),
        pytest.param(Demand(1024, prefix_bytes=MIB), Memory(), (2, 4096, MIB), id="prefix cache set"),
        pytest.param(Demand(32_768, threads=4), Memory(), (4, 131_072, 384 * MIB), id="large"),
        pytest.param(Demand(8192, threads=4), beside(8192 * MIB), (4, 32_768, PREFIX_BYTES), id="several"),
        pytest.param(
            Demand(32_768, threads=4), beside(1200 * MIB), (4, 51_200, 300 * MIB), id="most of one context"
        ),
        pytest.param(Demand(64), Memory(), (1, 256, 3 * MIB), id="tiny"),
    ],
)
def test_sizes_follow_from_the_settings_and_the_memory(
    demand: Demand, memory: Memory, sizes: tuple[int, int, int]
) -> None:
    expected = Sizes(demand.context, *sizes, needed_bytes(WEIGHTS, demand))
    assert fit(WEIGHTS, demand, memory) == expected


def test_slots_are_never_more_than_help_and_never_too_small() -> None:
    assert fit(WEIGHTS, Demand(32_768, threads=64), Memory()).slots == MOST_SLOTS
    small = Demand(LEAST_SLOT_TOKENS, threads=64, kv_tokens=LEAST_SLOT_TOKENS)
    assert fit(WEIGHTS, small, Memory()).slots == 1


def test_the_trained_context_caps_the_configured_one() -> None:
    assert fit(WEIGHTS, Demand(1 << 20), Memory()).context == 32_768
    assert fit(replace(WEIGHTS, trained_context=0), Demand(4096), Memory()).context == 4096


def test_an_onnx_model_has_one_slot_one_context_and_single_precision() -> None:
    sizes = fit(ONNX, Demand(4096, "q4_0", slots=4, kv_tokens=99, threads=8), Memory())
    assert (sizes.slots, sizes.kv_tokens) == (1, 4096)
    assert sizes.needed_bytes == FIXED + 4096 * 2 * 12_288


def test_what_just_fits_is_accepted_and_a_byte_less_is_refused() -> None:
    for weights, tokens in ((WEIGHTS, 4096), (ONNX, 4096), (WEIGHTS, 4000)):
        demand = Demand(tokens)
        needed = needed_bytes(weights, demand)
        assert isinstance(judge(weights, demand, Memory(needed)), Sizes)
        assert isinstance(judge(weights, demand, Memory(needed - 1)), Misfit)


def test_weights_that_are_too_large_are_refused_with_figures() -> None:
    found = misfit(Demand(64), Memory(400 * MIB))
    assert found.text == (
        "model.path: weights (352 MiB) and the engine itself (66 MiB) need 418 MiB, "
        "and 400 MiB of memory are free"
    )
    assert found.remedy == "choose a smaller model or quantization (edgeassist recommend)"
    with pytest.raises(ModelError, match=r"^model\.path: .*: choose a smaller model"):
        fit(WEIGHTS, Demand(64), Memory(400 * MIB))


def test_a_context_that_is_too_large_is_refused_with_one_that_fits() -> None:
    found = misfit(Demand(8192), beside(20 * MIB))
    assert found.text.startswith(
        "model.context: 8192 tokens of KV cache need 96 MiB beside weights (352 MiB)"
    )
    assert found.remedy == (
        "set model.context to 1536 or less, or choose a smaller model (edgeassist recommend)"
    )
    assert isinstance(judge(WEIGHTS, Demand(1536), beside(20 * MIB)), Sizes)


def test_a_kv_cache_that_is_too_large_is_refused_under_its_own_setting() -> None:
    found = misfit(Demand(64, kv_tokens=8192), beside(20 * MIB))
    assert found.text.startswith("engine.kv_tokens: 8192 tokens")
    assert found.remedy.startswith("set engine.kv_tokens to 1536 or less, or choose")
    both = misfit(Demand(4096, kv_tokens=8192), beside(20 * MIB))
    assert both.remedy.startswith("set model.context and engine.kv_tokens to 1536 or less, or choose")


@pytest.mark.parametrize(
    ("weights", "kv_type", "suggested"),
    [
        (WEIGHTS, "f16", "q8_0"),
        (WEIGHTS, "q8_0", "q4_0"),
        (WEIGHTS, "q4_0", None),
        (ONNX, "f16", None),
        (ONNX, "q8_0", None),
        (replace(WEIGHTS, kept=alike(24, 2, 48)), "f16", None),
    ],
)
def test_a_smaller_kv_type_is_suggested_where_there_is_one_that_fits(
    weights: Weights, kv_type: str, suggested: str | None
) -> None:
    # Just a little too small for this type.
    demand = Demand(4096, kv_type)
    found = misfit(demand, Memory(needed_bytes(weights, demand) - MIB), weights)
    assert found.remedy.count("engine.kv_type") == (suggested is not None)
    if suggested is not None:
        assert f"or engine.kv_type to {suggested}," in found.remedy


def test_the_suggested_kv_type_is_the_largest_that_fits() -> None:
    # 48 MiB in f16, 25.5 in q8_0, 13.5 in q4_0.
    for size, suggested in ((26, "engine.kv_type to q8_0"), (14, "engine.kv_type to q4_0")):
        assert suggested in misfit(Demand(4096), beside(size * MIB)).remedy
    assert "kv_type" not in misfit(Demand(4096), beside(13 * MIB)).remedy


def test_what_other_programs_hold_may_be_free_later() -> None:
    for memory in (beside(20 * MIB, 96 * MIB), Memory(100 * MIB, FIXED + 96 * MIB)):
        found = misfit(Demand(8192), memory)
        assert found.passing
        assert found.text.endswith("of memory are free at the moment")
        assert found.remedy.startswith("end other programs, or ")
        with pytest.raises(MemoryShortError):
            fit(WEIGHTS, Demand(8192), memory)
    for memory in (beside(20 * MIB, 95 * MIB), beside(20 * MIB), Memory(100 * MIB, 200 * MIB)):
        assert not misfit(Demand(8192), memory).passing


def test_a_kv_cache_below_one_context_is_refused() -> None:
    with pytest.raises(ModelError, match=r"engine\.kv_tokens: 100 .* 4096 \(model\.context\)"):
        fit(WEIGHTS, Demand(4096, kv_tokens=100), Memory())


@pytest.mark.parametrize(
    "narrow",
    [
        replace(WEIGHTS, kept=Kept(layers=(Layers(count=24, heads=2, key_size=key, value_size=value),)))
        for key, value in ((48, 64), (64, 80))
    ],
)
def test_a_kv_type_that_does_not_go_with_the_head_size_is_refused(narrow: Weights) -> None:
    assert narrow.kv_types == ("f16",)
    found = misfit(Demand(4096, "q8_0"), Memory(), narrow)
    assert found.text.startswith("engine.kv_type: q8_0 stores values in blocks of 32, which does not divide")
    assert found.text.endswith(("head size of 48", "head size of 80"))
    assert found.remedy == "set engine.kv_type to f16"


def test_kv_types_are_those_of_the_settings_and_take_what_the_gguf_package_says() -> None:
    accepted = get_args(EngineSettings.model_fields["kv_type"].annotation)
    assert WEIGHTS.kv_types == accepted == tuple(KvType)
    for name in WEIGHTS.kv_types:
        values, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name.upper()]]
        assert WEIGHTS.kv_bytes(256, name) == 256 * 48 * 128 // values * size


@pytest.mark.parametrize(
    "engine",
    [
        EngineSettings(),
        EngineSettings(slots=3, kv_tokens=9000, kv_type="q4_0", prefix_mb=12),
        EngineSettings(prefix_mb=0),
        EngineSettings(step_tokens=128, flash_attention="off"),
    ],
)
def test_the_engine_is_told_what_the_commands_judge_by(engine: EngineSettings) -> None:
    settings = Settings(model=ModelSettings(context=777), engine=engine)
    load = load_of(settings, Choice(Path("box.gguf"), "llama"), threads=1)
    assert sizing.demand_of(load) == demand_of(settings)
    assert sizing.memory_of(load) == Memory(load.memory_bytes, load.total_memory_bytes)
    assert sizing.memory_of(msgspec.structs.replace(load, memory_bytes=0, total_memory_bytes=0)) == Memory()


@pytest.mark.parametrize(
    ("free_mib", "held_mib", "expected"),
    [
        (4096, 400, True),
        # Alone it fits, and is laid out as if it were alone; beside the other it would have to be smaller.
        (600, 500, False),
        # It fits by the last byte, and a little is left to other programs.
        (615, 0, False),
    ],
)
def test_a_second_model_is_loaded_beside_the_first_where_it_gets_what_it_would_get_alone(
    free_mib: int, held_mib: int, expected: bool  # noqa: FBT001 - a parameter
) -> None:  # fmt: skip
    memory = Memory(free_mib * MIB, 8192 * MIB)
    assert fits_beside(WEIGHTS, Demand(4096), memory, held_bytes=held_mib * MIB) is expected


def test_a_model_that_does_not_fit_even_alone_is_refused_before_the_first_one_ends() -> None:
    with pytest.raises(MemoryShortError, match="at the moment"):
        fits_beside(WEIGHTS, Demand(4096), Memory(100 * MIB, 8192 * MIB), held_bytes=100 * MIB)
    with pytest.raises(ModelError):
        fits_beside(WEIGHTS, Demand(4096), Memory(100 * MIB, 200 * MIB), held_bytes=100 * MIB)
    assert fits_beside(WEIGHTS, Demand(4096), Memory(), held_bytes=0)
