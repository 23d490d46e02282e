"""The settings as the service gets them, whichever user runs this."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeassist.doctor.checks.configuration import ConfigurationSnapshot, SecretFile
from edgeassist.doctor.probes.service import Unit
from edgeassist.errors import ConfigurationError
from edgeassist.settings import Loaded
from edgeassist.settings.sources import decode
from edgeassist.tuning.source import load_with_tuned

_PREFIX = "EDGEASSIST_"
_CREDENTIALS = "CREDENTIALS_DIRECTORY"
_STATE = "STATE_DIRECTORY"
_SECRETS = ("mqtt.password",)
# The installed command sets these for root with every command, so they don't tell whose settings are meant.
_ACCOUNT = frozenset({"EDGEASSIST_MQTT__USERNAME", "EDGEASSIST_MQTT__PASSWORD"})
# Where systemd looks for a credential with a relative path (systemd.exec(5)).
_STORES = (Path("/etc/credstore"), Path("/run/credstore"), Path("/usr/lib/credstore"))


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings, and what `check_configuration` judges.

    Attributes:
        loaded: None if the settings can't be used.
        unit: The service whose settings these are; None for this user's own.
    """

    loaded: Loaded | None
    unit: Unit | None
    snapshot: ConfigurationSnapshot


def probe_configuration(file: Path | None, unit: Unit | None, environ: Mapping[str, str]) -> Configuration:
    """Read the settings: this user's if `file` or the environment has any, otherwise the service's.

    The service's come from its file, its environment and its credentials. A program that the service's daemon
    runs has all of these itself.

    Args:
        file: Given with `--config`; None without.
        unit: The service; None without systemd.
        environ: This user's environment.
    """
    inside = unit is not None and unit.pid == os.getppid()
    own = file is not None or any(key.startswith(_PREFIX) and key not in _ACCOUNT for key in environ)
    unread: tuple[str, ...] = ()
    command, used = "edgeassist check-config", dict(environ)
    if inside and unit is not None:
        file = file or unit.config
    elif own or unit is None or unit.snapshot.load_state != "loaded":
        unit = None
    else:
        given, unread = _service_environment(unit)
        used = {**{key: value for key, value in environ.items() if key != _CREDENTIALS}, **given}
        if unit.state_folder is not None:
            used[_STATE] = str(unit.state_folder)
        file = unit.config
    if file is not None:
        command = f"edgeassist --config {file} check-config"
    loaded: Loaded | None = None
    problems: tuple[str, ...] = ()
    try:
        loaded = load_with_tuned(file, environ=used)
    except ConfigurationError as error:
        problems = tuple(error.message.splitlines())
    where = "no file: defaults and environment" if loaded is None or loaded.file is None else str(loaded.file)
    return Configuration(
        loaded,
        unit,
        ConfigurationSnapshot(
            source=where if unit is None else f"{where}, as the service gets them",
            command=command,
            problems=problems,
            secrets=() if loaded is None else tuple(_secret_files(loaded)),
            in_unit=() if unit is None else tuple(_secrets_in(unit)),
            unread=unread,
        ),
    )


def _service_environment(unit: Unit) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the settings in the service's environment, and the names of unreadable credentials."""
    given = {key: value for key, value in unit.environment.items() if key.startswith(_PREFIX)}
    running = {} if unit.pid is None else _environment_of(unit.pid)
    given |= {key: value for key, value in running.items() if key.startswith(_PREFIX)}
    unread = []
    for name, path in unit.credentials.items():
        try:
            text = _read_credential(path)
        except (OSError, UnicodeError):
            unread.append(name)
        else:
            if text is not None:
                given[_PREFIX + name.upper().replace(".", "__")] = text.rstrip("\n")
    return given, tuple(unread)


def _read_credential(path: Path) -> str | None:
    """Return a credential; None if its path is relative and it does not exist, which systemd permits.

    Raises:
        OSError: It can't be read, or its path is absolute and it does not exist.
        UnicodeError: It is not UTF-8.
    """
    if path.is_absolute():
        return decode(path.read_bytes())
    for store in _STORES:
        try:
            return decode((store / path).read_bytes())
        except FileNotFoundError:
            continue
    return None


def _environment_of(pid: int) -> dict[str, str]:
    """Return a process's environment; empty if this user may not read it."""
    try:
        block = Path(f"/proc/{pid}/environ").read_text(errors="surrogateescape")
    except OSError:
        return {}
    return dict(entry.split("=", 1) for entry in block.split("\0") if "=" in entry)


def _secret_files(loaded: Loaded) -> list[SecretFile]:
    files = []
    mqtt = loaded.settings.mqtt
    if loaded.file is not None and loaded.origins.get("mqtt.password", "").startswith("file "):
        files.append(("mqtt.password", loaded.file))
    if mqtt.tls_key is not None:
        files.append(("mqtt.tls_key", mqtt.tls_key))
    found = []
    for setting, path in files:
        with contextlib.suppress(OSError):
            found.append(SecretFile(setting, path, path.stat().st_mode))
    return found


def _secrets_in(unit: Unit) -> list[str]:
    variables = {_PREFIX + name.upper().replace(".", "__"): name for name in _SECRETS}
    return [variables[key] for key in unit.environment if key.upper() in variables]
