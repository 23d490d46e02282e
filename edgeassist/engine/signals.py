"""What a backend's step raises when it computed nothing, for reasons that the worker handles itself."""

from __future__ import annotations

from collections.abc import Collection

from edgeassist.errors import InternalError


class KvFullError(InternalError):
    """The KV cache has no room for a step. The worker preempts and goes on."""


class StepAbortedError(InternalError):
    """A step was cut short by `Backend.abort`.

    Attributes:
        lost: The slots whose KV entries are gone, all of them.
    """

    def __init__(self, message: str, lost: Collection[int] = ()) -> None:
        super().__init__(message)
        self.lost = lost
