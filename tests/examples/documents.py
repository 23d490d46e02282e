"""Runs what a document shows of a shell, against a device that answers as it says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
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
