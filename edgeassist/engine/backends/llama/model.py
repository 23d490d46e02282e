"""A GGUF file in memory: its weights, its metadata and its vocabulary."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeassist.engine.backends.llama.binding import llama_cpp
from edgeassist.engine.backends.llama.lexicon import LlamaLexicon
from edgeassist.engine.backends.llama.speech import Speech, Templates, speech_of
from edgeassist.engine.backends.llama.spelling import Spelling
from edgeassist.engine.prompting.shield import Segment
from edgeassist.engine.step import Token
from edgeassist.errors import InternalError
from edgeassist.models.files.description import FOR_TOOLS

# Most tokens are shorter.
_PIECE_BYTES = 64
# What is compared of how a file spells its tokens: all together but for these bytes, and some one by one.
_SPACES, _EVERY = b" \0", 101


class Model:
    """Loaded weights, and the vocabulary: fulfils `Tokenizer`.

    Args:
        handle: A `llama_model`.
        spelling: Of its file's vocabulary; None: that does not tell enough.
    """

    def __init__(self, handle: Any, spelling: Spelling | None = None) -> None:
        self.handle = handle
        self.vocab = llama_cpp.llama_model_get_vocab(self.handle)
        self.vocabulary_size = int(llama_cpp.llama_vocab_n_tokens(self.vocab))
        self.architecture = self.meta("general.architecture") or ""
        self.trained_context = int(llama_cpp.llama_model_n_ctx_train(self.handle))
        self.parameters = int(llama_cpp.llama_model_n_params(self.handle))
        self._pieces: dict[int, Token] = {}
        self._spelling = spelling
        # Until the chat template is read.
        self._ends: frozenset[int] = frozenset()
        self._shown: frozenset[int] = frozenset()
        self._strike: int | None = None
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

    def speech(self, configured: str | None, guess: Speech | None = None) -> Speech:
        """Return how it speaks. From then on what ends an answer by its chat template does (`token`).

        Args:
            configured: The text of the template that `model.template` names; None for the file's own.
            guess: What was guessed before the file was loaded.

        Raises:
            ModelError: It can't be read.
        """
        for_tools = None if configured else self.meta(f"tokenizer.chat_template.{FOR_TOOLS}")
        source = configured or self.meta("tokenizer.chat_template")
        templates = Templates(source, for_tools, configured=configured is not None)
        speech = speech_of(self._lexicon, templates, guess)
        self._ends = frozenset(speech.ends)
        self._shown = frozenset(speech.marks.values())
        self._strike = speech.signs.strike
        return speech

    def take_pieces(self) -> list[bytes]:
        """Return the bytes of all tokens; none of a control token. Takes long the second time. Any thread.

        They are those of the file, where llama.cpp has the same. Else it is asked for each.
        """
        spelling, self._spelling = self._spelling, None
        spelled = None if spelling is None else self._spelled(spelling)
        notable: Iterable[int] = range(self.vocabulary_size) if spelled is None else self._lexicon.notable
        pieces = [b""] * self.vocabulary_size if spelled is None else spelled
        buffer = ctypes.create_string_buffer(_PIECE_BYTES)
        for token in notable:
            pieces[token] = b"" if token in self._shown else self._piece(token, buffer)
        return pieces

    @cached_property
    def _lexicon(self) -> LlamaLexicon:
        notable = None if self._spelling is None else self._spelling.notable
        lexicon = LlamaLexicon(self.vocab, self.meta, notable)
        if self._spelling is None or len(self._spelling.vocabulary.texts) != lexicon.size:
            return LlamaLexicon(self.vocab, self.meta)
        others = np.delete(np.arange(lexicon.size), self._spelling.notable)[::_EVERY]
        return lexicon if all(map(lexicon.is_plain, others.tolist())) else LlamaLexicon(self.vocab, self.meta)

    def _spelled(self, spelling: Spelling) -> list[bytes] | None:
        """Return the bytes of all tokens that are text, by the file; None where llama.cpp has others."""
        pieces = spelling.pieces()
        if pieces is None or len(pieces) != self.vocabulary_size:
            return None
        ids = np.delete(np.arange(self.vocabulary_size, dtype=np.int32), spelling.notable)
        written = b"".join([pieces[token] for token in ids.tolist()])
        read = self._detokenize(ids, len(written))
        # It leaves out some white space, such as that before a full stop, where the file wants that.
        same = written.translate(None, _SPACES) == read.translate(None, _SPACES)
        return (
            pieces if same and all(pieces[token] == self._piece(token) for token in ids[::_EVERY]) else None
        )

    def _detokenize(self, ids: NDArray[np.int32], size: int) -> bytes:
        """Return the text of tokens; none of it where it is longer than expected."""
        text = ctypes.create_string_buffer(size + 1)
        tokens = ids.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token))
        count = llama_cpp.llama_detokenize(self.vocab, tokens, ids.size, text, size, False, False)  # noqa: FBT003
        return text.raw[: max(0, count)]

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
            known = self._pieces[token] = Token(token, self._piece(token), token in self._ends)
        return known

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

    def _text(self, token: int) -> str:
        return self._lexicon.text(token)
