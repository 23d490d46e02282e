"""The daemon as its clients see it: a private broker, a private daemon, and the client's clock."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import psutil

from edgeassist.bench.contender import CLIENTS, LOAD_S, TIMEOUT_S, Question
from edgeassist.bench.figures import DEVICE
from edgeassist.bench.replies import End, Text
from edgeassist.broker import BrokerOptions
from edgeassist.client.answers import AnyEvent
from edgeassist.client.requester import Requester
from edgeassist.errors import ModelError
from edgeassist.protocol.events import Chunk, Done, Failed
from edgeassist.protocol.topics import Topics
from edgeassist.sandbox import HOST, PrivateBroker, PrivateDaemon

FINGERPRINT_S = 120.0
NAME = "bench"
# A file of answers instead of a model (`engine/backends/scripted`): what checks tasks, and these rooms.
_ANSWERS = ".json"


class Device:
    """A daemon with one model, and its clients; a `Contender`.

    Args:
        model: The GGUF file, the folder of an ONNX model, or a JSON file of answers by prompt.
        folder: For logs, the broker's configuration and the daemon's state.
        threads: Compute threads; None lets the daemon adapt them.
        context: The most tokens of prompt and answer together.
        slots: Concurrent answers.
        name: This side's name in tables.
        checkout: The folder of the EdgeAssist checkout to run; None for this one.
    """

    def __init__(
        self,
        model: Path,
        *,
        folder: Path,
        threads: int | None,
        context: int,
        slots: int,
        name: str = DEVICE,
        checkout: Path | None = None,
    ) -> None:
        self.name = name
        self._folder = folder
        is_scripted = model.suffix == _ANSWERS
        self._has_fingerprint = model.is_file() and not is_scripted
        self._environ = {
            "EDGEASSIST_DEVICE__NAME": NAME,
            "EDGEASSIST_MODEL__PATH": str(model.resolve()),
            "EDGEASSIST_MODEL__BACKEND": "scripted" if is_scripted else "auto",
            "EDGEASSIST_MODEL__CONTEXT": str(context),
            "EDGEASSIST_ENGINE__THREADS": "auto" if threads is None else str(threads),
            "EDGEASSIST_ENGINE__SLOTS": str(slots),
            "EDGEASSIST_ENGINE__LOAD_TIMEOUT_S": f"{LOAD_S:g}",
            "STATE_DIRECTORY": str(folder / "state"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            **({} if checkout is None else {"PYTHONPATH": str(checkout)}),
        }
        self._topics = Topics("edgeassist", NAME)
        self._stack = AsyncExitStack()
        self._clients: list[Requester] = []
        self._fields: frozenset[str] = frozenset()
        self._processes: dict[str, psutil.Process] = {}

    @property
    def processes(self) -> Mapping[str, psutil.Process]:
        """Daemon, engine, broker and this process."""
        return self._processes

    @property
    def resident_bytes(self) -> int:
        """Resident memory of daemon and engine; shared pages count twice."""
        return sum(int(self._processes[name].memory_info().rss) for name in ("daemon", "engine"))

    async def start(self, system: str = "") -> float:
        """Restart broker, daemon and clients; wait until the daemon reports ready (`Contender.start`)."""
        await self.stop()
        if not system:
            # Only a system prompt is to be known from before.
            shutil.rmtree(self._folder / "state", ignore_errors=True)
        (self._folder / "state").mkdir(exist_ok=True)
        async with AsyncExitStack() as stack:
            # A new broker has no retained health message from an earlier daemon.
            broker = stack.enter_context(PrivateBroker(self._folder))
            environ = {
                "EDGEASSIST_MQTT__HOST": HOST,
                "EDGEASSIST_MQTT__PORT": str(broker.port),
                **({"EDGEASSIST_MODEL__SYSTEM": system} if system else {}),
            }
            begun = time.perf_counter()
            daemon = stack.enter_context(PrivateDaemon(self._folder, {**self._environ, **environ}))
            self._clients = []
            for number in range(CLIENTS):
                options = BrokerOptions(HOST, broker.port, client_id=f"edgeassist-{NAME}-client{number}")
                client = Requester(options, self._topics, name=f"{NAME}{number}")
                self._clients.append(await stack.enter_async_context(client))
            await self._wait_ready(daemon)
            took = time.perf_counter() - begun
            # A peer may be an older version, which refuses fields that it does not know.
            capabilities = (await self._info()).get("capabilities") or {}
            self._fields = frozenset(capabilities.get("fields", ()))
            self._processes = {
                "daemon": psutil.Process(daemon.pid),
                "engine": _engine_of(daemon.pid),
                "broker": psutil.Process(broker.pid),
                "client": psutil.Process(),
            }
            self._stack = stack.pop_all()
        return took

    async def settle(self) -> None:
        """Wait until the model file's SHA-256 is computed, which takes CPU time (`Contender.settle`)."""
        deadline = time.monotonic() + FINGERPRINT_S
        while (
            self._has_fingerprint and time.monotonic() < deadline and not (await self._model()).get("sha256")
        ):
            await asyncio.sleep(0.2)

    async def stop(self) -> None:
        """End clients, daemon and broker (`Contender.stop`)."""
        await self._stack.aclose()

    async def build(self) -> str:
        """Return the build flags of its inference library (`Contender.build`)."""
        return str((await self._model()).get("build", "")).strip(" |\n")

    async def ask(self, question: Question, client: int) -> AsyncGenerator[Text | End]:
        """Publish a prompt, or what is to be decided, and yield chunks and the end (`Contender.ask`)."""
        async with aclosing(self._events(question, self._clients[client])) as events:
            async for event in events:
                match event:
                    case Chunk():
                        yield Text(time.perf_counter(), event.text)
                    case Done():
                        yield _end(event, time.perf_counter())
                    case Failed():
                        raise event.error()
                    case _:
                        pass

    def _events(self, question: Question, client: Requester) -> AsyncGenerator[AnyEvent]:
        if question.decision is not None:
            decision = question.decision
            return client.decide(
                timeout_s=TIMEOUT_S, state=decision.state, questions=dict(decision.questions)
            )
        fields: dict[str, Any] = {
            "max_tokens": question.max_tokens,
            "temperature": 0.0,
            "timeout_s": TIMEOUT_S,
            **({"ignore_eos": True} if "ignore_eos" in self._fields and question.is_free else {}),
            # With a seed, nothing of the answer depends on what was asked before.
            **({"seed": 0} if question.judged else {}),
            **({"think": False} if "think" in self._fields and question.judged else {}),
            **({} if question.schema is None else {"json_schema": question.schema}),
            **(
                {"tools": question.tools, "tool_choice": "required", "parallel_tool_calls": False}
                if question.tools
                else {}
            ),
            **({"system": question.system} if question.system else {}),
            **({"session": question.session} if question.session else {}),
        }
        return client.ask(question.prompt, **fields)

    async def _info(self) -> dict[str, Any]:
        return dict(json.loads(await self._clients[0].state(self._topics.info) or b"{}"))

    async def _model(self) -> dict[str, Any]:
        return dict((await self._info()).get("model") or {})

    async def _wait_ready(self, daemon: PrivateDaemon) -> None:
        ready = self._clients[0].wait_health(frozenset({"ready"}), LOAD_S)
        waiting = asyncio.create_task(ready, name="ready")
        while not waiting.done() and daemon.poll() is None:
            await asyncio.wait([waiting], timeout=0.1)
        if not waiting.done() or waiting.result() is None:
            waiting.cancel()
            log = daemon.log.read_text(errors="replace").strip().splitlines()
            raise ModelError("the daemon did not get ready; the end of its log:\n" + "\n".join(log[-5:]))


def _end(done: Done, now: float) -> End:
    usage, timings = done.usage, done.timings
    engine_ms = timings.prefill_ms + timings.decode_ms
    return End(
        now,
        usage.prompt_tokens,
        usage.cached_tokens,
        usage.completion_tokens,
        by_itself=done.finish_reason != "length",
        overhead=None if timings.overhead_ms is None else timings.overhead_ms / engine_ms,
    )


def _engine_of(daemon: int) -> psutil.Process:
    for child in psutil.Process(daemon).children():
        if "edgeassist.engine" in child.cmdline():
            return child
    raise ModelError("the daemon has no engine")
