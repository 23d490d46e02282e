"""llama.cpp's log, in ours."""

from __future__ import annotations

import ctypes
import logging
from collections import deque

import llama_cpp

log = logging.getLogger(__name__)

_LEVELS = {2: logging.DEBUG, 3: logging.INFO, 4: logging.ERROR}
# The KV cache holds several contexts: it may be larger than what the model was trained for, a sequence not.
_MISTAKEN = "possible training context overflow"


class LlamaLog:
    """Forwards llama.cpp's log, and keeps its last errors to explain a failure."""

    def __init__(self) -> None:
        self._errors: deque[str] = deque(maxlen=3)
        # ctypes frees a callback without references, while llama.cpp still calls it.
        self._callback = llama_cpp.llama_log_callback(self._forward)

    def install(self) -> None:
        """Receive the log from now on."""
        llama_cpp.llama_log_set(self._callback, ctypes.c_void_p(0))

    @property
    def errors(self) -> str:
        """The last errors, for a message."""
        return "; ".join(self._errors) or "no reason given"

    def _forward(self, level: int, text: bytes, _data: object) -> None:
        line = text.decode(errors="replace").strip()
        if not line or level not in _LEVELS or _MISTAKEN in line:
            return
        if _LEVELS[level] >= logging.ERROR:
            self._errors.append(line)
        log.log(_LEVELS[level], "%s", line)
