"""What scripts/lib/wheels.py says a folder of wheels lacks of a lock file."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/lib/wheels.py"


LOCK = """\
# made by a program
arm-helper==1.0 ; platform_machine == 'aarch64' \\
    --hash=sha256:aa
backport==2.0 ; python_full_version < '3.13' \\
    --hash=sha256:b1 \\
    --hash=sha256:b2
native==1.0 \\
    --hash=sha256:cc
windows-helper==1.0 ; sys_platform == 'win32' \\
    --hash=sha256:dd
"""
NATIVE = "native==1.0 --hash=sha256:cc"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder, with a lock beside it whose packages differ by Python and machine."""
    (tmp_path / "lock.txt").write_text(LOCK)
    (tmp_path / "wheels").mkdir()
    return tmp_path / "wheels"


def lay(folder: Path, name: str) -> None:
    with zipfile.ZipFile(folder / name, "w") as wheel:
        wheel.writestr("native/__init__.py", "")


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def missing(folder: Path, python: str, machine: str) -> list[str]:
    ended = run("missing", python, machine, folder, folder.parent / "lock.txt")
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


@pytest.mark.parametrize(
    ("python", "machine", "names"),
    [
        ("3.13", "x86_64", ["native"]),
        ("3.11", "x86_64", ["backport", "native"]),
        ("3.13", "aarch64", ["arm-helper", "native"]),
        ("3.11", "aarch64", ["arm-helper", "backport", "native"]),
    ],
)
def test_markers_are_the_targets(folder: Path, python: str, machine: str, names: list[str]) -> None:
    assert [line.partition("==")[0] for line in missing(folder, python, machine)] == names


def test_what_is_missing_is_named_with_its_hashes_and_without_its_marker(folder: Path) -> None:
    backport = "backport==2.0 --hash=sha256:b1 --hash=sha256:b2"
    assert missing(folder, "3.11", "x86_64") == [backport, NATIVE]


@pytest.mark.parametrize(
    ("wheel", "lacking"),
    [
        ("native-1.0-cp313-cp313-manylinux_2_17_x86_64.whl", []),
        ("native-1.0-cp310-abi3-manylinux_2_41_x86_64.whl", []),
        ("native-1.0-py3-none-linux_x86_64.whl", []),
        ("native-1.0-cp311-cp311-manylinux_2_17_x86_64.whl", [NATIVE]),
        ("native-1.0-cp313-cp313-manylinux_2_17_aarch64.whl", [NATIVE]),
        ("native-1.0-cp313-cp313-manylinux_2_42_x86_64.whl", [NATIVE]),
        ("native-1.0-cp313-cp313-musllinux_1_2_x86_64.whl", [NATIVE]),
    ],
)
def test_only_a_wheel_that_the_target_can_use_counts(folder: Path, wheel: str, lacking: list[str]) -> None:
    lay(folder, wheel)
    assert missing(folder, "3.13", "x86_64") == lacking


@pytest.mark.parametrize("version", ["0.9", "1.1"])
def test_a_wheel_of_another_version_than_the_locked_one_does_not_count(folder: Path, version: str) -> None:
    lay(folder, f"native-{version}-py3-none-any.whl")
    assert missing(folder, "3.13", "x86_64") == [NATIVE]


def test_a_broken_wheel_is_named(folder: Path) -> None:
    (folder / "native-1.0-py3-none-any.whl").write_bytes(b"half")
    ended = run("missing", "3.11", "x86_64", folder, folder.parent / "lock.txt")
    assert ended.returncode == 1
    assert "native-1.0-py3-none-any.whl" in ended.stderr
