"""Commands of this folder undo what they did when they are told to end, mounts and folders too."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

_TOLD = (signal.SIGTERM, signal.SIGHUP)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a command to its end; SIGTERM and SIGHUP cancel it, as Ctrl-C does.

    Raises:
        SystemExit: It was told to end; its status is that of the signal, as in a shell.
    """
    told: list[signal.Signals] = []

    async def cancellable() -> None:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()

        def end(number: signal.Signals) -> None:
            # Once: the second would cancel what undoes things.
            if not told:
                told.append(number)
                task.cancel()

        for number in _TOLD:
            loop.add_signal_handler(number, end, number)
        await main

    try:
        asyncio.run(cancellable())
    except asyncio.CancelledError:
        if not told:
            raise
        raise SystemExit(128 + told[0]) from None
