"""Makes utterances natural: polite and filler words, typing mistakes, any capitalization."""

from __future__ import annotations

from random import Random

from scripts.train_tiny.dialogues.grammar import change_words
from scripts.train_tiny.dialogues.language import Around, Language

_BEFORE_SHARE = 0.35
_AFTER_SHARE = 0.2
_TYPO_SHARE = 0.12
_CAPITAL_SHARE = 0.5
# Typos in shorter words could change the meaning: "on" and "off" are one letter apart.
_SHORTEST_TYPO = 4
_FILLERS = ("嗯", "呃", "啊", "那个", "就是")
_MARKS = {Language.ENGLISH: ("", "", "", ".", "!"), Language.CHINESE: ("", "", "", "。", "！")}
_QUESTION_MARKS = {Language.ENGLISH: ("?", "?", "?", ""), Language.CHINESE: ("？", "？", "？", "", "?")}


def polite(line: str, around: Around, random: Random) -> str:
    """Sometimes add filler phrases before and after a line."""
    before = random.choice(around.before) if random.random() < _BEFORE_SHARE else ""
    after = random.choice(around.after) if random.random() < _AFTER_SHARE else ""
    return f"{before}{line}{after}"


def mistyped(line: str, language: Language, random: Random) -> str:
    """Sometimes make a typing mistake in one word of a line; slots stay as they are."""
    if random.random() >= _TYPO_SHARE:
        return line
    change = _english_typo if language is Language.ENGLISH else _chinese_typo
    return change_words(line, lambda text: change(text, random), random)


def written(text: str, language: Language, random: Random, *, question: bool = False) -> str:
    """Return the text with or without a capital and a final mark."""
    if random.random() < _CAPITAL_SHARE:
        text = text[:1].upper() + text[1:]
    return text + random.choice((_QUESTION_MARKS if question else _MARKS)[language])


def _english_typo(text: str, random: Random) -> str:
    words = text.split(" ")
    long = [at for at, word in enumerate(words) if len(word) >= _SHORTEST_TYPO and word.isalpha()]
    if not long:
        return text
    at = random.choice(long)
    word, place = words[at], random.randrange(1, len(words[at]) - 1)
    before, here, after = word[:place], word[place], word[place + 1 :]
    words[at] = random.choice(
        (
            before + after,
            before + here + here + after,
            before + after[:1] + here + after[1:],
            before + random.choice("aeiorstnl") + after,
        )
    )
    return " ".join(words)


def _chinese_typo(text: str, random: Random) -> str:
    """Add a filler word or double a character: any other mistake would make a different word."""
    if random.random() < 1 / 2:
        at = random.randrange(len(text))
        return text[:at] + text[at] + text[at:]
    filler = random.choice(_FILLERS)
    return random.choice((f"{filler}{text}", f"{text}{filler}"))
