"""A family's marks of thoughts over a model's vocabulary: which tokens open, close and follow them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from edgeassist.engine.prompting.codec import Tokenizer
from edgeassist.engine.prompting.shield import Segment
from edgeassist.engine.prompting.text import overlap
from edgeassist.engine.prompting.thoughts import Marks
from edgeassist.engine.step import Token

# Before a thought that the model opens itself.
_MOST_SPACE = 8


class Marking:
    """How one model marks thoughts, in tokens.

    Args:
        marks: The family's.
        token: Returns what an id stands for, as it is read in an answer.
        tokenizer: Writes the marks.
    """

    def __init__(
        self,
        marks: Marks,
        token: Callable[[int], Token],
        tokenizer: Tokenizer,
    ) -> None:
        self.token = token
        self._tokenizer = tokenizer
        self._opening, self._closing = marks.opening.encode(), marks.closing.encode()
        self._begin = marks.begins[0].encode() if marks.begins else b""
        self._behind = marks.spacing[1].encode() + self._begin
        self._beyond: list[tuple[int, bytes]] | None = None
        self.crossing = lru_cache(len(self._closing) + 1)(self._crossing)
        self._tokens = lru_cache(len(self._opening) + len(self._behind) + 1)(self._tokens_of)

    def see(self, pieces: Iterable[bytes]) -> None:
        """Look through the vocabulary once, before `crossing` is asked.

        Args:
            pieces: The bytes of each token; none of a control token.
        """
        # What a token may hold behind the mark's last byte is rare.
        last = self._closing[-1:]
        self._beyond = [(id_, piece) for id_, piece in enumerate(pieces) if _goes_on(piece, last)]

    def opened(self, held: bytes) -> bytes | None:
        """Return what stands behind the opening mark at the beginning of an answer; None: it isn't there."""
        begun = held.lstrip()
        return begun[len(self._opening) :] if begun.startswith(self._opening) else None

    def may_open(self, held: bytes) -> bool:
        """Whether an answer that begins so, and may go on, may still begin with a thought."""
        return bool(self.next_of_opening(held)) and len(held) - len(held.lstrip()) <= _MOST_SPACE

    def next_of_opening(self, held: bytes) -> Sequence[Token]:
        """Return the tokens that complete the opening mark; none where it can't be."""
        begun = held.lstrip()
        return self._tokens(self._opening[len(begun) :]) if self._opening.startswith(begun) else ()

    def closed(self, held: bytes) -> bytes | None:
        """Return what stands behind the closing mark; None: it is not complete."""
        _, closing, after = held.partition(self._closing)
        return after if closing else None

    def held(self, thought: bytes) -> bytes:
        """Return how much of the closing mark stands at a thought's end."""
        return self._closing[: overlap(thought, self._closing)]

    def _crossing(self, held: bytes) -> list[int]:
        """Return the tokens that would complete the closing mark and go on with text.

        Args:
            held: How much of the mark is there.
        """
        assert self._beyond is not None  # noqa: S101 - what bounds an answer has seen them, too
        return [id_ for id_, piece in self._beyond if (self.closed(held + piece) or b"").strip()]

    def lead(self, after: bytes) -> Sequence[Token]:
        """Return what comes behind the closing mark, and before the answer.

        Args:
            after: What is there of it, or other white space.
        """
        return self._tokens(self._behind[len(after) :] if self._behind.startswith(after) else self._begin)

    def lead_length(self, after: bytes) -> int:
        """Return how many bytes come between what is there behind the closing mark and the answer."""
        return sum(len(token.piece) for token in self.lead(after))

    def _tokens_of(self, text: bytes) -> tuple[Token, ...]:
        """Return a text in tokens; none if the tokenizer changes it."""
        if not text:
            return ()
        ids = self._tokenizer.tokenize([Segment(text.decode(), trusted=True)], begins=False)
        tokens = tuple(map(self.token, ids))
        return tokens if b"".join(token.piece for token in tokens) == text else ()


def _goes_on(piece: bytes, last: bytes) -> bool:
    return last in piece and bool(piece.partition(last)[2].strip())
