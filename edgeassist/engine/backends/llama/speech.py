"""How a model speaks: its chat template over its vocabulary, what ends its answers and marks their parts."""

from __future__ import annotations

from dataclasses import dataclass

from edgeassist.engine.backends.llama.lexicon import SPECIAL_TOKENS, Declared, Lexicon
from edgeassist.engine.prompting.chat import ChatTemplate
from edgeassist.models.files.control import Control, control_of, reads_as_mark

# For llama.cpp a control token that ends every answer. With Qwen and Gemma it is HTML.
_STRIKE = "</s>"
_SENTENCE = frozenset({"<s>", _STRIKE})


@dataclass(frozen=True, slots=True)
class Templates:
    """A model's chat templates, as texts.

    Attributes:
        source: For all conversations; None: there is none.
        for_tools: For those with tools, in the place of the first; None: there is none.
        configured: Whether the first is what `model.template` names.
    """

    source: str | None
    for_tools: str | None = None
    configured: bool = False


@dataclass(frozen=True, slots=True)
class Signs:
    """What of a vocabulary is no text.

    Attributes:
        control: The control tokens of prompts by the template.
        ids: Of all that may be one, by their texts.
        named: The texts of special tokens, by their names in templates.
        ends: The tokens that end an answer, but for what the template tells.
        strike: The token that is HTML although llama.cpp ends answers with it.
    """

    control: Control
    ids: dict[str, int]
    named: dict[str, object]
    ends: frozenset[int]
    strike: int | None


@dataclass(frozen=True, slots=True)
class Speech:
    """How a model speaks.

    Attributes:
        signs: What of its vocabulary is no text.
        chat: The chat template.
        ends: The tokens that end an answer, in order.
        spelled_ends: What ends an answer by the chat template, if the vocabulary has a token for none of it.
        marks: The control tokens that are read in an answer, by their texts: those of thoughts and calls.
    """

    signs: Signs
    chat: ChatTemplate
    ends: tuple[int, ...]
    spelled_ends: tuple[str, ...]
    marks: dict[str, int]


def speech_of(lexicon: Lexicon, templates: Templates, guess: Speech | None = None) -> Speech:
    """Return how a model speaks.

    Args:
        lexicon: Its vocabulary.
        templates: Its chat templates.
        guess: What was guessed of the same file; it need not be right.

    Raises:
        ModelError: The chat template can't be read.
    """
    signs = signs_of(lexicon, templates.source or templates.for_tools)
    if guess is not None and guess.signs == signs:
        return guess
    chat = ChatTemplate(
        templates.source or templates.for_tools,
        tokens=signs.named,
        control=signs.control.turns,
        parts=signs.control.parts,
        configured=templates.configured,
        for_tools=templates.for_tools,
    )
    told = frozenset(signs.ids[text] for text in chat.ends if text in signs.ids)
    return Speech(
        signs,
        chat,
        ends=tuple(sorted(signs.ends | told)),
        spelled_ends=() if told else tuple(sorted(chat.ends)),
        marks={text: signs.ids[text] for text in chat.shown if text in signs.ids},
    )


def signs_of(lexicon: Lexicon, template: str | None) -> Signs:
    """Return what of a vocabulary is no text, in prompts by that template."""
    flagged: dict[str, int] = {}
    added: dict[str, int] = {}
    ends = set()
    for token in lexicon.notable:
        declared = lexicon.declared(token)
        if declared is Declared.CONTROL:
            flagged[lexicon.text(token)] = token
        elif declared is Declared.ADDED:
            added[lexicon.text(token)] = token
        if lexicon.ends(token):
            ends.add(token)
    roles = [lexicon.text(token) for token in lexicon.roles if token >= 0]
    strike = None if _SENTENCE.intersection(roles) else flagged.pop(_STRIKE, None)
    return Signs(
        control_of(flagged=flagged, added=added, roles=roles, template=template),
        flagged | added,
        _named(lexicon),
        frozenset(ends - {strike}),
        strike,
    )


def _named(lexicon: Lexicon) -> dict[str, object]:
    """Return the texts of special tokens by their names in templates, as far as the file has them."""
    tokens = {
        "bos_token": lexicon.first,
        "eos_token": lexicon.last,
        **{name: lexicon.named(key) for name, key in SPECIAL_TOKENS.items()},
    }
    return {
        name: lexicon.text(token)
        for name, token in tokens.items()
        if 0 <= token < lexicon.size and not _is_ordinary(lexicon, token)
    }


def _is_ordinary(lexicon: Lexicon, token: int) -> bool:
    """Whether it is text: llama.cpp's default for a token that the file does not name may be."""
    return lexicon.is_text(token) and not reads_as_mark(lexicon.text(token))
