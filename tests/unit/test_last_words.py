"""Which of an engine's lines explain its end."""

from __future__ import annotations

import pytest

from edgeassist.supervision.last_words import QUOTED, LastWords

TRACE = [f"#{number}  0x00007f41 in llama_decode () from libllama.so" for number in range(40)]
ASSERTION = "/build/llama-context.cpp:2273: GGML_ASSERT(n_outputs_max <= cparams.n_outputs_max) failed"


def quoted(lines: list[str]) -> list[str]:
    words = LastWords()
    for line in lines:
        words.add(line)
    return words.quoted()


def test_the_last_lines_are_quoted_where_none_gives_a_reason() -> None:
    assert quoted(TRACE) == TRACE[-QUOTED:]
    assert quoted(TRACE[:2]) == TRACE[:2]


@pytest.mark.parametrize(
    "reason",
    [
        ASSERTION,
        "python: cache.c:12: grow: Assertion `size > 0' failed.",
        "terminate called after throwing an instance of 'std::bad_alloc'",
        "  what():  std::bad_alloc",
        "free(): invalid pointer",
        "malloc(): corrupted top size",
        "double free or corruption (out)",
        "*** stack smashing detected ***: terminated",
        "Fatal Python error: Segmentation fault",
    ],
)
def test_a_reason_is_quoted_before_the_back_trace_that_follows_it(reason: str) -> None:
    assert quoted(["loading", reason, *TRACE]) == [reason, *TRACE[1 - QUOTED :]]


def test_a_reason_among_the_last_lines_stays_where_it_is() -> None:
    assert quoted(["loading", ASSERTION, "Aborted"]) == ["loading", ASSERTION, "Aborted"]


def test_of_several_reasons_the_last_counts() -> None:
    warning = "/usr/lib/python3/module.py:12: UserWarning: old"
    assert quoted([warning, *TRACE, ASSERTION, *TRACE])[0] == ASSERTION
