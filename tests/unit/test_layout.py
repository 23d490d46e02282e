"""How the memory of a context is laid out: windows, recurrent states, prompts of decisions."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from edgeassist.engine.backends.llama.layout import Layout, lay_out


@dataclass(frozen=True)
class Model:
    recurrent: bool = False
    window: int = 0


@pytest.mark.parametrize(
    ("model", "kv_tokens", "expected"),
    [
        (Model(), 16_384, Layout(4, 16, 0, None)),
        (Model(recurrent=True), 16_384, Layout(4, 0, 0, 0)),
        # Gemma 3 270M: 8 windows of 512 and a step of 512.
        (Model(window=512), 16_384, Layout(4, 4, 512, 512)),
        (Model(window=512), 4_864, Layout(4, 4, 512, 512)),
        # Cells for all tokens are no more, and what a window has passed is lost in them, too.
        (Model(window=512), 4_608, Layout(4, 16, 512, 512)),
        (Model(window=4096), 16_384, Layout(4, 16, 4096, 4096)),
        (Model(recurrent=True, window=512), 16_384, Layout(4, 0, 512, 0)),
        (Model(recurrent=True, window=4096), 8_192, Layout(4, 0, 4096, 0)),
    ],
)
def test_a_window_is_kept_where_that_saves_memory(model: Model, kv_tokens: int, expected: Layout) -> None:
    assert lay_out(model, slots=4, kv_tokens=kv_tokens, rows=512, most=64) == expected


def test_llama_cpp_takes_no_more_sequences_than_it_can() -> None:
    assert lay_out(Model(), slots=4, kv_tokens=4096, rows=512, most=6).sequences == 6
    assert lay_out(Model(), slots=4, kv_tokens=4096, rows=512, most=5).branches == 0
