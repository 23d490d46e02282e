"""The shell scripts: shellcheck's rules, and what needs no root."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
INSTALLER = PROJECT / "scripts/install.sh"
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


def test_the_installer_explains_every_option_and_so_does_its_page() -> None:
    helped = subprocess.run([INSTALLER, "--help"], capture_output=True, text=True, check=True).stdout
    options = set(re.findall(r"^  (--[a-z-]+)", helped, re.MULTILINE)) - {"--help"}
    assert len(options) > 10
    page = (PROJECT / "docs/installation.md").read_text()
    assert {option for option in options if f"`{option}" not in page} == set()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--model"], "--model needs a value"),
        (["--broker-port", "70000"], "no port"),
        (["--ready-timeout", "soon"], "no number of seconds"),
        (["--instal"], "unknown option --instal"),
    ],
)
def test_the_installer_refuses_what_it_does_not_understand(options: list[str], word: str) -> None:
    ended = subprocess.run([INSTALLER, *options], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert word in ended.stderr
