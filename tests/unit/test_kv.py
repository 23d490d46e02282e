"""What a model keeps of the tokens that it has read, counted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeassist.models.fit import (
    OVERHEAD_BYTES,
    TOKEN_BYTES,
    Demand,
    Format,
    Memory,
    Misfit,
    Sizes,
    Weights,
    fit,
    judge,
    needed_bytes,
)
from edgeassist.models.kv import WINDOWED_BRANCHES, Block, Kept, Layers, Manner, alike

F16, Q8_0 = Block(1, 2), Block(32, 34)
MIB = 1 << 20


def of(*layers: Layers) -> Kept:
    return Kept(layers=layers)


WHOLE = Layers(count=3, heads=1, key_size=256, value_size=256)
# Gemma 3 270M.
WINDOWED = of(Layers(count=15, heads=1, key_size=256, value_size=256, window=512), WHOLE)


def test_layers_with_windows_take_as_much_as_others_where_windows_are_whole() -> None:
    assert WINDOWED.bytes(4096, F16, Manner(whole_windows=True)) == 72 * MIB


@pytest.mark.parametrize(("sequences", "cells"), [(1, 1024), (4, 2560), (12, 4096)])
def test_a_window_has_room_for_each_sequences_and_for_a_step(sequences: int, cells: int) -> None:
    manner = Manner(sequences=sequences)
    assert WINDOWED.bytes(4096, F16, manner) == (15 * cells + 3 * 4096) * 1024


def test_a_window_never_takes_more_than_the_context() -> None:
    manner = Manner(sequences=4)
    assert WINDOWED.bytes(300, F16, manner) == WINDOWED.bytes(300, F16, Manner()) == 18 * 512 * 1024


def test_a_recurrent_state_is_there_for_each_sequence_whatever_its_length() -> None:
    kept = Kept(layers=(WHOLE,), state_bytes=MIB)
    one, four = (kept.bytes(256, F16, Manner(sequences=count)) for count in (1, 4))
    assert four - one == 3 * MIB
    assert kept.bytes(512, F16, Manner()) - one == 256 * 3 * 1024


def test_layers_without_values_take_the_bytes_of_their_keys() -> None:
    latent = of(Layers(count=2, heads=1, key_size=576, value_size=0))
    assert latent.bytes(256, F16, Manner()) == latent.bytes(256, F16, Manner(flash=False)) == 256 * 2 * 1152


def test_without_flash_attention_all_values_are_as_wide_as_the_widest() -> None:
    mixed = of(
        Layers(count=1, heads=4, key_size=64, value_size=64),
        Layers(count=2, heads=0, key_size=64, value_size=64),
    )
    assert mixed.bytes(256, F16, Manner()) == 256 * 1024
    assert mixed.bytes(256, F16, Manner(flash=False)) == 256 * 2048


def test_quantized_values_are_counted_in_blocks() -> None:
    assert alike(24, 2, 64).bytes(256, Q8_0, Manner()) == 256 * 24 * 2 * 128 // 32 * 34


def test_where_each_sequence_has_cells_of_its_own_all_are_counted() -> None:
    kept = replace(alike(1, 1, 64), apart=True)
    assert kept.bytes(256, F16, Manner(sequences=4)) == 4 * kept.bytes(256, F16, Manner())


RECURRENT = Weights(
    format=Format.GGUF, size_bytes=MIB, trained_context=8192, kept=Kept(state_bytes=100 * MIB)
)


def test_a_recurrent_model_has_as_many_slots_as_there_is_room_for_states() -> None:
    demand = Demand(2048, threads=4)
    free = MIB + OVERHEAD_BYTES + 250 * MIB
    assert fit(RECURRENT, demand, Memory()).slots == 4
    assert fit(RECURRENT, demand, Memory(free)).slots == 2


def test_states_that_do_not_fit_are_refused_with_the_number_of_slots_that_does() -> None:
    demand = Demand(2048, slots=4)
    found = judge(RECURRENT, demand, Memory(MIB + OVERHEAD_BYTES + 250 * MIB))
    assert isinstance(found, Misfit)
    assert "engine.slots to 2" in found.remedy
    assert isinstance(
        judge(RECURRENT, replace(demand, slots=2), Memory(MIB + OVERHEAD_BYTES + 250 * MIB)), Sizes
    )


def test_a_window_that_is_kept_small_leaves_room_for_a_longer_context() -> None:
    weights = Weights(format=Format.GGUF, size_bytes=MIB, trained_context=32_768, kept=WINDOWED)
    free = Memory(MIB + OVERHEAD_BYTES + 150 * MIB)
    assert isinstance(judge(weights, Demand(16_384), free), Sizes)
    assert WINDOWED.bytes(16_384, F16, Manner(whole_windows=True)) > 250 * MIB


def test_a_large_vocabulary_takes_memory_of_its_own() -> None:
    weights = Weights(format=Format.GGUF, size_bytes=MIB, trained_context=8192, kept=alike(1, 1, 64))
    larger = replace(weights, vocabulary=262_144)
    demand = Demand(256)
    assert needed_bytes(larger, demand) - needed_bytes(weights, demand) == 262_144 * TOKEN_BYTES
    assert isinstance(judge(larger, demand, Memory(needed_bytes(larger, demand))), Sizes)
    assert isinstance(judge(larger, demand, Memory(needed_bytes(larger, demand) - 1)), Misfit)


def test_prompts_of_decisions_have_no_recurrent_state_of_their_own() -> None:
    demand = Demand(256)
    assert demand.manner(RECURRENT.kept, 2).sequences == 2
    assert demand.manner(WINDOWED, 2).sequences == 2 + WINDOWED_BRANCHES
