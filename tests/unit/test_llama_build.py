"""scripts/lib/llama.sh: how many compilers a machine can feed, and what is compiled."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
MB = 1 << 20


def shell(words: str, *arguments: object, session: bool = False) -> str:
    """Return what bash prints for words that use scripts/lib/llama.sh."""
    command = ["bash", "-c", f"set -euo pipefail; source scripts/lib/llama.sh; {words}", "shell"]
    return subprocess.run(
        [*command, *map(str, arguments)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
        start_new_session=session,
    ).stdout.strip()


def machine(root: Path, *, available_mb: int, cgroup: str | None = None) -> Path:
    """Make what tells of a machine's memory."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal: 999 kB\nMemAvailable:  {available_mb * 1024} kB\n")
    if cgroup is not None:
        (root / "proc/self/cgroup").write_text(f"4:memory:/elsewhere\n0::{cgroup}\n")
    return root


def limit(root: Path, cgroup: str, *, most_mb: int, used_mb: int, cached_mb: int = 0) -> None:
    folder = root / "sys/fs/cgroup" / cgroup
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{most_mb * MB}\n")
    (folder / "memory.current").write_text(f"{used_mb * MB}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {cached_mb * MB}\n")


@pytest.mark.parametrize(
    ("available_mb", "cores", "jobs"),
    [(16_000, 4, 4), (1_900, 4, 3), (700, 4, 1), (300, 4, 1), (4_000, 1, 1)],
)
def test_there_are_as_many_compilers_as_cores_unless_memory_allows_fewer(
    tmp_path: Path, available_mb: int, cores: int, jobs: int
) -> None:
    assert shell('build_jobs "$1" "$2"', cores, machine(tmp_path, available_mb=available_mb)) == str(jobs)


def test_a_limit_of_any_cgroup_above_counts_less_what_is_used_and_can_not_be_dropped(tmp_path: Path) -> None:
    machine(tmp_path, available_mb=8_000, cgroup="/system/demo")
    (tmp_path / "sys/fs/cgroup/system/demo").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/system/demo/memory.max").write_text("max\n")
    assert shell('free_mb_for_build "$1"', tmp_path) == "8000"
    limit(tmp_path, "system", most_mb=2_000, used_mb=1_000, cached_mb=300)
    assert shell('free_mb_for_build "$1"', tmp_path) == "1300"
    limit(tmp_path, "", most_mb=1_000, used_mb=1_200)
    assert shell('free_mb_for_build "$1"', tmp_path) == "0"
    assert shell('build_jobs 4 "$1"', tmp_path) == "1"


def test_whether_anything_can_be_compiled_depends_on_what_a_cgroup_may_take_at_most(tmp_path: Path) -> None:
    machine(tmp_path, available_mb=100, cgroup="/system/demo")
    (tmp_path / "proc/meminfo").write_text("MemTotal: 4096000 kB\nSwapTotal: 102400 kB\n")
    assert shell('most_mb_for_build "$1"', tmp_path) == "4100"
    limit(tmp_path, "system", most_mb=512, used_mb=500)
    assert shell('most_mb_for_build "$1"', tmp_path) == "612"


def test_a_limit_in_a_container_is_found_at_the_top(tmp_path: Path) -> None:
    machine(tmp_path, available_mb=8_000, cgroup="/")
    limit(tmp_path, "", most_mb=1_500, used_mb=100)
    assert shell('build_jobs 4 "$1"', tmp_path) == "2"


def test_a_number_of_jobs_that_somebody_chose_stays(tmp_path: Path) -> None:
    words = 'CMAKE_BUILD_PARALLEL_LEVEL=7; prepare_build "$1"; echo "$CMAKE_BUILD_PARALLEL_LEVEL"'
    assert shell(words, tmp_path) == "7"


def test_what_runs_gently_yields_to_everything_else() -> None:
    told = shell("be_gentle; nice; chrt -p $BASHPID", session=True)
    assert told.startswith("19\n")
    assert "SCHED_IDLE" in told


@pytest.mark.skipif(
    not Path("/proc/self/autogroup").exists(), reason="this kernel shares no time by sessions"
)
def test_what_runs_gently_yields_to_other_sessions_too() -> None:
    assert shell("be_gentle; cat /proc/self/autogroup", session=True).endswith("nice 19")


def test_only_the_library_is_compiled_whatever_flags_somebody_gives(tmp_path: Path) -> None:
    """A project that declares its options as llama-cpp-python's does."""
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed; pip gets one where it compiles")
    (tmp_path / "inner").mkdir()
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.21)\n"
        "project(llama_cpp NONE)\n"
        'option(LLAVA_BUILD "vision" ON)\n'
        'set(LLAMA_BUILD_COMMON ON CACHE BOOL "common" FORCE)\n'
        "add_subdirectory(inner)\n"
        'message(STATUS "vision=${LLAVA_BUILD}")\n'
    )
    (tmp_path / "inner/CMakeLists.txt").write_text(
        'project(inner NONE)\noption(LLAMA_BUILD_COMMON "common" OFF)\n'
        'message(STATUS "common=${LLAMA_BUILD_COMMON}")\n'
    )
    words = 'prepare_build "$1/tmp"; cmake -S "$1" -B "$1/build" "-D$SKBUILD_CMAKE_DEFINE" -DLLAVA_BUILD=ON'
    said = shell(words, tmp_path)
    assert "common=OFF" in said
    assert "vision=OFF" in said
