"""What of the engine's memory need not be there: pages of weights that nobody reads, and of zeros.

llama.cpp maps a model's file with all its pages, also those that are never read again: weights that it
has repacked (Q4_0 and others) and most rows of the token embeddings. It writes zeros over a whole KV cache,
most of which only long conversations use. Both come back by themselves when they are used, at the cost of a
page fault.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path

import numpy as np

_MAPS = Path("/proc/self/maps")
_STATM = Path("/proc/self/statm")
_PAGEMAP = Path("/proc/self/pagemap")
# Bytes of an entry, of one page each, and the bit that tells that it is there.
_ENTRY, _PRESENT = 8, 63
# What is given back at once. Other threads allocate less at a time while a model is loaded, and whatever they
# write to is not given back by mistake.
_BLOCK = 2 << 20

Range = tuple[int, int]


def forget_pages(files: Iterable[Path]) -> int:
    """Take the pages of mapped files out of this process; they stay in the page cache.

    Args:
        files: Of the model.

    Returns:
        How many bytes are mapped.

    Raises:
        OSError: The system does not tell, or refuses.
    """
    wanted = {str(file.resolve()) for file in files}
    mapped = [(start, end) for start, end, _, path in _mappings() if path in wanted]
    for start, end in mapped:
        _give_back(start, end)
    return sum(end - start for start, end in mapped)


def allocated() -> list[Range]:
    """Return where memory of this process's own is, by address; raises OSError if that can't be told."""
    return [(start, end) for start, end, access, path in _mappings() if not path and access == "rw-p"]


def forget_zeros(before: Iterable[Range]) -> int:
    """Give back what holds zeros of the memory that was allocated since.

    To be called while no other thread writes to it.

    Args:
        before: What `allocated` returned then.

    Returns:
        How many bytes.

    Raises:
        OSError: The system does not tell, or refuses.
    """
    given = 0
    with _PAGEMAP.open("rb") as pagemap:
        for start, end in _without(allocated(), before):
            for block in _present(pagemap, -(-start // _BLOCK) * _BLOCK, end // _BLOCK * _BLOCK):
                values = np.ctypeslib.as_array((ctypes.c_uint64 * (_BLOCK // 8)).from_address(block))
                if not values.any():
                    _give_back(block, block + _BLOCK)
                    given += _BLOCK
    return given


def trim() -> None:
    """Return to the system what the C library keeps of memory that was freed."""
    # A C library other than glibc has no such function.
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


def resident_bytes() -> int:
    """Return how much memory this process has; 0 where the system does not tell."""
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * mmap.PAGESIZE
    except (OSError, ValueError, IndexError):
        return 0


def _present(pagemap: BufferedReader, start: int, end: int) -> list[int]:
    """Return the blocks that have pages (proc(5), /proc/pid/pagemap): looking at others would make some."""
    if start >= end:
        return []
    pagemap.seek(start // mmap.PAGESIZE * _ENTRY)
    entries = np.frombuffer(pagemap.read((end - start) // mmap.PAGESIZE * _ENTRY), np.uint64)
    there = (entries >> np.uint64(_PRESENT)).astype(np.bool_).reshape(-1, _BLOCK // mmap.PAGESIZE)
    return [start + int(block) * _BLOCK for block in np.flatnonzero(there.any(axis=1))]


def _without(ranges: Iterable[Range], others: Iterable[Range]) -> Iterator[Range]:
    """Yield what of ranges is in no other; both are in order."""
    others = sorted(others)
    for start, end in ranges:
        for other_start, other_end in others:
            if other_end <= start or other_start >= end:
                continue
            if other_start > start:
                yield start, other_start
            start = other_end  # noqa: PLW2901 - what is left of it
            if start >= end:
                break
        if start < end:
            yield start, end


def _mappings() -> Iterator[tuple[int, int, str, str]]:
    """Yield start, end, access and file of what is mapped (proc(5), /proc/pid/maps)."""
    for line in os.fsdecode(_MAPS.read_bytes()).splitlines():
        addresses, access, _, _, _, *path = line.split(maxsplit=5)
        start, end = (int(address, 16) for address in addresses.split("-"))
        yield start, end, access, "".join(path)


def _give_back(start: int, end: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    size = ctypes.c_size_t(end - start)
    if libc.madvise(ctypes.c_void_p(start), size, mmap.MADV_DONTNEED):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
