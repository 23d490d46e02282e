"""llama-server as its clients see it: a private process, driven over HTTP. Only this module imports httpx.

It runs with its own defaults except for threads, slots and context, which are the same on both sides.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from edgeassist.bench.contender import CLIENTS, LOAD_S, TIMEOUT_S, Decision, Question
from edgeassist.bench.replies import End, Text
from edgeassist.bench.server_events import Counts, Delta, Stopped, read_line
from edgeassist.errors import ConfigurationError, ModelError
from edgeassist.evaluation.cases import read_questions
from edgeassist.evaluation.generation import json_request
from edgeassist.sandbox import HOST, PrivateProcess, free_port

POLL_S = 0.02
LOG_LINES = 8
VERSION_S = 10.0
# Nothing of an answer depends on what was asked before, and nothing is thought before it.
_JUDGED = {"seed": 0, "cache_prompt": False, "chat_template_kwargs": {"enable_thinking": False}}


class ServerProcess(PrivateProcess):
    """A llama-server on a free loopback port.

    Args:
        binary: The program.
        arguments: Command-line arguments except host and port.
        folder: For its log.
    """

    def __init__(self, binary: Path, arguments: tuple[str, ...], folder: Path) -> None:
        super().__init__(folder / "llama-server.log")
        self._binary = binary
        self._arguments = arguments
        self.url = ""

    def start(self) -> None:
        """Start, and return at once.

        Raises:
            ConfigurationError: The program can't be run.
        """
        port = free_port()
        self.url = f"http://{HOST}:{port}"
        command = [str(self._binary), "--host", HOST, "--port", str(port), *self._arguments]
        environ = {key: value for key, value in os.environ.items() if not key.startswith("LLAMA_")}
        try:
            self._start(command, environ)
        except OSError as error:
            raise ConfigurationError(f"--peer: can't run {self._binary}: {error.strerror}") from error

    def version(self) -> str:
        """Return the output of `--version`; empty if it fails."""
        with suppress(OSError, subprocess.SubprocessError):
            output = subprocess.run(  # noqa: S603 - the program that was named
                [str(self._binary), "--version"],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=VERSION_S,
            )
            return ", ".join(output.stdout.decode(errors="replace").split("\n")).strip(", ")
        return ""


class LlamaServer:
    """A llama-server with one model, and its clients; a `Contender`.

    Args:
        binary: The program.
        model: The GGUF file.
        folder: For its log.
        threads: Compute threads.
        context: The most tokens of prompt and answer together.
        slots: Concurrent answers.
        more: More command-line arguments.
    """

    name = "llama-server"

    def __init__(
        self,
        binary: Path,
        model: Path,
        *,
        folder: Path,
        threads: int,
        context: int,
        slots: int,
        more: tuple[str, ...] = (),
    ) -> None:
        arguments = {
            "--model": str(model.resolve()),
            "--threads": str(threads),
            "--parallel": str(slots),
            "--ctx-size": str(slots * context),  # divided among the slots
            "--n-gpu-layers": "0",
        }
        flat = tuple(part for pair in arguments.items() for part in pair)
        self.process = ServerProcess(binary, (*flat, *more), folder)
        self._http: httpx.AsyncClient | None = None
        self._system = ""

    @property
    def processes(self) -> Mapping[str, psutil.Process]:
        """The server and this process."""
        return {self.name: psutil.Process(self.process.pid), "client": psutil.Process()}

    @property
    def resident_bytes(self) -> int:
        """Resident memory of the server, including mapped weights."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    async def start(self, system: str = "") -> float:
        """Restart, and wait until it reports healthy (`Contender.start`)."""
        await self.stop()
        self._system = system
        begun = time.perf_counter()
        self.process.start()
        # One connection for each answer: the server may close a kept one at the moment that it is used again.
        limits = httpx.Limits(max_connections=2 * CLIENTS, max_keepalive_connections=0)
        # trust_env: no proxy for loopback.
        self._http = httpx.AsyncClient(
            base_url=self.process.url, timeout=TIMEOUT_S, limits=limits, trust_env=False
        )
        while time.perf_counter() - begun < LOAD_S and self.process.poll() is None:
            if await self._healthy():
                return time.perf_counter() - begun
            await asyncio.sleep(POLL_S)
        await self.stop()
        raise ModelError(f"llama-server did not get ready; the end of its log:\n{self._log_tail}")

    async def settle(self) -> None:
        """Return at once: it has no background work (`Contender.settle`)."""

    async def stop(self) -> None:
        """End connections and server (`Contender.stop`)."""
        http, self._http = self._http, None
        try:
            if http is not None:
                await http.aclose()
        finally:
            self.process.stop()

    async def build(self) -> str:
        """Return its version (`Contender.build`)."""
        return await asyncio.to_thread(self.process.version)

    async def ask(self, question: Question, client: int) -> AsyncGenerator[Text | End]:
        """Post a chat completion and yield its stream (`Contender.ask`)."""
        del client  # the pool gives each request its own connection
        try:
            async with self._client.stream(
                "POST", "/v1/chat/completions", json=_body(question, self._system)
            ) as response:
                if response.is_error:
                    said = (await response.aread()).decode(errors="replace")
                    raise ModelError(f"llama-server refused with status {response.status_code}: {said[:500]}")
                async for event in _events(response.aiter_lines()):
                    yield event
        except httpx.HTTPError as error:
            raise ModelError(
                f"llama-server broke off: {error!r}; the end of its log:\n{self._log_tail}"
            ) from error

    @property
    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            raise ProcessLookupError("not started")
        return self._http

    async def _healthy(self) -> bool:
        try:
            response = await self._client.get("/health")
        except httpx.TransportError:
            return False
        return response.is_success

    @property
    def _log_tail(self) -> str:
        log = self.process.log.read_text(errors="replace").strip().splitlines()
        return "\n".join(log[-LOG_LINES:])


