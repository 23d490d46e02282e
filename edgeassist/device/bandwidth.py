"""How fast this machine moves memory: what a token costs, before anything else.

A copy reads and writes; together they are about what as many cores read while they compute a token (measured
on two x86-64 cores; llama.cpp reads 15 to 17 GB/s there).
"""

from __future__ import annotations

import ctypes
import time
from concurrent.futures import ThreadPoolExecutor

# More than the caches hold, and little enough for a board of 1 GB.
_BYTES = 64 << 20
_ROUNDS = 4


def measure_bandwidth(threads: int) -> float:
    """Return the bytes a second that so many threads move together; takes some tenths of a second."""
    share = _BYTES // threads
    pairs = [(ctypes.create_string_buffer(share), ctypes.create_string_buffer(share)) for _ in range(threads)]

    def copy(pair: tuple[ctypes.Array[ctypes.c_char], ctypes.Array[ctypes.c_char]]) -> None:
        # A function of C runs without the GIL.
        ctypes.memmove(pair[0], pair[1], share)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(copy, pairs))  # the first time pays for the pages
        best = 0.0
        for _ in range(_ROUNDS):
            begun = time.perf_counter()
            list(pool.map(copy, pairs))
            best = max(best, 2 * share * threads / (time.perf_counter() - begun))
    return best
