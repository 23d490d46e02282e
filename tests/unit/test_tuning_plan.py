"""What is tried with one model: by its kind, by memory, and by what a person has set already."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeassist.engine.messages import ModelFacts
from edgeassist.models.files.description import ModelFile
from edgeassist.models.fit import Demand, Format, Memory
from edgeassist.models.kv import alike
from edgeassist.tuning.options import Sample, load_stage, threads_stage
from edgeassist.tuning.plan import Situation, kv_is_short, names_of, stages_of
from edgeassist.tuning.report import decided
from edgeassist.tuning.search import Tried

# Qwen2.5-0.5B: 12,288 bytes of KV cache for each token.
MODEL = ModelFile(
    format=Format.GGUF,
    size_bytes=352_000_000,
    trained_context=32_768,
    kept=alike(24, 2, 64),
    name="Qwen",
    architecture="qwen2",
    layers=24,
    quantization="Q4_0",
)
ROOMY, SHORT = Memory(4_000_000_000, 8_000_000_000), Memory(500_000_000, 1_000_000_000)
SITUATION = Situation(
    model=MODEL,
    backend="llama",
    demand=Demand(4096),
    memory=ROOMY,
    threads=4,
    step_tokens=512,
    step_ms=250,
    taken=frozenset(),
    files=(),
    path="qwen.gguf",
)
FACTS = ModelFacts("Qwen", "llama", context=4096)
FIRST = Sample(prefill_rate=150, decode_rate=20, memory_bytes=500_000_000)


def planned(situation: Situation, facts: ModelFacts = FACTS) -> list[str]:
    return [stage.name for stage in stages_of(situation, facts, FIRST)]


def test_all_is_tried_where_nothing_is_set_and_what_matters_most_comes_first() -> None:
    assert planned(SITUATION) == ["threads", "step_tokens", "load_mode", "kv_type"]


def test_quantizations_at_hand_are_tried_after_the_threads() -> None:
    situation = replace(SITUATION, files=[("Q4_K_M", "other.gguf")])
    assert planned(situation)[:2] == ["threads", "quantization"]
    stage = stages_of(situation, FACTS, FIRST)[1]
    assert [option.label for option in stage.options] == ["Q4_0", "Q4_K_M"]


@pytest.mark.parametrize(
    ("taken", "left"),
    [
        ("engine.threads", ["step_tokens", "load_mode", "kv_type"]),
        ("engine.threads_max", ["step_tokens", "load_mode", "kv_type"]),
        ("engine.step_tokens", ["threads", "load_mode", "kv_type"]),
        ("engine.load_mode", ["threads", "step_tokens", "kv_type"]),
        ("engine.kv_type", ["threads", "step_tokens", "load_mode"]),
        ("mqtt.host", ["threads", "step_tokens", "load_mode", "kv_type"]),
    ],
)
def test_what_a_person_has_set_is_not_tried(taken: str, left: list[str]) -> None:
    situation = replace(SITUATION, taken=frozenset([taken]))
    assert planned(situation) == left
    assert names_of(situation) == left


def test_threads_that_read_prompts_stay_where_a_person_has_set_them() -> None:
    situation = replace(SITUATION, taken=frozenset(["engine.prefill_threads"]))
    stage = stages_of(situation, FACTS, FIRST)[0]
    assert [rule.key for rule in stage.rules] == ["engine.threads_max"]
    assert all(set(option.change) == {"threads"} for option in stage.options)


def test_where_memory_is_short_the_kv_cache_comes_before_speed() -> None:
    situation = replace(SITUATION, memory=SHORT)
    assert planned(situation)[:2] == ["threads", "kv_type"]
    assert "Memory is short" in stages_of(situation, FACTS, FIRST)[1].note


@pytest.mark.parametrize(
    ("memory", "context", "short"),
    [
        (ROOMY, 4096, False),
        (SHORT, 4096, True),
        # 39 MB are left for it in half of the room: 3,200 tokens.
        (SHORT, 1024, False),
        # Not even one conversation has room.
        (Memory(425_000_000), 4096, True),
        (Memory(None), 4096, False),
    ],
)
def test_memory_is_short_where_two_conversations_have_no_room(
    memory: Memory, context: int, *, short: bool
) -> None:
    assert kv_is_short(MODEL, Demand(context), memory) is short


def test_a_head_that_q8_0_cannot_hold_has_no_other_kv_type_to_try() -> None:
    odd = replace(SITUATION, model=replace(MODEL, kept=alike(24, 2, 80)))
    assert "kv_type" not in names_of(odd)
    assert "kv_type" not in planned(odd)


def test_of_an_onnx_model_only_threads_are_tried() -> None:
    situation = replace(SITUATION, backend="onnx", model=replace(MODEL, format=Format.ONNX))
    assert names_of(situation) == ["threads"]
    assert planned(situation, ModelFacts("Phi", "onnx", context=4096, adjusts_threads=False)) == ["threads"]
    assert names_of(replace(situation, threads=1)) == []


def test_only_a_stage_that_was_tried_to_the_end_decides_on_its_settings() -> None:
    threads = threads_stage(4, adjusts=True)
    assert threads is not None
    tried = [Tried(threads), Tried(load_stage(), unfinished="not tried")]
    assert decided(tried) == {"engine.threads_max", "engine.prefill_threads_max"}
