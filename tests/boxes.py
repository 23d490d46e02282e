"""Boxes: a broker and a daemon, started once for all tests of a process that want the same settings.

For tests that leave a box as it was: it is neither stopped nor told to change, no message is retained there,
and every request has an id that nothing else has.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeassist.sandbox import PrivateBroker
from tests.preloaded import PrivateDaemon

# The one that was not used for the longest time makes room.
KEPT = 6


@dataclass(frozen=True, slots=True)
class Running:
    """A broker and the daemon at it."""

    broker: PrivateBroker
    daemon: PrivateDaemon
    stop: Callable[[], None]


class Boxes:
    """Those of a process.

    Args:
        make_folder: Returns a new folder for each.
        environ_of: Returns a daemon's settings at a port.
    """

    def __init__(self, make_folder: Callable[[], Path], environ_of: Callable[..., dict[str, str]]) -> None:
        self._make_folder = make_folder
        self._environ_of = environ_of
        self._running: OrderedDict[str, Running] = OrderedDict()

    def take(self, **settings: Any) -> Running:
        """Return the one with these settings; it may be getting ready still."""
        key = repr(sorted(settings.items()))
        running = self._running.get(key)
        if running is not None and not running.daemon.running:
            self._running.pop(key).stop()
            raise AssertionError(
                f"a test ended a daemon that others share:\n{running.daemon.log.read_text()}"
            )
        if running is None:
            while len(self._running) >= KEPT:
                self._running.popitem(last=False)[1].stop()
            running = self._running[key] = self._start(settings)
        self._running.move_to_end(key)
        return running

    def stop(self) -> None:
        """Stop all."""
        while self._running:
            self._running.popitem()[1].stop()

    def _start(self, settings: dict[str, Any]) -> Running:
        folder = self._make_folder()
        with ExitStack() as stack:
            broker = stack.enter_context(PrivateBroker(folder))
            environ = self._environ_of(broker.port, **settings)
            daemon = stack.enter_context(PrivateDaemon(folder, environ))
            return Running(broker, daemon, stack.pop_all().close)
