"""What an answer must be, as a program can check it. Sans-I/O, but for code, which somebody else runs."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgeassist.evaluation.quality.names import MONTHS, WEEKDAYS, answered_name, answered_yes, find
from edgeassist.evaluation.quality.numerals import answered_number
from edgeassist.evaluation.quality.reading import Answer, plain_of

# How much of an answer must be in the language that is wanted.
_SHARE_OF_ENGLISH = 0.95
_SHARE_OF_CHINESE = 0.7
_CHINESE = re.compile("[\u3400-\u9fff]")
_LATIN_WORD = re.compile(r"[A-Za-z]+(?:['\u2019-][A-Za-z]+)*")
_QUOTES = "\"'\u2018\u2019\u201c\u201d\u300a\u300b\u300c\u300d()"

Words = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]


class _Check(BaseModel):
    """All but code say by `fault` what is wrong with an answer; None if nothing is."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Number(_Check):
    """The answer gives this number, and no other as well."""

    type: Literal["number"]
    value: float
    tolerance: Annotated[float, Field(ge=0)] = 0.0

    def fault(self, answer: Answer) -> str | None:
        """Return what is wrong (`_Check.fault`)."""
        given = answered_number(answer)
        if given is None:
            return f"gives no number, or several; {self.value:g} is right"
        if abs(given - self.value) > self.tolerance + 1e-9:
            return f"gives {given:g}; {self.value:g} is right"
        return None


class Month(_Check):
    """The answer names this month, 1 to 12, by its name or number."""

    type: Literal["month"]
    value: Annotated[int, Field(ge=1, le=12)]

    def fault(self, answer: Answer) -> str | None:
        """Return what is wrong (`_Check.fault`)."""
        given = answered_name(answer, MONTHS)
        if given is None and re.fullmatch(r"0?\d{1,2}", answer.plain.strip(" .。")):
            given = str(int(answer.plain.strip(" .。")))
        return None if given == str(self.value) else _other(given, MONTHS[str(self.value)][0])


class Weekday(_Check):
    """The answer names this day of the week, 1 (Monday) to 7."""

    type: Literal["weekday"]
    value: Annotated[int, Field(ge=1, le=7)]

    def fault(self, answer: Answer) -> str | None:
        """Return what is wrong (`_Check.fault`)."""
        given = answered_name(answer, WEEKDAYS)
        return None if given == str(self.value) else _other(given, WEEKDAYS[str(self.value)][0])


class YesNo(_Check):
    """The answer begins with yes, or with no."""

    type: Literal["yes_no"]
    value: bool

    def fault(self, answer: Answer) -> str | None:
        """Return what is wrong (`_Check.fault`)."""
        given = answered_yes(answer)
        told = {True: "yes", False: "no", None: None}
        return None if given is self.value else _other(told[given], told[self.value] or "")


class Choice(_Check):
    """The answer names this option, and no other. `options` has every option's names."""

    type: Literal["choice"]
    value: str
    options: Annotated[dict[str, Words], Field(min_length=2)]

    @model_validator(mode="after")
    def _has_value(self) -> Self:
        if self.value not in self.options:
            raise ValueError(f"value {self.value!r} is none of the options: {', '.join(self.options)}")
        return self

    def fault(self, answer: Answer) -> str | None:
        """Return what is wrong (`_Check.fault`)."""
        given = answered_name(answer, self.options)
        return None if given == self.value else _other(given, self.value)


class Exact(_Check):
    """The answer is one of these, but for case, quotes and the point at its end."""

    type: Literal["exact"]
    any: Words

    def fault(self, answer: Answer) -> str | None:
        """Return what is wrong (`_Check.fault`)."""
        wanted = {_bare(plain_of(each)) for each in self.any}
        given = {_bare(each) for each in (answer.said, answer.plain) if each is not None}
        return None if wanted & given else f"is not {self.any[0]!r}"


