"""What is tried: settings of the engine, in stages, and which figure decides on each. Sans-I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

# Up to here all numbers of threads are tried.
_FEW_THREADS = 4
# Stages that others look for.
KV_TYPE, QUANTIZATION = "kv_type", "quantization"
STEP_TOKENS = (64, 128, 256, 512, 1024)


class Figure(StrEnum):
    """What is measured of an option."""

    PREFILL = "prefill"
    """Tokens a second while a prompt is read."""
    DECODE = "decode"
    """Tokens a second of the answer, after the first."""
    ANSWER = "answer"
    """Tokens a second of both together, of a prompt of 256 and an answer of 64."""
    START = "start"
    """Seconds from the engine's start until it has answered a short prompt."""
    MEMORY = "memory"
    """Bytes that the engine has in memory after an answer."""

    @property
    def higher_is_better(self) -> bool:
        """Which way it should go."""
        return self not in {Figure.START, Figure.MEMORY}


@dataclass(frozen=True, slots=True)
class Variant:
    """How an engine is run.

    Attributes:
        path: The model's file or folder.
        threads: To write.
        prefill_threads: To read prompts.
        step_tokens: `engine.step_tokens`.
        load_mode: `engine.load_mode`.
        kv_type: `engine.kv_type`.
    """

    path: str
    threads: int
    prefill_threads: int
    step_tokens: int
    load_mode: str
    kv_type: str


@dataclass(frozen=True, slots=True)
class Sample:
    """What one answer measured.

    Attributes:
        prefill_rate: Tokens of the prompt a second.
        decode_rate: Tokens of the answer a second, after the first.
        memory_bytes: The engine's, after it.
        start_s: `Figure.START`, where the engine was started for it; None: it ran already.
        disturbed: By what, in words; empty: by nothing.
    """

    prefill_rate: float
    decode_rate: float
    memory_bytes: int
    start_s: float | None = None
    disturbed: str = ""

    def value(self, figure: Figure) -> float | None:
        """Return a figure; None where this answer has none."""
        match figure:
            case Figure.PREFILL:
                return self.prefill_rate
            case Figure.DECODE:
                return self.decode_rate
            case Figure.ANSWER:
                return 320 / (256 / self.prefill_rate + 64 / self.decode_rate)
            case Figure.START:
                return self.start_s
            case Figure.MEMORY:
                return float(self.memory_bytes)


@dataclass(frozen=True, slots=True)
class Option:
    """A value to try.

    Attributes:
        label: For a table.
        value: What the setting would be.
        change: What of the variant becomes what.
    """

    label: str
    value: int | str
    change: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """When an option is proposed instead of the default.

    Attributes:
        key: The setting, `engine.threads_max`.
        figure: That must be better.
        guards: That must not be worse.
        change: The fields of the variant that the following stages take over.
    """

    key: str
    figure: Figure
    guards: tuple[Figure, ...] = ()
    change: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """Options of one kind, tried in turns.

    Attributes:
        name: For a person.
        options: The default first.
        rules: What is proposed by which figure; empty: nothing, the figures are told.
        starts: Whether an engine is started for each answer, from a cold page cache.
        prompt_tokens: Of each answer; None: as usual.
        note: What a person should know of it; empty: nothing.
    """

    name: str
    options: tuple[Option, ...]
    rules: tuple[Rule, ...] = ()
    starts: bool = False
    prompt_tokens: int | None = None
    note: str = field(default="")


def threads_stage(most: int, *, adjusts: bool, both: bool = True) -> Stage | None:
    """Return the numbers of threads to try, all that the device gives first; None where there is one.

    Args:
        most: What the device gives.
        adjusts: Whether they can change while the engine runs; if not, reading and writing share a number.
        both: Whether those that read prompts are tried too.
    """
    numbers = sorted({*_numbers(most)}, reverse=True)
    if len(numbers) <= 1:
        return None
    fields = ("threads", "prefill_threads") if both or not adjusts else ("threads",)
    options = tuple(
        Option(f"{number} of {most}", number, dict.fromkeys(fields, number)) for number in numbers
    )
    if not adjusts:
        return Stage("threads", options, (Rule("engine.threads_max", Figure.ANSWER, change=fields),))
    rules = [Rule("engine.threads_max", Figure.DECODE, change=("threads",))]
    if both:
        rules.append(Rule("engine.prefill_threads_max", Figure.PREFILL, change=("prefill_threads",)))
    return Stage("threads", options, tuple(rules))


def _numbers(most: int) -> Sequence[int]:
    if most <= _FEW_THREADS:
        return range(1, most + 1)
    return [most, most - 1, 3 * most // 4, most // 2, max(1, most // 4)]


def steps_stage(default: int, *, prefill_rate: float, step_s: float, context: int) -> Stage | None:
    """Return the step sizes to try; None where none makes a difference.

    Args:
        default: `engine.step_tokens` as it is.
        prefill_rate: Tokens a second.
        step_s: How long a step of a lone prompt may take: a slow device never fills a large one.
        context: The most tokens of a prompt.
    """
    most = min(int(prefill_rate * step_s), context // 2)
    others = [tokens for tokens in STEP_TOKENS if tokens != default and tokens <= most]
    if not others or min(default, most) <= min(others):
        return None
    options = (default, *others)
    return Stage(
        "step_tokens",
        tuple(Option(str(tokens), tokens, {"step_tokens": tokens}) for tokens in options),
        (Rule("engine.step_tokens", Figure.PREFILL, (Figure.DECODE,), ("step_tokens",)),),
        prompt_tokens=min(most, max(options)),
    )


def load_stage() -> Stage:
    """Return the ways to load weights."""
    return Stage(
        "load_mode",
        tuple(Option(mode, mode, {"load_mode": mode}) for mode in ("mmap", "read")),
        (Rule("engine.load_mode", Figure.START, (Figure.MEMORY, Figure.DECODE), ("load_mode",)),),
        starts=True,
        note="the file is read from its disk each time, as after a boot",
    )


def kv_stage(kv_type: str, *, wanted: bool) -> Stage:
    """Return the types of the KV cache.

    Args:
        kv_type: The smaller one to try.
        wanted: Whether memory is so short that it should be taken; else its figures are told, and no more:
            answers change a little with it.
    """
    note = f"{kv_type} rounds what was read before: answers change a little. "
    note += (
        "Memory is short for f16" if wanted else "Memory has room for f16, so it stays, whatever the figures"
    )
    options = tuple(Option(kind, kind, {"kv_type": kind}) for kind in ("f16", kv_type))
    return Stage(KV_TYPE, options, note=note)


def files_stage(files: Sequence[tuple[str, str]]) -> Stage:
    """Return the same model in several quantizations.

    Args:
        files: The quantization and the path of each, the one that is configured first.
    """
    return Stage(
        QUANTIZATION,
        tuple(Option(quantization, path, {"path": path}) for quantization, path in files),
        (Rule("model.path", Figure.DECODE, (Figure.PREFILL,)),),
        note="another file answers differently: this says how fast it is, and not how good",
    )
