"""Where a model's thoughts end and its answer begins: the marks of each family. Sans-I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Marks:
    """How a family marks thoughts, which come before the text.

    Attributes:
        opening: Stands before them.
        closing: Stands behind them; the text follows.
        spacing: White space before and after `closing`, as the model writes it.
        begins: What may stand at the beginning of the text and is none of it.
        ends: What ends the text and is none of it.
    """

    opening: str
    closing: str
    spacing: tuple[str, str] = ("", "")
    begins: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()

    @property
    def cut(self) -> str:
        """What ends a thought that is not complete."""
        before, after = self.spacing
        return f"{before}{self.closing}{after}"

    def open_at_end(self, prompt: str) -> bool:
        """Whether the prompt opens a thought, in which the model then goes on."""
        return prompt.rstrip().endswith(self.opening)


# Qwen 3, DeepSeek R1, QwQ, SmolLM 3, GLM, Nemotron and most others: <think>. Others add a name of their own:
# <seed:think>, <mm:think>, <think:opensource>.
_TAG = re.compile(r"</((?:\w+:)?think(?::\w+)?)>")
_PLAIN = "think"
_PLAIN_SPACING = ("\n", "\n\n")
# What may follow the tag, and the words by which a template tells that its model writes so.
_WRAPPED = {
    ("Granite", "<response>", "</response>"): ("<response>", "</response>"),
    ("<answer>", "</answer>"): ("<answer>", "</answer>"),  # Hunyuan
}
# Marks of other kinds, and what a template or vocabulary that has them holds.
_OTHERS = {
    "[/THINK]": Marks("[THINK]", "[/THINK]"),  # Magistral, Ministral 3
    "<channel|>": Marks("<|channel>thought", "<channel|>", ("\n", "")),  # Gemma 4
    "<|END_THINKING|>": Marks(  # Command A
        "<|START_THINKING|>",
        "<|END_THINKING|>",
        begins=("<|START_RESPONSE|>",),
        ends=("<|END_RESPONSE|>",),
    ),
    "<|channel|>": Marks(  # gpt-oss (Harmony): each part of an answer is a message in a channel
        "<|channel|>analysis<|message|>",
        "<|end|><|start|>assistant<|channel|>final<|message|>",
        begins=("<|channel|>final<|message|>",),
    ),
    "<|inner_suffix|>": Marks("<|inner_prefix|>", "<|inner_suffix|>"),  # Apertus
    "Here is my response:": Marks(  # Granite 3.2
        "Here is my thought process:", "Here is my response:", ("\n\n", "\n\n")
    ),
}


def find_marks(template: str, prompts: Iterable[str], vocabulary: Iterable[str]) -> Marks | None:
    """Return how a model marks its thoughts; None where it does it in no way that we know.

    Args:
        template: Its chat template's source.
        prompts: What that wrote, with and without thoughts.
        vocabulary: The texts of tokens that may be marks.
    """
    known = [*prompts, *vocabulary, template]
    for sign, marks in _OTHERS.items():
        if any(sign in text for text in known):
            return marks
    for text in known:
        if tag := _TAG.search(text):
            return _of_tag(tag[1], template, known)
    return None


def _of_tag(name: str, template: str, written: Iterable[str]) -> Marks:
    marks = Marks(f"<{name}>", f"</{name}>", _PLAIN_SPACING if name == _PLAIN else ("", ""))
    for text in written:
        if text != text.rstrip() and text.rstrip().endswith(marks.closing):
            marks = replace(marks, spacing=("\n", text[len(text.rstrip()) :]))
            break
        if text.endswith(f"{marks.opening}{marks.closing}"):
            marks = replace(marks, spacing=("", ""))
            break
    for signs, (begin, end) in _WRAPPED.items():
        if all(sign in template for sign in signs):
            return replace(marks, begins=(begin,), ends=(end,))
    return marks
