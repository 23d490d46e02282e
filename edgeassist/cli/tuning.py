"""One tuning: a model and its settings become stages, and what they measured a result."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from edgeassist import wiring
from edgeassist.cli.instrument import Begin, need_backend
from edgeassist.configured import number_or_none
from edgeassist.device.cores import choose_threads
from edgeassist.device.cpus import read_cpu_snapshot
from edgeassist.device.memory import available_memory_bytes, total_memory_bytes
from edgeassist.engine.messages import FlashAttention, KvType, Load, LoadMode
from edgeassist.errors import ConfigurationError, EdgeAssistError, ModelError, UnsupportedError
from edgeassist.models.choice import Choice, choose_model
from edgeassist.models.files.reading import read_model
from edgeassist.models.fit import Memory, fit
from edgeassist.models.selected import Named
from edgeassist.settings import Loaded, Settings
from edgeassist.tuning import quantize as copies
from edgeassist.tuning.identity import fingerprint, library_of, this_device
from edgeassist.tuning.kept import KEYS, Rate, Result, known_result, stale
from edgeassist.tuning.options import QUANTIZATION, Figure, Variant
from edgeassist.tuning.plan import Situation, kv_is_short, names_of, stages_of
from edgeassist.tuning.quiet import Quiet
from edgeassist.tuning.report import decided, proposed, rate_of, rows_of
from edgeassist.tuning.rig import Patience, Rig
from edgeassist.tuning.search import Budget, Search, Tried, answers_of
from edgeassist.wiring import demand_of, selected_model

# About so many answers are measured.
_ANSWERS = 60
# Times `engine.stall_timeout_s`: what is tried may be slow, and nobody waits for it.
_PATIENCE = 4
# Of prompt and answer, so that what is measured fits.
_LEAST_CONTEXT = 512


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done.

    Attributes:
        settings: Of the user, without what was tuned before.
        choice: The model and its backend.
        situation: What decides what is tried.
        base: The variant to begin with.
        folder: The state directory.
        seconds: The longest that it may take.
    """

    settings: Settings
    choice: Choice
    situation: Situation
    base: Variant
    folder: Path
    seconds: float

    @property
    def path(self) -> Path:
        """The model's file or folder."""
        return Path(self.base.path)

    @property
    def models_folder(self) -> Path:
        """Where copies are made."""
        return wiring.library_of(self.settings).folder


@dataclass(slots=True)
class Outcome:
    """What was found, as far as it went.

    Attributes:
        tried: The stages.
        interrupted: Whether somebody ended it.
        quantized: The copies that were made.
        remarks: What was not done, and why, in words.
    """

    tried: list[Tried] = field(default_factory=list)
    interrupted: bool = False
    quantized: tuple[Path, ...] = ()
    remarks: tuple[str, ...] = ()


def prepare(loaded: Loaded, model: Path | None, folder: Path, minutes: float) -> Work:
    """Return what is to be done.

    Raises:
        EdgeAssistError: The model can't be used here.
    """
    settings = loaded.settings
    named = selected_model(settings, folder).named if model is None else Named(model)
    choice = choose_model(named.path, named.backend)
    if choice.path is None or choice.backend not in {"llama", "onnx"}:
        raise UnsupportedError("there is nothing to tune without a model: name one with --model")
    need_backend(choice.path)
    file = read_model(choice.path, choice.backend)
    demand = demand_of(settings)
    memory = Memory(available_memory_bytes(), total_memory_bytes())
    fit(file, demand, memory)
    engine = settings.engine
    threads = choose_threads(read_cpu_snapshot(), number_or_none(engine.threads)).threads
    hand = []
    if choice.backend == "llama":
        hand = copies.copies_at_hand(
            choice.path, file, [choice.path.parent, wiring.library_of(settings).folder]
        )
    situation = Situation(
        model=file,
        backend=choice.backend,
        demand=demand,
        memory=memory,
        threads=threads,
        step_tokens=engine.step_tokens,
        step_ms=engine.step_ms,
        taken=frozenset(loaded.origins),
        files=[(quantization, str(path)) for quantization, path in hand],
        path=str(choice.path),
    )
    base = Variant(str(choice.path), threads, threads, engine.step_tokens, engine.load_mode, engine.kv_type)
    return Work(settings, choice, situation, base, folder, 60 * minutes)


def check_copies(work: Work) -> None:
    """Raise an EdgeAssistError where no copies can be made of the model."""
    source = work.situation.model
    if work.choice.backend != "llama" or source.quantization not in copies.SOURCES:
        raise ConfigurationError(
            f"--quantize: {work.path.name} is {source.quantization or 'no GGUF file'}; a copy is made of "
            f"{', '.join(sorted(copies.SOURCES))}, and never of a smaller one"
        )
    wanted = copies.missing(source, [quantization for quantization, _ in work.situation.files])
    copies.check_room(source, work.models_folder, wanted)


