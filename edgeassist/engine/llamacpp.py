"""llama.cpp through llama-cpp-python's low-level API; the only module that imports `llama_cpp`.

Why not its `Llama` class: one sequence, no cancel, the whole answer detokenized again for every token
(docs/architecture.md). Here a step is one `llama_decode` over a batch that numpy fills.
"""

from __future__ import annotations

import ctypes
import logging
import os
import secrets
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np

from edgeassist.engine.chat import ChatTemplate, Segment
from edgeassist.engine.messages import ChatMessage, Load, ModelFacts, Sampling
from edgeassist.engine.scheduler import Plan, Token, Work
from edgeassist.errors import InternalError, ModelError

log = logging.getLogger(__name__)

# Tokens that the repeat penalty looks back on; llama.cpp's own default.
PENALTY_WINDOW = 64
# `top_k` comes first in the chain, and without one every later sampler sorts the whole vocabulary
# (measured: 1.4 to 9 ms a token over 151,936 candidates). 0 asks for "all"; nothing below this counts.
WIDEST_TOP_K = 1000

_GGML_LEVELS = {2: logging.DEBUG, 3: logging.INFO, 4: logging.ERROR}


class LlamaBackend:
    """A GGUF model on the CPU."""

    def __init__(self) -> None:
        self._model: Any = None
        self._context: Any = None
        self._memory: Any = None
        self._vocab: Any = None
        self._chat = ChatTemplate(None)
        self._bos = ""
        self._batch = _Batch(1)
        self._samplers: dict[int, Any] = {}
        self._pieces: dict[int, Token] = {}
        self._complaints: deque[str] = deque(maxlen=3)
        # ctypes frees a callback that nobody holds, while llama.cpp still calls it.
        self._log_callback = llama_cpp.llama_log_callback(self._take_log)

    def load(self, options: Load, progress: Callable[[float], None]) -> ModelFacts:
        """Load the model and make room for its slots (`Backend.load`)."""
        llama_cpp.llama_log_set(self._log_callback, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        most = llama_cpp.llama_max_parallel_sequences()
        if options.slots > most:
            raise ModelError(f"engine.slots: llama.cpp serves at most {most} at once")
        path = Path(options.path)
        _check_weights(path, options.memory_bytes)
        self._model = self._load_model(path, progress)
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        trained = llama_cpp.llama_model_n_ctx_train(self._model)
        context = min(options.context, trained)
        self._check_kv(context * options.slots, options, path)
        self._make_context(context, options)
        self._read_vocabulary()
        return ModelFacts(
            name=self._meta("general.name") or path.stem,
            backend="llama",
            architecture=self._meta("general.architecture") or "",
            parameters=llama_cpp.llama_model_n_params(self._model),
            quantisation=self._description(),
            context=context,
            trained_context=trained,
            size_bytes=path.stat().st_size,
            slots=options.slots,
            threads=options.threads,
            chat_template=self._meta("tokenizer.chat_template") is not None,
            build=llama_cpp.llama_print_system_info().decode(),
        )

    def encode(self, messages: Sequence[ChatMessage]) -> Sequence[int]:
        """Render the model's chat template and tokenize it (`Backend.encode`)."""
        segments = self._chat.render(messages)
        adds_bos = not (self._bos and segments and segments[0].text.startswith(self._bos))
        tokens: list[int] = []
        for index, segment in enumerate(segments or [Segment("", trusted=False)]):
            tokens += self._tokenize(segment, add_special=adds_bos and index == 0)
        return tokens

    def open(self, slot: int, sampling: Sampling) -> None:
        """Give the slot a fresh sampler chain; its KV memory is empty since `close`."""
        self._samplers[slot] = self._make_sampler(sampling)

    def step(self, plan: Plan) -> Mapping[int, Token]:
        """Run one `llama_decode` over the plan and sample where it asks (`Backend.step`)."""
        rows = self._batch.fill(plan.work)
        status = llama_cpp.llama_decode(self._context, self._batch.struct)
        if status != 0:
            raise InternalError(f"llama_decode returned {status} for {plan.tokens} tokens")
        return {
            work.slot: self._sample(work.slot, row)
            for work, row in zip(plan.work, rows, strict=True)
            if work.samples
        }

    def close(self, slot: int) -> None:
        """Free the slot's sampler and its KV memory (`Backend.close`)."""
        llama_cpp.llama_sampler_free(self._samplers.pop(slot))
        llama_cpp.llama_memory_seq_rm(self._memory, slot, -1, -1)

    # --- loading -------------------------------------------------------------------------------------------

    def _load_model(self, path: Path, progress: Callable[[float], None]) -> Any:
        def on_progress(fraction: float, _data: object) -> bool:
            progress(fraction)
            return True

        params = llama_cpp.llama_model_default_params()
        # Mapped weights that the CPU backend repacks lie in memory twice (llama.cpp issues 19578, 16761).
        params.load_mode = llama_cpp.LLAMA_LOAD_MODE_NONE
        params.n_gpu_layers = 0
        params.progress_callback = llama_cpp.llama_progress_callback(on_progress)
        self._complaints.clear()
        model = llama_cpp.llama_model_load_from_file(os.fsencode(path), params)
        if not model:
            why = "; ".join(self._complaints) or "no reason given"
            raise ModelError(f"model.path: llama.cpp can't load {path}: {why}")
        return model

    def _check_kv(self, tokens: int, options: Load, path: Path) -> None:
        model = self._model
        head = int(
            self._meta(f"{self._meta('general.architecture')}.attention.key_length")
            or llama_cpp.llama_model_n_embd(model) // max(1, llama_cpp.llama_model_n_head(model)),
        )
        per_token = (
            2 * 2 * llama_cpp.llama_model_n_layer(model) * llama_cpp.llama_model_n_head_kv(model) * head
        )
        room = options.memory_bytes - path.stat().st_size
        if options.memory_bytes and per_token * tokens > room:
            fits = max(0, room // (per_token * options.slots))
            raise ModelError(
                f"model.context: {tokens} tokens of context ({options.slots} slots) need "
                f"{per_token * tokens >> 20} MiB beside the weights, and {max(0, room) >> 20} MiB are free: "
                f"set model.context to {fits} or less, or engine.slots lower",
            )

    def _make_context(self, context: int, options: Load) -> None:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = context * options.slots
        params.n_batch = params.n_ubatch = max(options.step_tokens, options.slots)
        params.n_seq_max = options.slots
        params.n_threads = params.n_threads_batch = options.threads
        params.kv_unified = True
        params.no_perf = True
        self._context = llama_cpp.llama_init_from_model(self._model, params)
        if not self._context:
            why = "; ".join(self._complaints) or "no reason given"
            raise ModelError(f"model.context: llama.cpp can't make a context of {params.n_ctx} tokens: {why}")
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._batch = _Batch(params.n_batch)

    def _read_vocabulary(self) -> None:
        count = llama_cpp.llama_vocab_n_tokens(self._vocab)
        control = [
            self._text(token)
            for token in range(count)
            if llama_cpp.llama_vocab_is_control(self._vocab, token)
        ]
        bos = llama_cpp.llama_vocab_bos(self._vocab)
        eos = llama_cpp.llama_vocab_eos(self._vocab)
        self._bos = self._text(bos) if bos >= 0 and llama_cpp.llama_vocab_get_add_bos(self._vocab) else ""
        self._chat = ChatTemplate(
            self._meta("tokenizer.chat_template"),
            bos=self._text(bos) if bos >= 0 else "",
            eos=self._text(eos) if eos >= 0 else "",
            control=control,
        )

    def _text(self, token: int) -> str:
        return (llama_cpp.llama_vocab_get_text(self._vocab, token) or b"").decode(errors="replace")

    def _meta(self, key: str) -> str | None:
        size = llama_cpp.llama_model_meta_val_str(
            self._model, key.encode(), ctypes.create_string_buffer(1), 1
        )
        if size < 0:
            return None
        buffer = ctypes.create_string_buffer(size + 1)
        llama_cpp.llama_model_meta_val_str(self._model, key.encode(), buffer, size + 1)
        return buffer.value.decode(errors="replace")

    def _description(self) -> str:
        """Return the file type: the last part of a description such as "qwen2 1B Q4_K - Medium"."""
        buffer = ctypes.create_string_buffer(256)
        llama_cpp.llama_model_desc(self._model, buffer, 256)
        return buffer.value.decode(errors="replace").split(" ", 2)[-1]

    def _take_log(self, level: int, text: bytes, _data: object) -> None:
        line = text.decode(errors="replace").strip()
        if not line or level not in _GGML_LEVELS:
            return
        if _GGML_LEVELS[level] >= logging.ERROR:
            self._complaints.append(line)
        log.log(_GGML_LEVELS[level], "%s", line)

    # --- tokens --------------------------------------------------------------------------------------------

    def _tokenize(self, segment: Segment, *, add_special: bool) -> list[int]:
        text = segment.text.encode()
        room = len(text) + 8
        tokens = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(
            self._vocab,
            text,
            len(text),
            tokens,
            room,
            add_special,
            segment.trusted,
        )
        if count < 0:
            raise InternalError(f"the tokenizer wants room for {-count} tokens and has {room}")
        return list(tokens[:count])

    def _make_sampler(self, sampling: Sampling) -> Any:
        params = llama_cpp.llama_sampler_chain_default_params()
        params.no_perf = True
        chain = llama_cpp.llama_sampler_chain_init(params)
        penalised = sampling.repeat_penalty != 1.0
        samplers = []
        if penalised or sampling.temperature > 0:
            samplers.append(
                llama_cpp.llama_sampler_init_top_k(min(sampling.top_k, WIDEST_TOP_K) or WIDEST_TOP_K)
            )
        if penalised:
            count = llama_cpp.llama_vocab_n_tokens(self._vocab)
            samplers.append(
                llama_cpp.llama_sampler_init_penalties(
                    count, PENALTY_WINDOW, sampling.repeat_penalty, 0.0, 0.0
                ),
            )
        if sampling.temperature > 0:
            seed = secrets.randbits(32) if sampling.seed is None else sampling.seed
            samplers += [
                llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1),
                llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1),
                llama_cpp.llama_sampler_init_temp(sampling.temperature),
                llama_cpp.llama_sampler_init_dist(seed),
            ]
        else:
            samplers.append(llama_cpp.llama_sampler_init_greedy())
        for sampler in samplers:
            llama_cpp.llama_sampler_chain_add(chain, sampler)
        return chain

    def _sample(self, slot: int, row: int) -> Token:
        # `llama_sampler_sample` also accepts the token, for the penalties.
        token = llama_cpp.llama_sampler_sample(self._samplers[slot], self._context, row)
        known = self._pieces.get(token)
        if known is None:
            ends = llama_cpp.llama_vocab_is_eog(self._vocab, token)
            known = self._pieces[token] = Token(token, self._piece(token), bool(ends))
        return known

    def _piece(self, token: int) -> bytes:
        size = 32
        while True:
            buffer = ctypes.create_string_buffer(size)
            count = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, size, 0, False)  # noqa: FBT003
            if count >= 0:
                return buffer.raw[:count]
            size = -count


