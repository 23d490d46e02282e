"""Runs what a document shows of a shell, against a device that answers as it says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgeassist.testing import ScriptedDevice
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
LIMIT_S = 4 * PATIENCE_S


def shell_environ(device: ScriptedDevice, folder: Path) -> dict[str, str]:
    """Return the environment of a shell that knows `edgeassist` and `python3`, and reaches the device.

    Args:
        device: To ask.
        folder: For the programs.
    """
    for name, words in {"edgeassist": "-m edgeassist", "python3": ""}.items():
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        program.chmod(0o755)
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("EDGEASSIST_")},
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "EDGEASSIST_MQTT__HOST": device.host,
        "EDGEASSIST_MQTT__PORT": str(device.port),
        "EDGEASSIST_DEVICE__NAME": "pi",
    }


def check_session(session: str, device: ScriptedDevice, environ: dict[str, str], folder: Path) -> None:
    """Check that commands, in lines that begin with `$ `, print what the other lines say; skip without jq."""
    if "jq " in session and shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    session = session.replace("mosquitto_rr", f"mosquitto_rr -h {device.host} -p {device.port}")
    commands = [line.removeprefix("$ ") for line in session.splitlines() if line.startswith("$ ")]
    expected = [line for line in session.splitlines() if not line.startswith("$ ")]
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-ec", "\n".join(commands)],
        env=environ, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == expected


def check_program(
    program: str, said: str, device: ScriptedDevice, environ: dict[str, str], folder: Path
) -> None:
    """Check that a Python program for a device `kitchen-pi` at `pi.local` ends well and prints that."""
    path = folder / "program.py"
    program = program.replace('"pi.local"', f'"{device.host}", {device.port}')
    path.write_text(program.replace('device="kitchen-pi"', 'device="pi"'))
    ended = subprocess.run(
        [sys.executable, str(path)],
        env=environ, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (0, said), ended.stderr


def check_types(programs: Sequence[str], folder: Path) -> None:
    """Check that Python programs pass a strict type check."""
    paths = [folder / f"program{number}.py" for number in range(len(programs))]
    for path, program in zip(paths, programs, strict=True):
        path.write_text(program)
    ended = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *map(str, paths)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout
