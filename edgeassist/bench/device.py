"""The daemon as one of its clients sees it: a private broker, a private daemon, and a clock at the client."""

from __future__ import annotations

import asyncio
import json
import random
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from edgeassist.bench.figures import Sample, decode_steps, words_for
from edgeassist.broker import BrokerOptions
from edgeassist.client import Client
from edgeassist.errors import ModelError, error_for
from edgeassist.models.vocabulary import WORDS
from edgeassist.protocol.events import Chunk, Done, Failed
from edgeassist.protocol.topics import Topics
from edgeassist.sandbox import HOST, PrivateBroker, PrivateDaemon

LOAD_S = 600.0
FINGERPRINT_S = 120.0
# Far more than any answer should take: whoever measures wants to know that one never came.
TIMEOUT_S = 1800
NAME = "bench"
# Two lengths of prompt, in words, that tell how many tokens a word has and how many the template adds.
CALIBRATION = (16, 80)
REQUEST = " Write a very long story with all of these words."
# What a text begins with whose first token was a part of a character.
NO_CHARACTER = "\ufffd"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client measured of an answer, and the daemon counted.

    `clean` tells whether the first chunk came with the first token.
    """

    sample: Sample
    prompt_tokens: int
    cached_tokens: int
    clean: bool


class BenchDevice:
    """A daemon with one model, and a client of it. An async context manager.

    Args:
        model: The GGUF file.
        folder: For logs and the broker's configuration.
        threads: To compute with.
        context: Tokens that prompt and answer may have together.
        batch: The most prompt tokens of one forward pass.
    """

    def __init__(self, model: Path, *, folder: Path, threads: int, context: int, batch: int) -> None:
        self._folder = folder
        self._environ = {
            "EDGEASSIST_DEVICE__NAME": NAME,
            "EDGEASSIST_MODEL__PATH": str(model.resolve()),
            "EDGEASSIST_MODEL__CONTEXT": str(context),
            "EDGEASSIST_ENGINE__THREADS": str(threads),
            "EDGEASSIST_ENGINE__STEP_TOKENS": str(batch),
            "EDGEASSIST_ENGINE__LOAD_TIMEOUT_S": f"{LOAD_S:g}",
        }
        self._topics = Topics("edgeassist", NAME)
        # Each prompt is another one, so that no run finds the last one's work done.
        self._random = random.Random(0)  # noqa: S311 - words for a prompt
        self._stack = AsyncExitStack()
        self.processes: dict[str, psutil.Process] = {}

    async def __aenter__(self) -> Self:
        """Start all, and wait until nothing is left to do but to answer."""
        async with AsyncExitStack() as stack:
            broker = stack.enter_context(PrivateBroker(self._folder))
            environ = {"EDGEASSIST_MQTT__HOST": HOST, "EDGEASSIST_MQTT__PORT": str(broker.port)}
            daemon = stack.enter_context(PrivateDaemon(self._folder, {**self._environ, **environ}))
            options = BrokerOptions(HOST, broker.port, client_id=f"edgeassist-{NAME}-client")
            self._client = await stack.enter_async_context(Client(options, self._topics, name=NAME))
            await self._wait_ready(daemon)
            self.processes = {
                "daemon": psutil.Process(daemon.pid),
                "engine": _engine_of(daemon.pid),
                "broker": psutil.Process(broker.pid),
                "client": psutil.Process(),
            }
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End client, daemon and broker."""
        await self._stack.aclose()

    async def calibrate(self, prompt_tokens: int) -> int:
        """Return how many words make a prompt of about so many tokens."""
        measured = [(words, (await self.ask(words, 1)).prompt_tokens) for words in CALIBRATION]
        return words_for(prompt_tokens, measured)

    async def ask(self, words: int, max_tokens: int) -> Answer:
        """Ask with so many random words, and measure from the publish to the first chunk and to the end.

        Raises:
            EdgeAssistError: It ended in an error, or not at all.
        """
        try:
            async with asyncio.timeout(TIMEOUT_S + 10):
                return await self._ask(words, max_tokens)
        except TimeoutError:
            raise ModelError(f"no answer came within {TIMEOUT_S} s") from None

    async def _ask(self, words: int, max_tokens: int) -> Answer:
        prompt = " " + " ".join(self._random.choices(WORDS, k=words)) + "." + REQUEST
        first, text = None, ""
        begun = time.perf_counter()
        async for event in self._client.ask(
            prompt, max_tokens=max_tokens, temperature=0.0, timeout_s=TIMEOUT_S
        ):
            match event:
                case Chunk() if first is None:
                    first, text = time.perf_counter(), event.text
                case Done():
                    end = time.perf_counter()
                    return _answer(event, begun, end if first is None else first, end, text)
                case Failed():
                    raise error_for(event.code, event.message)
                case _:
                    pass
        raise ModelError("the answer ended without an end")

    async def _wait_ready(self, daemon: PrivateDaemon) -> None:
        """Wait for the model, and for its fingerprint, whose making takes processor time."""
        waiting = asyncio.create_task(self._client.wait_health(frozenset({"ready"}), LOAD_S), name="ready")
        while not waiting.done() and daemon.poll() is None:
            await asyncio.wait([waiting], timeout=0.1)
        if not waiting.done() or waiting.result() is None:
            waiting.cancel()
            log = daemon.log.read_text(errors="replace").strip().splitlines()
            raise ModelError("the daemon did not get ready; the end of its log:\n" + "\n".join(log[-5:]))
        deadline = time.monotonic() + FINGERPRINT_S
        while time.monotonic() < deadline:
            info = json.loads(await self._client.state(self._topics.info) or b"{}")
            if (info.get("model") or {}).get("sha256"):
                return
            await asyncio.sleep(0.2)


def _answer(done: Done, begun: float, first: float, end: float, text: str) -> Answer:
    usage = done.usage
    return Answer(
        Sample(first - begun, end - first, decode_steps(usage.completion_tokens, done.finish_reason)),
        usage.prompt_tokens,
        usage.cached_tokens,
        clean=not text.startswith(NO_CHARACTER),
    )


def _engine_of(daemon: int) -> psutil.Process:
    for child in psutil.Process(daemon).children():
        if "edgeassist.engine" in child.cmdline():
            return child
    raise ModelError("the daemon has no engine")
