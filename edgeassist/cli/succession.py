"""The demo's daemon: waits until it is ready, and starts it anew once llama.cpp is compiled."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rich.markup import escape

from edgeassist.cli.compiling import Compilation, Stage
from edgeassist.cli.consoles import Console
from edgeassist.client.requester import Requester
from edgeassist.errors import ModelError
from edgeassist.models.builtin import TINY
from edgeassist.sandbox import PrivateDaemon

# The built-in model loads within a second or two; one that does not, never will.
TAKE_OVER_S = 60.0


class Succession:
    """Lets llama.cpp take over from ONNX Runtime GenAI, once.

    Args:
        daemon: The one that answers.
        environ: Its settings.
        compilation: None where nothing is to come.
        model: The setting `model.path`.
        console: Where to say what happens.
    """

    def __init__(
        self,
        daemon: PrivateDaemon,
        environ: dict[str, str],
        compilation: Compilation | None,
        model: Path,
        console: Console,
    ) -> None:
        self._console = console
        self._daemon = daemon
        self._environ = environ
        self._compilation = compilation if model == TINY else None

    def due(self) -> bool:
        """Whether llama.cpp is ready and has not taken over; says so if it never will be."""
        if self._compilation is None or (stage := self._compilation.stage()) is Stage.RUNS:
            return False
        if stage is Stage.FAILED:
            self._console.print(
                f"[dim]llama.cpp could not be compiled, {self._compilation.log} says why; ONNX Runtime GenAI "
                "goes on[/]",
                soft_wrap=True,
            )
        self._compilation = None
        return stage is Stage.READY

    async def take_over(self, client: Requester) -> None:
        """Start the daemon anew, which then chooses llama.cpp; as before, if that does not work here."""
        self._console.print("[dim]llama.cpp is ready: from here on it answers[/]")
        try:
            await self._start_anew(client)
        except ModelError as error:
            self._console.print(
                f"[dim]it does not run here, and ONNX Runtime GenAI goes on: {escape(error.message)}[/]",
                soft_wrap=True,
            )
            self._environ["EDGEASSIST_MODEL__BACKEND"] = "onnx"
            await self._start_anew(client)

    async def _start_anew(self, client: Requester) -> None:
        with self._console.status("the daemon starts anew"):
            await asyncio.to_thread(self._daemon.stop)
            # What it said before is no word of the new one's.
            await client.wait_health(frozenset({"stopping"}), 2.0)
            self._daemon.start()
            await wait_ready(client, self._daemon, TAKE_OVER_S)


async def wait_ready(client: Requester, daemon: PrivateDaemon, limit_s: float) -> None:
    """Wait until the daemon can answer.

    Raises:
        ModelError: It did not get ready in time, or has ended; with the end of its log.
    """
    waiting = asyncio.create_task(
        client.wait_health(frozenset({"ready", "busy"}), limit_s), name="wait-ready"
    )
    while not waiting.done() and daemon.poll() is None:
        await asyncio.wait([waiting], timeout=0.1)
    if not waiting.done() or waiting.result() is None:
        waiting.cancel()
        log = daemon.log.read_text(errors="replace").strip().splitlines()
        raise ModelError("the daemon did not get ready; the end of its log:\n" + "\n".join(log[-5:]))
