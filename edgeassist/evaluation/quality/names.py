"""Names of closed sets, and which of them an answer gives. Sans-I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from edgeassist.evaluation.quality.reading import Answer, plain_of

_CHINESE_MONTHS = ("一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "十一", "十二")
_ENGLISH_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
_ENGLISH_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS: Mapping[str, Sequence[str]] = {
    str(number): (english, f"{chinese}月", f"{number}月", f"0{number}月", f"{number}月份", english[:3])
    for number, (english, chinese) in enumerate(zip(_ENGLISH_MONTHS, _CHINESE_MONTHS, strict=True), 1)
}
WEEKDAYS: Mapping[str, Sequence[str]] = {
    str(number): (english, english[:3], *(f"{word}{day}" for word in ("星期", "周", "礼拜") for day in days))
    for number, (english, days) in enumerate(
        zip(_ENGLISH_DAYS, ("一1", "二2", "三3", "四4", "五5", "六6", "日天7"), strict=True), 1
    )
}
_SHORT = {each[:3] for each in (*_ENGLISH_MONTHS, *_ENGLISH_DAYS)}
YES_NO: Mapping[str, Sequence[str]] = {
    "yes": ("yes", "true", "是", "对", "正确", "可以", "会", "能", "是的", "对的", "有"),
    "no": (
        "no",
        "false",
        "否",
        "不",
        "错",
        "不是",
        "不对",
        "错误",
        "不可以",
        "不会",
        "不能",
        "没有",
        "不可能",
    ),
}
_NEGATION = re.compile(
    r"(?:\bnot|n't|\bnor|\bneither|\bnever|不是|并非|不在|没有|不等于)(?:\s+(?:in|on|a|an|the))?\s*$",
    re.IGNORECASE,
)
_FIRST_WORD = re.compile(r"\W*([a-z]+|[\u4e00-\u9fff]{1,3})", re.IGNORECASE)


def find(word: str, text: str) -> list[int]:
    """Return the places of a word in a plain text: whole words, if it is of Latin letters or digits.

    Case does not matter, but for months and days of three letters: "may" is mostly none.
    """
    word = plain_of(word)
    before = r"(?<![A-Za-z\d])" if re.match(r"[A-Za-z\d]", word) else ""
    after = r"(?![A-Za-z\d])" if re.search(r"[A-Za-z\d]$", word) else ""
    # 十二月 has 二月 in it, and 第十一 has 一.
    if word[:1] in _CHINESE_MONTHS or word[:1].isdigit():
        before += r"(?<![十\d])"
    flags = 0 if word in _SHORT else re.IGNORECASE
    spaced = re.escape(word).replace(r"\ ", r"\s+")
    return [found.start() for found in re.finditer(before + spaced + after, text, flags)]


def named_in(text: str, options: Mapping[str, Iterable[str]]) -> dict[str, bool]:
    """Return the options that a plain text names, and whether any such place is not behind a negation.

    Where a name is part of a longer one of another option, only the longer counts.
    """
    places: list[tuple[int, int, str]] = []
    for option, words in options.items():
        for word in words:
            places += [(start, start + len(word), option) for start in find(word, text)]
    named: dict[str, bool] = {}
    for start, end, option in places:
        if any(
            other[0] <= start and end <= other[1] and other[1] - other[0] > end - start and other[2] != option
            for other in places
        ):
            continue
        named[option] = named.get(option, False) or _NEGATION.search(text[:start]) is None
    return named


def answered_name(answer: Answer, options: Mapping[str, Iterable[str]]) -> str | None:
    """Return the option that an answer gives; None where it gives none, or several.

    These count in turn, until one names just one: what it says to be the answer, the whole of it, its
    conclusion, what stands before its reasons, a first line of little else.
    """
    parts = [answer.said or "", answer.plain, answer.concluded or "", answer.unreasoned]
    if answer.lines and len(re.findall(r"[A-Za-z]+|[\u4e00-\u9fff]{2}", answer.lines[0])) <= 6:  # noqa: PLR2004
        parts.append(answer.lines[0])
    for part in parts:
        given = [option for option, is_meant in named_in(part, options).items() if is_meant]
        if len(given) == 1:
            return given[0]
    return None


def answered_yes(answer: Answer) -> bool | None:
    """Return whether an answer begins with yes, or with no; None: with neither."""
    for part in (answer.said, answer.plain):
        if part is None:
            continue
        found = _FIRST_WORD.match(part)
        if found is None:
            continue
        first = found[1].lower()
        for words, means in ((YES_NO["no"], False), (YES_NO["yes"], True)):
            if first in words or (not first.isascii() and first.startswith(tuple(words))):
                return means
    return None
