"""A Debian that has nothing but Python: an answer comes first, and llama.cpp is compiled meanwhile."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliance.images import Release, fresh_root, nspawn, why_not
from tests.appliance.person import PROJECT

pytestmark = pytest.mark.timeout(3600)
CHECKOUT = "/root/edgeassist"
# Compiling included, where pip has no wheel in its cache yet.
SET_UP_S = 3000
INSTALLED = ".venv/bin/python -c 'import llama_cpp, systemd'"


class Fresh:
    """A copy of a Debian root with a copy of this checkout."""

    def __init__(self, root: Path) -> None:
        self.root = root
        skipped = shutil.ignore_patterns(".git", ".venv", "build", "__pycache__", ".*_cache", ".coverage*")
        shutil.copytree(PROJECT, root / CHECKOUT[1:], ignore=skipped)

    def runs(self, command: str) -> str:
        """Return what a shell command prints; what it leaves in the background ends with it."""
        enter = nspawn(self.root, "--pipe", f"--chdir={CHECKOUT}", "--setenv=HOME=/root")
        ended = subprocess.run(
            [*enter, "--", "bash", "-euc", f"exec 2>&1; {command}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SET_UP_S,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Fresh]:
    if reason := why_not():
        pytest.skip(reason)
    with fresh_root(tmp_path / "disk", Release.TRIXIE) as root:
        yield Fresh(root)


def test_the_demo_answers_before_llama_cpp_is_there_and_an_interrupted_set_up_goes_on(fresh: Fresh) -> None:
    said = fresh.runs(
        "./scripts/demo.sh\n"
        # While it installs the compiler, or later.
        'kill "$(cat build/setup/llama.pid)"\n'
        "timeout 60 flock build/setup/llama.lock true\n"
        "[[ ! -e build/setup/llama.pid ]]\n"
        f"! {INSTALLED} 2>/dev/null\n"
        "tail -n 3 build/setup/llama.log"
    )
    assert "until it is ready, ONNX Runtime GenAI answers" in said
    assert "The garage door is locked." in said
    assert "llama.cpp is still being compiled in the background" in said
    assert "ended by a signal; the next run goes on" in said

    # The container takes the background process with it, as a power cut would.
    fresh.runs("./scripts/setup.sh --soon; until grep -q apt-get build/setup/llama.log; do sleep 0.2; done")
    said = fresh.runs(f"./scripts/setup.sh; {INSTALLED}; ls -A build/setup .venv")
    assert "==> ready after" in said
    assert {"llama.pid", "tmp", "compiled", ".unfinished"} & set(said.split()) == set()

    assert fresh.runs("./scripts/setup.sh") == ""
    said = fresh.runs("./scripts/demo.sh")
    assert "The garage door is locked." in said
    assert "llama.cpp" not in said


def test_without_a_network_the_demo_goes_on_with_what_is_there_and_says_what_is_missing(fresh: Fresh) -> None:
    cut = "printf '[global]\\nno-index = true\\nno-cache-dir = true\\n' >/etc/pip.conf"
    fresh.runs("./scripts/setup.sh --soon; kill $(cat build/setup/llama.pid)")
    said = fresh.runs(
        f"{cut}; rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*; echo '# changed' >>pyproject.toml\n"
        "./scripts/demo.sh"
    )
    assert "going on with what is there" in said
    assert "The garage door is locked." in said
