"""A GGUF file in memory: its weights, its metadata and its vocabulary."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeassist.engine.backends.llama.binding import llama_cpp
from edgeassist.engine.backends.llama.log import LlamaLog
from edgeassist.engine.messages import LoadMode
from edgeassist.engine.prompting.chat import ChatTemplate
from edgeassist.engine.prompting.shield import Segment
from edgeassist.engine.step import Token
from edgeassist.errors import InternalError, ModelError
from edgeassist.models.files.control import Control, control_of, reads_as_mark
from edgeassist.models.files.description import FOR_TOOLS

_LOAD_MODES = {
    LoadMode.READ: llama_cpp.LLAMA_LOAD_MODE_NONE,
    LoadMode.MMAP: llama_cpp.LLAMA_LOAD_MODE_MMAP,
    LoadMode.LOCK: llama_cpp.LLAMA_LOAD_MODE_NONE,
}
# A second guard: what a model is says its file (`models/kinds`), for the kinds that are known there.
NO_DECODER = (
    "is no model that writes text token by token, as llama.cpp finds; name another (edgeassist recommend)"
)
# What llama.cpp says of a model that is newer than it.
_UNKNOWN = "unknown model architecture"
_NEWER = (
    "; it is newer than this llama.cpp: update EdgeAssist, or choose another model (edgeassist recommend)"
)
_FLAGGED = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN
_ROLES = (
    llama_cpp.llama_vocab_bos,
    llama_cpp.llama_vocab_eos,
    llama_cpp.llama_vocab_eot,
    llama_cpp.llama_vocab_sep,
    llama_cpp.llama_vocab_pad,
)

# For llama.cpp a control token that ends every answer. With Qwen and Gemma it is HTML.
_STRIKE = "</s>"
_SENTENCE = frozenset({"<s>", _STRIKE})
# Most tokens are shorter.
_PIECE_BYTES = 64

# Templates' names of tokens, and GGUF's; the first and the last token are llama.cpp's, which knows defaults.
_SPECIAL_TOKENS = {
    "unk_token": "tokenizer.ggml.unknown_token_id",
    "pad_token": "tokenizer.ggml.padding_token_id",
    "sep_token": "tokenizer.ggml.seperator_token_id",  # sic
    "cls_token": "tokenizer.ggml.cls_token_id",
    "mask_token": "tokenizer.ggml.mask_token_id",
}


class Model:
    """Loaded weights, and the vocabulary: fulfils `Tokenizer`.

    Args:
        handle: A `llama_model`.

    Attributes:
        marks: The control tokens that are read in an answer, by their texts: those of thoughts and calls.
        spelled_ends: What ends an answer by the chat template, if the vocabulary has a token for none of it.
    """

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self.vocab = llama_cpp.llama_model_get_vocab(self.handle)
        self.vocabulary_size = int(llama_cpp.llama_vocab_n_tokens(self.vocab))
        self.architecture = self.meta("general.architecture") or ""
        self.trained_context = int(llama_cpp.llama_model_n_ctx_train(self.handle))
        self.parameters = int(llama_cpp.llama_model_n_params(self.handle))
        self._pieces: dict[int, Token] = {}
        self._ends: frozenset[int] = frozenset()
        self._strike: int | None = None
        self._shown: frozenset[int] = frozenset()
        self.marks: dict[str, int] = {}
        self.spelled_ends: tuple[str, ...] = ()
        bos = int(llama_cpp.llama_vocab_bos(self.vocab))
        adds_bos = bos >= 0 and llama_cpp.llama_vocab_get_add_bos(self.vocab)
        self._bos = bos if adds_bos else None

    @property
    def recurrent(self) -> bool:
        """Whether some layer keeps a state instead of an entry for each token: it knows only its end."""
        recurrent = llama_cpp.llama_model_is_recurrent(self.handle)
        return bool(recurrent or llama_cpp.llama_model_is_hybrid(self.handle))

    @property
    def window(self) -> int:
        """How many tokens the layers with a sliding window look back; 0: there are none."""
        return int(llama_cpp.llama_model_n_swa(self.handle))

    @property
    def quantization(self) -> str:
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

    def chat_template(self, configured: str | None) -> ChatTemplate:
        """Return the chat template. From then on what ends an answer by it does (`token`).

        Args:
            configured: The text of the template that `model.template` names; None for the file's own.

        Raises:
            ModelError: It can't be read.
        """
        for_tools = None if configured else self.meta(f"tokenizer.chat_template.{FOR_TOOLS}")
        source = configured or self.meta("tokenizer.chat_template") or for_tools
        control, ids = self._control(source)
        template = ChatTemplate(
            source,
            tokens=self._special_tokens(),
            control=control.turns,
            parts=control.parts,
            configured=configured is not None,
            for_tools=for_tools,
        )
        self._ends = frozenset(ids[text] for text in template.ends if text in ids)
        self.spelled_ends = () if self._ends else tuple(sorted(template.ends))
        self.marks = {text: ids[text] for text in template.shown if text in ids}
        self._shown = frozenset(self.marks.values())
        return template

    @property
    def pieces(self) -> list[bytes]:
        """The bytes of all tokens; none of a control token."""
        tokens, buffer = range(self.vocabulary_size), ctypes.create_string_buffer(_PIECE_BYTES)
        return [b"" if token in self._shown else self._piece(token, buffer) for token in tokens]

    def ids_of(self, text: str) -> list[int]:
        """Return the tokens of a text, none of them a control token."""
        return self._tokenize(Segment(text, trusted=False))

    # --- tokens --------------------------------------------------------------------------------------------

    def tokenize(self, segments: Sequence[Segment], *, begins: bool) -> list[int]:
        """Return token ids, the model's first token before them if it wants one (`Tokenizer.tokenize`)."""
        tokens = [self._bos] if begins and self._bos is not None and not self._begins(segments) else []
        for segment in segments:
            tokens += self._tokenize(segment)
        return tokens

    def token(self, token: int) -> Token:
        """Return what a token id stands for."""
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = Token(token, self._piece(token), self._is_end(token))
        return known

    @cached_property
    def ends(self) -> NDArray[np.intp]:
        """The tokens that end an answer."""
        is_end = llama_cpp.llama_vocab_is_eog
        known = {token for token in range(self.vocabulary_size) if is_end(self.vocab, token)}
        return np.array(sorted(known - {self._strike} | self._ends), np.intp)

    def _is_end(self, token: int) -> bool:
        if token in self._ends:
            return True
        return token != self._strike and bool(llama_cpp.llama_vocab_is_eog(self.vocab, token))

    def _control(self, template: str | None) -> tuple[Control, dict[str, int]]:
        """Return the control tokens of prompts by that template, and the ids of all that may be one."""
        flagged: dict[str, int] = {}
        added: dict[str, int] = {}
        for token in range(self.vocabulary_size):
            attributes = llama_cpp.llama_vocab_get_attr(self.vocab, token)
            if attributes & _FLAGGED:
                flagged[self._text(token)] = token
            elif attributes & llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED:
                added[self._text(token)] = token
        named = [role(self.vocab) for role in _ROLES]
        roles = [self._text(token) for token in named if token >= 0]
        if not _SENTENCE.intersection(roles):
            self._strike = flagged.pop(_STRIKE, None)
        return control_of(flagged=flagged, added=added, roles=roles, template=template), flagged | added

    def _begins(self, segments: Sequence[Segment]) -> bool:
        """Whether the template wrote the first token itself, if after white space."""
        text = "".join(segment.text for segment in takewhile(lambda segment: segment.trusted, segments))
        return self._bos is not None and text.lstrip().startswith(self._text(self._bos))

    def _tokenize(self, segment: Segment) -> list[int]:
        text = segment.text.encode()
        room = len(text) + 8
        tokens = (llama_cpp.llama_token * room)()
        # llama.cpp's own special tokens would end the prompt where the file says `add_eos_token`.
        count = llama_cpp.llama_tokenize(
            self.vocab,
            text,
            len(text),
            tokens,
            room,
            False,  # noqa: FBT003
            segment.trusted,
        )
        if count < 0:
            raise InternalError(f"the tokenizer wants room for {-count} tokens and has {room}")
        return list(tokens[:count])

    def _piece(self, token: int, buffer: ctypes.Array[ctypes.c_char] | None = None) -> bytes:
        """Return a token's bytes; `buffer` is where they are written, if they fit."""
        if token in self._shown or token == self._strike:
            return self._text(token).encode()
        if buffer is None:
            buffer = ctypes.create_string_buffer(_PIECE_BYTES)
        while True:
            size = len(buffer)
            count = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, size, 0, False)  # noqa: FBT003
            if count >= 0:
                return buffer.raw[:count]
            buffer = ctypes.create_string_buffer(-count)

    def _special_tokens(self) -> dict[str, object]:
        """Return the texts of special tokens by their names in templates, as far as the file has them."""
        tokens = {
            "bos_token": int(llama_cpp.llama_vocab_bos(self.vocab)),
            "eos_token": int(llama_cpp.llama_vocab_eos(self.vocab)),
            **{name: int(self.meta(key) or -1) for name, key in _SPECIAL_TOKENS.items()},
        }
        return {
            name: self._text(token)
            for name, token in tokens.items()
            if 0 <= token < self.vocabulary_size and not self._is_ordinary(token)
        }

    def _is_ordinary(self, token: int) -> bool:
        """Whether it is text: llama.cpp's default for a token that the file does not name may be."""
        attributes = llama_cpp.llama_vocab_get_attr(self.vocab, token)
        return bool(attributes & llama_cpp.LLAMA_TOKEN_ATTR_NORMAL) and not reads_as_mark(self._text(token))

    def _text(self, token: int) -> str:
        return (llama_cpp.llama_vocab_get_text(self.vocab, token) or b"").decode(errors="replace")


def load_model(path: Path, mode: LoadMode, llama_log: LlamaLog, progress: Callable[[float], None]) -> Model:
    """Load a GGUF file.

    Args:
        path: The file.
        mode: How it gets into memory.
        llama_log: Explains a failure.
        progress: Called with the fraction that is read.

    Raises:
        ModelError: llama.cpp can't load it, or it is no decoder.
    """

    def on_progress(fraction: float, _data: object) -> bool:
        progress(fraction)
        return True

    params = llama_cpp.llama_model_default_params()
    params.load_mode = _LOAD_MODES[mode]
    params.n_gpu_layers = 0
    params.progress_callback = llama_cpp.llama_progress_callback(on_progress)
    handle = llama_cpp.llama_model_load_from_file(os.fsencode(path), params)
    if not handle:
        todo = _NEWER if _UNKNOWN in llama_log.errors else ""
        raise ModelError(f"model.path: llama.cpp can't load {path}: {llama_log.errors}{todo}")
    decodes = llama_cpp.llama_model_has_decoder(handle) and not llama_cpp.llama_model_has_encoder(handle)
    if not decodes or llama_cpp.llama_model_is_diffusion(handle):
        raise ModelError(f"model.path: {path} {NO_DECODER}")
    return Model(handle)
