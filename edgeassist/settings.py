"""The settings: the only reader of the TOML file, the environment and systemd's credentials.

Later sources win: defaults < TOML file < environment (`EDGEASSIST_<TABLE>__<KEY>`) < credentials directory
(a file `<table>.<key>`). An unknown key anywhere is an error that names the key and where it stands.
"""

from __future__ import annotations

import os
import socket
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from edgeassist.errors import ConfigurationError
from edgeassist.protocol.topics import topic_safe

DEFAULT_FILE = Path("/etc/edgeassist/edgeassist.toml")
ENV_PREFIX = "EDGEASSIST_"
ENV_FILE = "EDGEASSIST_CONFIG"

TopicText = Annotated[str, Field(pattern=r"^[^+#$\x00-\x1f\x7f/][^+#\x00-\x1f\x7f]*$")]


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class DeviceSettings(_Table):
    """Who this device is."""

    name: Annotated[str, Field(pattern=r"^[^+#/$\x00-\x1f\x7f]{1,64}$")] = topic_safe(socket.gethostname())


class MqttSettings(_Table):
    """The broker, and how we speak to it."""

    host: Annotated[str, Field(min_length=1, max_length=253)] = "localhost"
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    protocol: Literal["5", "3.1.1"] = "5"
    username: str | None = None
    password: SecretStr | None = None
    client_id: str | None = None
    base: TopicText = "edgeassist"
    reply_prefixes: tuple[str, ...] = ("{root}/reply/", "reply/")
    keepalive_s: Annotated[int, Field(ge=5, le=3600)] = 30
    session_expiry_s: Annotated[int, Field(ge=0, le=86_400)] = 60
    reconnect_max_s: Annotated[float, Field(ge=1, le=3600)] = 60
    queue: Annotated[int, Field(ge=10, le=100_000)] = 1000
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
        """The port, or MQTT's own: 8883 with TLS, 1883 without."""
        return self.port or (8883 if self.tls else 1883)


class ModelSettings(_Table):
    """What is loaded."""

    path: Path | None = None
    backend: Literal["auto", "llama", "onnx", "scripted"] = "auto"
    context: Annotated[int, Field(ge=64, le=1_048_576)] = 4096
    system: str = ""


class EngineSettings(_Table):
    """How the engine process works, and when the daemon gives it up."""

    slots: Annotated[int, Field(ge=1, le=64)] = 1
    threads: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = "auto"
    step_tokens: Annotated[int, Field(ge=1, le=4096)] = 128
    load_timeout_s: Annotated[float, Field(ge=1, le=3600)] = 300
    stall_timeout_s: Annotated[float, Field(ge=2, le=3600)] = 30
    restart_max_s: Annotated[float, Field(ge=1, le=3600)] = 60


class SamplingSettings(_Table):
    """What a request gets that does not say."""

    max_tokens: Annotated[int, Field(ge=1)] = 512
    temperature: Annotated[float, Field(ge=0, le=5)] = 0.7
    top_k: Annotated[int, Field(ge=0)] = 40
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.05
    repeat_penalty: Annotated[float, Field(gt=0, le=10)] = 1.0


class AdmissionSettings(_Table):
    """Who may ask, and how much may wait."""

    queue: Annotated[int, Field(ge=1, le=10_000)] = 32
    per_client: Annotated[int, Field(ge=1, le=10_000)] = 16
    payload_bytes: Annotated[int, Field(ge=64, le=16_777_216)] = 262_144
    timeout_s: Annotated[float, Field(gt=0, le=86_400)] = 300
    ageing_s: Annotated[float, Field(gt=0, le=3600)] = 30
    remember_s: Annotated[float, Field(ge=0, le=86_400)] = 600


class StreamSettings(_Table):
    """How an answer is cut into messages."""

    interval_ms: Annotated[int, Field(ge=0, le=10_000)] = 50
    progress_ms: Annotated[int, Field(ge=50, le=60_000)] = 300
    chunk_bytes: Annotated[int, Field(ge=16, le=65_536)] = 1024
    chunk_qos: Literal[0, 1] = 0
    final_qos: Literal[0, 1] = 1


class SessionSettings(_Table):
    """How much of past conversations is remembered."""

    count: Annotated[int, Field(ge=1, le=100_000)] = 64
    turns: Annotated[int, Field(ge=1, le=1000)] = 16
    expire_s: Annotated[float, Field(gt=0, le=2_592_000)] = 3600


class DaemonSettings(_Table):
    """The daemon itself."""

    log_level: LogLevel = LogLevel.INFO
    telemetry_s: Annotated[float, Field(ge=1, le=3600)] = 30
    drain_s: Annotated[float, Field(ge=0, le=600)] = 20
    ready_without_broker: bool = False


