"""That the Debian roots of these tests are what they claim."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.appliance.images import Arch, Release, Tell, debian_root, fresh_root, nspawn, why_not

pytestmark = pytest.mark.timeout(1800)


def inside(root: Path, *command: str) -> str:
    ended = subprocess.run(
        nspawn(root, "--pipe", "--", *command), capture_output=True, text=True, timeout=600, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize(
    ("release", "arch", "python"),
    [
        (Release.BOOKWORM, Arch.AMD64, "Python 3.11"),
        (Release.TRIXIE, Arch.AMD64, "Python 3.13"),
        (Release.BOOKWORM, Arch.ARM64, "Python 3.11"),
    ],
)
def test_a_copy_runs_its_own_python_and_leaves_the_template_alone(
    release: Release, arch: Arch, python: str, tmp_path: Path, tell: Tell
) -> None:
    reason = why_not(arch)
    if reason:
        pytest.skip(reason)
    with fresh_root(tmp_path / "copy", release, arch, tell) as root:
        assert inside(root, "python3", "-V").startswith(python)
        machine = {Arch.AMD64: "x86_64", Arch.ARM64: "aarch64"}[arch]
        assert inside(root, "uname", "-m").strip() == machine
        assert "mosquitto version 2" in inside(root, "sh", "-c", "touch /made; mosquitto -h || true")
        assert (root / "made").exists()
        assert not (debian_root(release, arch) / "made").exists()
    assert not (tmp_path / "copy").exists()
