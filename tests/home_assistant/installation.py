"""Home Assistants of several versions, each installed once into the user's cache.

One runs in a Debian whose Python is the one that it wants (systemd-nspawn). Its packages have the versions
that it pins itself, so the same recipe always gives the same Home Assistant, in a folder of its own.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import platformdirs

from tests.appliance.images import HOST_ARCH, ImageError, Release, fresh_root, nspawn, why_not

INSTALL_S = 1500
CACHE = platformdirs.user_cache_path("edgeassist") / "examples"
INSIDE = "/opt/home-assistant"


class Version(StrEnum):
    """The newest, the one before, and the oldest that our integration runs on."""

    NEWEST = "2026.11.0"
    BEFORE = "2026.10.4"
    OLDEST = "2026.2.3"

    @property
    def debian(self) -> Release:
        """The one with its Python: 3.13 for the oldest, 3.14 for the others."""
        return Release.TRIXIE if self is Version.OLDEST else Release.FORKY


def tried(*versions: Version) -> list[Version]:
    """Return on which of some versions tests run here: the newest, or all of them, as in CI."""
    return list(versions) if os.environ.get("HOME_ASSISTANTS") == "all" else [Version.NEWEST]


# All versions are those that this Home Assistant pins. What its integrations need stands in their manifests.
_INSTALL = f"""
apt-get -qq update
apt-get -qq install -y --no-install-recommends gcc g++ python3-dev libffi-dev
python3 -m venv {INSIDE}
cd {INSIDE}
bin/pip install -q --no-compile --no-deps homeassistant==VERSION
package=$(echo {INSIDE}/lib/python3.*/site-packages/homeassistant)
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
echo homeassistant==VERSION >>requirements.txt
bin/pip install -q --no-compile -r requirements.txt -c $package/package_constraints.txt
touch complete
"""


class UnavailableError(Exception):
    """Home Assistant is not to be had here; the text says why."""


def installed(version: Version) -> Path:
    """Return the folder with Home Assistant's environment, made first: 1 to 5 minutes, 1 GB.

    Raises:
        UnavailableError: It can't be made on this machine.
    """
    reason = why_not()
    if reason or HOST_ARCH is None:
        raise UnavailableError(reason or "no Debian root for this processor")
    recipe = _INSTALL.replace("VERSION", version)
    folder = CACHE / f"home-assistant-{version}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"home-assistant-{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            try:
                _install(version, recipe, folder)
            except (ImageError, subprocess.SubprocessError) as error:
                raise UnavailableError(f"{error}\n{getattr(error, 'stdout', '')}") from error
    return folder


@contextmanager
def debian(version: Version, scratch: Path) -> Iterator[Path]:
    """Give a Debian with the Python that it needs, in a folder that must not exist."""
    assert HOST_ARCH is not None
    with fresh_root(scratch, version.debian, HOST_ARCH) as root:
        yield root


def _install(version: Version, recipe: str, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    with debian(version, CACHE / f"scratch-{version}") as root:
        subprocess.run(
            [*nspawn(root, f"--bind={folder}:{INSIDE}", "--pipe"), "--", "sh", "-ec", recipe],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_S,
            check=True,
        )
