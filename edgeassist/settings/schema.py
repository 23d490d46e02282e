"""What can be set: one class per table; each key with its type, bounds, default, and when it takes effect."""

from __future__ import annotations

import socket
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    PlainValidator,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from edgeassist.console.config import DEFAULT_PORT, check_broker_url
from edgeassist.errors import InvalidRequestError
from edgeassist.protocol.topics import FLEET_LEVEL, Topics, check_topic_name, topic_safe
from edgeassist.protocol.values import NAME_PATTERN
from edgeassist.settings.table import LIVE, Table
from edgeassist.settings.watches import WatchSettings
from edgeassist.watching.checks import problems
from edgeassist.watching.options import MAX_WATCHES

ENV_PREFIX = "EDGEASSIST_"


class LogLevel(StrEnum):
    """The least severe messages that are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def _topic(value: str) -> str:
    try:
        check_topic_name(value)
    except InvalidRequestError as error:
        raise ValueError(error.message) from None
    return value


def _inner_topic(value: str) -> str:
    if value != value.strip("/"):
        raise ValueError("must not begin or end with /")
    return _topic(value)


class DeviceSettings(Table):
    """This device's identity."""

    name: Annotated[str, Field(max_length=64)] = topic_safe(socket.gethostname())

    @field_validator("name")
    @classmethod
    def _one_level(cls, value: str) -> str:
        if "/" in value:
            raise ValueError("must be one level of a topic, without /")
        return _topic(value)


class MqttSettings(Table):
    """The broker, and how to connect to it."""

    host: Annotated[str, Field(min_length=1, max_length=253)] = "localhost"
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    protocol: Literal["5", "3.1.1"] = "5"
    username: str | None = None
    password: SecretStr | None = None
    client_id: str | None = None
    base: Annotated[str, Field(max_length=256), AfterValidator(_inner_topic)] = "edgeassist"
    reply_prefixes: Annotated[tuple[str, ...], LIVE] = ("{root}/reply/", "reply/")
    keepalive_s: Annotated[int, Field(ge=5, le=3600)] = 30
    session_expiry_s: Annotated[int, Field(ge=0, le=86_400)] = 60
    reconnect_max_s: Annotated[float, Field(ge=1, le=3600)] = 60
    queue: Annotated[int, Field(ge=10, le=100_000)] = 1000
    packet_bytes: Annotated[int, Field(ge=256, le=268_435_455)] | None = None
    tls: bool = False
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_insecure: bool = False

    @field_validator("host")
    @classmethod
    def _resolvable(cls, value: str) -> str:
        try:
            value.encode("idna")
        except UnicodeError:
            raise ValueError("is no host name: a part of it is empty or longer than 63 characters") from None
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> MqttSettings:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        if not self.tls and (self.tls_ca or self.tls_cert or self.tls_insecure):
            raise ValueError("tls_ca, tls_cert and tls_insecure need tls = true")
        if self.password is not None and self.username is None:
            raise ValueError("password needs username")
        return self

    @property
    def effective_port(self) -> int:
        """The port; by default 8883 with TLS, 1883 without."""
        return self.port or (8883 if self.tls else 1883)


class ModelSettings(Table):
    """The model, and the system prompt."""

    path: Path = Path("builtin:tiny")
    backend: Literal["auto", "llama", "onnx", "scripted"] = "auto"
    context: Annotated[int, Field(ge=64, le=1_048_576)] = 4096
    template: Path | None = None
    system: Annotated[str, LIVE] = ""
    think: Annotated[Literal["auto", "on", "off"], LIVE] = "auto"
    sleep_idle_s: Annotated[float, Field(ge=0, le=2_592_000), LIVE] = 0


def _address(value: str) -> str:
    if not value.startswith(("https://", "http://")):
        raise ValueError("must begin with https:// or http://")
    return value


_Address = Annotated[str, AfterValidator(_address)]


class LibrarySettings(Table):
    """Where models are kept, and where they are got from."""

    folder: Path | None = None
    hf_endpoint: _Address | None = None
    hf_token: SecretStr | None = None
    ms_endpoint: _Address | None = None
    # A secret, since an index's address may hold a password.
    pypi_index: SecretStr | None = None


_AutoOrNumber = int | Literal["auto"]
_AutoOrReal = float | Literal["auto"]


def _auto_or(least: float, most: float, *, whole: bool = True) -> PlainValidator:
    """Accept "auto" or a number within bounds. A pydantic union would report one error per member."""
    kind: Any = Annotated[int if whole else float, Field(ge=least, le=most)]
    number: TypeAdapter[int | float] = TypeAdapter(kind)
    called = "a whole number" if whole else "a number"

    def check(value: object) -> float | str:
        if value == "auto":
            return "auto"
        try:
            return number.validate_python(value)
        except ValidationError:
            raise ValueError(f'must be "auto" or {called} from {least} to {most}') from None

    return PlainValidator(check, json_schema_input_type=Literal["auto"] | kind)


