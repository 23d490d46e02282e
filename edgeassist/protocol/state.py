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
    """How the device is. What has no sensor here is null.

    Attributes:
        state: In one word.
        reason: Why it can't do better, or that another daemon has the same name.
        sleeping: Whether the model is unloaded because nobody asked; the next request loads it.
        model: What is loaded; None while that is nothing.
        queued: Requests that wait.
        running: Requests that run.
        uptime_s: Since the daemon's start, in seconds.
        version: Of the daemon.
        boot_id: Another one for each run of a daemon.
        engine_restarts: Engines that died or hung since then.
        daemon_memory_bytes: Resident memory of the daemon.
        engine_memory_bytes: Likewise, of the engine.
        cpu_temperature_c: In °C.
        cpu_frequency_mhz: Of the fastest processors, at the moment.
        throttled: Whether a Raspberry Pi's firmware throttles.
        under_voltage: Whether it finds the supply too weak.
        frequency_capped: Whether it caps the frequency.
        soft_temperature_limit: Whether it is at its soft limit of temperature.
        throttled_since_start: Since the daemon's start; the firmware's history since boot is ignored.
        under_voltage_since_start: Likewise.
        memory_available_bytes: Of the machine.
        cpu_pressure: Percent of the last 10 s in which some task waited for a processor (Linux PSI).
        memory_pressure: Likewise, for memory.
        io_pressure: Likewise, for a disk.
        disk_free_bytes: On the file system of the state folder.
        threads: With which the engine writes answers.
        prefill_threads: With which it reads prompts.
        threads_reason: Why so many.
        durable: Whether requests that come at QoS 1 now outlive a restart.
        undurable_reason: Why they do not.
        mqtt_reconnects: Connections to the broker after the first.
        mqtt_dropped: Messages that could not be delivered.
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
    """Percentiles over the most recent answers; null before the first.

    Attributes:
        p50: The median.
        p95: Above it are 5 %.
    """

    p50: float | None
    p95: float | None


class Telemetry(StateDocument):
    """Counters since the daemon's start, and percentiles of the last 256 answers, decisions left out.

    Attributes:
        requests: That came.
        done: That ended with an answer.
        decisions: How many of these were decisions.
        errors: How many ended in an error, by its code.
        prompt_tokens: Of all prompts.
        cached_tokens: How many of these cost no work.
        completion_tokens: Of all answers.
        queue_ms: From arrival until the engine began.
        ttft_ms: From arrival until the first text.
        tpot_ms: From one token to the next.
        total_ms: From arrival until the answer was complete.
        decision_ms: The same, of decisions.
        prefill_tokens_per_s: At which prompts were read.
        decode_tokens_per_s: At which answers were written.
    """

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
    """The loaded model.

    Attributes:
        name: For a person.
        backend: What runs it.
        architecture: As its file names it.
        parameters: How many.
        quantisation: As its file names it.
        context: The most tokens of a conversation, in force.
        trained_context: What it was trained for.
        size_bytes: Of its files.
        sha256: Of its file; None until computed, and for a model that is no single file.
        chat_template: Whether conversations are rendered with one.
        template: Which: `model`: its own, `file`: that of `model.template`, `none`: bare texts, `broken`: its
            own, which does not work.
        slots: Answers that run at the same time.
        constrains: Whether its answers can be bound, by `json_schema` and the like.
        thinks: Whether it marks what it thinks before an answer, if it thinks.
        decides: Whether it makes decisions.
        calibration: What is in force for them; null where it makes none.
        prefix_reuse: How a prompt goes on from one that began alike.
        build: The library's build flags.
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
    """What the device is.

    Attributes:
        version: Of the daemon.
        protocol: The version of the wire contract.
        device: Its name.
        capabilities: What this version can do with the model that runs.
        model: What is loaded; None until it is.
        settings: All that are in force, by table; secrets are masked.
    """

    kept = (("version", "protocol", "device", "capabilities", "model"), ("version", "protocol", "device"))
    # So that this is still less than a broker takes that stops at 1,000 bytes.
    spared = {"capabilities": {"decision_fields", "questions"}, "model": {"calibration", "prefix_reuse"}}

    version: str
    protocol: int
    device: str
    capabilities: Capabilities
    model: ModelInfo | None
    settings: dict[str, JsonValue]


# A marker is smaller. To say all that is wrong with 100 kB of something else takes a quarter of a second.
_MOST_INSTANCE_BYTES = 1 << 14
Name = Annotated[str, Field(max_length=256, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]


class Instance(_Document):
    """Which daemon is this device: the marker by which two of one name see each other.

    Attributes:
        boot_id: As in `health`: another one for each run of a daemon.
        connection: Counts the daemon's connections to the broker, so that no two of its markers are alike.
        host: The machine's name.
        address: The machine's, towards the broker.
        pid: Of the daemon's process.
        client_id: At the broker.
        version: Of the daemon.
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
    if len(payload) > _MOST_INSTANCE_BYTES:
        return None
    try:
        return Instance.model_validate_json(payload)
    except ValidationError:
        return None


class CommandError(_Document):
    """Why a command failed.

    Attributes:
        code: Why.
        message: For a person.
    """

    code: Code
    message: str


class CommandResponse(_Document):
    """The response to a command.

    Attributes:
        status: How it went; a long command says `progress` before.
        data: What came of it.
        error: Why it failed.
        id: The command's.
    """

    status: Literal["ok", "error", "progress"]
    data: dict[str, JsonValue] | None = None
    error: CommandError | None = None
    id: str | None = None
