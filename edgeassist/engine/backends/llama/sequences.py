"""What a context remembers of each sequence: attention's entries, windows of them, recurrent states."""

from __future__ import annotations

import ctypes
from typing import Any

from edgeassist.engine.backends.llama.binding import llama_cpp
from edgeassist.engine.backends.llama.layout import Layout
from edgeassist.errors import InternalError

_PARTIAL = llama_cpp.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
_WHOLE = llama_cpp.LLAMA_STATE_SEQ_FLAGS_NONE


class Sequences:
    """The memory of a `llama_context`, by sequence.

    llama.cpp does not say if a cut leaves less of a window than the next token sees, and drops nothing of a
    recurrent state that it can't cut: each cut is looked at.

    Args:
        context: A `llama_context`.
        layout: Of its memory.
    """

    def __init__(self, context: Any, layout: Layout) -> None:
        self._context = context
        self._memory = llama_cpp.llama_get_memory(context)
        self._window = layout.window
        self._recurrent = layout.reach == 0

    def clear(self, slot: int) -> None:
        """Drop all of a sequence."""
        if not llama_cpp.llama_memory_seq_rm(self._memory, slot, -1, -1):
            raise InternalError(f"llama.cpp can't drop sequence {slot}")

    def cut(self, slot: int, length: int) -> bool:
        """Keep the first so many tokens of a sequence; False, and then none, if they are not all there."""
        dropped = llama_cpp.llama_memory_seq_rm(self._memory, slot, length, -1)
        if dropped and self._holds(slot, length):
            return True
        self.clear(slot)
        return False

    def share(self, source: int, target: int, length: int) -> None:
        """Let a sequence have the first so many tokens of another, which stands there or can be cut there."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, length)
        # The cells of a window become free again when one sequence has moved past them, not two.
        if self._window and not self._write(target, self._read(source, _PARTIAL), _PARTIAL):
            llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, length)
        if not self.cut(target, length):
            raise InternalError(f"sequence {target} can't share {length} tokens of sequence {source}")

    def read(self, slot: int) -> bytearray:
        """Return all of a sequence as bytes."""
        return self._read(slot, _WHOLE)

    def write(self, slot: int, state: bytes | bytearray) -> bool:
        """Fill a sequence with what `read` returned; False, and it is empty, if there is no room for it."""
        if self._write(slot, state, _WHOLE):
            return True
        self.clear(slot)
        return False

    def _holds(self, slot: int, length: int) -> bool:
        """Whether the next token after so many would see all that it should."""
        if not length:
            return True
        if llama_cpp.llama_memory_seq_pos_max(self._memory, slot) != length - 1:
            return False
        if self._recurrent or not self._window:
            return True
        # llama.cpp keeps what is between the first and the last position without gaps.
        seen = max(0, length - self._window + 1)
        return bool(llama_cpp.llama_memory_seq_pos_min(self._memory, slot) <= seen)

    def _read(self, slot: int, flags: int) -> bytearray:
        state = bytearray(llama_cpp.llama_state_seq_get_size_ext(self._context, slot, flags))
        view = (ctypes.c_uint8 * len(state)).from_buffer(state)
        written = llama_cpp.llama_state_seq_get_data_ext(self._context, view, len(state), slot, flags)
        if written != len(state):
            raise InternalError(f"llama.cpp wrote {written} of {len(state)} bytes of sequence {slot}")
        return state

    def _write(self, slot: int, state: bytes | bytearray, flags: int) -> bool:
        kind = ctypes.c_uint8 * len(state)
        view = kind.from_buffer(state) if isinstance(state, bytearray) else kind.from_buffer_copy(state)
        read = llama_cpp.llama_state_seq_set_data_ext(self._context, view, len(state), slot, flags)
        return bool(read == len(state))
