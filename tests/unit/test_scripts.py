"""The shell scripts, by the rules of shellcheck."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SCRIPTS = [*(PROJECT / "scripts").glob("*.sh"), PROJECT / ".ci/run", PROJECT / "scripts/lib/command.sh"]


def test_shellcheck_finds_nothing() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    found = subprocess.run(
        ["shellcheck", "--external-sources", *SCRIPTS],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout + found.stderr == ""
