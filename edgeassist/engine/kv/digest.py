"""The digest of the model that an engine serves, which names the states that belong to it."""

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import Future
from pathlib import Path

from edgeassist.models.files.digests import Digests

# What is computed beside answers leaves the processors to them.
_NICE = 19


class ModelDigest:
    """Computed once, when it is asked for; one thread asks.

    Args:
        path: The model's file, or the first of several; empty for a backend without one.
        kept: What is known from earlier runs.

    Attributes:
        future: It, once it is known; done at once where it is kept.
    """

    def __init__(self, path: str, kept: Digests) -> None:
        self.future: Future[str] = Future()
        self._path = path
        self._kept = kept
        self._begun = False
        known = kept.known(Path(path)) if path else ""
        if known is not None:
            self._begun = True
            self.future.set_result(known)

    def begin(self, *, urgent: bool = False) -> None:
        """Have it computed in a thread, unless it is known or being computed.

        Args:
            urgent: Whether somebody waits for it.
        """
        if not self._begun:
            self._begun = True
            threading.Thread(
                target=self._compute, kwargs={"urgent": urgent}, name="digest", daemon=True
            ).start()

    def _compute(self, *, urgent: bool) -> None:
        if not urgent:
            with contextlib.suppress(OSError):  # of this thread only (setpriority(2), notes)
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        try:
            self.future.set_result(self._kept.compute(Path(self._path)))
        except OSError as error:  # the keeper does without
            self.future.set_exception(error)
        except BaseException as error:
            self.future.set_exception(error)
            raise
