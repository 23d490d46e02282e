"""What was found, as figures and as words. Sans-I/O."""

from __future__ import annotations

import json
from collections.abc import Sequence

from edgeassist.tuning import options
from edgeassist.tuning.kept import KEYS, Row, Settings, tables_of
from edgeassist.tuning.options import Figure, Option
from edgeassist.tuning.search import Tried

KV_TYPE = f"engine.{options.KV_TYPE}"
# What is told of an option where nothing is proposed by its stage.
_TOLD = (Figure.DECODE, Figure.PREFILL)


def rows_of(tried: Sequence[Tried]) -> tuple[Row, ...]:
    """Return the figures of all options, in the order that they were tried in."""
    return tuple(_row(each, option) for each in tried for option in each.stage.options)


def _row(tried: Tried, option: Option) -> Row:
    label = option.label
    memory = tried.median(label, Figure.MEMORY)
    samples = tried.samples.get(label, [])
    disturbed = "; ".join(dict.fromkeys(each.disturbed for each in samples if each.disturbed))
    return Row(
        stage=tried.stage.name,
        option=label,
        rounds=len(samples),
        prefill_rate=_rounded(tried.median(label, Figure.PREFILL)),
        decode_rate=_rounded(tried.median(label, Figure.DECODE)),
        memory_bytes=None if memory is None else int(memory),
        start_s=_rounded(tried.median(label, Figure.START)),
        note=tried.unable.get(label, disturbed),
    )


def verdict_of(tried: Tried, option: Option) -> str:
    """Say how an option compares with the default, in a few words; empty where nothing can be said."""
    if option.label in tried.unable:
        return tried.unable[option.label]
    if option is tried.stage.options[0]:
        return "the default"
    figures = dict.fromkeys(rule.figure for rule in tried.stage.rules) or dict.fromkeys(_TOLD)
    words = []
    for figure in figures:
        verdict = tried.verdict(option, figure)
        if verdict.rounds:
            better = any(each.value == option.value and each.figure is figure for each in tried.proposals)
            noise = "" if better else f" ± {100 * verdict.noise:.0f}"
            words.append(f"{figure} {100 * verdict.gain:+.0f}{noise} %")
    return ", ".join(words)


def proposed(tried: Sequence[Tried], *, kv_short: bool) -> Settings:
    """Return the settings that are better than the defaults, those of the device's own file at most.

    Args:
        tried: What was tried.
        kv_short: Whether memory is too short for a KV cache of f16: then the smaller one is taken, if it ran,
            whatever its speed.
    """
    found: Settings = {
        each.key: each.value for stage in tried for each in stage.proposals if each.key in KEYS
    }
    for stage in tried:
        if stage.stage.name == options.KV_TYPE and kv_short and len(stage.able) > 1 and not stage.unfinished:
            found[KV_TYPE] = stage.able[-1].value
    return found


def decided(tried: Sequence[Tried]) -> frozenset[str]:
    """Return the settings on which all was tried that was to be tried."""
    ended = [each.stage for each in tried if not each.unfinished]
    keys = {rule.key for stage in ended for rule in stage.rules}
    return frozenset(keys | {KV_TYPE for stage in ended if stage.name == options.KV_TYPE})


def other_file(tried: Sequence[Tried]) -> tuple[str, str] | None:
    """Return path and words for a quantization that is faster; None: none is."""
    for stage in tried:
        for each in stage.proposals:
            if each.key == "model.path":
                gain = f"{each.figure} {100 * each.verdict.gain:+.0f} %"
                return str(each.value), f"{stage.option(each.value).label}: {gain}"
    return None


def rate_of(tried: Sequence[Tried]) -> float | None:
    """Return the tokens a second of an answer, with what was found of threads; None: nothing was measured."""
    for stage in tried:
        if not stage.samples:
            continue
        better = [each.value for each in stage.proposals if each.key == "engine.threads_max"]
        option = stage.option(better[0]) if better else stage.stage.options[0]
        return _rounded(stage.median(option.label, Figure.DECODE))
    return None


def kv_words(settings: Settings) -> list[str]:
    """Return what to know of a smaller KV cache, where it is proposed."""
    if KV_TYPE not in settings:
        return []
    kind = settings[KV_TYPE]
    return [
        f"{KV_TYPE} = {kind} is for memory, which is short here, and not for speed; answers change a little"
    ]


def as_string(text: str) -> str:
    """Return a text as a TOML file has it, whatever is in it."""
    # JSON's escapes are TOML's, but for one character.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def as_toml(settings: Settings) -> list[str]:
    """Return settings as lines for edgeassist.toml."""
    lines = []
    for table, values in tables_of(settings).items():
        lines.append(f"[{table}]")
        lines += [
            f"{key} = {as_string(value)}" if isinstance(value, str) else f"{key} = {value}"
            for key, value in values.items()
        ]
    return lines


def remarks_of(tried: Sequence[Tried]) -> list[str]:
    """Return what a person should know of the stages: what they mean, what is missing, what disturbed."""
    found = []
    for each in tried:
        name = each.stage.name
        if each.unfinished:
            found.append(f"{name}: {each.unfinished}")
        elif each.stage.note:
            found.append(f"{name}: {each.stage.note}")
        if each.disturbed:
            found.append(f"{name}: disturbed answers do not count: {'; '.join(each.disturbed)}")
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
