"""What of a vocabulary may be other than text: as llama.cpp has it, and as its file lets one guess it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from enum import Enum, auto
from functools import cached_property
from typing import Any, Protocol

from edgeassist.engine.backends.llama.binding import llama_cpp
from edgeassist.engine.backends.llama.spelling import Spelling
from edgeassist.models.files.control import ends_among
from edgeassist.models.files.gguf_metadata import Metadata
from edgeassist.models.files.gguf_vocabulary import TokenType

# Templates' names of tokens, and GGUF's; the first and the last token are llama.cpp's, which knows defaults.
SPECIAL_TOKENS = {
    "unk_token": "tokenizer.ggml.unknown_token_id",
    "pad_token": "tokenizer.ggml.padding_token_id",
    "sep_token": "tokenizer.ggml.seperator_token_id",  # sic
    "cls_token": "tokenizer.ggml.cls_token_id",
    "mask_token": "tokenizer.ggml.mask_token_id",
}
_FLAGGED = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN
_NO_TEXT = _FLAGGED | llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED | llama_cpp.LLAMA_TOKEN_ATTR_UNUSED
_ROLES = (
    llama_cpp.llama_vocab_bos,
    llama_cpp.llama_vocab_eos,
    llama_cpp.llama_vocab_eot,
    llama_cpp.llama_vocab_sep,
    llama_cpp.llama_vocab_pad,
)
_NAMED_ROLES = ("bos", "eos", "eot", "eom", "seperator", "padding")
# What ends an answer for llama.cpp by its name, but for what `ends_among` has.
_ENDS = frozenset(
    {
        *("</s>", "[EOS]", "<eos>", "[e~["),
        *("<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"),
        *("<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>", "<|file_sep|>"),
    }
)
# What llama.cpp takes for text whatever the file says (gpt-oss).
_ADDED = frozenset({"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"})


class Declared(Enum):
    """What a token is declared to be."""

    TEXT = auto()
    ADDED = auto()  # to the vocabulary, without saying what it is
    CONTROL = auto()


class Lexicon(Protocol):
    """A vocabulary.

    Attributes:
        size: The number of tokens.
        notable: The tokens that may be other than text, and some more; all others are text.
        roles: Those that are named as the beginning or end of something; less than 0 where there is none.
        first: That of a prompt; less than 0: there is none.
        last: Likewise, of an answer.
    """

    size: int

    @property
    def notable(self) -> Collection[int]: ...  # noqa: D102 - as said above
    @property
    def roles(self) -> Collection[int]: ...  # noqa: D102
    @property
    def first(self) -> int: ...  # noqa: D102
    @property
    def last(self) -> int: ...  # noqa: D102

    def declared(self, token: int) -> Declared:
        """Return what a token is."""
        ...

    def ends(self, token: int) -> bool:
        """Whether a token ends an answer."""
        ...

    def text(self, token: int) -> str:
        """Return how a token is written in the file."""
        ...

    def is_text(self, token: int) -> bool:
        """Whether it is ordinary text and nothing else."""
        ...

    def named(self, key: str) -> int:
        """Return the token under a key of the file; less than 0: there is none."""
        ...


class LlamaLexicon:
    """A vocabulary as llama.cpp has it: fulfils `Lexicon`.

    Args:
        vocab: A `llama_vocab`.
        meta: Returns a value of the file's metadata, as text; None: it has none.
        notable: Those of its file; None: all tokens may be.
    """

    def __init__(
        self, vocab: Any, meta: Callable[[str], str | None], notable: Collection[int] | None = None
    ) -> None:
        self._vocab = vocab
        self._meta = meta
        self.size = int(llama_cpp.llama_vocab_n_tokens(vocab))
        self.roles = [int(role(vocab)) for role in _ROLES]
        self.first, self.last = self.roles[0], self.roles[1]
        named = [role for role in self.roles if 0 <= role < self.size]
        self.notable: Collection[int] = range(self.size) if notable is None else sorted({*notable, *named})

    def declared(self, token: int) -> Declared:
        """Return what a token is (`Lexicon.declared`)."""
        attributes = llama_cpp.llama_vocab_get_attr(self._vocab, token)
        if attributes & _FLAGGED:
            return Declared.CONTROL
        added = attributes & llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED
        return Declared.ADDED if added else Declared.TEXT

    def is_text(self, token: int) -> bool:
        """Whether it is ordinary text (`Lexicon.is_text`)."""
        attributes = llama_cpp.llama_vocab_get_attr(self._vocab, token)
        return bool(attributes & llama_cpp.LLAMA_TOKEN_ATTR_NORMAL)

    def is_plain(self, token: int) -> bool:
        """Whether it can be nothing but text, or a byte."""
        return not llama_cpp.llama_vocab_get_attr(self._vocab, token) & _NO_TEXT

    def ends(self, token: int) -> bool:
        """Whether a token ends an answer (`Lexicon.ends`)."""
        return bool(llama_cpp.llama_vocab_is_eog(self._vocab, token))

    def text(self, token: int) -> str:
        """Return how a token is written (`Lexicon.text`)."""
        return (llama_cpp.llama_vocab_get_text(self._vocab, token) or b"").decode(errors="replace")

    def named(self, key: str) -> int:
        """Return the token under a key (`Lexicon.named`)."""
        return int(self._meta(key) or -1)


class FileLexicon:
    """A guess from the file at what llama.cpp will have: fulfils `Lexicon`.

    Args:
        spelling: Of the file.
        metadata: Of the file.
    """

    def __init__(self, spelling: Spelling, metadata: Metadata) -> None:
        self._spelling = spelling
        self._of = spelling.vocabulary
        self.size = len(self._of.texts)
        self._metadata = metadata
        self.roles = [self.named(f"tokenizer.ggml.{role}_token_id") for role in _NAMED_ROLES]
        self.first, self.last = self.roles[0], self.roles[1]
        self._flagged = (TokenType.CONTROL, TokenType.UNKNOWN)

    @cached_property
    def notable(self) -> Collection[int]:
        """Those of the file, and roles."""
        named = [role for role in self.roles if 0 <= role < self.size]
        return sorted({*self._spelling.notable, *named})

    @cached_property
    def _ends(self) -> frozenset[str]:
        texts = {self.text(token) for token in self.notable}
        return ends_among(texts) | (_ENDS & texts)

    def declared(self, token: int) -> Declared:
        """Return what a token probably is (`Lexicon.declared`)."""
        kind, text = self._of.types[token], self.text(token)
        if text in _ADDED:
            return Declared.ADDED
        if kind in self._flagged or text in self._ends:
            return Declared.CONTROL
        return Declared.ADDED if kind == TokenType.USER_DEFINED else Declared.TEXT

    def is_text(self, token: int) -> bool:
        """Whether it probably is ordinary text (`Lexicon.is_text`)."""
        return self._of.types[token] == TokenType.NORMAL

    def ends(self, token: int) -> bool:
        """Whether a token probably ends an answer (`Lexicon.ends`)."""
        return token in self.roles[1:4] or self.text(token) in self._ends

    def text(self, token: int) -> str:
        """Return how a token is written (`Lexicon.text`)."""
        return self._of.texts[token].decode(errors="replace")

    def named(self, key: str) -> int:
        """Return the token under a key (`Lexicon.named`)."""
        return next(iter(self._metadata.whole(key)), -1)
