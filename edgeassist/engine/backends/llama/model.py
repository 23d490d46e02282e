"""A GGUF file in memory: its weights, its metadata and its vocabulary."""

from __future__ import annotations

import ctypes
import logging
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llama_cpp

from edgeassist.engine.messages import LoadMode
from edgeassist.engine.prompting.chat import ChatTemplate, Segment
from edgeassist.engine.scheduler import Token
from edgeassist.errors import InternalError, ModelError

log = logging.getLogger(__name__)

_LEVELS = {2: logging.DEBUG, 3: logging.INFO, 4: logging.ERROR}
# KV memory is one pool of several contexts: larger than what the model was trained for, which no sequence is.
_MISTAKEN = "possible training context overflow"
_LOAD_MODES = {
    LoadMode.READ: llama_cpp.LLAMA_LOAD_MODE_NONE,
    LoadMode.MMAP: llama_cpp.LLAMA_LOAD_MODE_MMAP,
    LoadMode.LOCK: llama_cpp.LLAMA_LOAD_MODE_MLOCK,
}


class Complaints:
    """Takes llama.cpp's log: its last errors explain what failed."""

    def __init__(self) -> None:
        self._last: deque[str] = deque(maxlen=3)
        # ctypes frees a callback that nobody holds, while llama.cpp still calls it.
        self._callback = llama_cpp.llama_log_callback(self._take)

    def listen(self) -> None:
        """Take the log from now on."""
        llama_cpp.llama_log_set(self._callback, ctypes.c_void_p(0))

    def why(self) -> str:
        """Return the last errors, and forget them."""
        words = "; ".join(self._last) or "no reason given"
        self._last.clear()
        return words

    def _take(self, level: int, text: bytes, _data: object) -> None:
        line = text.decode(errors="replace").strip()
        if not line or level not in _LEVELS or _MISTAKEN in line:
            return
        if _LEVELS[level] >= logging.ERROR:
            self._last.append(line)
        log.log(_LEVELS[level], "%s", line)


class Model:
    """Loaded weights.

    Args:
        path: A GGUF file.
        mode: How it gets into memory.
        complaints: Explain a failure.
        progress: Called with the fraction that is read.

    Raises:
        ModelError: llama.cpp can't load it.
    """

    def __init__(
        self, path: Path, mode: LoadMode, complaints: Complaints, progress: Callable[[float], None]
    ) -> None:
        def on_progress(fraction: float, _data: object) -> bool:
            progress(fraction)
            return True

        params = llama_cpp.llama_model_default_params()
        params.load_mode = _LOAD_MODES[mode]
        params.n_gpu_layers = 0
        params.progress_callback = llama_cpp.llama_progress_callback(on_progress)
        self.handle: Any = llama_cpp.llama_model_load_from_file(os.fsencode(path), params)
        if not self.handle:
            raise ModelError(f"model.path: llama.cpp can't load {path}: {complaints.why()}")
        self.vocab = llama_cpp.llama_model_get_vocab(self.handle)
        self.vocabulary_size = int(llama_cpp.llama_vocab_n_tokens(self.vocab))
        self.architecture = self.meta("general.architecture") or ""
        self.trained_context = int(llama_cpp.llama_model_n_ctx_train(self.handle))
        self.parameters = int(llama_cpp.llama_model_n_params(self.handle))
        self._pieces: dict[int, Token] = {}
        bos = llama_cpp.llama_vocab_bos(self.vocab)
        adds_bos = bos >= 0 and llama_cpp.llama_vocab_get_add_bos(self.vocab)
        self._bos = self._text(bos) if adds_bos else ""

    @property
    def rewinds(self) -> bool:
        """Whether KV memory can be cut and shared at any token; a recurrent state knows only its end."""
        recurrent = llama_cpp.llama_model_is_recurrent(self.handle)
        return not recurrent and not llama_cpp.llama_model_is_hybrid(self.handle)

    @property
    def quantisation(self) -> str:
        """The file type: the last part of a description such as "qwen2 1B Q4_K - Medium"."""
        buffer = ctypes.create_string_buffer(256)
        llama_cpp.llama_model_desc(self.handle, buffer, 256)
        return buffer.value.decode(errors="replace").split(" ", 2)[-1]

    def meta(self, key: str) -> str | None:
        """Return a value of the file's metadata, as text."""
        size = llama_cpp.llama_model_meta_val_str(
            self.handle, key.encode(), ctypes.create_string_buffer(1), 1
        )
        if size < 0:
            return None
        buffer = ctypes.create_string_buffer(size + 1)
        llama_cpp.llama_model_meta_val_str(self.handle, key.encode(), buffer, size + 1)
        return buffer.value.decode(errors="replace")

    def chat_template(self) -> ChatTemplate:
        """Return the file's chat template, which knows the vocabulary's control tokens.

        Raises:
            ModelError: It can't be read.
        """
        control = [
            self._text(token)
            for token in range(self.vocabulary_size)
            if llama_cpp.llama_vocab_is_control(self.vocab, token)
        ]
        bos, eos = llama_cpp.llama_vocab_bos(self.vocab), llama_cpp.llama_vocab_eos(self.vocab)
        return ChatTemplate(
            self.meta("tokenizer.chat_template"),
            bos=self._text(bos) if bos >= 0 else "",
            eos=self._text(eos) if eos >= 0 else "",
            control=control,
        )

    # --- tokens --------------------------------------------------------------------------------------------

    def tokenize(self, segments: list[Segment], *, begins: bool) -> list[int]:
        """Return the token ids of a prompt, or of what goes on with one (`begins` false)."""
        adds_bos = begins and not (self._bos and segments and segments[0].text.startswith(self._bos))
        tokens: list[int] = []
        empty = [Segment("", trusted=False)] if begins else []
        for index, segment in enumerate(segments or empty):
            tokens += self._tokenize(segment, add_special=adds_bos and index == 0)
        return tokens

    def token(self, token: int) -> Token:
        """Return what a token id stands for."""
        known = self._pieces.get(token)
        if known is None:
            ends = llama_cpp.llama_vocab_is_eog(self.vocab, token)
            known = self._pieces[token] = Token(token, self._piece(token), bool(ends))
        return known

    def _tokenize(self, segment: Segment, *, add_special: bool) -> list[int]:
        text = segment.text.encode()
        room = len(text) + 8
        tokens = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(
            self.vocab, text, len(text), tokens, room, add_special, segment.trusted
        )
        if count < 0:
            raise InternalError(f"the tokenizer wants room for {-count} tokens and has {room}")
        return list(tokens[:count])

    def _piece(self, token: int) -> bytes:
        size = 32
        while True:
            buffer = ctypes.create_string_buffer(size)
            count = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, size, 0, False)  # noqa: FBT003
            if count >= 0:
                return buffer.raw[:count]
            size = -count

    def _text(self, token: int) -> str:
        return (llama_cpp.llama_vocab_get_text(self.vocab, token) or b"").decode(errors="replace")
