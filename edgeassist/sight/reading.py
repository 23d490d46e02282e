"""What a device says of itself, as far as it can be made out. Sans-I/O.

Whoever may publish on a device's topics can have put anything there, and devices of other versions say less
or more. So every field stands for itself: one that is missing, or is not what it should be, is None. Texts
are short, and still somebody else's: `harmless` is for who shows them.
"""

from __future__ import annotations

from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

# Longer documents are not read: an `info` has some kilobytes.
MAX_BYTES = 262_144
_MAX_TEXT = 512
# Of a mapping by names; a device has fewer codes of errors, and watches.
_MAX_NAMES = 64


def _lenient(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    try:
        return handler(value)
    except ValidationError:
        return None


def _few(mapping: dict[str, Any]) -> dict[str, Any]:
    return {name[:_MAX_TEXT]: each for name, each in list(mapping.items())[:_MAX_NAMES]}


_Any = TypeVar("_Any")
_Maybe = Annotated[_Any | None, WrapValidator(_lenient)]
_Text = Annotated[str, AfterValidator(lambda text: text[:_MAX_TEXT])]
Words = _Maybe[_Text]
Count = _Maybe[Annotated[int, Field(ge=0, lt=1 << 63)]]
Number = _Maybe[Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False)]]
Flag = _Maybe[bool]


class Seen(BaseModel):
    """A document that was seen; its fields are as in the document of `protocol.state`."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    @classmethod
    def read(cls, payload: bytes | None) -> Self | None:
        """Return the document; None where there is none, or no JSON object."""
        if not payload or len(payload) > MAX_BYTES:
            return None
        try:
            return cls.model_validate_json(payload)
        except ValidationError:
            return None


class HealthSeen(Seen):
    """How a device is."""

    state: Words = None
    reason: Words = None
    sleeping: Flag = None
    model: Words = None
    queued: Count = None
    running: Count = None
    uptime_s: Count = None
    version: Words = None
    boot_id: Words = None
    engine_restarts: Count = None
    daemon_memory_bytes: Count = None
    engine_memory_bytes: Count = None
    cpu_temperature_c: Number = None
    cpu_frequency_mhz: Count = None
    throttled: Flag = None
    under_voltage: Flag = None
    frequency_capped: Flag = None
    soft_temperature_limit: Flag = None
    throttled_since_start: Flag = None
    under_voltage_since_start: Flag = None
    memory_available_bytes: Count = None
    cpu_pressure: Number = None
    memory_pressure: Number = None
    io_pressure: Number = None
    disk_free_bytes: Count = None
    threads: Count = None
    prefill_threads: Count = None
    threads_reason: Words = None
    durable: Flag = None
    undurable_reason: Words = None
    mqtt_reconnects: Count = None
    mqtt_dropped: Count = None
    mqtt_last_problem: Words = None
    mqtt_refused: Count = None
    mqtt_last_refusal: Words = None
    mqtt_limits: Words = None
    fleet: Words = None

    @property
    def able(self) -> bool:
        """Whether it can answer."""
        return self.state in {"ready", "busy"}


class SpreadSeen(Seen):
    """Percentiles of the most recent answers."""

    p50: Number = None
    p95: Number = None


class TelemetrySeen(Seen):
    """What a device has done since its start."""

    done: Count = None
    decisions: Count = None
    errors: _Maybe[Annotated[dict[str, Count], AfterValidator(_few)]] = None
    completion_tokens: Count = None
    ttft_ms: _Maybe[SpreadSeen] = None
    decode_tokens_per_s: _Maybe[SpreadSeen] = None
    decision_ms: _Maybe[SpreadSeen] = None

    @property
    def failures(self) -> dict[str, int]:
        """How many requests failed or were refused, by code."""
        return {code: count for code, count in (self.errors or {}).items() if count}


class ModelSeen(Seen):
    """The model that is loaded."""

    name: Words = None
    backend: Words = None
    quantisation: Words = None
    context: Count = None
    slots: Count = None
    size_bytes: Count = None


class _Named(Seen):
    name: Words = None


class _Daemon(Seen):
    telemetry_s: Number = None


class _Settings(Seen):
    watch: _Maybe[list[_Maybe[_Named]]] = None
    daemon: _Maybe[_Daemon] = None


class _Capabilities(Seen):
    commands: _Maybe[list[Words]] = None


class InfoSeen(Seen):
    """What a device is."""

    version: Words = None
    model: _Maybe[ModelSeen] = None
    capabilities: _Maybe[_Capabilities] = None
    settings: _Maybe[_Settings] = None

    @property
    def watches(self) -> list[str]:
        """The names of its watches."""
        watches = (self.settings.watch if self.settings else None) or []
        return [each.name for each in watches[:_MAX_NAMES] if each and each.name]

    @property
    def telemetry_s(self) -> float | None:
        """How often it speaks at least; None where that is not known."""
        daemon = self.settings.daemon if self.settings else None
        return daemon.telemetry_s if daemon else None

    def takes(self, command: str) -> bool:
        """Whether there is such a command."""
        return command in ((self.capabilities.commands if self.capabilities else None) or [])


class WatchAnswerSeen(Seen):
    """What is known of one question."""

    choice: Words = None
    probabilities: _Maybe[Annotated[dict[str, Number], AfterValidator(_few)]] = None

    @property
    def share(self) -> float | None:
        """How probable that is; None where it is not known."""
        return (self.probabilities or {}).get(self.choice or "")


class WatchSeen(Seen):
    """What is known from a watch."""

    answers: _Maybe[Annotated[dict[str, _Maybe[WatchAnswerSeen]], AfterValidator(_few)]] = None
    reason: Words = None


class _Usage(Seen):
    completion_tokens: Count = None


class _Timings(Seen):
    ttft_ms: Number = None
    decode_tokens_per_s: Number = None


class EndSeen(Seen):
    """How a request ended: `done` or `error`, without what was said."""

    type: Words = None
    code: Words = None
    device: Words = None
    repeat: Flag = None
    usage: _Maybe[_Usage] = None
    timings: _Maybe[_Timings] = None
    answers: _Maybe[dict[str, Any]] = None

    @property
    def decision(self) -> bool:
        """Whether it is that of a decision."""
        return self.answers is not None


class RequestSeen(Seen):
    """A request that runs or waits, without what was asked in it."""

    id: Words = None
    client: Words = None
    kind: Words = None
    state: Words = None
    age_s: Number = None
    prompt_tokens: Count = None
    processed: Count = None
    completion_tokens: Count = None


class RequestsSeen(Seen):
    """What runs and waits: the answer to the command `requests`."""

    requests: _Maybe[list[_Maybe[RequestSeen]]] = None
    left_out: Count = None

    @property
    def known(self) -> list[RequestSeen]:
        """Those that can be made out."""
        return [each for each in self.requests or () if each is not None and each.id]
