"""An event loop in a thread of its own, for callers that have none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from edgeassist.errors import BrokerError

T = TypeVar("T")

STOP_S = 10.0


class LoopThread:
    """Runs coroutines for any thread. Its thread does not keep the program alive."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the loop, unless it runs."""
        with self._lock:
            if self._loop is not None:
                return
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_turn, args=(self._loop,), name=self._name, daemon=True)
            self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it was started, and not stopped."""
        return self._loop is not None

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it to its end and return what it returns; a caller that is interrupted cancels it.

        Raises:
            BrokerError: The loop does not run, or is stopped meanwhile.
        """
        with self._lock:
            if self._loop is None:
                coroutine.close()
                raise BrokerError("the client is not connected: use it in a with block, or call connect()")
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise BrokerError("the client was closed before the answer had come") from None
        except BaseException:
            future.cancel()  # does nothing to one that has ended
            raise

    def stop(self) -> None:
        """Cancel what runs, and end the thread."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(STOP_S)


def _turn(loop: asyncio.AbstractEventLoop) -> None:
    """Turn the loop until it is stopped, and leave nothing of it."""
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
