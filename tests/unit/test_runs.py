import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.engine.prompting.runs import LONGEST_RUN, LONGEST_STRETCH, cut_runs
from edgeassist.engine.prompting.shield import control_pattern

CONTROL = control_pattern(["<|end|>", "<s>"])
ORDINARY = [
    "The quick brown fox jumps over it. " * 4000,
    "今天天气很好，我们去公园散步吧。\n" * 4000,
    '<div class="box"><b>hello</b></div>\n' * 4000,
    '{\n    "a": [1, 2, 3],\n' * 4000,
    "def f(x):\n        return x  # " + "-" * 100 + "\n" * 50,
    "iVBORw0KGgoAAAANSUhEUgAA" * 20 + "\n",
    "=" * 1000,
    "",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_left_whole(text: str) -> None:
    assert cut_runs(text, CONTROL) == [text]


@pytest.mark.parametrize("unit", ["a", " ", "\n", "-", "7", "好", ".", "ab", "<", "a-", "-=", "😀", "\t "])
def test_a_run_of_one_kind_is_cut(unit: str) -> None:
    text = f"Look: {unit * 100_000} and so on."
    parts = cut_runs(text, CONTROL)
    assert "".join(parts) == text
    assert max(map(len, parts)) <= LONGEST_STRETCH + 10
    if unit not in {"a-"}:
        assert max(map(len, parts)) <= LONGEST_RUN + 10


def test_a_million_characters_without_a_break_are_cut_in_one_pass() -> None:
    assert len(cut_runs("a.b-" * 2_000_000, CONTROL)) == 8_000_000 // LONGEST_STRETCH + 1


@given(st.integers(0, 12), st.sampled_from(["a", "-", "<"]))
def test_no_cut_goes_through_a_control_token(shift: int, unit: str) -> None:
    text = unit * (LONGEST_RUN - shift) + "<|end|>" + unit * LONGEST_RUN * 2
    parts = cut_runs(text, CONTROL)
    assert "".join(parts) == text
    assert sum(part.count("<|end|>") for part in parts) == 1
    assert len(parts) > 1
