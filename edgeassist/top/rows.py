"""One device in rows, each with its rank: here is decided what is left out for want of room. Sans-I/O."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import IntEnum

from edgeassist import harmless
from edgeassist.sight import words
from edgeassist.sight.box import Box
from edgeassist.sight.reading import HealthSeen, InfoSeen, ModelSeen, RequestSeen, SpreadSeen, TelemetrySeen
from edgeassist.top.sparks import spark

# What the bars of a history stand for, in seconds each.
LOAD_STEP_S = 2.0
SLOW_STEP_S = 10.0
# The lowest bar of a temperature, and what a figure must move by to be seen at its full height.
_ROOM_C = 30.0
_SPAN_C = 50.0
_SPAN_BYTES = 64 << 20


class Rank(IntEnum):
    """Which rows stay where not all fit, the first before all others."""

    TROUBLE = 1
    REQUESTS = 2
    RATE = 3
    FIRST = 4
    THREADS = 5
    HEAT = 6
    MEMORY = 7
    FAILURES = 8
    MODEL = 9
    LISTED = 10
    WATCH = 11
    DURABLE = 12
    FLEET = 13
    BROKER = 14
    FREE = 15
    WAITS = 16


# Reasons, whose text is of one part.
_WORDY = frozenset((Rank.TROUBLE, Rank.THREADS))
_LEAST_WIDTH, _MOST_LINES = 16, 3


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a row's text, and rich's name for how it looks."""

    text: str
    style: str = ""

    @property
    def shown(self) -> str:
        """The text as it may stand on a terminal, whoever wrote it."""
        return harmless.line(self.text)


class Bars:
    """The bars of a history, as many as there is room for."""

    def __init__(self, box: Box, name: str, now: float) -> None:
        self._box = box
        self._name = name
        self._now = now

    def cells(self, count: int) -> str:
        """Return so many bars, the newest at the right; shorter where less is known."""
        history = self._box.history
        match self._name:
            case "load":
                return spark(history.load.over_time(self._now, cells=count, step_s=LOAD_STEP_S), least=2.0)
            case "heat":
                values = history.heat.over_time(self._now, cells=count, step_s=SLOW_STEP_S)
                return spark(values, low=_ROOM_C, least=_SPAN_C)
            case "memory":
                values = history.memory.over_time(self._now, cells=count, step_s=SLOW_STEP_S)
                return spark(values, least=_SPAN_BYTES)
            case "rate" if history.flow.last is not None:
                return spark(history.flow.over_time(self._now, cells=count, step_s=LOAD_STEP_S))
            case "rate":
                return spark(history.rate.latest(count))
            case _:
                return spark(history.first.latest(count))


@dataclass(frozen=True, slots=True)
class Row:
    """A row: what it is of, what it says, and what that was.

    Attributes:
        rank: Whether it stays.
        label: Of what.
        parts: The text, the important first, since it is cut at its end; what is dim gives way to the
            history.
        history: None where there is none.
    """

    rank: Rank
    label: str
    parts: tuple[Part, ...]
    history: Bars | None = None

    def wrapped(self, width: int) -> list[Row]:
        """Return it in rows with a text of that width, where its end is worth as much as its beginning."""
        if self.rank not in _WORDY:
            return [self]
        (part,) = self.parts
        texts = textwrap.wrap(part.shown, max(_LEAST_WIDTH, width), max_lines=_MOST_LINES, placeholder="…")
        return [
            Row(self.rank, self.label if number == 0 else "", (replace(part, text=text),))
            for number, text in enumerate(texts)
        ]


def rows_of(box: Box, now: float) -> list[Row]:
    """Return all that there is to say of a device, from top to bottom."""
    health = box.health
    if health is None:
        return []
    info, telemetry = box.info or InfoSeen(), box.telemetry or TelemetrySeen()
    rows = [*_trouble(box, health, now)]
    rows.append(_model(health, info))
    rows.append(_requests(box, health, info, telemetry, now))
    rows += _speed(box, telemetry, now)
    rows.append(_threads(health))
    rows += _machine(box, health, now)
    rows += _failures(box, health, telemetry)
    rows += _keeping(health)
    rows += [_watch(name, box) for name in sorted(box.watches)]
    rows += [_listed(request) for request in box.requests or ()]
    return rows


def _trouble(box: Box, health: HealthSeen, now: float) -> Iterator[Row]:
    if not box.online:
        yield Row(Rank.TROUBLE, "note", (Part("the rest is what it said last", "yellow"),))
    elif health.reason:
        style = "yellow" if health.able else "red"
        yield Row(Rank.TROUBLE, "why", (Part(health.reason, style),))
    if box.stale_status:
        told = "it speaks, though the broker keeps another status of it (edgeassist doctor)"
        yield Row(Rank.TROUBLE, "note", (Part(told, "yellow"),))
    if (silent_s := box.silent_s(now)) is not None:
        yield Row(Rank.TROUBLE, "note", (Part(f"silent for {words.period(silent_s)}", "yellow"),))


def _model(health: HealthSeen, info: InfoSeen) -> Row:
    model = info.model or ModelSeen()
    parts = [Part(health.model or ("none: it sleeps" if health.sleeping else "none"), "bold")]
    if health.model:
        told = [model.quantisation, model.backend]
        if model.context:
            told.append(f"context {model.context:,}")
        if model.size_bytes:
            told.append(f"{model.size_bytes / 1e6:,.0f} MB")
        parts.append(Part("  " + "  ".join(each for each in told if each), "dim"))
    return Row(Rank.MODEL, "model", tuple(parts))


