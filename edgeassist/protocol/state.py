"""What the device says of itself: health, telemetry, info, and the answers to commands."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from edgeassist.errors import Code

PROTOCOL_VERSION = 1


class Availability(StrEnum):
    """What stands on `<root>/status`, as bare text."""

    ONLINE = "online"
    OFFLINE = "offline"


class State(StrEnum):
    """What the device is doing.

    `degraded` means that prompts can't be answered until somebody acts, or the engine comes back.
    """

    STARTING = "starting"
    LOADING = "loading"
    READY = "ready"
    BUSY = "busy"
    DEGRADED = "degraded"
    STOPPING = "stopping"


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True)


class Health(_Document):
    """Device health; sizes in bytes, temperature in °C. Fields without a sensor are null.

    Attributes:
        throttled_since_start: Seen since the daemon started; the firmware's own history is not kept.
        cpu_pressure: The percentage of the last 10 s that some task of the machine waited for a processor.
        disk_free_bytes: Where the state folder is.
        mqtt_last_problem: Why the last connection was lost, or could not be made.
    """

    state: State
    reason: str | None
    model: str | None
    queued: int
    running: int
    uptime_s: int
    version: str
    boot_id: str
    engine_restarts: int
    daemon_memory_bytes: int | None
    engine_memory_bytes: int | None
    cpu_temperature_c: float | None
    cpu_frequency_mhz: int | None
    throttled: bool | None
    under_voltage: bool | None
    frequency_capped: bool | None
    soft_temperature_limit: bool | None
    throttled_since_start: bool | None
    under_voltage_since_start: bool | None
    memory_available_bytes: int | None
    cpu_pressure: float | None
    memory_pressure: float | None
    io_pressure: float | None
    disk_free_bytes: int | None
    threads: int
    prefill_threads: int
    threads_reason: str
    mqtt_reconnects: int
    mqtt_dropped: int
    mqtt_last_problem: str | None


class Percentiles(_Document):
    """Of the last requests that were answered; null before the first."""

    p50: float | None
    p95: float | None


class Telemetry(_Document):
    """Counters since the daemon started, and rolling figures; times in ms, rates in tokens a second."""

    requests: int
    done: int
    errors: dict[Code, int]
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    queue_ms: Percentiles
    ttft_ms: Percentiles
    tpot_ms: Percentiles
    total_ms: Percentiles
    prefill_tokens_per_s: Percentiles
    decode_tokens_per_s: Percentiles


class ModelInfo(_Document):
    """The loaded model; `sha256` is null until it is known."""

    name: str
    backend: str
    architecture: str
    parameters: int
    quantisation: str
    context: int
    trained_context: int
    size_bytes: int
    sha256: str | None
    chat_template: bool
    slots: int
    build: str


class Capabilities(_Document):
    """What this version can do.

    Attributes:
        fields: Of a prompt request; one that is missing here is answered with `unsupported`.
        roles: Of a message.
        formats: In which an answer can come.
        priorities: The least urgent first.
        events: Of an answer.
        commands: Their names.
    """

    fields: list[str]
    roles: list[str]
    formats: list[str]
    priorities: list[str]
    events: list[str]
    commands: list[str]


class Info(_Document):
    """What this device is, what it can do and how it is set; secrets are left out."""

    version: str
    protocol: int
    device: str
    capabilities: Capabilities
    model: ModelInfo | None
    settings: dict[str, JsonValue]


class CommandError(_Document):
    """Why a command was not carried out."""

    code: Code
    message: str


class CommandResponse(_Document):
    """The answer to a command; `id` is the one that came with it."""

    status: Literal["ok", "error"]
    data: dict[str, JsonValue] | None = None
    error: CommandError | None = None
    id: str | None = None
