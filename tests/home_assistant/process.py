"""A running Home Assistant; its whole outer world is a broker and a port on loopback."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from edgeassist.sandbox import HOST, PrivateProcess, free_port
from tests.appliance.images import nspawn
from tests.home_assistant.installation import INSIDE, Version, debian, installed

_REPOSITORY = Path(__file__).parents[2]
_CONFIGURATION = f"""
homeassistant:
  name: Home
  time_zone: UTC
  country: GB
http:
  server_host: {HOST}
  server_port: PORT
api:
assist_pipeline:
automation: !include automations.yaml
config:
conversation:
diagnostics:
repairs:
script: !include scripts.yaml
system_log:
websocket_api:
"""
# No package installer at run time, no ffmpeg, no libturbojpeg; a broker that a test stops; what is not core;
# and others on the machine.
_SILENT = (
    "bootstrap] Skip",
    "haffmpeg.",
    "components.camera.",
    "mqtt.client] Error returned from MQTT server",
    "paho.mqtt.client] failed to receive on socket",
    "mqtt.util] Error talking to MQTT: The client is not currently connected",
    "We found a custom integration",
    "helpers.entity] Updating state for",
)
# The one user and its token, as they would be written by Home Assistant.
_USER, _REFRESH_TOKEN, _KEY = "u" * 32, "t" * 32, "k" * 64
_WHEN = "2026-11-01T00:00:00+00:00"
_TOKEN_S = 24 * 3600


class HomeAssistant(PrivateProcess):
    """A Home Assistant with MQTT, our own integrations and one user; `driver.Driver` talks to it.

    Args:
        root: The Debian that it runs in.
        folder: Its configuration; automations.yaml and scripts.yaml may lie there.
        broker: The broker's port.
        version: What is installed.
        configuration: More of configuration.yaml.
        components: Folders with custom integrations, besides ours.
        packages: Folders with more Python packages.
        account: As whom it connects to the broker.

    Attributes:
        silent: Parts of lines in its log that are no fault where they are expected, for tests to add to.
    """

    def __init__(
        self,
        root: Path,
        folder: Path,
        broker: int,
        version: Version = Version.NEWEST,
        *,
        configuration: str = "",
        components: Sequence[Path] = (),
        packages: Sequence[Path] = (),
        account: str = "",
    ) -> None:
        super().__init__(folder / "output.log")
        self.version = version
        self.port = free_port()
        self.silent: list[str] = []
        self._root = root
        self._folder = folder
        self._packages = packages
        self._components = [
            path
            for path in (
                _REPOSITORY / "custom_components/edgeassist",
                Path(__file__).parent / "toy_home",
                *components,
            )
            if path.is_dir()
        ]
        (folder / "configuration.yaml").write_text(
            _CONFIGURATION.replace("PORT", str(self.port)) + configuration
        )
        for name in ("automations.yaml", "scripts.yaml"):
            (folder / name).touch()
        self._store("core.config_entries", {"entries": [_mqtt(broker, account)]}, (1, 5))
        self._store("auth", _USERS, (1, 1))
        # Until then, what is discovered is set up without a question.
        self._store("onboarding", {"done": ["user", "core_config", "analytics", "integration"]}, (4, 1))

    def __enter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        """Start, with what it knew when it was stopped; returns at once."""
        binds = [f"--bind={installed(self.version)}:{INSIDE}", f"--bind={self._folder}:/config"]
        binds += [f"--bind-ro={path}:/config/custom_components/{path.name}" for path in self._components]
        inside = [f"/opt/more/{number}" for number, _ in enumerate(self._packages)]
        binds += [f"--bind-ro={path}:{place}" for path, place in zip(self._packages, inside, strict=True)]
        options = [*binds, f"--setenv=PYTHONPATH={':'.join(inside)}", "--pipe", "--kill-signal=SIGTERM"]
        hass = (f"{INSIDE}/bin/hass", "--config", "/config", "--skip-pip")
        self._start([*nspawn(self._root, *options), "--", *hass])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it at once. In order, as by `stop`, takes it 1.4 s of processor that nobody looks at."""
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            for inside in psutil.Process(self.pid).children():
                inside.kill()
        super().__exit__(kind, error, trace)

    @property
    def token(self) -> str:
        """An access token of its user, who may do everything."""
        now = int(time.time())
        claims = {"iss": _REFRESH_TOKEN, "iat": now, "exp": now + _TOKEN_S}
        signed = ".".join(
            _base64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)
        )
        return f"{signed}.{_base64(hmac.digest(_KEY.encode(), signed.encode(), hashlib.sha256))}"

    def complaints(self) -> list[str]:
        """Return the warnings and errors in its log, but for those that are no fault here."""
        said = re.findall(r"^.* (?:WARNING|ERROR|CRITICAL) .*$", self.log.read_text(), re.MULTILINE)
        return [line for line in said if not any(name in line for name in (*_SILENT, *self.silent))]

    def _store(self, key: str, data: Mapping[str, object], version: tuple[int, int]) -> None:
        document = {"version": version[0], "minor_version": version[1], "key": key, "data": data}
        storage = self._folder / ".storage"
        storage.mkdir(exist_ok=True)
        (storage / key).write_text(json.dumps(document))


