from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from edgeassist.evaluation.quality.checks import Check, Code
from edgeassist.evaluation.quality.reading import Answer

READ: TypeAdapter[Any] = TypeAdapter(Check)
CITIES = {
    "type": "choice",
    "value": "Lisbon",
    "options": {"Lisbon": ["Lisbon", "里斯本"], "Porto": ["Porto"]},
}


def fault(check: dict[str, Any], answer: str) -> str | None:
    found: str | None = READ.validate_python(check).fault(Answer.of(answer))
    return found


@pytest.mark.parametrize(
    ("check", "answer"),
    [
        ({"type": "number", "value": 12}, "The answer is 12."),
        ({"type": "number", "value": 12}, "１２"),
        ({"type": "number", "value": 12}, "十二个"),
        ({"type": "number", "value": 0.333, "tolerance": 0.01}, "1/3"),
        ({"type": "month", "value": 2}, "February"),
        ({"type": "month", "value": 2}, "In **february**, usually."),
        ({"type": "month", "value": 2}, "Feb"),
        ({"type": "month", "value": 2}, "二月"),
        ({"type": "month", "value": 2}, "2月4日前后"),
        ({"type": "month", "value": 2}, "02"),
        ({"type": "month", "value": 12}, "十二月"),
        ({"type": "month", "value": 5}, "May"),
        ({"type": "month", "value": 1}, "After November come December and January. The answer is January."),
        ({"type": "weekday", "value": 2}, "Tuesday"),
        ({"type": "weekday", "value": 7}, "星期天"),
        ({"type": "weekday", "value": 7}, "周日"),
        ({"type": "weekday", "value": 3}, "那天是礼拜三。"),
        ({"type": "yes_no", "value": True}, "Yes, it is not light."),
        ({"type": "yes_no", "value": True}, "是的，没有问题。"),
        ({"type": "yes_no", "value": False}, "No."),
        ({"type": "yes_no", "value": False}, "不是"),
        ({"type": "yes_no", "value": False}, "The answer is no"),
        (CITIES, "Lisbon"),
        (CITIES, "里斯本"),
        (CITIES, "The capital of Portugal is **Lisbon**."),
        (CITIES, "Not Porto: Lisbon"),
        (CITIES, "Lisbon\n\nPorto is its second city."),
        (CITIES, "Lisbon is its capital, since Porto is smaller."),
        (CITIES, "里斯本，因为波尔图（Porto）不是首都。"),
        (CITIES, "Porto is large. Lisbon is larger. So it is Lisbon."),
        ({"type": "exact", "any": ["pmal"]}, " “Pmal.” "),
        ({"type": "exact", "any": ["pmal"]}, "The answer is pmal."),
        ({"type": "exact", "any": ["2025-03-03"]}, "`2025-03-03`"),
        ({"type": "exact", "any": ["林"]}, "「林」"),
        ({"type": "contains", "any": ["9:05", "九点零五"]}, "It ends at 9:05."),
        ({"type": "contains", "any": ["9:05"]}, "９：０５"),
        ({"type": "contains", "all": ["Eid", "joy"]}, "eid mubarak, and joy!"),
        ({"type": "contains", "all": ["端午"]}, "祝您端午安康"),
        ({"type": "forbids", "words": ["ill"]}, "I will be still"),
        ({"type": "length", "max_words": 3, "min_words": 3}, "It's well-known, Tom!"),
        ({"type": "length", "min_characters": 10, "max_characters": 10}, "春归千里绿，\n福到万家红。"),
        ({"type": "length", "min_lines": 2, "max_lines": 2, "each_line": 5}, "春归千里绿，\n\n福到万家红。"),
        ({"type": "length", "max_sentences": 1}, "It costs 1.50 in all."),
        ({"type": "language", "value": "en"}, "All the best, Zoë, in 2026!"),
        ({"type": "language", "value": "zh"}, "祝您新年快乐！"),
    ],
)
def test_a_right_answer_has_no_fault(check: dict[str, Any], answer: str) -> None:
    assert fault(check, answer) is None


