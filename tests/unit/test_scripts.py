"""The shell scripts: shellcheck's rules, and what needs no root."""

from __future__ import annotations

import os
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


LAY = """
set -euo pipefail
umask 022
step() { "${@:2}"; }
source scripts/lib/mosquitto.sh
broker_conf=$1/conf broker_acl=$1/acl accounts=$1/passwd secrets=$1 broker_port=$2 no_start=true
systemctl() { :; }
touch "$secrets/edgeassist.mqtt.password"
[[ -e $accounts ]] || set_account "$daemon_account" secret
set_up_broker
stat -c '%n %U:%G %a' "$1"/*
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mosquitto_passwd") is None,
    reason="only root can give Mosquitto a file",
)
def test_what_the_installer_lays_for_mosquitto_is_mosquittos_alone_whatever_was_there(tmp_path: Path) -> None:
    def lay() -> dict[str, str]:
        command = ["bash", "-c", LAY, "lay", str(tmp_path), "1883"]
        laid = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
        pairs = (line.split(" ", 1) for line in laid.splitlines())
        return {Path(path).name: owner for path, owner in pairs}

    expected = {
        "acl": "mosquitto:mosquitto 600",
        "passwd": "mosquitto:mosquitto 600",
        "conf": "root:root 644",
    }
    assert expected.items() <= lay().items()
    acl = tmp_path / "acl"
    acl.write_text("# an administrator's\n")
    shutil.chown(acl, "root", "root")
    acl.chmod(0o644)
    after = lay()
    assert expected.items() <= after.items()
    assert after["acl.new"] == expected["acl"]
    assert acl.read_text() == "# an administrator's\n"
