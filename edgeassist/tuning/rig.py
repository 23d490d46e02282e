"""Runs engines, one at a time, and measures answers: the engine is the daemon's own, and asked as it asks."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from edgeassist.device.pages import forget
from edgeassist.engine.messages import (
    ChatMessage,
    Event,
    Failed,
    Finished,
    Load,
    ModelFacts,
    Ready,
    Sampling,
    Start,
    Threads,
    Unusable,
    decode_event,
)
from edgeassist.errors import EngineCrashedError, MemoryShortError, ModelError, error_for
from edgeassist.models.files.gguf_parts import parts_of
from edgeassist.supervision.process import EngineProcess
from edgeassist.tuning.options import Sample, Variant
from edgeassist.tuning.quiet import Quiet

# A prompt and an answer are at least and at most that many tokens.
PROMPT_TOKENS = (64, 512)
ANSWER_TOKENS = (16, 64)
# By these it is found how many tokens a word has. An engine answers the few before it is measured.
_FEW_WORDS, _MANY_WORDS = 8, 64
_FEW_TOKENS = 8
# How long to wait for a hot processor.
COOLING_S = 60.0
_LOOK_S = 1.0
_GATHER_MS = 100.0
_WORDS = [
    "river",
    "lamp",
    "window",
    "garden",
    "seven",
    "winter",
    "paper",
    "table",
    "coffee",
    "letter",
    "green",
]


@dataclass(frozen=True, slots=True)
class Patience:
    """In seconds: the longest silence of an engine while it loads, and while it answers."""

    load_s: float
    stall_s: float


class Rig:
    """An async context manager; at its end no engine runs.

    Args:
        load_of: Returns what an engine is told first.
        patience: When to give up on an engine.
        quiet: Tells what disturbs.
        answer_s: About how long an answer should take.

    Attributes:
        facts: Of the engine that was ready last.
    """

    def __init__(
        self, load_of: Callable[[Variant], Load], patience: Patience, *, quiet: Quiet, answer_s: float
    ) -> None:
        self._load_of = load_of
        self._patience = patience
        self._quiet = quiet
        self._answer_s = answer_s
        self._engine: EngineProcess | None = None
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._loaded: Variant | None = None
        self._numbers = count(1)
        self._random = random.Random(0)  # noqa: S311 - words for a prompt
        self._per_word, self._few_tokens = 1.0, _FEW_WORDS
        self._prompt_tokens, self._answer_tokens = PROMPT_TOKENS[0], ANSWER_TOKENS[0]
        self.facts: ModelFacts | None = None

    async def __aenter__(self) -> Self:
        """Nothing runs before the first answer."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the engine."""
        await self._close()

    async def size_up(self, variant: Variant) -> Sample:
        """Start an engine, choose how long prompts and answers are by its speed, and return the first answer.

        Raises:
            EdgeAssistError: It can't be loaded, or does not answer.
        """
        start_s = await self._start(variant, cold=False)
        await self._use_threads(variant)
        first = await self._answer(_MANY_WORDS, ANSWER_TOKENS[0])
        self._per_word = max(0.5, (first.prompt_tokens - self._few_tokens) / (_MANY_WORDS - _FEW_WORDS))
        sample = self._sample_of(first, start_s, "")
        half = self._answer_s / 2
        self._prompt_tokens = _within(PROMPT_TOKENS, half * sample.prefill_rate) // 64 * 64
        self._answer_tokens = _within(ANSWER_TOKENS, half * sample.decode_rate)
        return sample

    async def measure(self, variant: Variant, prompt_tokens: int | None, *, starts: bool) -> Sample:
        """Measure one answer (`search.Measure`).

        Raises:
            EdgeAssistError: The variant can't be used here.
        """
        start_s = None
        if starts or self._loaded is None or self._loaded != self._as_loaded(variant):
            start_s = await self._start(variant, cold=starts)
        await self._cool_down()
        await self._use_threads(variant)
        assert self._engine is not None  # noqa: S101 - it was started
        pid = self._engine.pid
        self._quiet.begin(pid)
        words = self._words_of(prompt_tokens or self._prompt_tokens)
        finished = await self._answer(words, self._answer_tokens)
        return self._sample_of(finished, start_s, self._quiet.end(pid))

    # -------------------------------------------------------------------------------------------------------

    def _sample_of(self, finished: Finished, start_s: float | None, disturbed: str) -> Sample:
        memory = None if self._engine is None else self._engine.memory_bytes
        read = finished.prompt_tokens - finished.cached_tokens
        return Sample(
            prefill_rate=1000 * max(1, read) / max(0.001, finished.prefill_ms),
            decode_rate=1000 * max(1, finished.completion_tokens - 1) / max(0.001, finished.decode_ms),
            memory_bytes=memory or 0,
            start_s=start_s,
            disturbed=disturbed,
        )

    async def _start(self, variant: Variant, *, cold: bool) -> float:
        """Start an engine in place of the one that runs; return how long until it had answered something."""
        await self._close()
        if cold:
            await asyncio.to_thread(forget, _files(Path(variant.path)))
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._events = events

        def take(line: bytes) -> str | None:
            try:
                events.put_nowait(decode_event(line))
            except ValueError as error:
                return f"the engine sent what is no event: {error}"
            return None

        begun = time.monotonic()
        self._engine = await EngineProcess.spawn(take)
        self._engine.ended.add_done_callback(lambda _: events.put_nowait(None))
        self._engine.send(self._load_of(variant))
        while True:
            event = await self._next(self._patience.load_s)
            if isinstance(event, Unusable):
                await self._close()
                raise (MemoryShortError if event.for_now else ModelError)(event.message)
            if isinstance(event, Ready):
                break
        self.facts = event.model
        self._loaded = self._as_loaded(variant)
        self._few_tokens = (await self._answer(_FEW_WORDS, _FEW_TOKENS)).prompt_tokens
        return time.monotonic() - begun

    def _words_of(self, tokens: int) -> int:
        """Return how many words make about so many tokens, the chat template's among them."""
        return max(1, _FEW_WORDS + int((tokens - self._few_tokens) / self._per_word))

    def _as_loaded(self, variant: Variant) -> Variant:
        """Return what decides whether another engine is needed; threads of most change while one runs."""
        if self.facts is not None and not self.facts.adjusts_threads:
            return variant
        return replace(variant, threads=0, prefill_threads=0)

    async def _use_threads(self, variant: Variant) -> None:
        if self._engine is not None and self.facts is not None and self.facts.adjusts_threads:
            self._engine.send(Threads(variant.threads, variant.prefill_threads))

    async def _answer(self, words: int, answer_tokens: int) -> Finished:
        assert self._engine is not None  # noqa: S101 - the callers have started it
        id_ = str(next(self._numbers))
        # Its number is the first word: no prompt begins as an earlier one.
        message = ChatMessage("user", " ".join([id_, *self._random.choices(_WORDS, k=words)]))
        sampling = Sampling(temperature=0, ignore_eos=True)
        self._engine.send(Start(id_, (message,), sampling, answer_tokens, gather_ms=_GATHER_MS))
        while True:
            match await self._next(self._patience.stall_s):
                case Finished(id=known) as finished if known == id_:
                    return finished
                case Failed(id=known) as failed if known == id_:
                    raise error_for(failed.code, failed.message)
                case _:
                    pass

    async def _next(self, silence_s: float) -> Event:
        """Return the engine's next event.

        Raises:
            EngineCrashedError: There is none: it has ended, or is silent for too long.
        """
        engine = self._engine
        assert engine is not None  # noqa: S101 - the callers have started it
        try:
            async with asyncio.timeout(silence_s):
                event = await self._events.get()
        except TimeoutError:
            await self._close()
            raise EngineCrashedError(f"the engine gave no sign of life for {silence_s:g} s") from None
        if event is not None:
            return event
        why = engine.ended.result() or engine.explain(await engine.exit_status())
        await self._close()
        raise EngineCrashedError(why)

    async def _cool_down(self) -> None:
        """Wait, not for ever, while the processor is about to be throttled."""
        until = time.monotonic() + COOLING_S
        hot = self._quiet.is_hot()
        while hot and time.monotonic() < until:
            await asyncio.sleep(_LOOK_S)
            hot = self._quiet.is_hot()

    async def _close(self) -> None:
        engine, self._engine, self._loaded = self._engine, None, None
        if engine is not None:
            await engine.close()


def _within(bounds: tuple[int, int], value: float) -> int:
    least, most = bounds
    return max(least, min(most, int(value)))


def _files(path: Path) -> list[Path]:
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else parts_of(path)
