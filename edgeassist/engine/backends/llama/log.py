"""llama.cpp's log, in ours."""

from __future__ import annotations

import ctypes
import logging
from typing import ClassVar

from edgeassist.engine.backends.llama.binding import llama_cpp

log = logging.getLogger(__name__)

# ggml_log_level; its own debug level is left out.
_LEVELS = {2: logging.DEBUG, 3: logging.WARNING, 4: logging.ERROR}
_CONTINUED = 5
# Warnings about what is meant or dealt with: the KV cache holds several contexts, so it may be larger than
# the model was trained for; a step without room is tried again; one that was aborted left nothing behind.
_EXPECTED = (
    "possible training context overflow",
    "failed to find a memory slot",
    "removing memory module entries",
)
# Errors that are kept. The first one says what is wrong, the rest what failed for it.
_KEPT = 4


class LlamaLog:
    """Forwards llama.cpp's log, and keeps its first errors to explain a failure."""

    # llama.cpp calls it for as long as the process lives.
    _installed: ClassVar[LlamaLog | None] = None

    def __init__(self) -> None:
        self._errors: list[str] = []
        self._level = 0
        # ctypes frees a callback without references, while llama.cpp still calls it.
        self._callback = llama_cpp.llama_log_callback(self.take)

    def install(self) -> None:
        """Receive the log from now on."""
        llama_cpp.llama_log_set(self._callback, ctypes.c_void_p(0))
        LlamaLog._installed = self

    @property
    def errors(self) -> str:
        """The first errors, for a message."""
        return "; ".join(self._errors) or "no reason given"

    def take(self, level: int, text: bytes, _data: object = None) -> None:
        """Forward a text: a line, several, or the continuation of the last one, whose level it has."""
        if level != _CONTINUED:
            self._level = level
        severity = _LEVELS.get(self._level)
        if severity is None:
            return
        for line in text.decode(errors="replace").splitlines():
            if line.strip():
                self._forward(severity, line.strip())

    def _forward(self, severity: int, line: str) -> None:
        if severity >= logging.ERROR and len(self._errors) < _KEPT:
            self._errors.append(line)
        if severity == logging.WARNING and any(each in line for each in _EXPECTED):
            severity = logging.DEBUG
        log.log(severity, "%s", line)
