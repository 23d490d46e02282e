"""A decision's answers for a person: probabilities as bars. Sans-I/O."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from edgeassist.protocol.decisions import DecisionAnswer

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_PERCENT = len("100.0 %")
# The mark, and two blanks on either side of the bar.
_BESIDE = 6
_LEAST_BAR, _MOST_BAR = 10, 50


def lines_of(
    questions: Mapping[str, Mapping[str, Any]],
    answers: Mapping[str, DecisionAnswer],
    *,
    width: int,
    blocks: bool = True,
) -> Iterator[str]:
    """Yield the lines that show all answers, the most probable option of each with a mark.

    Args:
        questions: As they were asked, by name.
        answers: By the same names.
        width: Of the terminal, in columns.
        blocks: Whether it can show block characters; else the bars are of `#`.
    """
    for number, (name, answer) in enumerate(answers.items()):
        if number:
            yield ""
        yield f"{name}: {questions[name]['instructions']}"
        yield from _bars(answer, width, blocks=blocks)
        if answer.score is not None:
            yield f"  expected: {answer.score:.4g}"
        if answer.abstain:
            yield f"  not sure: the first two are only {answer.margin:.1%} apart".replace("%", " %")


def _bars(answer: DecisionAnswer, width: int, *, blocks: bool) -> Iterator[str]:
    shares = answer.probabilities or {answer.choice: 1.0}
    longest = max(map(_columns, shares))
    names = max(8, min(longest, width - _PERCENT - _BESIDE - _LEAST_BAR))
    bar = max(_LEAST_BAR, min(_MOST_BAR, width - names - _PERCENT - _BESIDE))
    for option, share in shares.items():
        mark = ">" if option == answer.choice else " "
        yield f"{mark} {_padded(option, names)}  {_bar(share, bar, blocks=blocks)}  {share * 100:5.1f} %"


def _bar(share: float, width: int, *, blocks: bool) -> str:
    if not blocks:
        return ("#" * round(share * width)).ljust(width)
    whole, part = divmod(round(share * width * 8), 8)
    return ("█" * whole + (_EIGHTHS[part] if part else "")).ljust(width)


def _padded(text: str, width: int) -> str:
    """Return the text in so many columns of a terminal, cut where it is longer."""
    if _columns(text) > width:
        while _columns(text) > width - 1:
            text = text[:-1]
        text += "…"
    return text + " " * (width - _columns(text))


def _columns(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in text)
    return len(text) + wide - sum(unicodedata.combining(each) > 0 for each in text)