@contextmanager
def home_assistant(
    folder: Path,
    broker: int,
    version: Version = Version.NEWEST,
    *,
    automations: str = "",
    scripts: str = "",
    blueprints: Path | None = None,
    configuration: str = "",
    components: Sequence[Path] = (),
    packages: Sequence[Path] = (),
    account: str = "",
) -> Iterator[HomeAssistant]:
    """Run one in a Debian of its own, both in this folder; it is ready when a `Driver` has connected.

    Args:
        folder: An empty folder.
        broker: The broker's port.
        version: What is installed.
        automations: automations.yaml.
        scripts: scripts.yaml.
        blueprints: A folder to copy as `blueprints/`.
        configuration: More of configuration.yaml.
        components: As for `HomeAssistant`.
        packages: As for `HomeAssistant`.
        account: As for `HomeAssistant`.

    Raises:
        UnavailableError: It can't be installed on this machine.
    """
    installed(version)
    config = folder / "config"
    config.mkdir(parents=True)
    (config / "automations.yaml").write_text(automations)
    (config / "scripts.yaml").write_text(scripts)
    if blueprints:
        shutil.copytree(blueprints, config / "blueprints")
    with (
        debian(version, folder / "debian") as root,
        HomeAssistant(
            root,
            config,
            broker,
            version,
            configuration=configuration,
            components=components,
            packages=packages,
            account=account,
        ) as running,
    ):
        yield running


def _mqtt(broker: int, account: str) -> dict[str, object]:
    return {
        "data": {
            "broker": HOST,
            "port": broker,
            "protocol": "5",
            **({"username": account, "password": "taken at its word"} if account else {}),
        },
        "created_at": _WHEN,
        "modified_at": _WHEN,
        "disabled_by": None,
        "discovery_keys": {},
        "domain": "mqtt",
        "entry_id": "01JEDGEASSIST0000000000000",
        "minor_version": 1,
        "options": {},
        "pref_disable_new_entities": False,
        "pref_disable_polling": False,
        "source": "user",
        "subentries": [],
        "title": "broker",
        "unique_id": None,
        "version": 2,
    }


_USERS: dict[str, object] = {
    "users": [
        {
            "id": _USER,
            "name": "Test",
            "group_ids": ["system-admin"],
            "is_owner": True,
            "is_active": True,
            "system_generated": False,
            "local_only": False,
        }
    ],
    "groups": [{"id": name, "name": name} for name in ("system-admin", "system-users", "system-read-only")],
    "credentials": [],
    "refresh_tokens": [
        {
            "id": _REFRESH_TOKEN,
            "user_id": _USER,
            "client_id": None,
            "client_name": "Test",
            "client_icon": None,
            "token_type": "long_lived_access_token",
            "created_at": _WHEN,
            "access_token_expiration": float(_TOKEN_S),
            "token": _KEY,
            "jwt_key": _KEY,
            "last_used_at": None,
            "last_used_ip": None,
            "expire_at": None,
            "credential_id": None,
            "version": "2026.2.0",
        }
    ],
}


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
