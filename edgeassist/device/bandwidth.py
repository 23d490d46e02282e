"""Memory bandwidth: the first bound on how fast tokens are generated.

It is measured by copying. Bytes read plus bytes written per second come close to what the same number of
cores read while they compute a token (measured on two x86-64 cores, where llama.cpp reads 15 to 17 GB/s).
"""

from __future__ import annotations

import ctypes
import time
from concurrent.futures import ThreadPoolExecutor

# Larger than the caches, and small enough for a board with 1 GB.
_BYTES = 64 << 20
_ROUNDS = 4


def measure_bandwidth(threads: int) -> float:
    """Return the bytes per second that this many threads move together; takes some tenths of a second."""
    share = _BYTES // threads
    pairs = [(ctypes.create_string_buffer(share), ctypes.create_string_buffer(share)) for _ in range(threads)]

    def copy(pair: tuple[ctypes.Array[ctypes.c_char], ctypes.Array[ctypes.c_char]]) -> None:
        # ctypes releases the GIL during the call.
        ctypes.memmove(pair[0], pair[1], share)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(copy, pairs))  # the first round pays the page faults
        best = 0.0
        for _ in range(_ROUNDS):
            begun = time.perf_counter()
            list(pool.map(copy, pairs))
            best = max(best, 2 * share * threads / (time.perf_counter() - begun))
    return best