def _requests(box: Box, health: HealthSeen, info: InfoSeen, telemetry: TelemetrySeen, now: float) -> Row:
    running, queued = health.running or 0, health.queued or 0
    slots = info.model.slots if info.model else None
    parts = [
        Part(f"{running} of {slots} run" if slots else f"{running} run", "green" if running else ""),
        Part(f", {queued} wait", "yellow" if queued else ""),
        Part(f", {telemetry.done:,} answered" if telemetry.done else "", "dim"),
        Part(f", {telemetry.decisions:,} decisions" if telemetry.decisions else "", "dim"),
    ]
    return Row(Rank.REQUESTS, "requests", tuple(parts), Bars(box, "load", now))


def _speed(box: Box, telemetry: TelemetrySeen, now: float) -> Iterator[Row]:
    history = box.history
    rate, first = telemetry.decode_tokens_per_s or SpreadSeen(), telemetry.ttft_ms or SpreadSeen()
    figures: Iterable[tuple[str, float | str | None]] = (
        ("{} now", words.rate(box.rate)),
        ("{} last", words.rate(history.rate.last if box.hears_ends else None)),
        ("{} median", words.rate(rate.p50)),
    )
    yield Row(Rank.RATE, "tokens/s", _figures(figures), Bars(box, "rate", now))
    figures = (
        ("{:,.0f} ms last", history.first.last if box.hears_ends else None),
        ("{:,.0f} ms median", first.p50),
        ("{:,.0f} ms p95", first.p95),
    )
    yield Row(Rank.FIRST, "first token", _figures(figures), Bars(box, "first", now))


def _figures(figures: Iterable[tuple[str, float | str | None]]) -> tuple[Part, ...]:
    """Return those that are known; the first is the important one."""
    known = [form.format(value) for form, value in figures if value is not None]
    if not known:
        return (Part(words.NO_ANSWER, "dim"),)
    return (Part(known[0], "bold"), *(Part(f", {each}", "dim") for each in known[1:]))


def _threads(health: HealthSeen) -> Row:
    why = health.threads_reason or (None if health.threads is None else f"{health.threads}")
    return Row(Rank.THREADS, "threads", (Part(why or "unknown", "" if why else "dim"),))


def _machine(box: Box, health: HealthSeen, now: float) -> Iterator[Row]:
    strained, before = words.strains(health)
    told = words.processor(health)
    if told or strained:
        parts = [Part(told or "", "bold")]
        parts += [Part(f"  {each}", "red") for each in strained]
        parts += [Part(f"  {each} before", "yellow") for each in before]
        yield Row(Rank.HEAT, "CPU", tuple(parts), Bars(box, "heat", now))
    engine, daemon = health.engine_memory_bytes, health.daemon_memory_bytes
    parts = [Part(f"engine {words.size(engine)}" if engine else "no engine")]
    parts.append(Part(f", daemon {words.size(daemon)}" if daemon else "", "dim"))
    yield Row(Rank.MEMORY, "memory", tuple(parts), Bars(box, "memory", now))
    if (free := words.free(health)) is not None:
        yield Row(Rank.FREE, "free", (Part(free, "dim"),))
    if (waits := words.waits(health)) is not None:
        yield Row(Rank.WAITS, "work waits", (Part(waits, "dim"),))


def _failures(box: Box, health: HealthSeen, telemetry: TelemetrySeen) -> Iterator[Row]:
    failures = telemetry.failures
    parts = []
    if failures:
        parts.append(Part(f"{sum(failures.values()):,}", "yellow"))
        parts.append(Part(f"  {words.failures(failures)}"))
    if box.last_error:
        parts.append(Part(f"{'; ' if parts else ''}last {box.last_error}", "yellow"))
    if health.engine_restarts:
        told = f"{'; ' if parts else ''}{health.engine_restarts} engine restarts"
        parts.append(Part(told, "yellow"))
    yield Row(Rank.FAILURES, "errors", tuple(parts) or (Part("none", "dim"),))


def _keeping(health: HealthSeen) -> Iterator[Row]:
    if health.durable is not None:
        durable = Part("yes", "dim") if health.durable else Part("no", "yellow")
        why = Part(f"  {health.undurable_reason}" if health.undurable_reason else "", "yellow")
        yield Row(Rank.DURABLE, "durable", (durable, why))
    if health.fleet:
        yield Row(Rank.FLEET, "fleet", (Part(health.fleet),))
    told = [f"{health.mqtt_dropped:,} dropped"] if health.mqtt_dropped else []
    if health.mqtt_refused:
        told.append(f"{health.mqtt_refused:,} refused: {health.mqtt_last_refusal or 'unknown'}")
    if health.mqtt_limits:
        told.append(health.mqtt_limits)
    if told:
        yield Row(Rank.BROKER, "broker", (Part("; ".join(told), "yellow"),))


def _watch(name: str, box: Box) -> Row:
    watch = box.watches[name]
    return Row(Rank.WATCH, "watch", (Part(name, "bold"), Part(f"  {words.known(watch)}")))


def _listed(request: RequestSeen) -> Row:
    runs = request.state == "running"
    told = f"{request.client or '(shared)'}/{request.id}"
    parts = [Part(f"{request.state or '?'}", "green" if runs else "yellow"), Part(f"  {told}", "bold")]
    if request.age_s is not None:
        parts.append(Part(f"  {words.period(request.age_s)}"))
    if runs and request.completion_tokens:
        parts.append(Part(f"  {request.completion_tokens:,} tokens", "dim"))
    elif runs and request.prompt_tokens:
        parts.append(Part(f"  reads {request.processed or 0:,} of {request.prompt_tokens:,} tokens", "dim"))
    return Row(Rank.LISTED, "", tuple(parts))
