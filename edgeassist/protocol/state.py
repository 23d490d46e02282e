"""The device's state messages (health, telemetry, info) and its responses to commands."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from edgeassist.errors import Code
from edgeassist.protocol.calibration import Calibration

PROTOCOL_VERSION = 1
# `undurable_reason` where somebody has chosen that, in the settings.
NOT_DURABLE = "admission.durable is off"
NOT_BROUGHT_AGAIN = "mqtt.session_expiry_s is 0, so that the broker brings nothing again"


class Availability(StrEnum):
    """The payload of `<root>/status`, as bare text."""

    ONLINE = "online"
    OFFLINE = "offline"


class State(StrEnum):
    """The device's state.

    `degraded`: prompts can't be answered until the engine recovers or somebody fixes the problem.
    """

    STARTING = "starting"
    LOADING = "loading"
    READY = "ready"
    BUSY = "busy"
    DEGRADED = "degraded"
    STOPPING = "stopping"


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True)


class StateDocument(_Document):
    """What stands retained on a topic; a broker may not take as much in one message."""

    kept: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """The fields that are left, where less must do, and still less."""
    spared: ClassVar[dict[str, set[str]]] = {}
    """What of these is left out then, too."""

    def payloads(self) -> list[bytes]:
        """Return the document, and then with fewer and fewer fields and `"cut": true`."""
        whole = self.model_dump_json().encode()
        return [whole, *map(self._cut, self.kept)]

    def _cut(self, fields: tuple[str, ...]) -> bytes:
        values = self.model_dump(mode="json", include=set(fields), exclude=self.spared)
        return json.dumps({**values, "cut": True}, separators=(",", ":"), ensure_ascii=False).encode()


class Health(StateDocument):
    """Device health; sizes in bytes, temperature in °C. Fields without a sensor are null.

    Attributes:
        sleeping: Whether the model is unloaded because nobody asked; the next request loads it.
        throttled_since_start: Since the daemon's start; the firmware's history since boot is ignored.
        cpu_pressure: Percent of the last 10 s in which some task waited for a processor (Linux PSI).
        disk_free_bytes: On the file system of the state folder.
        durable: Whether requests that come at QoS 1 now outlive a restart.
        undurable_reason: Why they do not.
        mqtt_last_problem: Why the last connection was lost or failed.
        mqtt_refused: Messages that the broker refused, with a reason or by ending the connection.
        mqtt_last_refusal: Topic and reason of the last of them.
        mqtt_limits: What the broker lacks, and what follows from it.
        fleet: Whether it takes requests of its fleet, and why not; None where it is in none.
    """

    kept = (
        ("state", "reason", "sleeping", "model", "queued", "running", "uptime_s", "version", "boot_id"),
        ("state", "queued", "running", "uptime_s", "version", "boot_id"),
    )

    state: State
    reason: str | None
    sleeping: bool
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
    durable: bool
    undurable_reason: str | None
    mqtt_reconnects: int
    mqtt_dropped: int
    mqtt_last_problem: str | None
    mqtt_refused: int
    mqtt_last_refusal: str | None
    mqtt_limits: str | None
    fleet: str | None = None


class Percentiles(_Document):
    """Percentiles over the most recent answers; null before the first."""

    p50: float | None
    p95: float | None


class Telemetry(StateDocument):
    """Counters since the daemon's start, and rolling percentiles; times in ms, rates in tokens per second."""

    kept = (("requests", "done", "decisions", "prompt_tokens", "cached_tokens", "completion_tokens"),)

    requests: int
    done: int
    decisions: int
    errors: dict[Code, int]
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    queue_ms: Percentiles
    ttft_ms: Percentiles
    tpot_ms: Percentiles
    total_ms: Percentiles
    decision_ms: Percentiles
    prefill_tokens_per_s: Percentiles
    decode_tokens_per_s: Percentiles


class PrefixReuse(StrEnum):
    """How a prompt goes on from what was computed for an earlier one that begins alike."""

    EXACT = "exact"
    """From where they part, at any token."""
    CHECKPOINTS = "checkpoints"
    """From the last state before that: where a turn or a system prompt ended, or prompts parted before."""
    NONE = "none"
    """Nothing outlives an answer."""


class ModelInfo(_Document):
    """The loaded model; `sha256` is null until computed, and for a model that is no single file.

    Attributes:
        constrains: Whether its answers can be bound, by `json_schema` and the like.
        thinks: Whether it marks what it thinks before an answer, if it thinks.
        decides: Whether it makes decisions.
        calibration: What is in force for them; null where it makes none.
        prefix_reuse: How a prompt goes on from one that began alike.
    """

    name: str
    backend: str
    architecture: str
    parameters: int
    quantisation: str  # British on the wire since version 1
    context: int
    trained_context: int
    size_bytes: int
    sha256: str | None
    chat_template: bool
    template: str
    slots: int
    prefix_reuse: PrefixReuse
    constrains: bool
    thinks: bool
    decides: bool
    calibration: Calibration | None
    build: str


class Capabilities(_Document):
    """What this version supports, with the model that runs.

    Attributes:
        fields: Fields of a prompt request; valid ones not listed are answered with `unsupported`.
        decision_fields: Fields of a request for a decision; none where all are answered with `unsupported`.
        roles: Roles of a message.
        formats: Formats of an answer.
        priorities: From least to most urgent.
        events: Types of an answer's events.
        commands: Names of the commands.
        questions: Types of a decision's questions.
    """

    fields: list[str]
    decision_fields: list[str]
    roles: list[str]
    formats: list[str]
    priorities: list[str]
    events: list[str]
    commands: list[str]
    questions: list[str]


class Info(StateDocument):
    """The device's version, capabilities, model and settings; secrets are left out."""

    kept = (("version", "protocol", "device", "capabilities", "model"), ("version", "protocol", "device"))
    # So that this is still less than a broker takes that stops at 1,000 bytes.
    spared = {"capabilities": {"decision_fields", "questions"}, "model": {"calibration", "prefix_reuse"}}

    version: str
    protocol: int
    device: str
    capabilities: Capabilities
    model: ModelInfo | None
    settings: dict[str, JsonValue]


Name = Annotated[str, Field(max_length=256, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]


class Instance(_Document):
    """Which daemon is this device: the marker by which two of one name see each other.

    Attributes:
        boot_id: As in `health`: another one for each run of a daemon.
        connection: Counts the daemon's connections to the broker, so that no two of its markers are alike.
        address: The machine's, towards the broker.
    """

    boot_id: Name
    connection: int
    host: Name
    address: Name | None
    pid: int
    client_id: Name
    version: Name


def parse_instance(payload: bytes) -> Instance | None:
    """Return the marker; None where it is none."""
    try:
        return Instance.model_validate_json(payload)
    except ValidationError:
        return None


class CommandError(_Document):
    """Why a command failed."""

    code: Code
    message: str


class CommandResponse(_Document):
    """The response to a command; `id` is echoed from it. A long one is preceded by some of `progress`."""

    status: Literal["ok", "error", "progress"]
    data: dict[str, JsonValue] | None = None
    error: CommandError | None = None
    id: str | None = None
