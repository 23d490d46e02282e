"""Runs the bare loops (`bench/bare`, `bench/bare_onnx`) as child processes."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edgeassist.bench.figures import Sample
from edgeassist.errors import ModelError


class BareProcess:
    """A bare loop with its model loaded, idle between runs. An async context manager.

    Args:
        model: The GGUF file, or the folder of an ONNX model.
        threads: Compute threads.
        context: The most tokens of prompt and answer together.
        batch: The most prompt tokens per forward pass.
        log: The file for the library's log.
    """

    def __init__(self, model: Path, *, threads: int, context: int, batch: int, log: Path) -> None:
        self._module = f"edgeassist.bench.{'bare_onnx' if model.is_dir() else 'bare'}"
        self._arguments = ("loop", str(model), str(threads), str(context), str(batch))
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self.facts: dict[str, Any] = {}

    @property
    def pid(self) -> int:
        """The process id; raises ProcessLookupError if it is not running."""
        if self._process is None:
            raise ProcessLookupError("not started")
        return self._process.pid

    async def __aenter__(self) -> Self:
        """Start, and wait until the model is loaded."""
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", self._module, *self._arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self.facts = await self._read()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill the process."""
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def run(self, prompt_tokens: int, steps: int, seed: int) -> Sample:
        """Prefill `prompt_tokens` random tokens and generate `steps` more after the first.

        Raises:
            ModelError: The process has ended.
        """
        if self._process is None or self._process.stdin is None:
            raise ProcessLookupError("not started")
        task = {"prompt_tokens": prompt_tokens, "steps": steps, "seed": seed}
        self._process.stdin.write(json.dumps(task).encode() + b"\n")
        answer = await self._read()
        return Sample(answer["ttft_s"], answer["decode_s"], steps)

    async def _read(self) -> dict[str, Any]:
        if self._process is None or self._process.stdout is None:
            raise ProcessLookupError("not started")
        line = await self._process.stdout.readline()
        if not line:
            lines = self._log.read_text(errors="replace").strip().splitlines()
            raise ModelError("the bare loop has ended; the end of its log:\n" + "\n".join(lines[-5:]))
        return dict(json.loads(line))