class EngineSettings(Table):
    """How the engine process computes, and when the daemon replaces it."""

    slots: Annotated[_AutoOrNumber, _auto_or(1, 64)] = "auto"
    threads: Annotated[_AutoOrNumber, _auto_or(1, 1024)] = "auto"
    prefill_threads: Annotated[_AutoOrNumber, _auto_or(1, 1024)] = "auto"
    threads_max: Annotated[_AutoOrNumber, _auto_or(1, 1024)] = "auto"
    prefill_threads_max: Annotated[_AutoOrNumber, _auto_or(1, 1024)] = "auto"
    step_ms: Annotated[int, Field(ge=10, le=10_000)] = 250
    step_tokens: Annotated[int, Field(ge=1, le=4096)] = 512
    kv_tokens: Annotated[_AutoOrNumber, _auto_or(64, 16_777_216)] = "auto"
    kv_type: Literal["f16", "q8_0", "q4_0"] = "f16"
    prefix_mb: Annotated[_AutoOrNumber, _auto_or(0, 65_536)] = "auto"
    flash_attention: Literal["auto", "on", "off"] = "auto"
    load_mode: Literal["mmap", "read", "lock"] = "mmap"
    speculate: bool = True
    state_folder: Path | None = None
    state_mb: Annotated[int, Field(ge=0, le=65_536)] = 256
    state_mb_per_day: Annotated[int, Field(ge=0, le=1_048_576)] = 512
    load_timeout_s: Annotated[float, Field(ge=1, le=3600)] = 300
    stall_timeout_s: Annotated[float, Field(ge=2, le=3600)] = 30
    restart_max_s: Annotated[float, Field(ge=1, le=3600)] = 60


class SamplingSettings(Table):
    """Defaults for omitted sampling fields."""

    max_tokens: Annotated[int, Field(ge=1), LIVE] = 512
    reasoning_budget: Annotated[_AutoOrNumber, _auto_or(1, 1_000_000), LIVE] = "auto"
    temperature: Annotated[_AutoOrReal, _auto_or(0, 5, whole=False), LIVE] = "auto"
    top_k: Annotated[int, Field(ge=0), LIVE] = 40
    top_p: Annotated[float, Field(gt=0, le=1), LIVE] = 0.95
    min_p: Annotated[float, Field(ge=0, le=1), LIVE] = 0.05
    repeat_penalty: Annotated[float, Field(gt=0, le=10), LIVE] = 1.0


def _by_kind(least: float, most: float) -> PlainValidator:
    """Accept "auto", a number within bounds for all kinds of questions, or a table of them by kind."""
    number: TypeAdapter[float] = TypeAdapter(Annotated[float, Field(ge=least, le=most)])
    kind: Any = dict[Literal["choice", "score", "yes_no"], Annotated[float, Field(ge=least, le=most)]]
    table: TypeAdapter[dict[str, float]] = TypeAdapter(kind)

    def check(value: object) -> float | str | dict[str, float]:
        if value == "auto":
            return "auto"
        try:
            if isinstance(value, str) and value.lstrip().startswith("{"):  # from the environment
                return table.validate_json(value)
            return table.validate_python(value) if isinstance(value, dict) else number.validate_python(value)
        except ValidationError:
            raise ValueError(
                f'must be "auto", a number from {least} to {most}, or a table of such numbers by kind '
                "(choice, score, yes_no), such as { choice = 2, yes_no = 1.5 }"
            ) from None

    either: Any = Literal["auto"] | Annotated[float, Field(ge=least, le=most)] | kind
    return PlainValidator(check, json_schema_input_type=either)


class DecisionSettings(Table):
    """How decisions are made of a model's scores. "auto": as the model is calibrated."""

    temperature: Annotated[_AutoOrReal | dict[str, float], _by_kind(0.05, 20), LIVE] = "auto"
    threshold: Annotated[_AutoOrReal, _auto_or(0, 1, whole=False), LIVE] = "auto"
    prior: Annotated[_AutoOrReal, _auto_or(0, 1, whole=False), LIVE] = "auto"


class AdmissionSettings(Table):
    """Limits for incoming requests: number, size, time."""

    queue: Annotated[int, Field(ge=1, le=10_000), LIVE] = 32
    per_client: Annotated[int, Field(ge=1, le=10_000), LIVE] = 16
    payload_bytes: Annotated[int, Field(ge=64, le=16_777_216), LIVE] = 262_144
    timeout_s: Annotated[float, Field(gt=0, le=86_400), LIVE] = 300
    ageing_s: Annotated[float, Field(gt=0, le=3600), LIVE] = 30
    remember_s: Annotated[float, Field(ge=0, le=86_400), LIVE] = 60
    durable: Annotated[bool, LIVE] = True


