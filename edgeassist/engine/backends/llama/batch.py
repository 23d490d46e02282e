"""A `llama_batch` over numpy arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgeassist.engine.backends.llama.binding import llama_cpp
from edgeassist.engine.step import Work


class Batch:
    """Filled anew for every step: 512 tokens take 0.8 µs through numpy and 289 µs through ctypes (measured).

    Args:
        size: The most tokens that it holds.
    """

    def __init__(self, size: int) -> None:
        self._token = np.zeros(size, np.int32)
        self._position = np.zeros(size, np.int32)
        self._sequences = np.ones(size, np.int32)
        self._slot = np.zeros(size, np.int32)
        self._wanted = np.zeros(size, np.int8)
        # llama_batch.seq_id is an array of pointers, one a token, to that token's sequence ids.
        self._slot_pointers = self._slot.ctypes.data + np.arange(size, dtype=np.uintp) * 4
        self.struct = llama_cpp.llama_batch(
            n_tokens=0,
            token=_pointer(self._token, llama_cpp.llama_token),
            embd=None,
            pos=_pointer(self._position, llama_cpp.llama_pos),
            n_seq_id=_pointer(self._sequences, ctypes.c_int32),
            seq_id=_pointer(self._slot_pointers, ctypes.POINTER(llama_cpp.llama_seq_id)),
            logits=_pointer(self._wanted, ctypes.c_int8),
        )

    def fill(self, works: Sequence[Work]) -> list[int]:
        """Lay the works out; return the first row of each."""
        rows = []
        start = 0
        self._wanted[:] = 0
        for work in works:
            end = start + len(work.tokens)
            self._token[start:end] = work.tokens
            self._position[start:end] = np.arange(work.position, work.position + len(work.tokens))
            self._slot[start:end] = work.slot
            self._wanted[end - 1 - work.drafted : end] = work.samples
            for read in work.reads:
                self._wanted[start + read.position - work.position] = True
            rows.append(start)
            start = end
        self.struct.n_tokens = start
        return rows


def _pointer(array: np.ndarray[Any, Any], kind: Any) -> Any:
    return array.ctypes.data_as(ctypes.POINTER(kind))
