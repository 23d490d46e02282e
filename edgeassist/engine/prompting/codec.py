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
from edgeassist.engine.prompting.shield import Segment
from edgeassist.engine.prompting.transcripts import Transcripts


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
    """What a backend's library knows of the vocabulary."""

    def tokenize(self, segments: Sequence[Segment], *, begins: bool) -> list[int]:
        """Return the token ids of some text; only trusted segments yield control tokens.

        Args:
            segments: In order.
            begins: Whether they begin a prompt, or follow tokens that are known.
        """
        ...


class Codec(Protocol):
    """What the worker asks of a model's prompts.

    Attributes:
        refused: The roles that the model's chat template has no place for.
    """

    refused: frozenset[str]

    def encode(self, messages: Sequence[ChatMessage]) -> Encoded:
        """Return the conversation as text and token ids, ready for an answer.

        Raises:
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

    def encode(self, messages: Sequence[ChatMessage]) -> Encoded:
        """Render the chat template, and tokenize what no transcript knows (`Codec.encode`)."""
        text, tokens, rest = self._transcripts.find(self._chat.render(messages))
        return Encoded(text, [*tokens, *self._tokenizer.tokenize(rest, begins=not tokens)])

    def parser(self, stop: Sequence[str]) -> AnswerParser:
        """Return a parser for plain text (`Codec.parser`)."""
        return TextParser(stop)

    def remember(self, prompt: Encoded, answer: str, tokens: Sequence[int]) -> None:
        """Add a transcript (`Codec.remember`).

        An answer that reads as a control token is left out: in the next prompt it will be plain text.
        """
        if not self._chat.control.search(answer):
            self._transcripts.add(prompt.text + answer, tokens)
