"""An evaluation as data: what was asked, and the figures of it. Sans-I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from edgeassist.errors import InvalidRequestError
from edgeassist.evaluation.cases import Case
from edgeassist.evaluation.fit import Fitted, fit, fit_together
from edgeassist.evaluation.metrics import Figures, Judged, grouped, measure
from edgeassist.evaluation.variants import Variation
from edgeassist.protocol.decisions import Kind

# Probabilities come in millionths; what is told as 0 is less than half of one.
LEAST_TOLD = 0.5e-6
# Of a model whose scores are so far apart, too little is told to fit a temperature.
CUT_OFF_LIMIT = 0.05


@dataclass(frozen=True, slots=True)
class Asked:
    """A model, and how its scores become probabilities.

    Attributes:
        model: Its name.
        temperatures: In force, by kind.
        threshold: With a smaller margin, an answer abstains.
        prior: How much of what it picks without a state is taken off the scores of a choice.
    """

    model: str
    temperatures: Mapping[Kind, float]
    threshold: float
    prior: float


# The probability of each option of a question, by its name.
Told = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Decided:
    """A case and what was told of its questions, by their names."""

    case: Case
    answers: Mapping[str, Told]

    def pick(self, name: str) -> str:
        """Return the most probable option of a question."""
        told = self.answers[name]
        return max(told, key=told.__getitem__)

    def judged(self) -> list[Judged]:
        """Return the answers whose right ones are known."""
        return [self._judged(name, right) for name, right in self.case.expected.items()]

    @property
    def sum_off(self) -> float:
        """How far the probabilities of an answer are from a sum of 1, at most."""
        return max(abs(1 - sum(told.values())) for told in self.answers.values())

    def _judged(self, name: str, right: str) -> Judged:
        options = self.case.questions[name].options
        told = self.answers[name]
        return Judged(
            kind=self.case.questions[name].type,
            probabilities=tuple(max(LEAST_TOLD, told[option]) for option in options),
            right=options.index(right),
            domain=self.case.domain,
            language=self.case.language,
        )


@dataclass(frozen=True, slots=True)
class Written:
    """How often the same model picks right when it writes JSON, and when it decides.

    Attributes:
        count: How many questions.
        written: The share of them that is right in JSON.
        decided: The share that is right in decisions.
        without: How many of the JSON answers named no option.
    """

    count: int
    written: float
    decided: float
    without: int


@dataclass(frozen=True, slots=True)
class FitReport:
    """What was fitted, and what it does to cases that the fit has not seen.

    Attributes:
        wanted: The share that should be right from the threshold on.
        fitted_to: How many questions it was fitted to.
        by_kind: What was fitted for each kind.
        together: With one temperature for all kinds.
        before: The figures of unseen cases as they came.
        after: With what was fitted for each kind, altogether and by kind.
        after_together: With one temperature.
        cut_off: The share of answers with an option of which no more is told than that it is under a
            millionth.
    """

    wanted: float
    fitted_to: int
    by_kind: Fitted
    together: Fitted
    before: Figures
    after: Mapping[str, Figures]
    after_together: Figures
    cut_off: float


@dataclass(frozen=True, slots=True)
class Report:
    """An evaluation.

    Attributes:
        asked: The model.
        cases: What the cases are called.
        digest: What tells them from others.
        count: How many were asked.
        refused: By line, why a case could not be asked.
        sum_off: How far the probabilities of an answer are from a sum of 1, at most.
        figures: Of all answers (`all`), then by kind, domain and language.
        fit: What was fitted; None where that was not asked for.
        changed: The share of picks that changed, by variation; empty where that was not asked for.
        written: By kind and for `all`; empty likewise.
    """

    asked: Asked
    cases: str
    digest: str
    count: int
    refused: Mapping[int, str]
    sum_off: float
    figures: Mapping[str, Figures]
    fit: FitReport | None = None
    changed: Mapping[Variation, float] = field(default_factory=dict)
    written: Mapping[str, Written] = field(default_factory=dict)


def figures_of(answers: Sequence[Judged], *, threshold: float) -> dict[str, Figures]:
    """Return the figures of all, then by kind, and by domain and language where cases have several."""
    groups = {"all": list(answers), **grouped(answers, lambda each: each.kind)}
    for by in (grouped(answers, lambda each: each.domain), grouped(answers, lambda each: each.language)):
        if len(by) > 1:
            groups |= {f"{name}, as cases say" if name in groups else name: by[name] for name in by}
    return {name: measure(group, threshold=threshold) for name, group in groups.items()}


def fit_report(to: Sequence[Judged], unseen: Sequence[Judged], *, asked: Asked, wanted: float) -> FitReport:
    """Fit to some answers, and measure what that does to others.

    Raises:
        InvalidRequestError: There are too few to fit to, or none to measure.
    """
    if not unseen:
        raise InvalidRequestError("no case of those to judge by could be asked")
    in_force = asked.temperatures
    by_kind, together = (each(to, in_force=in_force, wanted=wanted) for each in (fit, fit_together))

    def after(fitted: Fitted) -> dict[str, Figures]:
        threshold = 1.0 if fitted.threshold is None else fitted.threshold
        return figures_of(fitted.applied(unseen, in_force), threshold=threshold)

    cut_off = sum(min(each.probabilities) <= LEAST_TOLD for each in to)
    return FitReport(
        wanted=wanted,
        fitted_to=len(to),
        by_kind=by_kind,
        together=together,
        before=measure(unseen, threshold=asked.threshold),
        after=after(by_kind),
        after_together=after(together)["all"],
        cut_off=cut_off / len(to),
    )


def changed_share(
    before: Iterable[Decided],
    after: Iterable[Decided],
    original: Mapping[int, Mapping[str, Mapping[str, str]]],
) -> float | None:
    """Return the share of picks that are others when a case is asked otherwise; None where none could be.

    Args:
        before: The cases as they are.
        after: The same, asked otherwise.
        original: What their options were called, by line and question.
    """
    picks = {each.case.line: each for each in before}
    same = [
        names[otherwise.pick(question)] == picks[otherwise.case.line].pick(question)
        for otherwise in after
        if otherwise.case.line in picks
        for question, names in original[otherwise.case.line].items()
    ]
    return 1 - sum(same) / len(same) if same else None


def written_shares(
    decided: Iterable[Decided], picks: Mapping[int, Mapping[str, str | None]]
) -> dict[str, Written]:
    """Compare decisions with what the model wrote (by line and question), over the cases that have both."""
    rows: dict[str, list[tuple[bool, bool, bool]]] = {}
    for each in decided:
        for name, right in each.case.expected.items():
            if each.case.line in picks:
                written = picks[each.case.line][name]
                row = (written == right, each.pick(name) == right, written is None)
                for group in ("all", each.case.questions[name].type.value):
                    rows.setdefault(group, []).append(row)
    return {
        group: Written(
            count=len(rows[group]),
            written=sum(row[0] for row in rows[group]) / len(rows[group]),
            decided=sum(row[1] for row in rows[group]) / len(rows[group]),
            without=sum(row[2] for row in rows[group]),
        )
        for group in ("all", *Kind)
        if group in rows
    }


def entry_of(report: Report, *, date: str) -> dict[str, object] | None:
    """Return a fitted model's line of the shipped table, with what it was fitted to; None without a fit."""
    if report.fit is None:
        return None
    found = report.fit
    return {
        "model": report.asked.model,
        "temperatures": {kind.value: found.by_kind.temperatures[kind] for kind in Kind},
        "threshold": found.by_kind.threshold,
        "prior": report.asked.prior,
        "fitted": {
            "date": date,
            "cases": report.digest,
            "questions": found.fitted_to,
            "wanted": found.wanted,
            "held_out": {
                name: {
                    "questions": figures.count,
                    "accuracy": round(figures.accuracy, 4),
                    "ece": round(figures.ece, 4),
                    "abstains": round(figures.abstains, 4),
                }
                for name, figures in found.after.items()
            },
        },
    }
