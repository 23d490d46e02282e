"""Conversations and their tokens, so that the next turn of one is recognised token by token. Sans-I/O.

A tokenizer does not always turn a sampled answer back into the tokens that were sampled, above all at a high
temperature. From there on nothing would match the KV cache, and a session's next turn would prefill its last
answer again. The sampled tokens are as good a reading of the same text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgeassist.engine.prompting.escapes import MARK
from edgeassist.engine.prompting.shield import Segment

MOST = 32
# The last of a sequence's tokens are not computed when it ends.
_BEHIND = 16


@dataclass(frozen=True, slots=True)
class Transcript:
    """A conversation: the text of a prompt and its answer, and the tokens of both."""

    text: str
    tokens: Sequence[int]


class Transcripts:
    """The last conversations, oldest first."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, ...]] = {}

    def add(self, text: str, tokens: Sequence[int]) -> None:
        """Remember a conversation: the text of a prompt and its answer, and the tokens of both."""
        self._known.pop(text, None)
        self._known[text] = tuple(tokens)
        if len(self._known) > MOST:
            del self._known[next(iter(self._known))]

    def of(self, tokens: Sequence[int]) -> Transcript | None:
        """Return the conversation that ends with these tokens, or a few behind; None: it is not known."""
        wanted = tuple(tokens)
        for text, known in reversed(self._known.items()):
            if 0 <= len(known) - len(wanted) <= _BEHIND and known[: len(wanted)] == wanted:
                return Transcript(text, known)
        return None

    def find(self, segments: Sequence[Segment]) -> tuple[str, Sequence[int], list[Segment]]:
        """Return a prompt as text, the known tokens of its beginning, and what is left to tokenize."""
        text = "".join(each.text if each.trusted else _quote(each.text) for each in segments)
        # A copy: an answer may be remembered, and another forgotten for it, while a long prompt is encoded in
        # another thread.
        known = self._known.copy()
        longest = max((each for each in known if text.startswith(each)), key=len, default="")
        return text, known.get(longest, ()), list(_segments(text, len(longest)))


def _quote(text: str) -> str:
    # With its length, so that nothing inside it can end it early. Trusted text has no mark.
    return f"{MARK}{len(text)}:{text}"


def _segments(text: str, at: int) -> Iterator[Segment]:
    """Return the segments that `find` joined into a text, from a place between two of them on."""
    while at < len(text):
        mark = text.find(MARK, at)
        end = mark if mark >= 0 else len(text)
        if end > at:
            yield Segment(text[at:end], trusted=True)
        if mark < 0:
            return
        begin = text.index(":", mark) + 1
        at = begin + int(text[mark + 1 : begin - 1])
        yield Segment(text[begin:at], trusted=False)
