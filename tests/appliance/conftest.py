"""Machines with EdgeAssist on them, installed as a person would."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgeassist.trial_models.synthetic import SHAPES, write_gguf
from tests.appliance.images import SUPPORTED, Release, Tell, debian_root, fresh_root, why_not
from tests.appliance.machine import Machine
from tests.appliance.person import PROJECT
from tests.appliance.wheels import filled, like, with_version


@dataclass(frozen=True, slots=True)
class Wheelhouses:
    """Folders of wheels: this checkout's, a newer version, one that crashes, and one that lacks a package."""

    own: Path
    newer: Path
    crashing: Path
    incomplete: Path


@pytest.fixture(scope="session")
def tell(request: pytest.FixtureRequest) -> Tell:
    """Say what is waited for: past pytest, which shows what a fixture prints only when a test fails."""
    manager = request.config.pluginmanager.getplugin("capturemanager")

    def say(text: str) -> None:
        with manager.global_and_fixture_disabled() if manager else nullcontext():
            sys.stderr.write(f"\n==> tests/appliance: {text}\n")

    return say


@pytest.fixture(scope="session")
def wheelhouses(tell: Tell, tmp_path_factory: pytest.TempPathFactory) -> Wheelhouses:
    """Folders to install and to upgrade from, for this CPU and both Debians."""
    if reason := why_not():
        pytest.skip(reason)
    folder = filled("native", "3.11,3.13", tell)
    newer = with_version(folder, "newer", "99.1", tell)
    crashing = with_version(folder, "crashing", "99.2", tell, crashes=True)
    # A machine sees them under the host's paths; the cache's would look like what EdgeAssist leaves behind.
    base = tmp_path_factory.mktemp("wheelhouses")
    incomplete = like(folder / "own", base / "incomplete")
    for wheel in incomplete.glob("jinja2-*.whl"):
        wheel.unlink()
    own = like(folder / "own", base / "own")
    return Wheelhouses(own, like(newer, base / "newer"), like(crashing, base / "crashing"), incomplete)


@pytest.fixture(scope="session")
def little_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF file of random weights, which llama.cpp loads in milliseconds."""
    path = tmp_path_factory.mktemp("model") / "little.gguf"
    write_gguf(path, SHAPES["trial"])
    return path


@pytest.fixture(scope="module", params=SUPPORTED)
def machine(
    request: pytest.FixtureRequest,
    little_model: Path,
    tell: Tell,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Machine]:
    """A freshly installed Debian, switched on."""
    if reason := why_not():
        pytest.skip(reason)
    release: Release = request.param
    # Before the wheels, for which the machine of another process may wait at the same moment.
    debian_root(release, tell=tell)
    wheelhouses: Wheelhouses = request.getfixturevalue("wheelhouses")
    scratch = tmp_path_factory.mktemp("machine") / "disk"
    binds = (PROJECT, wheelhouses.own.parent, little_model.parent)
    with (
        fresh_root(scratch, release, tell=tell) as root,
        Machine(root, f"ea-{release}-{os.getpid()}", binds) as machine,
    ):
        yield machine
