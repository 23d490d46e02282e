"""The tokenizer: byte-level BPE trained on the dialogues, in a form that both engines read alike.

Merges stay within a word, a Chinese character or a run of punctuation, and never include a space or a
capital. So a name has the same tokens after a space in a sensor list as after a quote in an action, and the
model can copy them one by one. The engines split text by Qwen2's rules; these are coarser, so the tokens are
the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as Steps
from tokenizers.trainers import BpeTrainer

from edgeassist.engine.messages import ChatMessage
from edgeassist.trial_models.tokenizer_files import write_tokenizer
from edgeassist.trial_models.vocabulary import SPECIAL_TOKENS, byte_level_vocabulary

# A Chinese character, a capital, other letters, a digit, a space, punctuation.
_PIECES = r"\p{Han}|\p{Lu}|[^\P{L}\p{Han}\p{Lu}]+|\p{N}|\s|[^\s\p{L}\p{N}]+"
_ROLES = ("system", "user", "assistant")
# ChatML, with user messages in lower case, so that a name has the same tokens at the start of a sentence.
# System prompts keep their case: units need it.
_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{{ message['content'] | lower if message['role'] == 'user' else message['content'] }}"
    "{{ '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# Roles occur in every dialogue but not in the training texts, so they are added this many times.
_ROLE_REPEATS = 1000
_CONTEXT = 1024

Merges = list[tuple[str, str]]


def learn_merges(texts: Iterable[str], size: int) -> Merges:
    """Learn the merges for a vocabulary of `size` tokens, fewer if the texts don't yield as many."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = Steps(
        [Split(Regex(_PIECES), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    trainer = BpeTrainer(
        vocab_size=size - SPECIAL_TOKENS + 256,
        initial_alphabet=sorted(ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((*_ROLES * _ROLE_REPEATS, *texts), trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(left, right) for left, right in merges]


def save_merges(path: Path, merges: Merges) -> None:
    """Write merges, one per line."""
    path.write_text("".join(f"{left} {right}\n" for left, right in merges))


def load_merges(path: Path) -> Merges:
    """Read merges."""
    pairs = (line.split(" ") for line in path.read_text().splitlines())
    return [(left, right) for left, right in pairs]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A dialogue's tokens.

    Attributes:
        tokens: Ids.
        spoken: True for the assistant's.
        forks: True for the assistant's where options part; None where there are no options.
        branches: 0 for what all tokens behind it see, another number for what only those of the same number
            see; None: each sees all before it.
    """

    tokens: list[int]
    spoken: list[bool]
    branches: list[int] | None = None
    forks: list[bool] | None = None


def _parts(answers: Sequence[list[int]], path: list[int]) -> bool:
    """Return whether answers that begin with the path go on in more than one way."""
    depth = len(path)
    return len({answer[depth] for answer in answers if len(answer) > depth and answer[:depth] == path}) > 1


def shared_length(prompts: Sequence[Sequence[int]]) -> int:
    """Return how many tokens all prompts begin with alike; each has at least one more."""
    most = min(map(len, prompts)) - 1
    return next((at for at in range(most) if any(prompt[at] != prompts[0][at] for prompt in prompts)), most)


class Encoder:
    """Tokenizes texts as the engines do.

    Args:
        merges: The merges of the vocabulary.
    """

    def __init__(self, merges: Merges) -> None:
        self.vocabulary = byte_level_vocabulary(merges, template=_TEMPLATE)
        with TemporaryDirectory(prefix="train-tiny-") as folder:
            write_tokenizer(Path(folder), self.vocabulary, context=_CONTEXT)
            self._tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
        tokens = self.vocabulary.entries["tokenizer.ggml.tokens"].value
        begin, self.end = int(tokens.index("<|im_start|>")), int(tokens.index("<|im_end|>"))
        (newline,) = self.encode("\n")
        self._heads = {role: [begin, *self.encode(f"{role}\n")] for role in _ROLES}
        self._tail = [self.end, newline]

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text without control tokens."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, without control tokens."""
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True))

    def prompt(self, system: str, user: str) -> list[int]:
        """Return the tokens of a prompt by the chat template, up to the start of the answer."""
        tokens = self._message("system", system) if system else []
        return [*tokens, *self._message("user", user), *self._heads["assistant"]]

    def dialogue(self, system: str, turns: Iterable[tuple[str, str]]) -> Encoded:
        """Return the tokens of a whole dialogue; `turns` are pairs of user message and reply."""
        tokens = self._message("system", system) if system else []
        spoken = [False] * len(tokens)
        for user, reply in turns:
            asked = [*self._message("user", user), *self._heads["assistant"]]
            answer = [*self.encode(reply), self.end]
            tokens += [*asked, *answer, self._tail[1]]
            spoken += [False] * len(asked) + [True] * len(answer) + [False]
        return Encoded(tokens, spoken)

    def conversation(self, messages: Iterable[ChatMessage]) -> list[int]:
        """Return the tokens of a conversation by the chat template, up to the start of the answer."""
        said = [token for each in messages for token in self._message(each.role, each.content)]
        return [*said, *self._heads["assistant"]]

    def decisions(self, asked: Sequence[tuple[Sequence[ChatMessage], Sequence[str], int]]) -> Encoded:
        """Return the tokens of several questions about one state, which is there once.

        Args:
            asked: What is said before the reply, the options, and the number of the right one, of each.
        """
        prompts = [self.conversation(messages) for messages, _, _ in asked]
        shared = shared_length(prompts)
        tokens, spoken = prompts[0][:shared], [False] * shared
        branches, forks = [0] * shared, [False] * shared
        for number, (prompt, (_, options, right)) in enumerate(zip(prompts, asked, strict=True), 1):
            answers = [[*self.encode(option), self.end] for option in options]
            question, answer = prompt[shared:], answers[right]
            forks += [False] * len(question)
            forks += [_parts(answers, answer[:at]) for at in range(len(answer))]
            tokens += [*question, *answer]
            spoken += [False] * len(question) + [True] * len(answer)
            branches += [number] * (len(question) + len(answer))
        return Encoded(tokens, spoken, branches, forks)

    def _message(self, role: str, text: str) -> list[int]:
        read = text.lower() if role == "user" else text
        return [*self._heads[role], *self.encode(read), *self._tail]
