"""Serves a GGUF model: a step is one `llama_decode` over a batch that numpy fills."""

from __future__ import annotations

import ctypes
import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeassist.engine.backends.base import TokenFilter
from edgeassist.engine.backends.llama.batch import Batch
from edgeassist.engine.backends.llama.binding import llama_cpp
from edgeassist.engine.backends.llama.context import Context
from edgeassist.engine.backends.llama.layout import Layout
from edgeassist.engine.backends.llama.model import Model
from edgeassist.engine.backends.llama.sampling import make_sampler
from edgeassist.engine.backends.llama.sequences import Sequences
from edgeassist.engine.kv.world import World
from edgeassist.engine.messages import Sampling
from edgeassist.engine.signals import KvFullError, StepAbortedError
from edgeassist.engine.step import Plan, Share, Token, Trim, Work, Yield
from edgeassist.errors import InternalError

log = logging.getLogger(__name__)

# What `llama_decode` returns beside 0.
_NO_ROOM = 1
_ABORTED = 2


class LlamaBackend:
    """Fulfils `Backend` with a GGUF model on the CPU.

    Args:
        model: The weights.
        context: What computes.
        layout: Of its memory.
        ends: The tokens that end an answer.
    """

    def __init__(self, model: Model, context: Context, layout: Layout, *, ends: Sequence[int]) -> None:
        self.computed_s = 0.0
        self._model = model
        self._ends = np.array(ends, np.intp)
        self._context = context.handle
        self._memory = Sequences(context.handle, layout)
        self._batch = Batch(context.batch_size)
        self._samplers: dict[int, Any] = {}
        self._endless: set[int] = set()
        self._limits: dict[int, TokenFilter] = {}
        self._threads = self._threads_set = context.threads, context.threads
        # llama.cpp asks `strlen(flag)` between the nodes of its graph whether to abort: a C function needs no
        # GIL, which a Python one would take each time.
        self._flag = ctypes.create_string_buffer(2)
        strlen = ctypes.cast(ctypes.CDLL(None).strlen, llama_cpp.ggml_abort_callback)
        llama_cpp.llama_set_abort_callback(self._context, strlen, self._flag)

    def open(self, slot: int, sampling: Sampling, world: World, limits: TokenFilter | None = None) -> None:
        """Give the slot a new sampler chain (`Backend.open`)."""
        del world  # there are no adapters or pictures to apply
        self._samplers[slot] = make_sampler(sampling, self._model.vocabulary_size)
        if sampling.ignore_eos:
            self._endless.add(slot)
        if limits is not None:
            self._limits[slot] = limits

    def step(self, plan: Plan) -> Yield:
        """Run one `llama_decode` over the plan, sample and compare where it asks (`Backend.step`)."""
        for change in plan.memory:
            self._apply(change)
        rows = self._batch.fill(plan.work)
        self._set_threads(plan)
        begun = time.perf_counter()
        status = llama_cpp.llama_decode(self._context, self._batch.struct)
        if status != 0:
            self._undo(plan, status)
        laid = list(zip(plan.work, rows, strict=True))
        sampled = {
            work.slot: self._sample(work, row + len(work.tokens) - 1 - work.drafted)
            for work, row in laid
            if work.samples
        }
        compared = {work.slot: self._compare(work, row) for work, row in laid if work.reads}
        self.computed_s += time.perf_counter() - begun
        return Yield(sampled, compared)

    def use_threads(self, decode: int, prefill: int) -> None:
        """Go by other numbers of threads (`Backend.use_threads`)."""
        self._threads = decode, prefill

    def close(self, slot: int) -> None:
        """Free the slot's sampler and drop its KV entries (`Backend.close`)."""
        self._endless.discard(slot)
        self._limits.pop(slot, None)
        sampler = self._samplers.pop(slot, None)
        if sampler is not None:
            llama_cpp.llama_sampler_free(sampler)
        self._memory.clear(slot)

    def abort(self) -> None:
        """Cut the step short at its next node (`Backend.abort`)."""
        self._flag.value = b"\1"

    def proceed(self) -> None:
        """Let steps run again (`Backend.proceed`)."""
        self._flag.value = b""

    def snapshot(self, slot: int) -> bytes | bytearray:
        """Return what the slot holds, as llama.cpp writes it (`Backend.snapshot`)."""
        return self._memory.read(slot)

    def restore(self, slot: int, state: bytes | bytearray, length: int) -> int:
        """Fill the slot from a snapshot (`Backend.restore`)."""
        return length if self._memory.write(slot, state) and self._memory.cut(slot, length) else 0

    # -------------------------------------------------------------------------------------------------------

    def _set_threads(self, plan: Plan) -> None:
        """Tell llama.cpp what the step is for; it has one number for a single row, and another for more."""
        decode, prefill = self._threads
        batch = prefill if any(len(work.tokens) > 1 + work.drafted for work in plan.work) else decode
        if self._threads_set != (decode, batch):
            llama_cpp.llama_set_n_threads(self._context, decode, batch)
            self._threads_set = decode, batch

    def _apply(self, change: Share | Trim) -> None:
        match change:
            case Share(source=source, target=target, length=length):
                self._memory.share(source, target, length)
            case Trim(slot=slot):
                self._memory.clear(slot)

    def _undo(self, plan: Plan, status: int) -> None:
        """Raise what a status of `llama_decode` means; an abort leaves a part of the step in the memory."""
        if status == _NO_ROOM:
            raise KvFullError(f"no room in the KV cache for a step of {plan.tokens} tokens")
        if status == _ABORTED:
            lost = [work.slot for work in plan.work if not self._memory.cut(work.slot, work.position)]
            raise StepAbortedError("the step was aborted", lost)
        raise InternalError(f"llama_decode returned {status} for {plan.tokens} tokens")

    def _pick(self, slot: int, row: int) -> int:
        """Return a token; where it is not allowed, the same is asked for among those that are.

        That is rare, and cheaper than to limit each row. The one that is refused counts for the penalties.
        """
        limits = self._limits.get(slot)
        token = self._choose(slot, row)
        if limits is None or limits.allows(token):
            return token
        limits.limit(self._logits(row))
        return self._choose(slot, row)

    def _choose(self, slot: int, row: int) -> int:
        sampler = self._samplers[slot]
        # In llama.cpp's own memory, from where the sampler reads.
        if slot in self._endless:
            self._logits(row)[self._ends] = -np.inf
        if sampler is not None:
            # It also accepts the token, for the penalties.
            return int(llama_cpp.llama_sampler_sample(sampler, self._context, row))
        return int(np.argmax(self._logits(row)))

    def _compare(self, work: Work, row: int) -> list[list[float]]:
        return [
            self._logits(row + read.position - work.position)[list(read.candidates)].tolist()
            for read in work.reads
        ]

    def _logits(self, row: int) -> NDArray[np.float32]:
        logits = llama_cpp.llama_get_logits_ith(self._context, row)
        return np.ctypeslib.as_array(logits, (self._model.vocabulary_size,))

    def _sample(self, work: Work, row: int) -> list[Token]:
        """Sample row by row, for as long as the drafted token that the next row follows from holds."""
        draft = work.tokens[len(work.tokens) - work.drafted :]
        limits = self._limits.get(work.slot)
        tokens = []
        for index in range(work.drafted + 1):
            id_ = self._pick(work.slot, row + index)
            tokens.append(self._model.token(id_))
            if limits is not None:
                limits.accept(id_)
            if index == work.drafted or id_ != draft[index] or tokens[-1].ends:
                break
        wrong = work.drafted + 1 - len(tokens)
        if wrong and not self._memory.cut(work.slot, work.position + len(work.tokens) - wrong):
            raise InternalError("what was wrong of a draft can't be cut off")
        return tokens