def _body(question: Question, configured: str) -> dict[str, Any]:
    """Return the request body; `configured` is the system prompt for questions without one."""
    if question.decision is not None:
        question = _written(question, question.decision)
    system = question.system or configured
    messages = [{"role": "system", "content": system}] if system else []
    for exchange in question.history:
        messages.append({"role": "user", "content": exchange.question})
        messages.append({"role": "assistant", "content": exchange.answer})
    messages.append({"role": "user", "content": question.prompt})
    schema = {"name": "answer", "strict": True, "schema": question.schema}
    bound = {"response_format": {"type": "json_schema", "json_schema": schema}}
    return {
        "messages": messages,
        "max_tokens": question.max_tokens,
        "temperature": 0.0,
        # Nothing would be left to pick at the end of a bound answer.
        **({"ignore_eos": True} if question.is_free else {}),
        **(_JUDGED if question.judged else {}),
        **({} if question.schema is None else bound),
        **(
            {"tools": question.tools, "tool_choice": "required", "parallel_tool_calls": False}
            if question.tools
            else {}
        ),
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def _written(question: Question, decision: Decision) -> Question:
    """Return the question that has a decision's answers written, as JSON by a schema."""
    fields = {"state": decision.state, "questions": decision.questions}
    request = json_request(fields, read_questions(fields), percents=decision.percents)
    return Question(
        request["prompt"], question.max_tokens, system=request["system"], schema=request["json_schema"]
    )


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[Text | End]:
    """Yield texts, then the end, timed when the text was complete; its counts arrive a moment later."""
    complete: tuple[float, Stopped] | None = None
    async for line in lines:
        now = time.perf_counter()
        match read_line(line):
            case Delta(text=text):
                yield Text(now, text)
            case Stopped() as stopped:
                complete = (now, stopped)
            case Counts() as counts if complete is not None:
                at, stopped = complete
                yield End(
                    at,
                    counts.prompt,
                    counts.cached,
                    counts.completion - stopped.by_itself,
                    by_itself=stopped.by_itself,
                )
            case _:
                pass
