"""Prompts in both directions: messages to token ids, and the tokens of an answer back into a known text.

One codec serves every model that has a chat template and a tokenizer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edgeassist.engine.kv.world import PLAIN, World
from edgeassist.engine.messages import ChatMessage
from edgeassist.engine.prompting.chat import ChatTemplate
from edgeassist.engine.prompting.parser import AnswerParser, TextParser
from edgeassist.engine.prompting.runs import cut_runs
from edgeassist.engine.prompting.shield import Segment, defuse
from edgeassist.engine.prompting.transcripts import Transcripts
from edgeassist.errors import ContextOverflowError, InvalidRequestError

# A prompt with more characters than that for each token of the context is looked at before it is tokenized
# whole: the first so many characters at a time, until there are too many tokens.
_DENSE = 8
_SLICE = 16384
# Cutting a text may cost tokens, at each cut.
_SLACK = 64


@dataclass(frozen=True, slots=True)
class Encoded:
    """A prompt.

    Attributes:
        text: As `Transcripts` knows it.
        tokens: Ids.
        world: What else decides the KV values of these tokens.
    """

    text: str
    tokens: Sequence[int]
    world: World = PLAIN


class Tokenizer(Protocol):
    """What a backend's library knows of the vocabulary. Two threads may call it at once."""

    def tokenize(self, segments: Sequence[Segment], *, begins: bool) -> list[int]:
        """Return the token ids of some text; only trusted segments yield control tokens.

        Args:
            segments: In order; each is tokenized by itself.
            begins: Whether they begin a prompt, or follow tokens that are known.
        """
        ...


class Codec(Protocol):
    """What the worker asks of a model's prompts. Two threads may call it at once.

    Attributes:
        refused: The roles that the model's chat template has no place for.
    """

    refused: frozenset[str]

    def encode(self, messages: Sequence[ChatMessage], most: int | None = None) -> Encoded:
        """Return the conversation as text and token ids, ready for an answer.

        Args:
            messages: Oldest first.
            most: How many tokens make sense; what is far too long need not be tokenized to its end.

        Raises:
            ContextOverflowError: There are more than `most`.
            InvalidRequestError: The model's chat template does not take such a conversation.
            ModelUnavailableError: It takes none.
        """
        ...

    def parser(self, stop: Sequence[str]) -> AnswerParser:
        """Return a parser for one answer.

        Args:
            stop: Texts that end it.
        """
        ...

    def remember(self, prompt: Encoded, answer: str, tokens: Sequence[int]) -> None:
        """Keep the tokens of a prompt and its answer, for when that conversation goes on.

        Args:
            prompt: What `encode` returned.
            answer: Its whole text, as the next turn will bring it.
            tokens: Of both, as they were computed and sampled.
        """
        ...


class PromptCodec:
    """Fulfils `Codec` with a chat template and a tokenizer."""

    def __init__(self, chat: ChatTemplate, tokenizer: Tokenizer) -> None:
        self.refused = chat.refused
        self._chat = chat
        self._tokenizer = tokenizer
        self._transcripts = Transcripts()

    def encode(self, messages: Sequence[ChatMessage], most: int | None = None) -> Encoded:
        """Render the chat template, and tokenize what no transcript knows (`Codec.encode`)."""
        text, tokens, rest = self._transcripts.find(self._chat.render(messages))
        pieces = [piece for segment in rest for piece in self._pieces(segment)]
        if most is not None:
            self._refuse_overflow(pieces, len(tokens), most)
        prompt = [*tokens, *self._tokenizer.tokenize(pieces, begins=not tokens)]
        if not prompt:
            raise InvalidRequestError("there is nothing to answer: no message has a text")
        return Encoded(text, prompt)

    def parser(self, stop: Sequence[str]) -> AnswerParser:
        """Return a parser for plain text (`Codec.parser`)."""
        return TextParser(stop)

    def remember(self, prompt: Encoded, answer: str, tokens: Sequence[int]) -> None:
        """Add a transcript (`Codec.remember`).

        An answer that reads as a control token is left out: in the next prompt it will be plain text.
        """
        if not self._chat.turns.search(answer):
            self._transcripts.add(prompt.text + answer, tokens)

    def _pieces(self, segment: Segment) -> list[Segment]:
        control = self._chat.control
        parts = [segment.text] if segment.trusted else defuse(segment.text, control)
        return [Segment(piece, segment.trusted) for part in parts for piece in cut_runs(part, control)]

    def _refuse_overflow(self, pieces: Sequence[Segment], known: int, most: int) -> None:
        if sum(len(piece.text) for piece in pieces) <= _DENSE * most:
            return
        count = known
        for piece in pieces:
            slack = _SLACK if len(piece.text) > _SLICE else 0
            for at in range(0, len(piece.text), _SLICE):
                part = Segment(piece.text[at : at + _SLICE], piece.trusted)
                count += max(0, len(self._tokenizer.tokenize([part], begins=False)) - slack)
                if count > most:
                    raise ContextOverflowError.of(f"at least {count}", most)
