"""What `scripts/install.sh` makes at once, and what follows: its shell functions, by themselves."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]

PRELUDE = """
set -euo pipefail
root=$PWD program=install log=$1/log lib=$root/scripts/lib
mode=install model='' wheelhouse='' ready_s=300
with_onnx=false wait=false upgrade=false no_start=false dry_run=false
for name in progress packages lock llama machine settings mosquitto release service follow; do
  source "$lib/$name.sh"
done
prefix=$1/opt releases=$1/opt/releases settings=$1/settings.toml follow=$1/opt/llama
mkdir -p "$releases"
"""


def shell(folder: Path, program: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    ended = subprocess.run(
        ["bash", "-c", PRELUDE + program, "shell", str(folder)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == status, ended.stderr
    return ended


def installed(folder: Path, extras: str) -> None:
    """Lay as much of a release as the decision looks at."""
    share = folder / "opt/releases/1-1/share"
    share.mkdir(parents=True)
    (share / "extras").write_text(f"{extras}\n")
    (folder / "opt/current").symlink_to("releases/1-1")


@pytest.mark.parametrize(
    ("options", "extras"),
    [
        ("", "onnx"),
        ("wait=true", "llama,onnx"),
        ("no_start=true", "llama,onnx"),
        ("model=$1/model.gguf; touch $model", "llama,onnx"),
        ("model=$1/folder; mkdir $model", "onnx"),
        ("wheelhouse=$1", "llama"),
        ("wheelhouse=$1; with_onnx=true", "llama,onnx"),
        (
            'wheelhouse=$1; printf \'{\\n  "extras": "llama,onnx",\\n}\' >$1/wheelhouse.json',
            "llama,onnx",
        ),
    ],
)
def test_the_first_release_has_no_llama_cpp_unless_it_must(tmp_path: Path, options: str, extras: str) -> None:
    assert shell(tmp_path, f"{options}\ndecide_stages; extras").stdout.strip() == extras


@pytest.mark.parametrize(
    ("settings", "extras"),
    [
        ('[model]\npath = "/models/some.gguf"\n', "llama,onnx"),
        ('[model]\nbackend = "llama"\n', "llama,onnx"),
        ('[model]\npath = "/usr"\n', "onnx"),
        ('[model]\npath = "/models/some.gguf"\nbackend = "onnx"\n', "onnx"),
        ('[model]\npath = "builtin:tiny"\n', "onnx"),
        ('[mqtt]\nhost = "broker"\n', "onnx"),
        ("no settings = at all", "onnx"),
    ],
)
def test_the_model_of_the_settings_decides_too(tmp_path: Path, settings: str, extras: str) -> None:
    (tmp_path / "settings.toml").write_text(settings)
    assert shell(tmp_path, "decide_stages; extras").stdout.strip() == extras


@pytest.mark.parametrize(("there", "extras"), [("llama", "llama,onnx"), ("onnx", "onnx")])
def test_who_has_llama_cpp_never_goes_without(tmp_path: Path, there: str, extras: str) -> None:
    installed(tmp_path, there)
    assert shell(tmp_path, "decide_stages; extras").stdout.strip() == extras


def test_a_folder_of_wheels_without_onnx_is_told_of_where_that_is_installed(tmp_path: Path) -> None:
    installed(tmp_path, "llama,onnx")
    (tmp_path / "edgeassist-2-py3-none-any.whl").touch()
    said = shell(tmp_path, "wheelhouse=$1\nstep() { :; }\ndecide_stages; make_release").stderr
    assert "ONNX models will not load any more" in said


def test_what_needs_no_compiling_is_the_whole_lock_but_what_is_source_only(tmp_path: Path) -> None:
    left = shell(
        tmp_path,
        'not_locked "$(lock_of llama,onnx)" systemd-python llama-cpp-python | grep -o "^[a-z][a-z0-9-]*=="',
    ).stdout
    whole = shell(tmp_path, 'grep -o "^[a-z][a-z0-9-]*==" "$(lock_of llama,onnx)"').stdout
    assert set(whole.split()) - set(left.split()) == {"llama-cpp-python==", "systemd-python=="}


def test_the_second_stage_gets_this_ones_environment_whatever_stands_in_it(tmp_path: Path) -> None:
    value = "-DA='one two' \"$HOME\" `x`\nline"
    program = """
    export CMAKE_ARGS=$2 PIP_INDEX_URL=https://example.org/simple
    environment_here >$1/environment
    unset CMAKE_ARGS PIP_INDEX_URL
    source $1/environment
    printf '%s|%s' "$CMAKE_ARGS" "$PIP_INDEX_URL"
    """
    ended = subprocess.run(
        ["bash", "-c", PRELUDE + program, "shell", str(tmp_path), value],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ended.stdout == f"{value}|https://example.org/simple"


# --- A CPU that ONNX Runtime can't be used on ---------------------------------------------------


def test_where_onnx_runtime_dies_llama_cpp_is_compiled_first(tmp_path: Path) -> None:
    program = r"""
    release=1-1
    mkdir -p "$releases/1-1/bin"
    printf '#!/bin/sh\n' >"$releases/1-1/bin/edgeassist"
    printf '#!/bin/sh\nkill -ILL $$\n' >"$releases/1-1/bin/python"
    chmod +x "$releases"/1-1/bin/*
    prove_release "$releases/1-1"
    echo "$onnx_runs"
    build_release() { made+=("$(extras)"); onnx_runs=false; }
    step() { "${@:2}"; }
    check_room() { :; }
    begin_packages() { :; }
    made=()
    decide_stages
    make_release
    echo "${made[*]}"
    """
    ended = shell(tmp_path, "follows=true\n" + program)
    assert ended.stdout.splitlines() == ["false", "onnx llama,onnx"]
    assert "does not run on this CPU" in ended.stderr


# --- The quiet moment -----------------------------------------------------------------------------

STATUS = """
release=1-2 command=$1/status quiet_poll_s=0
cat >"$command" <<'END'
#!/bin/sh
# Says each line of `answers` once, and the last one for ever.
head -n 1 "$0.answers"
[ "$(wc -l <"$0.answers")" -eq 1 ] || sed -i 1d "$0.answers"
END
chmod +x "$command"
printf '%s\\n' "$2" >"$command.answers"
"""


def health(state: str, running: int = 0, queued: int = 0) -> str:
    return f'{{"health": {{"state": "{state}", "running": {running}, "queued": {queued}}}}}'


@pytest.mark.parametrize(
    ("answers", "quiet_s", "left"),
    [
        # One look without requests may fall between two of them.
        ([health("busy", 1), health("ready"), health("ready", 0, 1), *[health("ready")] * 3], 60, 1),
        ([health("busy", 3, 2)], 0, 1),
        (["nobody answers"], 60, 1),
        (['{"health": {}}', health("loading"), *[health("ready")] * 3], 60, 1),
    ],
)
def test_it_switches_when_nobody_waits_or_nobody_is_there_or_after_a_while(
    tmp_path: Path, answers: list[str], quiet_s: int, left: int
) -> None:
    program = f"quiet_s={quiet_s}\n{STATUS}\nawait_quiet\nwc -l <$command.answers"
    ended = subprocess.run(
        ["bash", "-c", PRELUDE + program, "shell", str(tmp_path), "\n".join(answers)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert int(ended.stdout.split()[-1]) == left
    assert ("there was none" in ended.stderr) == (quiet_s == 0)


# --- How it ends ---------------------------------------------------------------------------------

ENDING = """
systemctl() { echo "systemctl $*"; }
cleanup() { :; }
mkdir -p "$follow"
touch "$log"
trap 'end_second_stage $?' EXIT
"""


@pytest.mark.parametrize(
    ("end", "status", "problem"),
    [
        ("failure_cause=network; fail 'no network' 'wait'", 75, "no network\nwait\n"),
        ("failure_cause=memory; fail 'no memory' 'add swap'", 75, "no memory\nadd swap\n"),
        (
            "CMAKE_BUILD_PARALLEL_LEVEL=1 failure_cause=memory; fail 'no memory' 'add swap'",
            1,
            "no memory\nadd swap\n",
        ),
        ("fail 'no compiler' 'install one'", 1, "no compiler\ninstall one\n"),
        ("false", 1, "it ended with status 1\n\n"),
        ("exit 143", 143, None),
    ],
)
def test_only_what_may_pass_by_itself_is_tried_again_by_itself(
    tmp_path: Path, end: str, status: int, problem: str | None
) -> None:
    ended = shell(tmp_path, ENDING + end, status)
    left = tmp_path / "opt/llama/problem"
    assert (left.read_text() if left.exists() else None) == problem
    at_next_boot = "systemctl disable edgeassist-llama" not in (tmp_path / "log").read_text()
    assert at_next_boot == (status != 1)
    assert ("To try again" in ended.stderr) == (status == 1)


def test_without_memory_for_all_compilers_it_tries_again_with_one(tmp_path: Path) -> None:
    shell(tmp_path, ENDING + "failure_cause=memory; fail 'no memory' 'add swap'", 75)
    environment = tmp_path / "opt/llama/environment"
    assert environment.read_text() == "export CMAKE_BUILD_PARALLEL_LEVEL=1\n"


# --- The switch --------------------------------------------------------------------------------

SERVICE = """
# A service that starts, and says $words of itself.
systemctl() {
  case $* in
    *ActiveState*) echo active ;;
    *StatusText*) echo "$words" ;;
    *NRestarts*) echo 0 ;;
    *is-system-running*) echo "$machine" ;;
    *) return 0 ;;
  esac
}
machine=running ready_s=2 mode=second-stage
lay_unit() { :; }
mkdir -p "$follow" "$releases/1-1" "$releases/1-2"
ln -s releases/1-1 "$prefix/current"
previous=1-1 release=1-2
"""


@pytest.mark.parametrize(
    ("answered", "words", "left"),
    [
        ("true", "ready: tiny", "1-2"),
        ("true", "nothing listens there", "1-1"),
        ("false", "nothing listens there", "1-2"),
    ],
)
def test_a_release_must_answer_where_the_one_before_did(
    tmp_path: Path, answered: str, words: str, left: str
) -> None:
    program = f'words="{words}"\n{SERVICE}\nanswered={answered}\nbegin_switch\nswitch_to "$release"\nstart'
    said = shell(tmp_path, program, 0 if left == "1-2" else 1).stderr
    assert (tmp_path / "opt/current").readlink() == Path("releases") / left
    assert [folder.name for folder in (tmp_path / "opt/releases").iterdir()] == [left]
    assert ("did not get ready" in said) == (left == "1-1")


@pytest.mark.parametrize(
    ("words", "left"), [("ready: tiny", "releases/1-2"), ("nothing listens there", "releases/1-1")]
)
def test_a_switch_that_a_power_cut_has_ended_is_tried_to_its_end(
    tmp_path: Path, words: str, left: str
) -> None:
    cut = f'words="{words}"\n{SERVICE}\nanswered=true\nbegin_switch\nswitch_to "$release"\n'
    again = "switched_from= release= previous= answered=false\ntake_lock() { :; }\n"
    again += "switch_was_cut_short\nprove_switch"
    shell(tmp_path, cut + again, 0 if left.endswith("2") else 1)
    assert (tmp_path / "opt/current").readlink() == Path(left)


def test_a_power_cut_just_before_the_switch_leaves_nothing_to_prove(tmp_path: Path) -> None:
    shell(tmp_path, f"{SERVICE}\nbegin_switch\n! switch_was_cut_short")


def test_a_machine_that_goes_down_takes_the_switch_back_and_waits_for_nothing(tmp_path: Path) -> None:
    program = f"words=stopping\n{SERVICE}\nmachine=stopping\nuntil_ready() {{ echo waited; }}\nbegin_switch\n"
    ended = shell(tmp_path, program + 'switch_to "$release"\nswitch_back')
    assert (tmp_path / "opt/current").readlink() == Path("releases/1-1")
    assert ended.stdout == ""
    assert not (tmp_path / "opt/llama/switching").exists()
