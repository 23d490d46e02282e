"""scripts/setup.sh and its parts: what it says, what uv is told, how what was compiled is put in place."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S

PROJECT = Path(__file__).parents[2]
SETUP = PROJECT / "scripts/setup.sh"
LOCK = "llama-cpp-python==9.9\nsystemd-python==9.9\n"


# --- options --------------------------------------------------------------------------------------------


def test_the_set_up_explains_its_options_and_refuses_others() -> None:
    helped = subprocess.run([SETUP, "--help"], capture_output=True, text=True, check=True).stdout
    assert "--soon" in helped
    assert "build/setup/llama.log" in helped
    refused = subprocess.run([SETUP, "--now"], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--soon" in refused.stderr


# --- a place that nothing is installed in yet -------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As much of a checkout as the set-up reads before it installs anything."""
    folder = tmp_path / "check out"
    shutil.copytree(PROJECT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("train_tiny"))
    shutil.copytree(PROJECT / "locks", folder / "locks")
    return folder


def test_a_checkout_that_can_not_be_written_to_is_named_and_what_to_do(checkout: Path) -> None:
    # Root may write everywhere, but not into a file as if it were a folder.
    (checkout / "build").touch()
    ended = subprocess.run(
        [checkout / "scripts/setup.sh"], capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert ended.returncode == 1
    assert "setup: this checkout can't be written to by" in ended.stderr
    assert "sudo chown" in ended.stderr


def test_ctrl_c_ends_the_set_up_with_one_line(checkout: Path) -> None:
    (checkout / "build/setup").mkdir(parents=True)
    with subprocess.Popen(
        ["flock", checkout / "build/setup/lock", checkout / "scripts/setup.sh"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as set_up:
        assert set_up.stderr is not None
        assert set_up.stderr.readline() == "==> waiting for another set-up to end\n"
        os.killpg(set_up.pid, signal.SIGINT)
        assert set_up.stderr.read() == "==> interrupted; the next run goes on\n"


def policy_after(folder: Path, policy: str) -> str | None:
    """Return what is left of a policy-rc.d; None where it is gone."""
    file = folder / "policy-rc.d"
    file.write_text(policy)
    sourced = f"""set -euo pipefail
    program=setup log={folder}/log; source {PROJECT}/scripts/lib/progress.sh
    source {PROJECT}/scripts/lib/packages.sh
    policy_file={file}; remove_left_policy"""
    subprocess.run(["bash", "-c", sourced], check=True)
    return file.read_text() if file.exists() else None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's set-up leaves one")
def test_a_policy_that_a_killed_set_up_left_is_removed_and_an_administrators_stays(tmp_path: Path) -> None:
    left = '#!/bin/sh\ncase "$*" in *mosquitto*) exit 101 ;; esac\n'
    assert policy_after(tmp_path, left) is None
    assert policy_after(tmp_path, "#!/bin/sh\nexit 101\n") == "#!/bin/sh\nexit 101\n"


# --- uv -------------------------------------------------------------------------------------------------


def told(*lines: str) -> subprocess.CompletedProcess[str]:
    """Return what uv is told where `pip config list` prints these lines."""
    command = [sys.executable, str(PROJECT / "scripts/lib/uv.py")]
    return subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=False)


def test_uv_is_told_indexes_links_certificates_and_proxy_as_pip_has_them() -> None:
    words = told(
        "global.cert='/etc/ca.crt'",
        "global.extra-index-url='https://one/simple https://two/simple'",
        "global.index-url='https://main/simple'",
        "global.no-index='false'",
        "global.timeout='20'",
        "install.find-links='\\n/wheels\\n/more'",
        ":env:.no-cache-dir='1'",
    ).stdout.splitlines()
    assert words[:3] == ["env", "SSL_CERT_FILE=/etc/ca.crt", "UV_HTTP_TIMEOUT=20"]
    assert words[3:7] == ["uv", "pip", "install", "--no-config"]
    rest = " ".join(words[7:])
    assert "--default-index https://main/simple" in rest
    assert "--index https://one/simple --index https://two/simple" in rest
    assert "--find-links /wheels --find-links /more" in rest
    assert "--no-cache" in rest
    assert "--no-index" not in rest


def test_the_environment_is_stronger_than_a_commands_section_and_that_than_the_global_one() -> None:
    lines = ("global.index-url='https://a'", "install.index-url='https://b'", "wheel.index-url='https://w'")
    assert "https://b" in told(*lines).stdout.splitlines()
    assert "https://c" in told(*lines, ":env:.index-url='https://c'").stdout.splitlines()


@pytest.mark.parametrize("key", ["constraint", "target", "user"])
def test_pip_does_the_work_where_uv_lacks_a_setting_of_pips(key: str) -> None:
    ended = told("global.index-url='https://a'", f"global.{key}='x'")
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.strip().endswith(f"pip's {key}")


# --- what was compiled ----------------------------------------------------------------------------------


def wheel(folder: Path, name: str, version: str, package: str) -> None:
    """Write a wheel of one package that knows its version."""
    folder.mkdir(parents=True, exist_ok=True)
    information = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{package}/__init__.py", f"version = {version!r}\n")
        file.writestr(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(
            f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{information}/RECORD", "")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A venv that has pip only."""
    folder = tmp_path_factory.mktemp("venv") / "empty"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    asked = [str(folder / "bin/python"), "-c", "import sysconfig; print(sysconfig.get_path('platlib'))"]
    packages = Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
    # The one of this environment, as after a set-up; ensurepip takes seconds to install its own.
    here = Path(sysconfig.get_path("purelib"))
    for folder_of_pip in (here / "pip", *here.glob("pip-*.dist-info")):
        shutil.copytree(folder_of_pip, packages / folder_of_pip.name)
    return folder


@pytest.fixture
def place(empty: Path, tmp_path: Path) -> Path:
    """A .venv without EdgeAssist, and what was compiled for it."""
    shutil.copytree(empty, tmp_path / ".venv", symlinks=True)
    (tmp_path / "work").mkdir()
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks/llama.txt").write_text(LOCK)
    return tmp_path


def in_place(place: Path, words: str) -> str:
    """Return what bash prints for words that use scripts/lib/compiled.sh."""
    sourced = f"""set -euo pipefail
    cd {place}; root={PROJECT} program=setup log=$PWD/log venv=$PWD/.venv work=$PWD/work
    python=$venv/bin/python
    for part in progress packages lock venv compiled; do source "$root/scripts/lib/$part.sh"; done
    locks=$PWD/locks; cp "$locks/llama.txt" "$work/compiled.txt"; {words}"""
    ended = subprocess.run(["bash", "-c", sourced], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr + (place / "log").read_text()
    return ended.stdout


def version_of(place: Path, package: str) -> str:
    command = [str(place / ".venv/bin/python"), "-c", f"import {package}; print({package}.version)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_what_was_compiled_replaces_an_older_one_and_pip_knows_it(place: Path) -> None:
    for version in ("9.8", "9.9"):
        (place / "locks/llama.txt").write_text(LOCK.replace("9.9", version))
        for old in (place / "work/compiled").glob("*"):
            old.unlink()
        wheel(place / "work/compiled", "llama_cpp_python", version, "llama_cpp")
        wheel(place / "work/compiled", "systemd_python", version, "systemd")
        in_place(place, "stamp=$(llama_fingerprint); put_in_place; llama_ready")
        assert version_of(place, "llama_cpp") == version_of(place, "systemd") == version
    listed = in_place(place, '"$python" -m pip list --format=freeze')
    assert {"llama-cpp-python==9.9", "systemd-python==9.9"} <= set(listed.replace("_", "-").splitlines())


def test_what_an_interrupted_step_left_is_made_good_by_the_next(place: Path) -> None:
    wheel(place / "work/compiled", "llama_cpp_python", "9.9", "llama_cpp")
    wheel(place / "work/compiled", "systemd_python", "9.9", "systemd")
    site = Path(in_place(place, "site_packages").strip())
    for left in (".compiled/llama_cpp", "llama_cpp_python-9.9.dist-info", "systemd"):
        (site / left).mkdir(parents=True)
    in_place(place, "stamp=$(llama_fingerprint); if llama_ready; then exit 1; fi; put_in_place; llama_ready")
    assert version_of(place, "llama_cpp") == version_of(place, "systemd") == "9.9"
    assert not (site / ".compiled").exists()


def test_another_lock_makes_what_was_compiled_for_the_last_one_unready(place: Path) -> None:
    in_place(place, 'llama_fingerprint >"$venv/.ready-llama"; llama_ready')
    (place / "locks/llama.txt").write_text(LOCK.replace("9.9", "10.0"))
    in_place(place, "! llama_ready")
