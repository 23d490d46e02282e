"""An evaluation as lines for a person. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edgeassist.evaluation.fit import Fitted
from edgeassist.evaluation.metrics import Bin, Figures
from edgeassist.evaluation.report import CUT_OFF_LIMIT, FitReport, Report, Written
from edgeassist.evaluation.variants import Variation
from edgeassist.protocol.decisions import Kind

# Characters of a bar of 100 %.
_WIDTH = 40
_SAID_OF = {
    Variation.REPEATED: "asked again",
    Variation.REVERSED: "with a choice's options in reverse",
    Variation.LENGTHENED: "with more words behind every second option's name",
    Variation.PREFIXED: "with more words before it",
}
# Of reasons why a case could not be asked.
_MOST_REASONS = 3


def lines_of(report: Report) -> Iterator[str]:
    """Yield the report, line by line."""
    asked = report.asked
    temperatures = ", ".join(f"{kind} {asked.temperatures[kind]:g}" for kind in Kind)
    yield f"{asked.model}: {report.count} cases of {report.cases} ({report.digest})"
    yield f"temperatures: {temperatures}; prior {asked.prior:g}; threshold {asked.threshold:g}"
    for line, reason in list(report.refused.items())[:_MOST_REASONS]:
        yield f"line {line} could not be asked: {reason}"
    if len(report.refused) > _MOST_REASONS:
        yield f"and {len(report.refused) - _MOST_REASONS} more could not be asked"
    yield ""
    yield from table(report.figures)
    guesses = [name for name, each in report.figures.items() if each.low <= each.chance]
    if guesses:
        yield f"for all that so few cases tell, guesses: {', '.join(guesses)}"
    yield ""
    yield from picture(report.figures["all"].bins)
    yield ""
    yield f"the probabilities of an answer sum to 1, within {report.sum_off:.0e}"
    for variation, share in report.changed.items():
        yield f"{_SAID_OF[variation]}, {_percent(share)} of the picks differ"
    if report.written:
        yield ""
        yield from _written(report.written)
    if report.fit is not None:
        yield ""
        yield from _fit(report.fit)


def table(figures: Mapping[str, Figures]) -> Iterator[str]:
    """Yield a table with a row for each group."""
    yield from _aligned(
        [
            ["", "asked", "right", "(95 %)", "guessed", "error", "(chance)", "abstains", "rest"],
            *(
                [
                    name,
                    str(each.count),
                    _percent(each.accuracy),
                    f"{100 * each.low:.0f}..{100 * each.high:.0f}",
                    _percent(each.chance),
                    f"{each.ece:.3f}",
                    f"{each.ece_by_chance:.3f}",
                    _percent(each.abstains),
                    "" if each.accuracy_above is None else _percent(each.accuracy_above),
                ]
                for name, each in figures.items()
            ),
        ]
    )


def picture(bins: Sequence[Bin]) -> Iterator[str]:
    """Yield a bar for each bin: as long as its answers are right, with a mark where they say so."""
    yield "how often it is right (bar), where it says that it is so sure (│)"
    for each in bins:
        right, said = (round(_WIDTH * share) for share in (each.accuracy, each.confidence))
        bar = "".join("█" if place < right else "·" for place in range(_WIDTH))
        mark = min(said, _WIDTH - 1)
        bar = f"{bar[:mark]}│{bar[mark + 1 :]}"
        yield f"{_percent(each.confidence):>6} sure {bar} {_percent(each.accuracy):>6} right of {each.count}"


def settings_of(fitted: Fitted, *, wanted: float) -> Iterator[str]:
    """Yield the settings that make a device use what was fitted."""
    yield "[decisions]"
    by_kind = ", ".join(f"{kind.value} = {each:g}" for kind, each in fitted.temperatures.items())
    yield f"temperature = {{ {by_kind} }}"
    if fitted.threshold is None:
        yield f"# threshold: no margin leaves enough answers of which {_percent(wanted)} are right"
    else:
        yield f"threshold = {fitted.threshold:g}  # from there on, {_percent(wanted)} are right, or more"


def _fit(found: FitReport) -> Iterator[str]:
    yield f"fitted to {found.fitted_to} questions; the other {found.before.count}, which it has not seen:"
    rows = {
        "as it is": found.before,
        "together": found.after_together,
        "by kind": found.after["all"],
        **{f"  {name}": each for name, each in found.after.items() if name != "all"},
    }
    yield from table(rows)
    temperatures = ", ".join(f"{kind} {value:g}" for kind, value in found.by_kind.temperatures.items())
    yield f"for each kind: {temperatures}; threshold {_threshold(found.by_kind)}"
    if found.cut_off > CUT_OFF_LIMIT:
        yield (
            f"{_percent(found.cut_off)} of the answers have options under a millionth, of which no more is\n"
            "told: set decisions.temperature to 5, reload, and fit again"
        )
    yield ""
    yield "settings:"
    yield from settings_of(found.by_kind, wanted=found.wanted)


def _written(groups: Mapping[str, Written]) -> Iterator[str]:
    yield from _aligned(
        [
            ["", "questions", "decided right", "written as JSON", "of these without an option"],
            *(
                [name, str(each.count), _percent(each.decided), _percent(each.written), str(each.without)]
                for name, each in groups.items()
            ),
        ]
    )


def _threshold(fitted: Fitted) -> str:
    return "none" if fitted.threshold is None else f"{fitted.threshold:g}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for first, *rest in rows:
        cells = (f"{cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True))
        yield f"{first:<{widths[0]}}  {'  '.join(cells)}".rstrip()
