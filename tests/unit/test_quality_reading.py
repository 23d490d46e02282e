import pytest

from edgeassist.evaluation.quality.reading import Answer, code_of, plain_of, without_thoughts


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("<think>12 or 13?</think>\n\n14", "14"),
        ("<think>\n12\n</think>14", "14"),
        ("<thinking>12</thinking>14", "14"),
        ("<seed:think>12</seed:think>14", "14"),
        ("[THINK]12[/THINK]14", "14"),
        # The template opened it.
        ("so 12, or rather 13\n</think>\n14", "14"),
        # It was cut off before there was an answer.
        ("<think>it is 14, I think", ""),
        ("14", "14"),
        ("I think 14", "I think 14"),
    ],
)
def test_thoughts_are_not_the_answer(written: str, text: str) -> None:
    assert without_thoughts(written).strip() == text
    assert Answer.of(written).text == text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("**12**", "12"),
        ("# 12", "12"),
        ("- 12\n- 13", "12\n13"),
        ("`12`", "12"),
        ("１２．５", "12.5"),
        ("Ａｂｃ！", "Abc!"),
        ("答案：12。", "答案:12。"),
        ("[Lisbon](https://example.org)", "Lisbon"),
        ("$12$ and \\(3\\)", "12$ and  3"),
        ("\\text{Lisbon}", "Lisbon"),
        ("−5 °C", "-5 °C"),
        ("1\u200b2", "12"),
        ("> quoted", "quoted"),
        ("```\n12\n```", "12"),
        ("1. First this\n2. Then that", "First this\nThen that"),
        ("7. That is all", "7. That is all"),
        ("snake_case stays", "snake_case stays"),
    ],
)
def test_markup_and_widths_make_no_difference(text: str, plain: str) -> None:
    assert plain_of(text).replace("$", "").split() == plain.replace("$", "").split()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("The answer is 12.", "12"),
        ("The answer is 12.5 kg. Bye.", "12.5 kg"),
        ("Answer: Lisbon", "Lisbon"),
        ("**Answer:** Lisbon", "Lisbon"),
        ("The final answer is: \n\n12\nBye", "12"),
        ("答案是十二。", "十二"),
        ("答案：十二", "十二"),
        ("所以结果为12。", "12"),
        ("First I thought the answer is 3. No, the answer is 4.", "4"),
        ("\\boxed{12}", "12"),
        ("12", None),
        ("I have no answer", None),
        ("As a result, 3 of them left.", None),
        ("The answer to 3 + 9 is 12", "12"),
        ("", None),
    ],
)
def test_what_is_said_to_be_the_answer_is_found(text: str, said: str | None) -> None:
    assert Answer.of(text).said == said


def test_lines_and_sentences_are_those_that_are_not_empty() -> None:
    answer = Answer.of("One, 1.5 kg. Two!\n\n三。四？")
    assert answer.lines == ["One, 1.5 kg. Two!", "三。四?"]
    assert answer.sentences == ["One, 1.5 kg", "Two", "三", "四"]


ADD = "def add(a, b):\n    return a + b\n"


@pytest.mark.parametrize(
    "text",
    [
        f"```python\n{ADD}```",
        f"```\n{ADD}```",
        f"~~~py\n{ADD}~~~",
        f"Here is it:\n\n```python\n{ADD}```\nIt adds.",
        # Cut off at the most tokens.
        f"```python\n{ADD}",
        ADD,
        f"Sure, here it is:\n\n{ADD}\nThis function adds two numbers.",
        # The first block is an explanation, the last an example of its use.
        f"```\nadd(1, 2)\n```\n\n```python\n{ADD}```\n\n```python\nprint(add(1, 2))\n```",
        "   ```python\n   def add(a, b):\n       return a + b\n   ```",
    ],
)
def test_code_is_found_in_fences_and_without(text: str) -> None:
    assert code_of(text, "add") == ADD


@pytest.mark.parametrize(
    ("below", "kept"),
    [
        ("\n# A test\ndef check():\n    cases = {\n        1:", "\n# A test\n"),
        ('\nprint(add(1, "', ""),
        ("\nx = 1\ncases = [\n    1,\n]\nprint(", "\nx = 1\ncases = [\n    1,\n]\n"),
        ("\ncases = [\n    1,\n]", ""),
    ],
)
def test_of_code_that_is_cut_off_the_last_statement_below_the_function_is_left_out(
    below: str, kept: str
) -> None:
    assert code_of(f"```python\n{ADD}{below}", "add") == ADD + kept
    whole = code_of(f"```python\n{ADD}{below}\n```", "add")
    assert whole == ADD + below + "\n"


def test_a_function_that_is_cut_off_stays_as_it_is() -> None:
    text = "import math\n\ndef add(a, b):\n    return (a +"
    assert code_of(f"```python\n{text}", "add") == text + "\n"


def test_bare_code_goes_on_behind_empty_lines_and_ends_where_prose_begins() -> None:
    text = "import math\n\nLIMIT = 3\n\n@cache\ndef add(a, b):\n\n    return a + b\n\nIt adds = sums."
    assert code_of(text, "add") == text.removesuffix("\n\nIt adds = sums.") + "\n"


@pytest.mark.parametrize(
    "text", ["", "add is easy", "def other():\n    pass", "```\nx = 1\n```", "def added(a): 1"]
)
def test_an_answer_without_the_function_has_no_code(text: str) -> None:
    assert code_of(text, "add") is None