async def measure(work: Work, begin: Begin, count: Callable[[int], None], *, quantize: bool) -> Outcome:
    """Measure, until all is tried, time is over or somebody interrupts.

    Args:
        work: What is to be done.
        begin: Called with a description before each step, and how many answers were measured before it.
        count: Called with how many there will be.
        quantize: Whether to make copies first.

    Raises:
        EdgeAssistError: The model does not run as it is configured.
    """
    budget = Budget(time.monotonic, time.monotonic() + work.seconds)
    outcome = Outcome()
    try:
        if quantize:
            work = await _with_copies(work, budget, outcome, begin)
        await _try_out(work, budget, outcome, begin, count)
    except asyncio.CancelledError:
        outcome.interrupted = True
    except TimeoutError:
        outcome.remarks += ("the rest: the time was over (--minutes)",)
    except EdgeAssistError as error:
        if not any(each.samples for each in outcome.tried):
            raise
        outcome.remarks += (f"the rest: {error.message}",)
    return outcome


async def _try_out(
    work: Work, budget: Budget, outcome: Outcome, begin: Begin, count: Callable[[int], None]
) -> None:
    engine = work.settings.engine
    rig = Rig(
        lambda variant: _load_of(work, variant),
        Patience(engine.load_timeout_s, _PATIENCE * engine.stall_timeout_s),
        quiet=Quiet(),
        answer_s=work.seconds / _ANSWERS,
    )
    # What is under way at the end is given up: what was measured stands in `outcome`.
    async with rig, asyncio.timeout(max(0.0, budget.left_s)):
        begin("loading the model", None)
        first = await rig.size_up(work.base)
        assert rig.facts is not None  # noqa: S101 - it has answered
        stages = stages_of(work.situation, rig.facts, first)
        if "step_tokens" in set(names_of(work.situation)) - {stage.name for stage in stages}:
            outcome.remarks += (
                f"step_tokens: at {first.prefill_rate:.0f} tokens/s no step of a prompt gets large: it stays",
            )
        count(answers_of(stages))
        search = Search(work.base, rig.measure, budget, begin)
        outcome.tried = search.tried
        await search.run(stages)


async def _with_copies(work: Work, budget: Budget, outcome: Outcome, begin: Begin) -> Work:
    """Make the copies that are missing; return the work with all of them."""
    files = list(work.situation.files)
    for name in copies.missing(work.situation.model, [quantization for quantization, _ in files]):
        begin(f"quantizing to {name}", None)
        limit_s = max(1.0, budget.left_s)
        try:
            made = await copies.quantize(
                work.path, work.models_folder, name, threads=work.base.threads, limit_s=limit_s
            )
        except ModelError as error:
            outcome.remarks += (error.message,)
            continue
        outcome.quantized += (made,)
        files.append((name, str(made)))
    return dataclasses.replace(work, situation=dataclasses.replace(work.situation, files=files))


def _load_of(work: Work, variant: Variant) -> Load:
    """Return what an engine is told: as the daemon would, without what would hide the figures."""
    engine = work.settings.engine
    context = max(_LEAST_CONTEXT, work.settings.model.context)
    kv_tokens = number_or_none(engine.kv_tokens)
    return Load(
        backend=work.choice.backend,
        path=variant.path,
        context=context,
        threads=variant.threads,
        step_tokens=variant.step_tokens,
        step_ms=engine.step_ms,
        slots=number_or_none(engine.slots),
        kv_tokens=None if kv_tokens is None else max(kv_tokens, context),
        prefix_bytes=0,
        kv_type=KvType(variant.kv_type),
        flash_attention=FlashAttention(engine.flash_attention),
        load_mode=LoadMode(variant.load_mode),
        speculate=False,
        memory_bytes=available_memory_bytes() or 0,
        total_memory_bytes=total_memory_bytes() or 0,
        template=str(work.settings.model.template or ""),
    )


def result_of(work: Work, outcome: Outcome, *, apply: bool) -> Result:
    """Return what is to be kept.

    Args:
        work: What was to be done.
        outcome: What came of it.
        apply: Whether the daemon takes what is proposed; if not, it goes on with what it takes by now.
    """
    situation = work.situation
    short = kv_is_short(situation.model, situation.demand, situation.memory)
    found = proposed(outcome.tried, kv_short=short)
    digest, device, library = fingerprint(work.path), this_device(), library_of(work.choice.backend)
    before = known_result(work.folder, digest)
    known = {} if before is None or stale(before, device, library) else before.applied
    applied = {key: value for key, value in known.items() if key in KEYS}
    if apply:
        done = decided(outcome.tried)
        applied = {**{key: value for key, value in applied.items() if key not in done}, **found}
    return Result(
        fingerprint=digest,
        model=situation.model.name,
        kv_heads=situation.model.kv_heads,
        key_size=situation.model.key_size,
        device=device,
        library=library,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        rates=_rates_of(work, outcome),
        rows=rows_of(outcome.tried),
        proposed=found,
        applied=applied,
    )


def _rates_of(work: Work, outcome: Outcome) -> tuple[Rate, ...]:
    model = work.situation.model
    rates = {}
    if (own := rate_of(outcome.tried)) is not None:
        rates[model.quantization] = Rate(model.quantization, model.size_bytes, own)
    for tried in outcome.tried:
        if tried.stage.name != QUANTIZATION:
            continue
        for option in tried.able[1:]:
            rate = tried.median(option.label, Figure.DECODE)
            if rate is not None:
                size = read_model(Path(str(option.value)), work.choice.backend).size_bytes
                rates[option.label] = Rate(option.label, size, rate)
    return tuple(rates.values())
