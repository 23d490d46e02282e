"""What scripts/lib/wheels.py says a folder of wheels lacks."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/lib/wheels.py"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a program, whose requirements differ by Python, machine and extra."""
    lay(
        tmp_path,
        "program-1.0-py3-none-any.whl",
        'backport>=2; python_version < "3.13"',
        'arm-helper; platform_machine == "aarch64"',
        'windows-helper; sys_platform == "win32"',
        'native; extra == "fast"',
    )
    return tmp_path


def lay(folder: Path, name: str, *requirements: str) -> None:
    project, version, *_ = name.split("-")
    lines = ["Metadata-Version: 2.1", f"Name: {project}", f"Version: {version}"]
    lines += [f"Requires-Dist: {each}" for each in requirements]
    with zipfile.ZipFile(folder / name, "w") as wheel:
        wheel.writestr(f"{project}-{version}.dist-info/METADATA", "\n".join(lines) + "\n")


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SCRIPT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def missing(folder: Path, python: str, machine: str, requirement: str = "program") -> list[str]:
    ended = run("missing", python, machine, folder, requirement)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.split()


@pytest.mark.parametrize(
    ("python", "machine", "requirement", "lacks"),
    [
        ("3.13", "x86_64", "program", []),
        ("3.11", "x86_64", "program", ["backport>=2"]),
        ("3.13", "aarch64", "program", ["arm-helper"]),
        ("3.11", "aarch64", "program[fast]", ["arm-helper", "backport>=2", "native"]),
        ("3.13", "x86_64", "program>=2", ["program>=2"]),
        ("3.13", "x86_64", "unheard-of", ["unheard-of"]),
    ],
)
def test_markers_are_the_targets(folder, python, machine, requirement, lacks):
    assert missing(folder, python, machine, requirement) == lacks


@pytest.mark.parametrize(
    ("wheel", "serves"),
    [
        ("native-1.0-cp313-cp313-manylinux_2_17_x86_64.whl", True),
        ("native-1.0-cp310-abi3-manylinux_2_41_x86_64.whl", True),
        ("native-1.0-py3-none-linux_x86_64.whl", True),
        ("native-1.0-cp311-cp311-manylinux_2_17_x86_64.whl", False),
        ("native-1.0-cp313-cp313-manylinux_2_17_aarch64.whl", False),
        ("native-1.0-cp313-cp313-manylinux_2_42_x86_64.whl", False),
        ("native-1.0-cp313-cp313-musllinux_1_2_x86_64.whl", False),
    ],
)
def test_only_a_wheel_that_the_target_can_use_counts(folder, wheel, serves):
    lay(folder, wheel)
    assert missing(folder, "3.13", "x86_64", "program[fast]") == ([] if serves else ["native"])


def test_what_a_requirement_requires_counts_too(folder):
    lay(folder, "backport-2.0-py3-none-any.whl", "deeper>1")
    assert missing(folder, "3.11", "x86_64") == ["deeper>1"]


def test_a_broken_wheel_is_named(folder):
    (folder / "backport-2.0-py3-none-any.whl").write_bytes(b"half")
    ended = run("missing", "3.11", "x86_64", folder, "program")
    assert ended.returncode == 1
    assert "backport-2.0-py3-none-any.whl" in ended.stderr
