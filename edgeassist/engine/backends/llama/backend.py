"""Fulfils `Backend`: a step is one `llama_decode` over a batch that numpy fills."""

from __future__ import annotations

import ctypes
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np

from edgeassist.engine.backends.llama.batch import Batch
from edgeassist.engine.backends.llama.model import Complaints, Model
from edgeassist.engine.backends.llama.sampling import make_sampler
from edgeassist.engine.lookup import LENGTHS
from edgeassist.engine.messages import ChatMessage, FlashAttention, KvType, Load, ModelFacts, Sampling
from edgeassist.engine.prompting.chat import ChatTemplate
from edgeassist.engine.prompting.transcripts import Encoded, Transcripts
from edgeassist.engine.scheduler import Plan, Share, Token, Trim, Work
from edgeassist.engine.sizing import demand_of, memory_of
from edgeassist.errors import InternalError, KvFullError, ModelError, StepAbortedError
from edgeassist.models.files.reading import read_model
from edgeassist.models.fit import fit

log = logging.getLogger(__name__)

_KV_TYPES = {
    KvType.F16: llama_cpp.GGML_TYPE_F16,
    KvType.Q8_0: llama_cpp.GGML_TYPE_Q8_0,
    KvType.Q4_0: llama_cpp.GGML_TYPE_Q4_0,
}
_FLASH = {
    FlashAttention.AUTO: llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO,
    FlashAttention.ON: llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    FlashAttention.OFF: llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}
# What `llama_decode` returns beside 0.
_NO_ROOM = 1
_ABORTED = 2


