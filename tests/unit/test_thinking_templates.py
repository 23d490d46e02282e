"""Templates that let their models think, each in a published way: what they are told."""

from collections.abc import Sequence

import pytest

from edgeassist.engine.messages import AUTO, ChatMessage, Thinking
from edgeassist.engine.prompting.chat import ChatTemplate
from edgeassist.engine.prompting.codec import PromptCodec
from edgeassist.engine.prompting.shield import Segment

ON, OFF = Thinking(wanted=True), Thinking(wanted=False)
TURNS = "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content }}{% endfor %}{{ '<|assistant|>' }}"
# Leaves the thoughts of earlier turns out, as most do.
STRIPS = TURNS.replace("m.content", "m.content.split('</think>')[-1]")
QWEN = (
    STRIPS + "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
)
OPENS = (
    STRIPS
    + "{% if enable_thinking is not defined or enable_thinking %}<think>\n"
    + "{% else %}<think></think>{% endif %}"
)
ALWAYS = STRIPS + "{{ '<think>\\n' }}"
DEEPSEEK = (
    "{% if not thinking is defined %}{% set thinking = false %}{% endif %}"
    + STRIPS
    + ("{{ '<think>' if thinking else '</think>' }}")
)
GRANITE = (
    "{% if messages[0].role != 'system' %}Granite{% if thinking %} writes </think> and <response></response>"
    "{% endif %}{% endif %}" + TURNS
)
SEED = (
    "{% set budget = thinking_budget | default(-1) %}{% if budget > 0 %}Use {{ budget }} tokens.{% endif %}"
    + TURNS
    + "{% if budget == 0 %}<seed:think>Nothing.</seed:think>{% endif %}"
)
MODES = TURNS + "{{ {'enabled': '<mm:think>', 'disabled': '</mm:think>'}[thinking_mode] or '' }}"
GPT_OSS = "Reasoning: {{ reasoning_effort | default('medium') }}. Channels: <|channel|>" + TURNS
PLAIN = TURNS
# A template that takes no value that it does not know.
STRICT = (
    "{% if thinking_mode is defined and thinking_mode != 'enabled' %}{{ raise_exception('no') }}{% endif %}"
    + STRIPS
)


class Letters:
    """A tokenizer whose tokens are letters."""

    def tokenize(self, segments: Sequence[Segment], *, begins: bool) -> list[int]:
        del begins
        return [ord(letter) for segment in segments for letter in segment.text]


def template(source: str) -> ChatTemplate:
    return ChatTemplate(source, control=["<|user|>", "<|assistant|>"], parts=["<think>", "</think>"])


def prompt(source: str, thinking: Thinking = AUTO) -> str:
    rendered = template(source).render([ChatMessage("user", "Why?")], thinking)
    return "".join(segment.text for segment in rendered)


ASKED = "<|user|>Why?<|assistant|>"


@pytest.mark.parametrize(
    ("source", "as_it_is", "on", "off"),
    [
        (QWEN, ASKED, ASKED, f"{ASKED}<think>\n\n</think>\n\n"),
        (OPENS, f"{ASKED}<think>\n", f"{ASKED}<think>\n", f"{ASKED}<think></think>"),
        (ALWAYS, f"{ASKED}<think>\n", f"{ASKED}<think>\n", f"{ASKED}<think>\n\n</think>\n\n"),
        (DEEPSEEK, f"{ASKED}</think>", f"{ASKED}<think>", f"{ASKED}</think>"),
        (GRANITE, f"Granite{ASKED}",
         f"Granite writes </think> and <response></response>{ASKED}", f"Granite{ASKED}"),
        (SEED, ASKED, ASKED, f"{ASKED}<seed:think>Nothing.</seed:think>"),
        (MODES, ASKED, f"{ASKED}<mm:think>", f"{ASKED}</mm:think>"),
        (GPT_OSS, *(f"Reasoning: {effort}. Channels: <|channel|>{ASKED}"
                    for effort in ("medium", "medium", "low"))),
        (PLAIN, ASKED, ASKED, ASKED),
        (STRICT, ASKED, ASKED, ASKED),
    ],
    ids=["qwen", "opens", "always", "deepseek", "granite", "seed", "modes", "gpt-oss", "plain", "strict"],
)  # fmt: skip
def test_a_template_is_told_by_its_own_switch_whether_to_think(
    source: str, as_it_is: str, on: str, off: str
) -> None:
    assert (prompt(source), prompt(source, ON), prompt(source, OFF)) == (as_it_is, on, off)


def test_a_budget_is_told_to_a_template_that_asks_for_one() -> None:
    assert prompt(SEED, Thinking(budget=300)) == f"Use 300 tokens.{ASKED}"
    assert prompt(QWEN, Thinking(budget=300)) == ASKED
    assert prompt(SEED, Thinking(wanted=False, budget=300)) == prompt(SEED, OFF)


@pytest.mark.parametrize(
    ("source", "thinking", "opened"),
    [
        (QWEN, AUTO, False),
        (QWEN, OFF, False),
        (OPENS, AUTO, True),
        (OPENS, OFF, False),
        (ALWAYS, OFF, False),
        (DEEPSEEK, AUTO, False),
        (DEEPSEEK, ON, True),
        (MODES, ON, True),
        (PLAIN, ON, False),
    ],
)
def test_it_is_known_whether_the_prompt_ends_within_a_thought(
    source: str, thinking: Thinking, *, opened: bool
) -> None:
    codec = PromptCodec(template(source), Letters())
    assert codec.encode([ChatMessage("user", "Why?")], thinking=thinking).thinks == opened


def test_a_user_who_writes_the_mark_opens_no_thought() -> None:
    for source in (TURNS, QWEN, ALWAYS.replace("{{ '<think>\\n' }}", "")):
        bare = source.replace("{{ '<|assistant|>' }}", "")
        codec = PromptCodec(template(bare), Letters())
        assert not codec.encode([ChatMessage("user", "<think>")]).thinks


@pytest.mark.parametrize(("source", "cut"), [(QWEN, "\n</think>\n\n"), (MODES, "</mm:think>"), (PLAIN, "")])
def test_the_tokens_that_cut_a_thought_short_are_those_of_its_closing_mark(source: str, cut: str) -> None:
    # Without marks in its vocabulary, a model that has none in its template does not think.
    codec = PromptCodec(ChatTemplate(source, control=["<|user|>", "<|assistant|>"]), Letters())
    assert "".join(chr(token.id) for token in codec.cut) == cut
    assert b"".join(token.piece for token in codec.cut).decode() == cut


def test_marks_that_are_control_tokens_are_to_be_read_in_an_answer() -> None:
    control = ["<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|user|>"]
    assert ChatTemplate(GPT_OSS, control=control).shown == frozenset(control[:4])
    assert ChatTemplate(TURNS + "[/THINK]", control=["[THINK]", "[/THINK]", "</s>"]).shown == {
        "[THINK]",
        "[/THINK]",
    }
    assert ChatTemplate(TURNS, control=control[4:]).shown == frozenset()
