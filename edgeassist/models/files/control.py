"""Which of a vocabulary's tokens are control tokens: by what they do, since publishers flag them differently.

A control token shapes a conversation: it begins or ends a prompt, a turn, a thought, a tool call. Files flag
most of them (`CONTROL` in GGUF, `special` in tokenizer.json), but not all: Phi-3's `</s>`, the role marks of
DeepSeek R1's distillations and Qwen's `<tool_call>` are declared like the runs of blanks, digits and HTML
tags that other vocabularies add as ordinary text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

# Such as `<|user|>`, `<start_of_turn>`, `[INST]`: no text that people write by chance.
_MARKUP = re.compile(r"<[|｜][^<>]*[|｜]>|</?[^\s<>/][^\s<>]*>|\[/?[^\s\[\]]*[A-Za-z][^\s\[\]]*\]")
# Of the same shape, but added because web pages are full of them.
_HTML = re.compile(
    r"</?(?:a|abbr|article|aside|b|big|blockquote|body|br|caption|center|cite|code|col|colgroup|dd|del|details|"
    r"div|dl|dt|em|figcaption|figure|font|footer|form|h[1-6]|head|header|hr|html|i|img|ins|kbd|li|link|main|"
    r"mark|meta|nav|ol|p|pre|q|s|samp|script|section|small|span|strike|strong|style|sub|summary|sup|table|"
    r"tbody|td|tfoot|th|thead|title|tr|tt|u|ul|var)/?>",
    re.IGNORECASE,
)
_SENTENCE = frozenset({"<s>", "</s>"})
# What a model itself writes inside of its turn.
_INSIDE = re.compile(r"</?(?:think|thought|reason|tool|function|answer)\w*>")
# Role marks as a chat template spells them out, whether or not the vocabulary has tokens for them.
_SPELLED = re.compile(r"<\|[\w ]+\|>|<｜[^<>｜{}'\"]+｜>|\[/?[A-Z][A-Z_]*\]|<</?[A-Z]+>>")


# What ends a turn in the vocabularies of model families, whatever their files say (llama.cpp's list, but for
# `</s>`, which is HTML in some).
_ENDS = frozenset(
    {
        *("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<turn|>", "<|END_OF_TURN_TOKEN|>"),
        *("<|end|>", "<|return|>", "<|call|>", "<|calls|>", "<|flush|>", "<|tool_response>"),
        *("<|endoftext|>", "<|end_of_text|>", "<end_of_utterance>", "<EOT>", "_<EOT>", "[EOT]"),
        "<｜end▁of▁sentence｜>",
    }
)
# With these, `<|end|>` ends a part of a turn only.
_PARTED = (frozenset({"<|return|>", "<|call|>"}), frozenset({"<|calls|>", "<|flush|>"}))


def ends_among(tokens: Iterable[str]) -> frozenset[str]:
    """Return those of a vocabulary's tokens beside ordinary text that end a turn by what they are called."""
    found = _ENDS.intersection(tokens)
    return found - {"<|end|>"} if any(found >= pair for pair in _PARTED) else found


def reads_as_mark(text: str) -> bool:
    """Whether a token has the shape that marks have, and ordinary text has not."""
    return _MARKUP.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Control:
    """The texts of a vocabulary's control tokens.

    Attributes:
        turns: Those that begin or end prompts and turns; no message may hold one.
        parts: Those that mark parts of a turn, thoughts and tool calls. The assistant's own messages may.
    """

    turns: frozenset[str]
    parts: frozenset[str]


def control_of(
    *, flagged: Iterable[str], added: Iterable[str], roles: Iterable[str], template: str | None
) -> Control:
    """Tell control tokens from ordinary text.

    Args:
        flagged: The texts of the tokens that the file declares to be control tokens.
        added: Of those that it adds to the vocabulary without saying what they are.
        roles: Of those that it names as the beginning or end of something. Ordinary text is none: where a
            file names no first token, llama.cpp takes number 11, a comma in most vocabularies.
        template: The model's chat template.
    """
    added = frozenset(added)
    named = {text for text in roles if text in added or reads_as_mark(text)}
    sure = {*flagged, *named, *_SPELLED.findall(template or "")} - {""}
    likely = {text for text in added if reads_as_mark(text) and not _HTML.fullmatch(text)} - sure
    # HTML's strike-out, unless the other one of the pair tells that they are not.
    sentence = {text for text in added if text in _SENTENCE} if sure & _SENTENCE else set()
    parts = {text for text in likely if _INSIDE.fullmatch(text)}
    return Control(frozenset(sure | sentence | (likely - parts)), frozenset(parts))
