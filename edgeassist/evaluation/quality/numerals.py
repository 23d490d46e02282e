"""Numbers in a text: in digits, in Chinese numerals, in English words. Sans-I/O."""

from __future__ import annotations

import re
from itertools import pairwise

from edgeassist.evaluation.quality.reading import Answer, without_asides

_DIGITS = re.compile(
    r"(?<![A-Za-z\d_.])(?P<sign>(?<![\d)])-)?(?P<whole>\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?P<rest>\.\d+)?"
    r"(?:\s*[/\u2044]\s*(?P<below>\d+)(?![\d/]))?\s?(?P<unit>[百千万亿])?"
)
_MINUS = re.compile(r"(?:minus|negative|below zero|负|零下|减去?)\s*$", re.IGNORECASE)
_CHINESE_DIGITS = {"零": 0, "〇": 0, "一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7,
                   "八": 8, "九": 9}  # fmt: skip
_CHINESE_UNITS = {"十": 10, "百": 100, "千": 1000}
_CHINESE_GROUPS = {"万": 10_000, "亿": 100_000_000}
_CHINESE = re.compile(f"[{''.join([*_CHINESE_DIGITS, *_CHINESE_UNITS, *_CHINESE_GROUPS])}]+")
# Words with a numeral in them that count nothing.
_NO_CHINESE_NUMBER = re.compile(
    "一共|一起|一样|一些|一般|一定|一下|一直|一切|一旦|一边|一来|一致|一种|一方面|统一|唯一|万一|千万|十分|"
    "第一步|第二步|第三步|首先|三角|四季|四周|百分之|任一|之一|下一|上一|同一|另一|每一|某一|哪一|进一步"
)
_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ENGLISH = {
    **{word: number for number, word in enumerate(_SMALL)},
    **{word: 10 * number for number, word in enumerate(_TENS, 2)},
    "dozen": 12,
}
_ENGLISH_UNITS = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_ENGLISH_WORD = "|".join([*_ENGLISH, *_ENGLISH_UNITS])
_ENGLISH_NUMBER = re.compile(
    rf"\b(?:{_ENGLISH_WORD})(?:(?:\s*-\s*|\s+and\s+|\s+)(?:{_ENGLISH_WORD}))*\b", re.IGNORECASE
)
_NO_ENGLISH_NUMBER = re.compile(
    r"\b(?:no one|one of|one by one|one another|each one|this one|that one)\b", re.I
)
# What makes two numbers a choice between them, or a range.
_HEDGE = re.compile(
    r"\s*\w{0,12}\s*(?:,?\s*\bor\b|或者?|还是|\bto\b|-|~|到|至)\s*(?:about|around|大约|约)?\s*", re.I
)
# An answer of so few words is no more than the number and its unit.
_BARE_WORDS = 4


def answered_number(answer: Answer) -> float | None:
    """Return the number that an answer gives; None where it gives none, or leaves several open.

    In this order: what it says to be the answer; a first line of little else; the last one. What stands in
    parentheses counts only where nothing else does. Where there are digits, words don't count: "one" and
    "一" are mostly something else.
    """
    if answer.said is not None:
        said = without_asides(answer.said)
        said = said.rpartition("=")[2] if "=" in said else said
        found = numbers_in(said)
        if found:
            return None if _is_hedged(said) else found[0][0]
    lines = answer.lines
    if not lines:
        return None
    line = without_asides(lines[0])
    first = numbers_in(line)
    if len(first) == 1 and len(re.findall(r"\w+", line)) <= _BARE_WORDS:
        return first[0][0]
    for text in (without_asides(answer.plain), answer.plain):
        if found := numbers_in(text):
            return None if _is_hedged(text) else found[-1][0]
    return None


def numbers_in(text: str) -> list[tuple[float, int, int]]:
    """Return the numbers of a plain text: value, start, end. Only those in digits, if there are any."""
    return _in_digits(text) or _in_chinese(text) or _in_english(text)


def _is_hedged(text: str) -> bool:
    """Whether the last two numbers are different ones, and between them is an "or"."""
    found = numbers_in(text)
    return any(
        one[0] != other[0] and _HEDGE.fullmatch(text[one[2] : other[1]]) is not None
        for one, other in list(pairwise(found))[-1:]
    )


def _in_digits(text: str) -> list[tuple[float, int, int]]:
    found = []
    for each in _DIGITS.finditer(text):
        value = float(each["whole"].replace(",", "") + (each["rest"] or ""))
        if each["below"] is not None and float(each["below"]):
            value /= float(each["below"])
        if each["unit"]:
            value *= {**_CHINESE_UNITS, **_CHINESE_GROUPS}[each["unit"]]
        negative = each["sign"] or (
            _MINUS.search(text[: each.start()]) and not _is_subtraction(text, each.start())
        )
        found.append((-value if negative else value, each.start(), each.end()))
    return found


def _is_subtraction(text: str, start: int) -> bool:
    """Whether a word before a number stands between two of them: "10 minus 3", "10减3"."""
    before = _MINUS.sub("", text[:start]).rstrip()
    return bool(before) and (before[-1].isdigit() or before[-1] in _CHINESE_DIGITS)


def _in_chinese(text: str) -> list[tuple[float, int, int]]:
    hidden = _NO_CHINESE_NUMBER.sub(lambda each: "\0" * len(each[0]), text)
    found = []
    for each in _CHINESE.finditer(hidden):
        value = _chinese(each[0])
        if value is not None:
            negative = hidden[: each.start()].endswith(("负", "零下"))
            found.append((float(-value if negative else value), each.start(), each.end()))
    return found


def _chinese(word: str) -> int | None:
    """Return the value of Chinese numerals; None if they are none, as 千万 by itself."""
    if all(each in _CHINESE_DIGITS for each in word):
        return int("".join(str(_CHINESE_DIGITS[each]) for each in word))
    total = group = digit = 0
    has_digit = False
    for each in word:
        if each in _CHINESE_DIGITS:
            digit, has_digit = _CHINESE_DIGITS[each], True
        elif each in _CHINESE_UNITS:
            if not has_digit and each != "十":
                return None
            group += (digit if has_digit and digit else 1) * _CHINESE_UNITS[each]
            digit, has_digit = 0, False
        else:
            if group + digit == 0:
                return None
            total += (group + digit) * _CHINESE_GROUPS[each]
            group = digit = 0
            has_digit = False
    return total + group + digit


def _in_english(text: str) -> list[tuple[float, int, int]]:
    hidden = _NO_ENGLISH_NUMBER.sub(lambda each: "\0" * len(each[0]), text)
    found = []
    for each in _ENGLISH_NUMBER.finditer(hidden):
        value = _english(re.findall(r"[a-z]+", each[0].lower()))
        negative = _MINUS.search(hidden[: each.start()])
        found.append((float(-value if negative else value), each.start(), each.end()))
    return found


def _english(words: list[str]) -> int:
    total = group = 0
    for word in words:
        if word in _ENGLISH:
            group += _ENGLISH[word]
        elif word in _ENGLISH_UNITS:
            unit = _ENGLISH_UNITS[word]
            group = max(group, 1) * unit
            if unit > 100:  # noqa: PLR2004 - a hundred belongs to what follows
                total, group = total + group, 0
    return total + group
