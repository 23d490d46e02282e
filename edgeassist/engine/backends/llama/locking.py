"""Keeping what is in memory from being swapped out (`engine.load_mode = "lock"`).

llama.cpp's own way leaves out the weights that it repacks (Q4_0 and others, most of a file), in silence.
"""

from __future__ import annotations

import ctypes
import logging
import os

log = logging.getLogger(__name__)

_MCL_CURRENT, _MCL_ONFAULT = 1, 4  # asm-generic/mman.h


def lock_memory() -> None:
    """Lock the process's memory as it is mapped now, weights and KV cache; logs what to do if it may not."""
    libc = ctypes.CDLL(None, use_errno=True)
    # On fault: what was not used yet, such as most of a KV cache, is locked when it is.
    if libc.mlockall(_MCL_CURRENT | _MCL_ONFAULT) == 0:
        return
    log.warning(
        "engine.load_mode: the model could not be locked in memory (%s), so it may be swapped out: set "
        "LimitMEMLOCK=infinity for the service (sudo systemctl edit edgeassist, and there under [Service]), "
        'or engine.load_mode = "read"',
        os.strerror(ctypes.get_errno()),
    )