class Settings(BaseSettings):
    """All tables. Made by `load_settings`."""

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
    engine: EngineSettings = EngineSettings()
    sampling: SamplingSettings = SamplingSettings()
    admission: AdmissionSettings = AdmissionSettings()
    stream: StreamSettings = StreamSettings()
    session: SessionSettings = SessionSettings()
    daemon: DaemonSettings = DaemonSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave only what `load_settings` hands over: it reads the sources, to know each key's origin."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    def public(self) -> dict[str, Any]:
        """Return all values as JSON types, secrets as asterisks."""
        return self.model_dump(mode="json")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, the origin of every key that does not have its default (`mqtt.host`), and the file if any."""

    settings: Settings
    origins: Mapping[str, str]
    file: Path | None


def load_settings(file: Path | None = None, *, environ: Mapping[str, str] | None = None) -> Loaded:
    """Read all sources.

    Args:
        file: The TOML file; None for `$EDGEASSIST_CONFIG`, or the default file if it exists.
        environ: The environment; None for this process's.

    Raises:
        ConfigurationError: A source can't be read, or a key is unknown or has a value that can't be.
    """
    environ = os.environ if environ is None else environ
    path, toml = _read_file(file, environ)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    sources = [
        (toml, "file {file}"),
        (_read_environment(environ), "environment {variable}"),
        (_read_credentials(environ), "credential {key}"),
    ]
    for tables, origin in sources:
        for table, key, value in _flatten(tables):
            name = f"{table}.{key}" if key else table
            origins[name] = origin.format(file=path, key=name, variable=_variable(name))
            if key:
                values.setdefault(table, {})[key] = value
            else:
                values[table] = value
    try:
        return Loaded(Settings(**values), origins, path)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_explain(error, origins))) from None


def _read_file(file: Path | None, environ: Mapping[str, str]) -> tuple[Path | None, dict[str, Any]]:
    named = file or (Path(environ[ENV_FILE]) if environ.get(ENV_FILE) else None)
    path = named or DEFAULT_FILE
    try:
        with path.open("rb") as stream:
            return path, tomllib.load(stream)
    except FileNotFoundError:
        if named is None:
            return None, {}
        raise ConfigurationError(f"there is no configuration file {path}") from None
    except OSError as error:
        raise ConfigurationError(f"can't read the configuration file {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the configuration file {path} is not valid TOML: {error}") from None


def _read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    ours = {key: value for key, value in environ.items() if key.startswith(ENV_PREFIX) and key != ENV_FILE}
    for variable in ours:
        table = variable.removeprefix(ENV_PREFIX).partition("__")[0].lower()
        if table not in Settings.model_fields or "__" not in variable:
            tables = ", ".join(Settings.model_fields)
            raise ConfigurationError(
                f"unknown environment variable {variable}: the form is {ENV_PREFIX}<TABLE>__<KEY>, "
                f"with a table of: {tables}",
            )

    class Environment(EnvSettingsSource):
        def _load_env_vars(self) -> Mapping[str, str | None]:
            return {key.lower(): value for key, value in ours.items()}

    try:
        return dict(Environment(Settings)())
    except ValueError as error:
        # pydantic-settings: a list or table that is not JSON; its cause may quote the value.
        raise ConfigurationError(f'environment: {error}: a list is written as JSON, ["a", "b"]') from None


def _read_credentials(environ: Mapping[str, str]) -> dict[str, Any]:
    directory = environ.get("CREDENTIALS_DIRECTORY")
    tables: dict[str, Any] = {}
    if not directory:
        return tables
    try:
        for path in sorted(Path(directory).iterdir()):
            table, _, key = path.name.partition(".")
            if table not in Settings.model_fields or not key:
                raise ConfigurationError(
                    f"unknown credential {path.name}: its name must be <table>.<key>, such as mqtt.password",
                )
            tables.setdefault(table, {})[key] = path.read_text().rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"can't read the credentials in {directory}: {type(error).__name__}"
        ) from None
    return tables


def _flatten(tables: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for table, keys in tables.items():
        if isinstance(keys, Mapping):
            for key, value in keys.items():
                yield table, key, value
        else:
            yield table, "", keys


def _variable(key: str) -> str:
    return ENV_PREFIX + key.upper().replace(".", "__")


def _explain(error: ValidationError, origins: Mapping[str, str]) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        where = [str(part) for part in problem["loc"]]
        key = ".".join(where[:2])
        origin = f" ({origins[key]})" if key in origins else ""
        if problem["type"] == "extra_forbidden":
            known = type(getattr(Settings(), where[0])) if len(where) > 1 else Settings
            yield f"unknown setting {key}{origin}: there is {', '.join(known.model_fields)}"
        else:
            yield f"{key}{origin}: {problem['msg'].removeprefix('Value error, ')}"