class JournalSettings(Table):
    """How much is written down of requests, so that a restart loses none."""

    entries: Annotated[int, Field(ge=1, le=100_000), LIVE] = 1000
    mb: Annotated[int, Field(ge=1, le=65_536), LIVE] = 64
    days: Annotated[int, Field(ge=1, le=30), LIVE] = 2


class StreamSettings(Table):
    """How an answer is split into messages."""

    interval_ms: Annotated[int, Field(ge=0, le=10_000), LIVE] = 100
    progress_ms: Annotated[int, Field(ge=50, le=60_000), LIVE] = 300
    chunk_bytes: Annotated[int, Field(ge=16, le=65_536), LIVE] = 1024
    chunk_qos: Annotated[int, Field(ge=0, le=1), LIVE] = 1
    final_qos: Annotated[int, Field(ge=0, le=1), LIVE] = 1


class SessionSettings(Table):
    """How many conversations are kept, how much of each, and how long."""

    count: Annotated[int, Field(ge=1, le=100_000), LIVE] = 64
    turns: Annotated[int, Field(ge=1, le=1000), LIVE] = 16
    expire_s: Annotated[float, Field(gt=0, le=2_592_000), LIVE] = 3600


class FleetSettings(Table):
    """Many boxes behind one topic."""

    group: Annotated[str, Field(pattern=NAME_PATTERN)] | None = None
    adopt_s: Annotated[float, Field(ge=1, le=3600), LIVE] = 10
    session_expiry_s: Annotated[int, Field(ge=60, le=604_800)] = 86_400
    receive_maximum: Annotated[int, Field(ge=64, le=65_535)] = 1000


class HomeAssistantSettings(Table):
    """Home Assistant discovery."""

    discovery: Annotated[bool, LIVE] = False
    prefix: Annotated[str, Field(max_length=256), AfterValidator(_inner_topic), LIVE] = "homeassistant"
    status_topic: Annotated[str, Field(max_length=256), AfterValidator(_topic), LIVE] = "homeassistant/status"


class ConsoleSettings(Table):
    """The page for a browser."""

    enabled: Annotated[bool, LIVE] = False
    port: Annotated[int, Field(ge=1, le=65535), LIVE] = DEFAULT_PORT
    broker: Annotated[Annotated[str, AfterValidator(check_broker_url)] | None, LIVE] = None


class DaemonSettings(Table):
    """Log level, reporting interval, start and stop."""

    log_level: Annotated[LogLevel, LIVE] = LogLevel.INFO
    telemetry_s: Annotated[float, Field(ge=1, le=3600), LIVE] = 30
    drain_s: Annotated[float, Field(ge=0, le=600), LIVE] = 20
    ready_without_broker: Annotated[bool, LIVE] = False


class Settings(BaseSettings):
    """All tables. Created by `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    device: DeviceSettings = DeviceSettings()
    mqtt: MqttSettings = MqttSettings()
    model: ModelSettings = ModelSettings()
    library: LibrarySettings = LibrarySettings()
    engine: EngineSettings = EngineSettings()
    sampling: SamplingSettings = SamplingSettings()
    decisions: DecisionSettings = DecisionSettings()
    admission: AdmissionSettings = AdmissionSettings()
    journal: JournalSettings = JournalSettings()
    stream: StreamSettings = StreamSettings()
    session: SessionSettings = SessionSettings()
    fleet: FleetSettings = FleetSettings()
    homeassistant: HomeAssistantSettings = HomeAssistantSettings()
    console: ConsoleSettings = ConsoleSettings()
    daemon: DaemonSettings = DaemonSettings()
    watch: Annotated[tuple[WatchSettings, ...], Field(max_length=MAX_WATCHES), LIVE] = ()

    @model_validator(mode="after")
    def _no_device_stands_where_fleets_do(self) -> Settings:
        if self.fleet.group is not None and self.device.name == FLEET_LEVEL:
            raise ValueError(f"device.name: {FLEET_LEVEL!r} is where fleets have their topics: take another")
        return self

    @model_validator(mode="after")
    def _watches_beside_it_all(self) -> Settings:
        topics = Topics(self.mqtt.base, self.device.name)
        watches = [watch.options for watch in self.watch]
        if found := list(problems(watches, topics, self.homeassistant.prefix)):
            raise ValueError("\n".join(f"watch: {each}" for each in found))
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use only what `load_settings` passes in: it reads the sources itself, to know each key's origin."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    def public(self) -> dict[str, Any]:
        """Return all values as JSON types, with secrets masked."""
        return self.model_dump(mode="json")
