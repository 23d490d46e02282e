"""In which order options are tried, until when, and what follows from it. Sans-I/O: time is passed in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Protocol

from edgeassist.errors import EdgeAssistError
from edgeassist.tuning.options import Figure, Option, Rule, Sample, Stage, Variant
from edgeassist.tuning.verdict import LEAST_ROUNDS, Verdict, compare

# After these, an option that looks better is tried this often again, beside the default, and has to be better
# in these rounds alone too: of many that are as good, one looks better by chance.
ROUNDS = LEAST_ROUNDS
MORE_ROUNDS = LEAST_ROUNDS
# How often an answer is measured at most while something disturbs it; after IN_VAIN disturbed ones in a
# row, once: what disturbs does not pass.
TRIES = 3
IN_VAIN = 6


class Measure(Protocol):
    """Measures an answer."""

    async def __call__(self, variant: Variant, prompt_tokens: int | None, *, starts: bool) -> Sample:
        """Return what it measured.

        Args:
            variant: How the engine is run.
            prompt_tokens: About how many tokens the prompt has; None: as usual.
            starts: Whether an engine is started for it in any case, from a cold page cache.

        Raises:
            EdgeAssistError: The variant can't be used here.
        """
        ...


@dataclass(frozen=True, slots=True)
class Budget:
    """Until when.

    Attributes:
        now: The time in seconds.
        until: By it.
    """

    now: Callable[[], float]
    until: float

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        return self.until - self.now()


@dataclass(frozen=True, slots=True)
class Proposal:
    """A value that is better than the default, beyond noise.

    Attributes:
        key: The setting, `engine.threads_max`.
        value: Of it.
        figure: By which it is better.
        verdict: By how much.
    """

    key: str
    value: int | str
    figure: Figure
    verdict: Verdict


@dataclass(slots=True)
class Tried:
    """A stage, as far as it was tried.

    Attributes:
        stage: Which.
        samples: By label, one for each round.
        unable: Why an option could not be tried, by label.
        proposals: What is better.
        unfinished: Why it was not tried to the end; empty where it was.
    """

    stage: Stage
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    unable: dict[str, str] = field(default_factory=dict)
    proposals: list[Proposal] = field(default_factory=list)
    unfinished: str = ""

    @property
    def able(self) -> list[Option]:
        """The options that can be tried, the default first."""
        return [option for option in self.stage.options if option.label not in self.unable]

    @property
    def disturbed(self) -> list[str]:
        """What disturbed answers that can't be used for it."""
        found = (sample.disturbed for samples in self.samples.values() for sample in samples)
        return list(dict.fromkeys(each for each in found if each))

    def median(self, label: str, figure: Figure) -> float | None:
        """Return an option's median, of the undisturbed answers where there are any."""
        samples = self.samples.get(label, [])
        calm = [each for each in samples if not each.disturbed] or samples
        values = [value for each in calm if (value := each.value(figure)) is not None]
        return median(values) if values else None

    def verdict(self, option: Option, figure: Figure, since: int = 0) -> Verdict:
        """Compare an option with the default, from that round on."""
        return compare(
            self._values(self.stage.options[0], figure)[since:],
            self._values(option, figure)[since:],
            higher_is_better=figure.higher_is_better,
        )

    def best(self, rule: Rule, since: int = 0) -> Proposal | None:
        """Return what a rule proposes so far; None: the default stays.

        Args:
            rule: Which.
            since: A round; in those from it on alone, an option has to be better too.
        """
        default, *others = self.stage.options
        found = [
            Proposal(rule.key, option.value, rule.figure, verdict)
            for option in others
            if (verdict := self.verdict(option, rule.figure)).counts
            and self.verdict(option, rule.figure, since).counts
            and not any(self._worse(default, option, guard) for guard in rule.guards)
        ]
        return max(found, key=lambda each: each.verdict.gain, default=None)

    def option(self, value: int | str) -> Option:
        """Return the option of a value."""
        return next(option for option in self.stage.options if option.value == value)

    def _worse(self, default: Option, option: Option, guard: Figure) -> bool:
        return compare(
            self._values(option, guard),
            self._values(default, guard),
            higher_is_better=guard.higher_is_better,
        ).counts

    def _values(self, option: Option, figure: Figure) -> list[float | None]:
        return [
            None if sample.disturbed else sample.value(figure)
            for sample in self.samples.get(option.label, ())
        ]