class LlamaBackend:
    """A GGUF model on the CPU."""

    def __init__(self) -> None:
        self._complaints = Complaints()
        self._model: Model
        self._context: Any = None
        self._memory: Any = None
        self._chat = ChatTemplate(None)
        self._transcripts = Transcripts()
        self._batch = Batch(1)
        self._samplers: dict[int, Any] = {}
        self.computed_s = 0.0
        # llama.cpp asks `strlen(flag)` between the nodes of its graph whether to abort: a function of C needs
        # no GIL, which a Python one would take each time.
        self._flag = ctypes.create_string_buffer(2)

    def load(self, options: Load, progress: Callable[[float], None]) -> ModelFacts:
        """Load the model and make room for its slots (`Backend.load`)."""
        self._complaints.listen()
        llama_cpp.llama_backend_init()
        path = Path(options.path)
        # Before llama.cpp, which would spend minutes on what can't fit.
        sizes = fit(read_model(path, "llama"), demand_of(options), memory_of(options))
        model = self._model = Model(path, options.load_mode, self._complaints, progress)
        most = llama_cpp.llama_max_parallel_sequences()
        if sizes.slots > most:
            raise ModelError(f"engine.slots: llama.cpp serves at most {most} at once")
        self._make_context(sizes.kv_tokens, sizes.slots, options)
        self._chat = model.chat_template()
        return ModelFacts(
            name=model.meta("general.name") or path.stem,
            backend="llama",
            architecture=model.architecture,
            parameters=model.parameters,
            quantisation=model.quantisation,
            context=sizes.context,
            trained_context=model.trained_context,
            size_bytes=path.stat().st_size,
            slots=sizes.slots,
            prefix_bytes=sizes.prefix_bytes if model.rewinds else 0,
            kv_tokens=sizes.kv_tokens,
            rewinds=model.rewinds,
            guesses=model.rewinds,
            threads=options.threads,
            chat_template=model.meta("tokenizer.chat_template") is not None,
            build=llama_cpp.llama_print_system_info().decode(),
            state_format=f"llama-cpp-python {llama_cpp.__version__}",
        )

    def encode(self, messages: Sequence[ChatMessage]) -> Encoded:
        """Render the model's chat template and tokenize it (`Backend.encode`)."""
        text, tokens, rest = self._transcripts.find(self._chat.render(messages))
        return Encoded(text, [*tokens, *self._model.tokenize(rest, begins=not tokens)])

    def remember(self, prompt: str, answer: str, tokens: Sequence[int]) -> None:
        """Know a conversation's tokens when it goes on (`Backend.remember`)."""
        if not self._chat.reads_as_control(answer):
            self._transcripts.add(prompt + answer, tokens)

    def open(self, slot: int, sampling: Sampling) -> None:
        """Give the slot a fresh sampler chain (`Backend.open`)."""
        self._samplers[slot] = make_sampler(sampling, self._model.vocabulary_size)

    def step(self, plan: Plan) -> Mapping[int, Sequence[Token]]:
        """Run one `llama_decode` over the plan and sample where it asks (`Backend.step`)."""
        for change in plan.memory:
            self._apply(change)
        rows = self._batch.fill(plan.work)
        self._set_threads(plan)
        begun = time.perf_counter()
        status = llama_cpp.llama_decode(self._context, self._batch.struct)
        if status != 0:
            self._undo(plan, status)
        sampled = {
            work.slot: self._sample(work, row)
            for work, row in zip(plan.work, rows, strict=True)
            if work.samples
        }
        self.computed_s += time.perf_counter() - begun
        return sampled

    def use_threads(self, decode: int, prefill: int) -> None:
        """Go by other numbers of threads (`Backend.use_threads`)."""
        self._threads = decode, prefill

    def close(self, slot: int) -> None:
        """Free the slot's sampler and its KV memory (`Backend.close`)."""
        sampler = self._samplers.pop(slot, None)
        if sampler is not None:
            llama_cpp.llama_sampler_free(sampler)
        self._forget(slot)

    def abort(self) -> None:
        """Cut the step short at its next node (`Backend.abort`)."""
        self._flag.value = b"\1"

    def proceed(self) -> None:
        """Let steps run again (`Backend.proceed`)."""
        self._flag.value = b""

    def snapshot(self, slot: int) -> bytearray:
        """Return the slot's KV entries as llama.cpp writes them (`Backend.snapshot`)."""
        state = bytearray(llama_cpp.llama_state_seq_get_size(self._context, slot))
        view = (ctypes.c_uint8 * len(state)).from_buffer(state)
        llama_cpp.llama_state_seq_get_data(self._context, view, len(state), slot)
        return state

    def restore(self, slot: int, state: bytes | bytearray, length: int) -> int:
        """Fill the slot from a snapshot (`Backend.restore`)."""
        kind = ctypes.c_uint8 * len(state)
        view = kind.from_buffer(state) if isinstance(state, bytearray) else kind.from_buffer_copy(state)
        if llama_cpp.llama_state_seq_set_data(self._context, view, len(state), slot) == len(state):
            self._forget(slot, length)
            return length
        self._forget(slot)
        return 0

    # -------------------------------------------------------------------------------------------------------

    def _make_context(self, kv_tokens: int, slots: int, options: Load) -> None:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = kv_tokens
        params.n_batch = params.n_ubatch = max(options.step_tokens, slots + 1, 1 + LENGTHS[-1])
        params.n_seq_max = slots
        # A row of logits for each output of a step, 600 kB over 151,936 tokens: by default, one a token.
        params.n_outputs_max = max(slots, 1 + LENGTHS[-1])
        params.n_outputs_max_per_seq = 1 + LENGTHS[-1]
        params.n_threads = params.n_threads_batch = options.threads
        self._threads = self._threads_set = options.threads, options.threads
        params.type_k = params.type_v = _KV_TYPES[options.kv_type]
        params.flash_attn_type = _FLASH[options.flash_attention]
        # One memory for all: a prefix is shared by reference, and a long prompt uses what others don't.
        params.kv_unified = True
        # Without, a sliding window forgets what another sequence would share.
        params.swa_full = True
        params.no_perf = True
        self._context = llama_cpp.llama_init_from_model(self._model.handle, params)
        if not self._context:
            why = self._complaints.why()
            raise ModelError(
                f"llama.cpp can't make a context of {kv_tokens} tokens (engine.kv_tokens) with "
                f"engine.kv_type {options.kv_type}, engine.flash_attention {options.flash_attention}: {why}"
            )
        self._memory = llama_cpp.llama_get_memory(self._context)
        strlen = ctypes.cast(ctypes.CDLL(None).strlen, llama_cpp.ggml_abort_callback)
        llama_cpp.llama_set_abort_callback(self._context, strlen, self._flag)
        self._batch = Batch(params.n_batch)

    def _set_threads(self, plan: Plan) -> None:
        """Tell llama.cpp what the step is for; it has one number for a single row, and another for more."""
        decode, prefill = self._threads
        batch = prefill if any(len(work.tokens) > 1 + work.guessed for work in plan.work) else decode
        if self._threads_set != (decode, batch):
            llama_cpp.llama_set_n_threads(self._context, decode, batch)
            self._threads_set = decode, batch

    def _apply(self, change: Share | Trim) -> None:
        match change:
            case Share(source=source, target=target, length=length):
                llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, length)
            case Trim(slot=slot):
                self._forget(slot)

    def _forget(self, slot: int, position: int = 0) -> None:
        llama_cpp.llama_memory_seq_rm(self._memory, slot, position, -1)

    def _undo(self, plan: Plan, status: int) -> None:
        """Raise what a status of `llama_decode` means; after an abort, KV memory holds a part of the step."""
        if status == _NO_ROOM:
            raise KvFullError(f"no room in KV memory for a step of {plan.tokens} tokens")
        if status == _ABORTED:
            for work in plan.work:
                self._forget(work.slot, work.position)
            raise StepAbortedError("the step was aborted")
        raise InternalError(f"llama_decode returned {status} for {plan.tokens} tokens")

    def _pick(self, sampler: Any, row: int) -> int:
        if sampler is not None:
            # It also accepts the token, for the penalties.
            return int(llama_cpp.llama_sampler_sample(sampler, self._context, row))
        logits = llama_cpp.llama_get_logits_ith(self._context, row)
        return int(np.argmax(np.ctypeslib.as_array(logits, (self._model.vocabulary_size,))))

    def _sample(self, work: Work, row: int) -> list[Token]:
        """Sample row by row for as long as the guess that the next row follows from holds."""
        guesses = work.tokens[len(work.tokens) - work.guessed :]
        sampler = self._samplers[work.slot]
        tokens = []
        for index in range(work.guessed + 1):
            id_ = self._pick(sampler, row + index)
            tokens.append(self._model.token(id_))
            if index == work.guessed or id_ != guesses[index] or tokens[-1].ends:
                break
        wrong = work.guessed + 1 - len(tokens)
        if wrong:
            self._forget(work.slot, work.position + len(work.tokens) - wrong)
        return tokens
