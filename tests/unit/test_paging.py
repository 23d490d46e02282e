"""Memory that need not be there is given back, and nothing of what it holds is lost."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest

from edgeassist.engine.backends.llama.paging import (
    allocated,
    forget_pages,
    forget_zeros,
    resident_bytes,
    trim,
)

pytestmark = pytest.mark.llama

MIB = 1 << 20
# More than all that else may happen to the memory of this process meanwhile.
LARGE = 256 * MIB


def test_zeros_are_given_back_and_come_back_as_zeros() -> None:
    before = allocated()
    memory = mmap.mmap(-1, LARGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, LARGE, mmap.PAGESIZE):
        memory[at] = 0
    memory[100 * MIB : 100 * MIB + 5] = b"apple"
    full = resident_bytes()
    given = forget_zeros(before)
    assert LARGE - 8 * MIB <= given <= LARGE - 2 * MIB
    assert resident_bytes() < full - LARGE // 2
    assert memory[100 * MIB - 1 : 100 * MIB + 6] == b"\0apple\0"
    assert memory[:MIB].count(0) == MIB
    memory.close()


def test_memory_from_before_is_left_alone() -> None:
    memory = mmap.mmap(-1, LARGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, LARGE, mmap.PAGESIZE):
        memory[at] = 0
    assert forget_zeros(allocated()) < LARGE // 2
    memory.close()


def test_the_pages_of_a_mapped_file_leave_this_process_and_can_be_read_again(tmp_path: Path) -> None:
    path = tmp_path / "model with a space.gguf"
    with path.open("wb") as file:
        file.write(b"begin")
        file.truncate(LARGE)
        file.seek(LARGE - 3)
        file.write(b"end")
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE, prot=mmap.PROT_READ)
    full = resident_bytes()
    assert forget_pages([path, tmp_path / "another.gguf"]) == LARGE
    assert resident_bytes() < full - LARGE // 2
    assert (mapped[:5], mapped[-3:]) == (b"begin", b"end")
    mapped.close()


def test_freed_memory_can_be_returned_at_any_time() -> None:
    trim()
