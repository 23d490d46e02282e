"""What of a model's text is its answer: no thoughts, no markup, one form of each character. Sans-I/O."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from dataclasses import dataclass

# Thoughts that arrive within the text, because a server does not know how this model marks them.
_THOUGHTS = re.compile(
    r"<(?P<tag>(?:seed:)?think(?:ing)?|thought|reasoning)>.*?(?:</(?P=tag)>|\Z)|\[THINK\].*?(?:\[/THINK\]|\Z)",
    re.DOTALL | re.IGNORECASE,
)
# Where a template opened the thought, only its end is in the text.
_THOUGHTS_END = re.compile(r".*(?:</(?:seed:)?think(?:ing)?>|\[/THINK\])", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(
    r"^[ \t]*(?:```|~~~)[^\n`]*\n(.*?)(^[ \t]*(?:```|~~~)[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff\ufe0f]")
_MARKUP = (
    (re.compile(r"^[ \t]*(?:```|~~~)[^\n]*$", re.MULTILINE), ""),
    (re.compile(r"^[ \t]*(?:#{1,6}|>|[*•·–—-])[ \t]+", re.MULTILINE), ""),
    (re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*\)"), r"\1"),
    (re.compile(r"\\(?:text|mathrm|textbf|mathbf)\s*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\\[()\[\]]|\\[,;! ]|\$\$?(?=[^$]*\$)|(?<=[\d})])\$"), " "),
    (re.compile(r"\*{1,3}|_{2,3}|`|~~"), ""),
)
_NUMBERED = re.compile(r"^[ \t]*\d{1,2}[.)、][ \t]*(?=\S)", re.MULTILINE)
_BOXED = re.compile(r"\\boxed\s*\{([^{}]*)\}")
# Where an answer says which part of it is the answer; NFKC has made the colons plain.
_CUE = re.compile(
    r"\b(?:answer|result)\b(?:\s+to\s[^.:!?\n]{1,60}?)?\s*"
    r"(?:(?:is|was|would\s+be|should\s+be|will\s+be)\b\s*:?|[:=])\s*(?:that\s+)?"
    r"|(?:答案|结果)\s*(?:应该|应当)?\s*(?:是|为|:|=)+\s*",
    re.IGNORECASE,
)
_CONCLUSION = re.compile(r"(?:so|thus|therefore|hence)\b|所以|因此|因而", re.IGNORECASE)
_REASON = re.compile(r"\b(?:because|since)\b|因为|由于|\(", re.IGNORECASE)
_ASIDE = re.compile(r"\s*\([^()]*\)")
# A shorter prompt may well be part of the answer.
_LEAST_PROMPT = 8
# An end of a sentence; a point within a number is none.
_SENTENCE_END = re.compile(r"(?<!\d)\.(?!\w)|(?<=\d)\.(?!\d)|[!?。;\n]")
_CODE_BEGINS = re.compile(r"^(?:def |async def |class |import |from \w[\w.]* import |@\w)", re.MULTILINE)
_CODE_GOES_ON = re.compile(
    r"\s|def |async def |class |import |from \w[\w.]* import |@|#|[)\]}]|[A-Za-z_]\w* *=[^=]|$"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to judge.

    Attributes:
        text: What the model wrote, without its thoughts.
        plain: The same without markup, and with one form of each character (NFKC): digits, letters and most
            punctuation of East Asian widths are the plain ones.
    """

    text: str
    plain: str

    @classmethod
    def of(cls, written: str) -> Answer:
        """Return the answer in what a model wrote."""
        text = without_thoughts(written).strip()
        return cls(text, plain_of(text))

    def without(self, prompt: str) -> Answer:
        """Return the answer without the prompt, where a model has repeated it: that says nothing."""
        repeated = plain_of(prompt)
        if len(repeated) < _LEAST_PROMPT or repeated not in self.plain:
            return self
        return Answer(self.text, self.plain.replace(repeated, " ").strip())

    @property
    def concluded(self) -> str | None:
        """Its last sentence that begins with a "so"; None where none does."""
        return next((each for each in reversed(self.sentences) if _CONCLUSION.match(each)), None)

    @property
    def unreasoned(self) -> str:
        """What stands before its first "because"."""
        return _REASON.split(self.plain, maxsplit=1)[0].strip()

    @property
    def lines(self) -> list[str]:
        """The lines that are not empty."""
        return [line.strip() for line in self.plain.splitlines() if line.strip()]

    @property
    def sentences(self) -> list[str]:
        """The sentences, without their ends."""
        return [part.strip() for part in _SENTENCE_END.split(self.plain) if part.strip()]

    @property
    def said(self) -> str | None:
        """What it says to be the answer ("The answer is …"), up to the sentence's end; None: it does not."""
        boxed = _BOXED.findall(self.plain)
        if boxed:
            return str(boxed[-1]).strip()
        cues = [found for found in _CUE.finditer(self.plain) if self.plain[found.end() :].strip()]
        if not cues:
            return None
        rest = self.plain[cues[-1].end() :].lstrip()
        return _SENTENCE_END.split(rest, maxsplit=1)[0].strip() or None


def without_asides(plain: str) -> str:
    """Return a plain text without what stands in parentheses, if anything else is in it."""
    rest = _ASIDE.sub("", plain)
    return rest if re.search(r"\w", rest) else plain


def without_thoughts(written: str) -> str:
    """Return a text without the thoughts in it; one that does not end is all that follows."""
    return _THOUGHTS_END.sub("", _THOUGHTS.sub("", written))


def plain_of(text: str) -> str:
    """Return a text without markup and invisible characters, in Unicode's NFKC."""
    plain = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).replace("\u2212", "-")
    for pattern, instead in _MARKUP:
        plain = pattern.sub(instead, plain)
    # A lone "7. …" may be the answer; several are a list.
    if len(_NUMBERED.findall(plain)) > 1:
        plain = _NUMBERED.sub("", plain)
    return plain.strip()


def code_of(text: str, function: str) -> str | None:
    """Return the Python in an answer that defines a function; None where there is none.

    Args:
        text: The answer, as the model wrote it, without its thoughts.
        function: The function's name.

    Returns:
        Of a text with fences, the first block with the function; where that is cut off, without its last
        statement below the function. Else the lines from the first that begins a definition or an import to
        the last that may belong to it.
    """
    defines = re.compile(rf"^[ \t]*(?:async )?def {re.escape(function)}\b", re.MULTILINE)
    for block, end in _FENCE.findall(text):
        if defines.search(block):
            code = textwrap.dedent(block).strip("\n")
            return (code if end else _finished(code, defines)) + "\n"
    if not defines.search(text):
        return None
    bare = text.replace("```python", "").replace("```", "").replace("`", "")
    begins = _CODE_BEGINS.search(bare)
    if begins is None:
        return None
    lines = []
    for line in bare[begins.start() :].splitlines():
        if not _CODE_GOES_ON.match(line):
            break
        lines.append(line)
    return "\n".join(lines).strip("\n") + "\n"


def _finished(code: str, defines: re.Pattern[str]) -> str:
    """Return code that is cut off without its last statement, if that is below the function."""
    lines = code.split("\n")
    defined = next(at for at, line in enumerate(lines) if defines.match(line))
    last = max(at for at, line in enumerate(lines) if line[:1] not in {"", " ", "\t", ")", "]", "}"})
    return "\n".join(lines[:last]).rstrip("\n") if last > defined else code
