"""Conversations and the tokens they consist of, so that one that goes on is recognised token by token. Pure.

A sampled answer is not always tokenized again as it was sampled, above all at a high temperature. From there
on all would differ from what is in KV memory, and a session's next turn would prefill its last answer anew.
The tokens that were sampled are as good a reading of the same text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgeassist.engine.prompting.chat import MARK, Segment

MOST = 32


@dataclass(frozen=True, slots=True)
class Encoded:
    """A prompt: its text, as `Transcripts` know it, and its token ids."""

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

    def find(self, segments: Sequence[Segment]) -> tuple[str, Sequence[int], list[Segment]]:
        """Return a prompt as text, the tokens that are known of it, and what is left to tokenize."""
        text = "".join(each.text if each.trusted else _quote(each.text) for each in segments)
        known = max((each for each in self._known if text.startswith(each)), key=len, default="")
        return text, self._known.get(known, ()), list(_segments(text[len(known) :]))


def _quote(text: str) -> str:
    # With its length: whatever stands in it, it ends where it should. Trusted text has no mark.
    return f"{MARK}{len(text)}:{text}"


def _segments(text: str) -> Iterator[Segment]:
    """Take apart what `_quote` and trusted text were put together to."""
    while text:
        trusted, mark, rest = text.partition(MARK)
        if trusted:
            yield Segment(trusted, trusted=True)
        if not mark:
            return
        length, _, rest = rest.partition(":")
        yield Segment(rest[: int(length)], trusted=False)
        text = rest[int(length) :]
