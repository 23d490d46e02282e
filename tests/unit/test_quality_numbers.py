import pytest

from edgeassist.evaluation.quality.numerals import answered_number, numbers_in
from edgeassist.evaluation.quality.reading import Answer


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", 12),
        ("12.", 12),
        ("12.5", 12.5),
        ("-12", -12),
        ("1,200", 1200),
        ("1,234,567.5", 1234567.5),
        ("12 km", 12),
        ("12km", 12),
        ("€12.50", 12.5),
        ("12%", 12),
        ("1/2", 0.5),
        ("１２", 12),
        ("3万", 30000),
        ("1.2亿", 120_000_000),
        ("零下3度", -3),
        ("minus 4 degrees", -4),
        ("十", 10),
        ("十二", 12),
        ("二十", 20),
        ("二十三", 23),
        ("一百零五", 105),
        ("两百五十", 250),
        ("一千二百三十四", 1234),
        ("三万五千", 35000),
        ("二〇二五", 2025),
        ("两个", 2),
        ("负五", -5),
        ("零", 0),
        ("twelve", 12),
        ("Twenty-three", 23),
        ("one hundred and five", 105),
        ("two thousand three hundred", 2300),
        ("minus four", -4),
        ("a dozen", 12),
    ],
)
def test_a_number_is_read_in_digits_and_in_words(text: str, number: float) -> None:
    assert [value for value, _, _ in numbers_in(Answer.of(text).plain)] == [number]
    assert answered_number(Answer.of(text)) == number


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("3-5", [3, 5]),
        ("10 - 5 = 5", [10, 5, 5]),
        ("10 minus 3", [10, 3]),
        ("10减3", [10, 3]),
        ("1, 2, 3", [1, 2, 3]),
        ("A4 and x2", []),
        ("v1.2.3", []),
        ("一共", []),
        ("十分重要", []),
        ("千万不要", []),
        ("no one knows", []),
        ("一个月有三十天", [1, 30]),
        ("nothing", []),
    ],
)
def test_what_looks_like_numbers_is_told_from_them(text: str, numbers: list[float]) -> None:
    assert [value for value, _, _ in numbers_in(text)] == numbers


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("The answer is 12.", 12),
        ("The answer is 112.", 112),
        ("There are 12 months in 1 year; the answer is **12**", 12),
        ("12\n\nBecause 3 * 4 makes 12, and there are 365 days in a year.", 12),
        ("12 apples\n3 + 9 is how I got there", 12),
        ("3 + 9 = 12", 12),
        ("The answer is 3 + 9 = 12.", 12),
        ("First there are 3. Then 9 more come. So there are 12", 12),
        ("\\boxed{12}", 12),
        ("答案是12。一共有3个盒子，每个4块", 12),
        ("答案：十二", 12),
        ("一共有12个", 12),
        ("每个孩子4个，3个孩子一共12个。", 12),
        ("<think>13?</think>12", 12),
        ("答案是十二。（3乘4）", 12),
        ("12 minutes (or 0.2 hours)", 12),
        ("12 °C (54 °F)", 12),
        ("(3 + 9) = 12", 12),
        ("(12)", 12),
        ("As a result, 3 of them left. 12 stayed", 12),
        ("The answer to your question about 5 hens is 12.", 12),
    ],
)
def test_the_number_that_is_meant_is_found_among_others(text: str, number: float) -> None:
    assert answered_number(Answer.of(text)) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I don't know.",
        "不知道",
        "The answer is 12 or 13.",
        "12 or 13",
        "The answer is between 12 and 13, 12 to 13",
        "答案是12或者13",
        "12还是13",
        "<think>It is 12",
    ],
)
def test_an_answer_without_a_number_or_with_a_choice_of_them_gives_none(text: str) -> None:
    assert answered_number(Answer.of(text)) is None