@pytest.mark.parametrize(
    ("check", "answer", "told"),
    [
        ({"type": "number", "value": 12}, "The answer is 112.", "gives 112; 12 is right"),
        ({"type": "number", "value": 12}, "1.2", "gives 1.2"),
        ({"type": "number", "value": 12}, "-12", "gives -12"),
        ({"type": "number", "value": 12}, "12 or 13", "gives no number, or several"),
        ({"type": "number", "value": 12}, "二十二", "gives 22"),
        ({"type": "number", "value": 12}, "x12", "gives no number"),
        ({"type": "month", "value": 2}, "十二月", "gives 12; February is right"),
        ({"type": "month", "value": 2}, "12月", "gives 12"),
        ({"type": "month", "value": 1}, "十一月", "gives 11"),
        ({"type": "month", "value": 2}, "January or February", "gives none, or several"),
        ({"type": "month", "value": 5}, "It may be so.", "gives none"),
        ({"type": "month", "value": 2}, "22", "gives 22"),
        ({"type": "weekday", "value": 2}, "Monday", "gives 1; Tuesday is right"),
        ({"type": "weekday", "value": 2}, "not Tuesday", "gives none"),
        ({"type": "weekday", "value": 2}, "Every day from Monday to Sunday", "gives none, or several"),
        ({"type": "yes_no", "value": True}, "No, yes is wrong", "gives no; yes is right"),
        ({"type": "yes_no", "value": True}, "不，是错的", "gives no"),
        ({"type": "yes_no", "value": False}, "Perhaps not", "gives none"),
        ({"type": "yes_no", "value": False}, "Nobody knows", "gives none"),
        (CITIES, "Porto", "gives Porto; Lisbon is right"),
        (CITIES, "Lisbon or Porto", "gives none, or several"),
        (CITIES, "It is not Lisbon.", "gives none"),
        (CITIES, "它不是里斯本", "gives none"),
        (CITIES, "Lisbonne", "gives none"),
        (CITIES, "Madrid", "gives none"),
        (CITIES, "Since Lisbon is larger than Porto", "gives none"),
        (CITIES, "Lisbon is large. So it is Porto.", "gives Porto"),
        ({"type": "exact", "any": ["pmal"]}, "pmal, that is", "is not 'pmal'"),
        ({"type": "exact", "any": ["2025-03-03"]}, "2025-3-3", "is not"),
        ({"type": "contains", "any": ["4:15"]}, "14:15", "has none of 4:15"),
        ({"type": "contains", "all": ["Tom"]}, "Tomorrow", "lacks 'Tom'"),
        ({"type": "contains", "all": ["端午"]}, "祝您安康", "lacks '端午'"),
        ({"type": "forbids", "words": ["happy"]}, "HAPPY birthday", "has 'happy'"),
        ({"type": "forbids", "words": ["快乐"]}, "生日快乐", "has '快乐'"),
        ({"type": "forbids", "words": ["["]}, "Dear [Name]", "has '['"),
        ({"type": "length", "max_words": 3}, "one two three four", "has 4 words, more than 3"),
        ({"type": "length", "min_characters": 3}, "好！！！", "has 1 characters, fewer than 3"),
        ({"type": "length", "max_sentences": 1}, "One. Two.", "has 2 sentences"),
        ({"type": "length", "each_line": 5}, "春归千里绿\n福到千万家里", "has lines of 5, 6 characters"),
        ({"type": "language", "value": "en"}, "祝您新年快乐", "is in another language"),
        ({"type": "language", "value": "en"}, "Happy 新年 to all of you", "is in another language"),
        ({"type": "language", "value": "zh"}, "Happy New Year!", "is in another language"),
        ({"type": "language", "value": "zh"}, "2026!", "has no words"),
    ],
)
def test_a_wrong_answer_is_told_its_fault(check: dict[str, Any], answer: str, told: str) -> None:
    assert told in (fault(check, answer) or "no fault")


@pytest.mark.parametrize(
    "check",
    [
        {"type": "numbers", "value": 12},
        {"type": "number"},
        {"type": "number", "value": 12, "tolerance": -1},
        {"type": "month", "value": 13},
        {"type": "weekday", "value": 0},
        {"type": "choice", "value": "Rome", "options": {"Lisbon": ["Lisbon"], "Porto": ["Porto"]}},
        {"type": "choice", "value": "Lisbon", "options": {"Lisbon": ["Lisbon"]}},
        {"type": "exact", "any": []},
        {"type": "contains"},
        {"type": "forbids", "words": [""]},
        {"type": "language", "value": "fr"},
        {"type": "length", "max_word": 3},
        {"type": "code", "function": "not a name", "asserts": ["assert True"]},
        {"type": "code", "function": "f", "asserts": ["assert f(1"]},
    ],
)
def test_a_check_that_is_none_is_refused(check: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        READ.validate_python(check)


def test_code_is_read_as_lines_of_python() -> None:
    check = READ.validate_python({"type": "code", "function": "f", "asserts": ["assert f(1) == 1"]})
    assert isinstance(check, Code)
    assert check.asserts == ["assert f(1) == 1"]
