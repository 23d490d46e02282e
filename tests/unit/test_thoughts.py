"""Thoughts and text of each family's answers: what is which, however tokens cut them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.engine.messages import DeltaKind
from edgeassist.engine.prompting.parser import Part, TextParser, ThoughtParser
from edgeassist.engine.prompting.thoughts import Marks, find_marks

THINK = find_marks("{{ '<think>' }}{{ '</think>' }}", (), ())
# By family: a word of its template, and an answer as it is sampled.
FAMILIES = {
    "qwen": ("</think>", "<think>\nLet me see.\n\nFive.\n</think>\n\nIt is 5.\n"),
    "deepseek": ("</think>", "<think>Let me see.\n\nFive.</think>It is 5.\n"),
    "granite": ("Granite <response></response></think>",
                "<think>Let me see.\n\nFive.</think><response>It is 5.\n</response>"),
    "granite 3.2": ("Here is my response:",
                    "Here is my thought process:\nLet me see.\n\nFive.\n\nHere is my response:\nIt is 5.\n"),
    "hunyuan": ("<answer></answer></think>",
                "<think>\nLet me see.\n\nFive.\n</think>\n<answer>\nIt is 5.\n</answer>"),
    "seed": ("</seed:think>", "<seed:think>\nLet me see.\n\nFive.</seed:think>It is 5.\n"),
    "minimax": ("</mm:think>", "<mm:think>Let me see.\n\nFive.</mm:think>It is 5.\n"),
    "mistral": ("[/THINK]", "[THINK]Let me see.\n\nFive.[/THINK]It is 5.\n"),
    "gemma": ("<channel|>", "<|channel>thought\nLet me see.\n\nFive.\n<channel|>It is 5.\n"),
    "command": ("<|END_THINKING|>",
                "<|START_THINKING|>Let me see.\n\nFive.<|END_THINKING|><|START_RESPONSE|>It is 5.\n"
                "<|END_RESPONSE|>"),
    "gpt-oss": ("<|channel|>",
                "<|channel|>analysis<|message|>Let me see.\n\nFive.<|end|><|start|>assistant"
                "<|channel|>final<|message|>It is 5.\n"),
    "apertus": ("<|inner_suffix|>", "<|inner_prefix|>Let me see.\n\nFive.<|inner_suffix|>It is 5.\n"),
}  # fmt: skip


def marks_of(template: str) -> Marks:
    marks = find_marks(template, (), ())
    assert marks is not None
    return marks


def read(
    answer: bytes | str,
    *cuts: int,
    marks: Marks | None = THINK,
    thinks: bool = False,
    stop: tuple[str, ...] = (),
) -> tuple[str, str]:
    """Return thoughts and text of an answer that comes in pieces, cut at these places."""
    assert marks is not None
    data = answer.encode() if isinstance(answer, str) else answer
    parser = ThoughtParser(marks, TextParser((*stop, *marks.ends)), thinks=thinks)
    parts: list[Part] = []
    for begin, end in pairwise(sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})):
        parts += parser.push(data[begin:end])
    parts += parser.finish()
    assert all(part.text for part in parts)
    return said(parts, DeltaKind.THOUGHT), said(parts, DeltaKind.TEXT)


def said(parts: list[Part], kind: DeltaKind) -> str:
    return "".join(part.text for part in parts if part.kind is kind)


@pytest.mark.parametrize("family", FAMILIES)
@given(cuts=st.lists(st.integers(1, 120)))
def test_thoughts_and_text_of_each_family_are_told_apart_however_tokens_cut_them(
    family: str, cuts: list[int]
) -> None:
    template, answer = FAMILIES[family]
    assert read(answer, *cuts, marks=marks_of(template)) == ("Let me see.\n\nFive.", "It is 5.\n")


@pytest.mark.parametrize("family", FAMILIES)
def test_an_answer_without_thoughts_is_text(family: str) -> None:
    marks = marks_of(FAMILIES[family][0])
    for answer in ("It is 5.\n", "  \n- 5", "<", "[", "Here", "", " "):
        assert read(answer, marks=marks) == ("", answer)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_thought_that_is_never_closed_is_all_there_is(family: str) -> None:
    template, answer = FAMILIES[family]
    marks = marks_of(template)
    begun = answer[: answer.index("Five") + 4]
    assert read(begun, marks=marks) == ("Let me see.\n\nFive", "")
    assert read(begun + marks.closing[:-1], marks=marks) == ("Let me see.\n\nFive" + marks.closing[:-1], "")


@given(cuts=st.lists(st.integers(1, 60)))
def test_a_thought_that_the_prompt_opened_needs_no_mark_and_may_have_one(cuts: list[int]) -> None:
    for answer in (
        "Hm. 你好\n</think>\n\nYes 好",
        "<think>Hm. 你好</think>Yes 好",
        "\nHm. 你好</think>Yes 好",
    ):
        assert read(answer, *cuts, thinks=True) == ("Hm. 你好", "Yes 好")
    assert read("Hm.", *cuts, thinks=True) == ("Hm.", "")
    assert read("</think>\n\nYes", *cuts, thinks=True) == ("", "Yes")


def test_an_empty_thought_is_none() -> None:
    assert read("<think>\n\n</think>\n\nYes") == ("", "Yes")


def test_a_thought_that_was_closed_before_the_answer_may_be_closed_again() -> None:
    assert read("</think>\n\nYes") == ("", "Yes")


def test_marks_in_the_middle_of_a_text_are_text() -> None:
    text = "In HTML there is no <think> tag, and no </think>."
    assert read(text) == ("", text)
    assert read(f"<think>Hm.</think>{text}") == ("Hm.", text)


@given(cuts=st.lists(st.integers(1, 60)))
def test_stop_texts_end_the_text_and_nothing_in_thoughts(cuts: list[int]) -> None:
    answer = "<think>First. Stop. Then.</think>So. Stop. No more."
    assert read(answer, *cuts, stop=("Stop.",)) == ("First. Stop. Then.", "So. ")


def test_bytes_that_are_no_characters_do_no_harm() -> None:
    cut = "你".encode()[:2]
    assert read(b"<think>a" + cut + b"</think>b" + cut) == ("a�", "b�")
    assert read(b"<think>a" + cut) == ("a�", "")


@given(
    st.lists(st.sampled_from([b"<think>", b"</think>", b"<", b"th", b"\n", b" ", "你".encode(), b"x"])),
    st.booleans(),
)
def test_a_look_ahead_tells_what_the_parser_does_then(pieces: list[bytes], thinks: bool) -> None:  # noqa: FBT001
    assert THINK is not None
    parser = ThoughtParser(THINK, TextParser(()), thinks=thinks)
    for piece in pieces:
        expected = parser.thinks_after(piece)
        parser.push(piece)
        assert parser.thinking == expected
        assert not (parser.settled and parser.thinking)


def test_what_was_thought_is_said_as_it_comes() -> None:
    assert THINK is not None
    parser = ThoughtParser(THINK, TextParser(()), thinks=False)
    pushed = [
        parser.push(piece)
        for piece in (b"<th", b"ink>\n", b"Let", b" me \n", b"see", b"</", b"think>", b"\n\n", b"5")
    ]
    thought, text = DeltaKind.THOUGHT, DeltaKind.TEXT
    assert pushed == [
        *([], [], [Part(thought, "Let")], [Part(thought, " me")], [Part(thought, " \nsee")]),
        *([], [], [], [Part(text, "5")]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "template", ["{{ messages[0].content }}", "</thinking_instructions>", "<thinking>", "<h1>"]
)
def test_a_template_without_marks_that_we_know_has_none(template: str) -> None:
    assert find_marks(template, (), ()) is None


def test_marks_are_found_in_what_a_template_writes_and_in_the_vocabulary() -> None:
    built = find_marks("{{ '<think' ~ name ~ '>' }}", ["x<think:open></think:open>"], ())
    assert built == Marks("<think:open>", "</think:open>")
    assert find_marks("", (), {"<think>", "</think>", "<|im_end|>"}) == THINK


@pytest.mark.parametrize(
    ("prompt", "cut"),
    [
        ("<a><think>\n\n</think>\n\n", "\n</think>\n\n"),
        ("<a><think>\n\n</think>\n", "\n</think>\n"),
        ("<a><think></think>", "</think>"),
        ("<a><think>\n", "\n</think>\n\n"),
    ],
)
def test_a_thought_is_cut_short_as_the_template_closes_an_empty_one(prompt: str, cut: str) -> None:
    marks = find_marks("</think>", [prompt], ())
    assert marks is not None
    assert marks.cut == cut