class _Batch:
    """A `llama_batch` over numpy arrays, filled anew for every step.

    Args:
        size: The most tokens that it holds.
    """

    def __init__(self, size: int) -> None:
        self._token = np.zeros(size, np.int32)
        self._position = np.zeros(size, np.int32)
        self._sequences = np.ones(size, np.int32)
        self._slot = np.zeros(size, np.int32)
        self._wanted = np.zeros(size, np.int8)
        # llama_batch.seq_id is an array of pointers, one a token, to that token's sequence ids.
        self._slot_pointers = self._slot.ctypes.data + np.arange(size, dtype=np.uintp) * 4
        self.struct = llama_cpp.llama_batch(
            n_tokens=0,
            token=_pointer(self._token, llama_cpp.llama_token),
            embd=None,
            pos=_pointer(self._position, llama_cpp.llama_pos),
            n_seq_id=_pointer(self._sequences, ctypes.c_int32),
            seq_id=_pointer(self._slot_pointers, ctypes.POINTER(llama_cpp.llama_seq_id)),
            logits=_pointer(self._wanted, ctypes.c_int8),
        )

    def fill(self, works: Sequence[Work]) -> list[int]:
        """Lay the works out; return the row of each one's last token, where its logits will be."""
        rows = []
        start = 0
        self._wanted[:] = 0
        for work in works:
            end = start + len(work.tokens)
            self._token[start:end] = work.tokens
            self._position[start:end] = np.arange(work.position, work.position + len(work.tokens))
            self._slot[start:end] = work.slot
            self._wanted[end - 1] = work.samples
            rows.append(end - 1)
            start = end
        self.struct.n_tokens = start
        return rows


def _pointer(array: np.ndarray[Any, Any], kind: Any) -> Any:
    return array.ctypes.data_as(ctypes.POINTER(kind))


def _check_weights(path: Path, memory_bytes: int) -> None:
    """Refuse what is no readable file, or larger than memory, before llama.cpp spends minutes on it."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ModelError(f"model.path: can't read {path}: {error.strerror}") from error
    if magic != b"GGUF":
        raise ModelError(f"model.path: {path} is not a GGUF file (it begins with {magic!r})")
    size = path.stat().st_size
    if memory_bytes and size > memory_bytes:
        raise ModelError(
            f"model.path: the weights in {path} take {size >> 20} MiB and {memory_bytes >> 20} MiB of memory "
            "are free: choose a smaller model or a smaller quantisation",
        )