class Contains(_Check):
    """The answer has all of some words, and one of others."""

    type: Literal["contains"]
    all: list[str] = []
    any: list[str] = []

    @model_validator(mode="after")
    def _has_words(self) -> Self:
        if not self.all and not self.any:
            raise ValueError("has neither all nor any")
        return self

    def fault(self, answer: Answer) -> str | None:
        """Return what is wrong (`_Check.fault`)."""
        missing = [word for word in self.all if not find(word, answer.plain)]
        if missing:
            return f"lacks {missing[0]!r}"
        if self.any and not any(find(word, answer.plain) for word in self.any):
            return f"has none of {', '.join(self.any)}"
        return None


class Forbids(_Check):
    """The answer has none of these words."""

    type: Literal["forbids"]
    words: Words

    def fault(self, answer: Answer) -> str | None:
        """Return what is wrong (`_Check.fault`)."""
        found = [word for word in self.words if find(word, answer.plain)]
        return f"has {found[0]!r}" if found else None


class Length(_Check):
    """How long the answer is.

    Words are those of Latin letters, characters are letters and digits of any script, lines those that are
    not empty; `each_line` is how many characters each of them has.
    """

    type: Literal["length"]
    min_words: int | None = None
    max_words: int | None = None
    min_characters: int | None = None
    max_characters: int | None = None
    min_sentences: int | None = None
    max_sentences: int | None = None
    min_lines: int | None = None
    max_lines: int | None = None
    each_line: int | None = None

    def fault(self, answer: Answer) -> str | None:
        """Return what is wrong (`_Check.fault`)."""
        for count, unit, least, most in (
            (len(_LATIN_WORD.findall(answer.plain)), "words", self.min_words, self.max_words),
            (_characters(answer.plain), "characters", self.min_characters, self.max_characters),
            (len(answer.sentences), "sentences", self.min_sentences, self.max_sentences),
            (len(answer.lines), "lines", self.min_lines, self.max_lines),
        ):
            if least is not None and count < least:
                return f"has {count} {unit}, fewer than {least}"
            if most is not None and count > most:
                return f"has {count} {unit}, more than {most}"
        if self.each_line is not None:
            counts = [_characters(line) for line in answer.lines]
            if any(count != self.each_line for count in counts):
                return f"has lines of {', '.join(map(str, counts))} characters, not {self.each_line}"
        return None


class Language(_Check):
    """The answer is in this language: Latin words count as English, Chinese characters as Chinese words."""

    type: Literal["language"]
    value: Literal["en", "zh"]

    def fault(self, answer: Answer) -> str | None:
        """Return what is wrong (`_Check.fault`)."""
        english, chinese = len(_LATIN_WORD.findall(answer.plain)), len(_CHINESE.findall(answer.plain))
        if english + chinese == 0:
            return "has no words"
        share = (english if self.value == "en" else chinese) / (english + chinese)
        least = _SHARE_OF_ENGLISH if self.value == "en" else _SHARE_OF_CHINESE
        return None if share >= least else f"is in another language than {self.value}"


class Code(_Check):
    """The answer has Python that defines a function and passes these asserts, each a line of Python."""

    type: Literal["code"]
    function: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    asserts: Words

    @model_validator(mode="after")
    def _are_python(self) -> Self:
        for line in self.asserts:
            try:
                compile(line, "<assert>", "exec")
            except (SyntaxError, ValueError) as error:
                raise ValueError(f"{line!r} is no Python: {error}") from None
        return self


Check = Annotated[
    Number | Month | Weekday | YesNo | Choice | Exact | Contains | Forbids | Length | Language | Code,
    Field(discriminator="type"),
]


def _other(given: str | None, right: str) -> str:
    return (
        f"gives none, or several; {right} is right" if given is None else f"gives {given}; {right} is right"
    )


def _bare(text: str) -> str:
    return re.sub(r"\s+", " ", text.casefold()).strip(f" .。!?,;:{_QUOTES}")


def _characters(text: str) -> int:
    """Return how many characters are letters or digits; accents and variation marks belong to them."""
    return sum(unicodedata.category(each)[0] in "LN" for each in text)
