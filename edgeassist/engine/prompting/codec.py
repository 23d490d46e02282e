"""Prompts in both directions: messages to token ids, and the tokens of an answer back into a known text.

One codec serves every model that has a chat template and a tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edgeassist.engine.kv.world import PLAIN, World
from edgeassist.engine.messages import AUTO, ChatMessage, Thinking, Tools
from edgeassist.engine.prompting.calls.form import Form
from edgeassist.engine.prompting.parser import AnswerParser, Lead, TextParser, ThoughtParser
from edgeassist.engine.prompting.runs import cut_runs
from edgeassist.engine.prompting.shield import Segment, defuse
from edgeassist.engine.prompting.transcripts import Transcript, Transcripts
from edgeassist.engine.step import Token
from edgeassist.errors import ContextOverflowError, InvalidRequestError

if TYPE_CHECKING:
    # It brings Jinja, which a backend without chat templates has no use for.
    from edgeassist.engine.prompting.chat import ChatTemplate

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
        thinks: Whether it ends within a thought, which the answer goes on with.
        form: In which it tells the model to call tools; None where it tells of none.
    """

    text: str
    tokens: Sequence[int]
    world: World = PLAIN
    thinks: bool = False
    form: Form | None = None


# Makes of what reads an answer's text what also reads its calls.
ReadsCalls = Callable[[AnswerParser], AnswerParser]


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
        cut: The tokens that end a thought which is not complete; none where the model marks no thoughts.
        ends: Texts that end an answer which nothing bounds, where the vocabulary has no token for it.
    """

    refused: frozenset[str]
    cut: tuple[Token, ...]
    ends: tuple[str, ...]

    def encode(
        self,
        messages: Sequence[ChatMessage],
        most: int | None = None,
        thinking: Thinking = AUTO,
        tools: Tools | None = None,
    ) -> Encoded:
        """Return the conversation as text and token ids, ready for an answer.

        Args:
            messages: Oldest first.
            most: How many tokens make sense; what is far too long need not be tokenized to its end.
            thinking: Whether the model may think before it answers.
            tools: What it may call; None: nothing.

        Raises:
            ContextOverflowError: There are more than `most`.
            InvalidRequestError: The model's chat template does not take such a conversation, or a schema is
                no JSON object.
            ModelUnavailableError: It takes none.
        """
        ...

    def parser(
        self,
        stop: Sequence[str],
        *,
        thinks: bool = False,
        thoughts: bool = True,
        lead: Lead | None = None,
        calls: ReadsCalls | None = None,
    ) -> AnswerParser:
        """Return a parser for one answer.

        Args:
            stop: Texts that end it.
            thinks: Whether it begins within a thought (`Encoded.thinks`).
            thoughts: Whether any may come; if not, what reads as a mark is text.
            lead: What stands between thoughts and a bound answer (`ThoughtParser`).
            calls: Reads calls, too; None: there are none.
        """
        ...

    def tokens(self, option: str) -> list[int]:
        """Return the ids of an answer, as the model reads it in a message; none is a control token."""
        ...

    def remember(self, prompt: Encoded, answer: str, tokens: Sequence[int]) -> None:
        """Keep the tokens of a prompt and its answer, for when that conversation goes on.

        Args:
            prompt: What `encode` returned.
            answer: Its whole text, as the next turn will bring it.
            tokens: Of both, as they were computed and sampled.
        """
        ...

    def transcript_of(self, tokens: Sequence[int]) -> Transcript | None:
        """Return the conversation that ends with these tokens, or a few behind them, if it is remembered."""
        ...

    def retell(self, transcript: Transcript) -> None:
        """Remember a conversation of an earlier run, with the same model."""
        ...


class PromptCodec:
    """Fulfils `Codec` with a chat template and a tokenizer."""

    def __init__(self, chat: ChatTemplate, tokenizer: Tokenizer, ends: tuple[str, ...] = ()) -> None:
        self.refused = chat.refused
        self.ends = ends
        self._chat = chat
        self._tokenizer = tokenizer
        self._transcripts = Transcripts()
        self.cut = self._tokens_of("" if chat.marks is None else chat.marks.cut)

    def encode(
        self,
        messages: Sequence[ChatMessage],
        most: int | None = None,
        thinking: Thinking = AUTO,
        tools: Tools | None = None,
    ) -> Encoded:
        """Render the chat template, and tokenize what no transcript knows (`Codec.encode`)."""
        segments = self._chat.render(messages, thinking, tools)
        text, tokens, rest = self._transcripts.find(segments)
        pieces = [piece for segment in rest for piece in self._pieces(segment)]
        if most is not None:
            self._refuse_overflow(pieces, len(tokens), most)
        tokens = [*tokens, *self._tokenizer.tokenize(pieces, begins=not tokens)]
        if not tokens:
            raise InvalidRequestError("there is nothing to answer: no message has a text")
        form = None if tools is None else self._chat.form_for(tools)
        return Encoded(text, tokens, thinks=self._chat.ends_in_thought(segments), form=form)

    def parser(
        self,
        stop: Sequence[str],
        *,
        thinks: bool = False,
        thoughts: bool = True,
        lead: Lead | None = None,
        calls: ReadsCalls | None = None,
    ) -> AnswerParser:
        """Return a parser for what the model's family writes (`Codec.parser`)."""
        marks = self._chat.marks if thoughts else None
        ends = marks.ends if marks is not None and lead is None else ()
        rest: AnswerParser = TextParser((*stop, *ends))
        if calls is not None:
            rest = calls(rest)
        return rest if marks is None else ThoughtParser(marks, rest, thinks=thinks, lead=lead)

    def tokens(self, option: str) -> list[int]:
        """Tokenize what follows a prompt, in lower case if the user's messages are (`Codec.tokens`)."""
        read = option.lower() if self._chat.lowers else option
        return self._tokenizer.tokenize(self._pieces(Segment(read, trusted=False)), begins=False)

    def remember(self, prompt: Encoded, answer: str, tokens: Sequence[int]) -> None:
        """Add a transcript (`Codec.remember`).

        An answer that reads as a control token is left out: in the next prompt it will be plain text.
        """
        if not self._chat.turns.search(answer):
            self._transcripts.add(prompt.text + answer, tokens)

    def transcript_of(self, tokens: Sequence[int]) -> Transcript | None:
        """Look it up (`Codec.transcript_of`)."""
        return self._transcripts.of(tokens)

    def retell(self, transcript: Transcript) -> None:
        """Add a transcript (`Codec.retell`)."""
        self._transcripts.add(transcript.text, transcript.tokens)

    def _tokens_of(self, mark: str) -> tuple[Token, ...]:
        ids = self._tokenizer.tokenize([Segment(mark, trusted=True)], begins=False) if mark else []
        # Only all of their bytes together are read.
        return tuple(Token(id_, b"" if at else mark.encode(), ends=False) for at, id_ in enumerate(ids))

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
