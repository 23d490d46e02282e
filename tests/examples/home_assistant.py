"""A real Home Assistant, in a Debian whose Python is new enough; its whole outer world is the broker.

It is installed once into the user's cache. It listens on a loopback port that nobody uses.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import platformdirs

from edgeassist.sandbox import HOST, PrivateProcess, free_port
from tests.appliance.images import HOST_ARCH, ImageError, Release, fresh_root, nspawn, why_not

HOME_ASSISTANT = "2026.11.0"
READY_S = 180
INSTALL_S = 1500
CACHE = platformdirs.user_cache_path("edgeassist") / "examples"

_INSIDE = "/opt/home-assistant"
# All versions are those that this Home Assistant pins. What its integrations need stands in their manifests.
_INSTALL = f"""
apt-get -qq update
apt-get -qq install -y --no-install-recommends gcc g++ python3-dev libffi-dev
python3 -m venv {_INSIDE}
cd {_INSIDE}
bin/pip install -q --no-compile --no-deps homeassistant=={HOME_ASSISTANT}
package=$(echo {_INSIDE}/lib/python3.*/site-packages/homeassistant)
bin/python - $package/components >requirements.txt <<'END'
import json, pathlib, sys
paths = pathlib.Path(sys.argv[1]).glob("*/manifest.json")
manifests = {{path.parent.name: json.loads(path.read_text()) for path in paths}}
# What every Home Assistant starts with, what MQTT needs, and what these need.
core = ("system", "entity")
wanted = [name for name, manifest in manifests.items() if manifest.get("integration_type") in core]
wanted.remove("homeassistant_hardware")  # radios, by packages that not every mirror has
wanted += ["analytics", "hassio", "mqtt"]
for name in wanted:
    wanted += [each for each in manifests[name].get("dependencies", []) if each not in wanted]
    print("\\n".join(manifests[name].get("requirements", [])))
END
echo homeassistant=={HOME_ASSISTANT} >>requirements.txt
bin/pip install -q --no-compile -r requirements.txt -c $package/package_constraints.txt
touch complete
"""
_CONFIGURATION = f"""
homeassistant:
  name: Home
  time_zone: UTC
http:
  server_host: {HOST}
  server_port: PORT
conversation:
automation: !include automations.yaml
script: !include scripts.yaml
"""


# No package installer at run time, no ffmpeg, no libturbojpeg; a broker that a test stops.
_SILENT = (
    "bootstrap] Skip",
    "haffmpeg.",
    "components.camera.",
    "mqtt.client] Error returned from MQTT server",
    "mqtt.util] Error talking to MQTT: The client is not currently connected",
)


class UnavailableError(Exception):
    """Home Assistant is not to be had here; the text says why."""


def installed() -> Path:
    """Return the folder with Home Assistant's environment, made first: 10 minutes, 1 GB.

    Raises:
        UnavailableError: It can't be made on this machine.
    """
    reason = why_not()
    if reason or HOST_ARCH is None:
        raise UnavailableError(reason or "no Debian root for this processor")
    recipe = hashlib.sha256(_INSTALL.encode()).hexdigest()[:12]
    folder = CACHE / f"home-assistant-{HOME_ASSISTANT}-{recipe}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "home-assistant.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            try:
                _install(folder)
            except (ImageError, subprocess.SubprocessError) as error:
                raise UnavailableError(f"{error}\n{getattr(error, 'stdout', '')}") from error
    return folder


@contextmanager
def debian(scratch: Path) -> Iterator[Path]:
    """Give a Debian with the Python that it needs, in a folder that must not exist."""
    assert HOST_ARCH is not None
    with fresh_root(scratch, Release.FORKY, HOST_ARCH) as root:
        yield root


def _install(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    with debian(CACHE / "scratch") as root:
        subprocess.run(
            [*nspawn(root, f"--bind={folder}:{_INSIDE}", "--pipe"), "--", "sh", "-ec", _INSTALL],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_S,
            check=True,
        )


class HomeAssistant(PrivateProcess):
    """A Home Assistant with the MQTT integration.

    Attributes:
        has_started: For those who wait for that, to note that it was heard.

    Args:
        root: The Debian that it runs in.
        folder: Its configuration; automations.yaml and scripts.yaml must lie there when it starts.
        broker: The broker's port.
    """

    def __init__(self, root: Path, folder: Path, broker: int) -> None:
        super().__init__(folder / "output.log")
        self._root = root
        self._folder = folder
        self.has_started = False
        storage = folder / ".storage"
        storage.mkdir()
        (folder / "configuration.yaml").write_text(_CONFIGURATION.replace("PORT", str(free_port())))
        entry: dict[str, object] = {
            "data": {"broker": HOST, "port": broker, "protocol": "5"},
            "created_at": "2026-11-01T00:00:00+00:00",
            "modified_at": "2026-11-01T00:00:00+00:00",
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
        self._store(storage, "core.config_entries", {"entries": [entry]}, (1, 5))

    @staticmethod
    def _store(folder: Path, key: str, data: Mapping[str, object], version: tuple[int, int]) -> None:
        document = {"version": version[0], "minor_version": version[1], "key": key, "data": data}
        (folder / key).write_text(json.dumps(document))

    def __enter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        """Start; it has started when it says so on `homeassistant/status`."""
        binds = (f"--bind={installed()}:{_INSIDE}", f"--bind={self._folder}:/config")
        hass = (f"{_INSIDE}/bin/hass", "--config", "/config", "--skip-pip")
        self._start([*nspawn(self._root, *binds, "--pipe", "--kill-signal=SIGTERM"), "--", *hass])

    def complaints(self) -> list[str]:
        """Return the warnings and errors in its log, but for those that are no fault here."""
        said = re.findall(r"^.* (?:WARNING|ERROR) .*$", self.log.read_text(), re.MULTILINE)
        return [line for line in said if not any(name in line for name in _SILENT)]