class Search:
    """Tries stages, one after the other; each begins with what those before found.

    Args:
        measure: Measures one answer; an `EdgeAssistError` means that an option can't be used here.
        budget: Until when.
        begin: Called before each answer, with a description and how many were measured before it.

    Attributes:
        tried: What was tried, as it grows: it holds what is known if the search is given up.
        base: The best variant so far.
    """

    def __init__(
        self, base: Variant, measure: Measure, budget: Budget, begin: Callable[[str, int], None]
    ) -> None:
        self.base = base
        self.tried: list[Tried] = []
        self._measure = measure
        self._budget = budget
        self._begin = begin
        # The longest answer so far, by whether the engine was started for it.
        self._took_s: dict[bool, float] = {}
        self._in_vain = 0

    async def run(self, stages: Sequence[Stage]) -> None:
        """Try all stages for which there is time.

        Raises:
            EdgeAssistError: The default itself can't be used.
        """
        for stage in stages:
            tried = Tried(stage)
            self.tried.append(tried)
            needed = ROUNDS * len(stage.options) * self._expected_s(stage)
            left_s = max(0.0, self._budget.left_s)
            if needed > left_s:
                tried.unfinished = f"not tried: it takes about {needed:.0f} s, and {left_s:.0f} s are left"
                continue
            tried.unfinished = "was not tried to the end, so nothing follows from it"
            if await self._rounds(tried, tried.stage.options, ROUNDS) and await self._confirm(tried):
                tried.unfinished = ""
                self._conclude(tried)

    async def _confirm(self, tried: Tried) -> bool:
        """Try again what looks better; return whether there was time."""
        found = [best for rule in tried.stage.rules if (best := tried.best(rule)) is not None]
        if not found:
            return True
        chosen = {tried.option(each.value).label for each in found} | {tried.stage.options[0].label}
        options = [option for option in tried.able if option.label in chosen]
        return await self._rounds(tried, options, MORE_ROUNDS)

    def _conclude(self, tried: Tried) -> None:
        for rule in tried.stage.rules:
            best = tried.best(rule, since=ROUNDS)
            if best is None:
                continue
            tried.proposals.append(best)
            change = tried.option(best.value).change
            self.base = replace(self.base, **{name: change[name] for name in rule.change})

    async def _rounds(self, tried: Tried, options: Sequence[Option], count: int) -> bool:
        """Measure options in turns; return whether there was time for all."""
        for number in range(count):
            # A warm processor is a little faster, so the order alternates.
            turns = [option for option in options if option.label not in tried.unable]
            for option in reversed(turns) if number % 2 else turns:
                if self._expected_s(tried.stage) > self._budget.left_s:
                    return False
                done = sum(len(samples) for each in self.tried for samples in each.samples.values())
                self._begin(f"{tried.stage.name} {option.label}: round {number + 1} of {count}", done)
                try:
                    sample = await self._sample(tried.stage, option)
                except EdgeAssistError as error:
                    if option is tried.stage.options[0]:
                        raise
                    tried.unable[option.label] = error.message
                    tried.samples.pop(option.label, None)
                    continue
                tried.samples.setdefault(option.label, []).append(sample)
        return True

    async def _sample(self, stage: Stage, option: Option) -> Sample:
        """Measure an option, again while something disturbs it, as far as there is time."""
        variant = replace(self.base, **option.change)
        for tries in range(1, TRIES + 1):
            begun = self._budget.now()
            sample = await self._measure(variant, stage.prompt_tokens, starts=stage.starts)
            took_s = self._budget.now() - begun
            started = sample.start_s is not None
            self._took_s[started] = max(took_s, self._took_s.get(started, 0.0))
            self._in_vain = self._in_vain + 1 if sample.disturbed else 0
            enough = tries == TRIES or self._in_vain >= IN_VAIN or took_s > self._budget.left_s
            if not sample.disturbed or enough:
                break
        return sample

    def _expected_s(self, stage: Stage) -> float:
        """Return how long an answer of a stage takes; 0 where nothing is known."""
        keys = {key for option in stage.options for key in option.change}
        started = stage.starts or bool(keys - {"threads", "prefill_threads"})
        return self._took_s.get(started, self._took_s.get(not started, 0.0))


def answers_of(stages: Sequence[Stage]) -> int:
    """Return how many answers stages take at least."""
    return sum(ROUNDS * len(stage.options) for stage in stages)
