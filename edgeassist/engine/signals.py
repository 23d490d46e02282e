"""What a backend's step raises when it computed nothing, for reasons that the worker handles itself."""

from __future__ import annotations

from edgeassist.errors import InternalError


class KvFullError(InternalError):
    """The KV cache has no room for a step. The worker preempts and goes on."""


class StepAbortedError(InternalError):
    """A step was cut short by `Backend.abort`."""
