"""Machines with EdgeAssist on them, installed as a person would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import pytest

from edgeassist.trial_models.synthetic import SHAPES, write_gguf
from tests.appliance.images import Release, fresh_root, why_not
from tests.appliance.machine import Machine
from tests.appliance.person import PROJECT

WHEELS_S = 1800.0


@dataclass(frozen=True, slots=True)
class Wheelhouses:
    """Folders of wheels: this checkout's, a newer version, one that crashes, and one that lacks a package."""

    own: Path
    newer: Path
    crashing: Path
    incomplete: Path


@pytest.fixture(scope="session")
def native_wheels() -> Path:
    """What scripts/wheelhouse.sh fills for this CPU and both Debians; kept and brought up to date."""
    if reason := why_not():
        pytest.skip(reason)
    folder = platformdirs.user_cache_path("edgeassist") / "appliance" / "wheels-native"
    script: list[str | Path] = [PROJECT / "scripts/wheelhouse.sh", "--python", "3.11,3.13", folder]
    subprocess.run(script, check=True, timeout=WHEELS_S, stdin=subprocess.DEVNULL)
    return folder


@pytest.fixture(scope="session")
def wheelhouses(native_wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Wheelhouses:
    """Folders to install and to upgrade from."""
    base = tmp_path_factory.mktemp("wheelhouses")
    incomplete = _like(native_wheels, base / "incomplete")
    for wheel in incomplete.glob("jinja2-*.whl"):
        wheel.unlink()
    return Wheelhouses(
        _like(native_wheels, base / "own"),
        _with_version(native_wheels, base / "newer", "99.1"),
        _with_version(native_wheels, base / "crashing", "99.2", crashes=True),
        incomplete,
    )


def _like(folder: Path, other: Path) -> Path:
    shutil.copytree(
        folder, other, copy_function=os.link if _same_device(folder, other.parent) else shutil.copy2
    )
    return other


def _same_device(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev


def _with_version(folder: Path, other: Path, version: str, *, crashes: bool = False) -> Path:
    """Make a folder whose EdgeAssist is this checkout's under another version, perhaps one with a defect."""
    _like(folder, other)
    for wheel in other.glob("edgeassist-*.whl"):
        wheel.unlink()
    source = other.parent / f"source-{version}"
    for name in ("edgeassist", "pyproject.toml", "README.md", "LICENSE"):
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy2
        source.mkdir(exist_ok=True)
        copy(PROJECT / name, source / name)
    root = source / "edgeassist/__init__.py"
    lines = [line for line in root.read_text().splitlines() if not line.startswith("__version__")]
    root.write_text("\n".join([*lines, f'__version__ = "{version}"', ""]))
    if crashes:
        with (source / "edgeassist/daemon/app.py").open("a") as module:
            module.write(
                "\n\ndef serve(loaded, reload):\n    raise RuntimeError('a defect of this version')\n"
            )
    build: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        other,
        source,
    ]
    subprocess.run(build, check=True, timeout=WHEELS_S, stdin=subprocess.DEVNULL)
    return other


@pytest.fixture(scope="session")
def little_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF file of random weights, which llama.cpp loads in milliseconds."""
    path = tmp_path_factory.mktemp("model") / "little.gguf"
    write_gguf(path, SHAPES["trial"])
    return path


@pytest.fixture(scope="module", params=list(Release))
def machine(
    request: pytest.FixtureRequest,
    wheelhouses: Wheelhouses,
    little_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Machine]:
    """A freshly installed Debian, switched on."""
    release: Release = request.param
    scratch = tmp_path_factory.mktemp("machine") / "disk"
    binds = (PROJECT, wheelhouses.own.parent, little_model.parent)
    with fresh_root(scratch, release) as root, Machine(root, f"ea-{release}-{os.getpid()}", binds) as machine:
        yield machine
