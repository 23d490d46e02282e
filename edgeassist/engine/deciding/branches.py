"""The prompts of a decision as tokens, and what has to be compared in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeassist.engine.backends.base import LoadedModel
from edgeassist.engine.deciding.tree import Fork, Path, forks_of
from edgeassist.engine.deciding.wording import Asking, askings, neutral
from edgeassist.engine.kv.prefixes import shared_length
from edgeassist.engine.kv.world import World
from edgeassist.engine.messages import Decide, Thinking
from edgeassist.engine.prompting.codec import Codec
from edgeassist.engine.step import Read
from edgeassist.errors import ContextOverflowError, InvalidRequestError, UnsupportedError

# How much a decision's questions and options may have to read beside its state: five times what 32 questions
# that name 32 rooms each have.
MOST_TOKENS = 16_384
_UNTHINKING = Thinking(wanted=False)


@dataclass(frozen=True, slots=True)
class Asked:
    """One question about one state, as tokens.

    Attributes:
        prompt: Ids, up to where the answer begins.
        world: What else decides their KV values.
        options: How many there are.
        forks: Where these part.
    """

    prompt: tuple[int, ...]
    world: World
    options: int
    forks: tuple[Fork, ...]

    def branch(self, numbers: Sequence[int]) -> Branch:
        """Return the prompt that has to be read to compare at forks on one path (`branches_of`)."""
        start = len(self.prompt)
        return Branch(
            (*self.prompt, *self.forks[numbers[-1]].path),
            self.world,
            tuple(
                Read(start - 1 + len(self.forks[number].path), self.forks[number].candidates)
                for number in numbers
            ),
            tuple(numbers),
        )

    @property
    def path_tokens(self) -> int:
        """How many tokens of answers are read, what they begin alike with counted once."""
        return len({fork.path[:end] for fork in self.forks for end in range(1, len(fork.path) + 1)})


@dataclass(frozen=True, slots=True)
class Branch:
    """A prompt with the beginning of an answer, and what is compared on the way.

    Attributes:
        tokens: Ids.
        world: What else decides their KV values.
        reads: What is compared.
        forks: The numbers of the forks that these are.
    """

    tokens: tuple[int, ...]
    world: World
    reads: tuple[Read, ...]
    forks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A decision before its first step.

    Attributes:
        asked: Its questions about the state.
        neutral: The options of each about no state: what the model would answer without knowing anything;
            None where nothing is taken off.
        prior: How much of that is taken off.
    """

    asked: tuple[Asked, ...]
    neutral: tuple[Asked | None, ...]
    prior: float

    @property
    def prompt_tokens(self) -> int:
        """How many tokens the questions have, what they begin alike with counted once."""
        return tokens_of(self.asked)


def tokens_of(questions: Sequence[Asked]) -> int:
    """Return how many tokens questions and answers have, what they begin alike with counted once."""
    count = 0
    before: tuple[int, ...] = ()
    # In order, so that those that begin alike stand next to each other.
    for asked in sorted(dict.fromkeys(questions), key=lambda each: each.prompt):
        count += len(asked.prompt) - shared_length(before, asked.prompt) + asked.path_tokens
        before = asked.prompt
    return count


class Inquiries:
    """Prepares decisions for one model. Two threads may call it at once.

    Args:
        model: Whose.
    """

    def __init__(self, model: LoadedModel) -> None:
        self._codec: Codec = model.codec
        self._context = model.facts.context
        self._ends = model.ends

    def prepare(self, decide: Decide) -> Inquiry:
        """Return what has to be read for a decision.

        Raises:
            ContextOverflowError: The state does not fit the context with one of the questions.
            InvalidRequestError: The model's chat template does not take such a conversation, or questions and
                options have more than MOST_TOKENS beside the state.
            ModelUnavailableError: It takes none.
            UnsupportedError: The model knows no token that ends an answer.
        """
        if not self._ends:
            raise UnsupportedError("the model knows no token that ends an answer: run another model")
        asked = tuple(map(self._ask, askings(decide)))
        beside = tokens_of(asked) - max(len(each.prompt) for each in asked)
        if beside > MOST_TOKENS:
            raise InvalidRequestError(
                f"questions and their options have {beside} tokens beside the state, of which at most "
                f"{MOST_TOKENS} are read: ask fewer questions at once, or with fewer or shorter options"
            )
        unknown = [None if each is None or not decide.prior else self._ask(each) for each in neutral(decide)]
        return Inquiry(asked, tuple(unknown), decide.prior)

    def _ask(self, asking: Asking) -> Asked:
        encoded = self._codec.encode(asking.messages, self._context, _UNTHINKING)
        prompt = (*encoded.tokens, *([token.id for token in self._codec.cut] if encoded.thinks else ()))
        options = [tuple(self._codec.tokens(option)) for option in asking.options]
        _check_apart(asking.options, options)
        forks = tuple(forks_of(options, self._ends))
        longest = len(prompt) + max((len(fork.path) for fork in forks), default=0)
        if longest > self._context:
            raise ContextOverflowError.of(longest, self._context)
        return Asked(prompt, encoded.world, len(options), forks)


def _check_apart(options: Sequence[str], tokens: Sequence[Path]) -> None:
    """Refuse options that a model can't tell apart, since tokenizers normalise text.

    Raises:
        InvalidRequestError: Two have the same tokens, or none.
    """
    known: dict[Path, str] = {}
    for option, path in zip(options, tokens, strict=True):
        if (other := known.setdefault(path, option)) is not option:
            raise InvalidRequestError(
                f"criteria: the options {other!a} and {option!a} are the same to this model: "
                "name them otherwise"
            )
