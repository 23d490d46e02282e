r"""Regular expressions as ECMA-262, Python and Rust read them alike, written for llguidance.

The three differ in what `.`, `\s`, `\w`, `\d` and their opposites match, and what a client checks an answer
with is unknown. So a class that the model may write is what all agree on, and one that it may not write is
left out wherever one of them has it. What only one of them knows is refused.
"""

from __future__ import annotations

from edgeassist.engine.constraints.refusals import Refusal

MAX_PATTERN = 4096
MAX_REPEAT = 1000
MAX_NESTING = 32

_SPACES = r"\t\n\x0b\x0c\r \xa0\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
_ALL_SPACES = _SPACES + r"\x1c-\x1f\x{85}\x{180e}\x{feff}"
_WORDS = "0-9A-Za-z_"
_ALL_WORDS = r"\p{L}\p{N}\p{M}\p{Cn}_"
# What goes between brackets: what all three match, and what any of them does.
_NARROW = {
    "d": "0-9",
    "D": r"[^\p{Nd}\p{Cn}]",
    "s": _SPACES,
    "S": f"[^{_ALL_SPACES}]",
    "w": _WORDS,
    "W": f"[^{_ALL_WORDS}]",
}
_WIDE = {
    "d": r"\p{Nd}\p{Cn}",
    "D": "[^0-9]",
    "s": _ALL_SPACES,
    "S": f"[^{_SPACES}]",
    "w": _ALL_WORDS,
    "W": f"[^{_WORDS}]",
}
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}
_ASCII = "[ -~]"
_DOT = r"[^\n\r\x{2028}\x{2029}]"
_GROUPS = {
    "(?=": "a lookahead",
    "(?!": "a lookahead",
    "(?<=": "a lookbehind",
    "(?<!": "a lookbehind",
    "(?<": "a named group",
    "(?P": "a named group",
    "(?": "a group with flags",
}


def whole(pattern: str) -> str:
    """Return the regular expression, in Rust's syntax, for texts that match the pattern from end to end.

    Raises:
        Refusal: It is invalid, or the three dialects do not agree on it.
    """
    return "|".join(body for _, body, _ in _Reader(pattern, ascii_only=False).alternatives())


def found(pattern: str, *, ascii_only: bool = False) -> str:
    """Return one, in Rust's syntax, for whole texts in which the pattern is found somewhere.

    Args:
        pattern: As in JSON Schema: it need not match the whole text, `^` and `$` are the text's ends.
        ascii_only: Leave out texts with other than ASCII's printable characters.

    Raises:
        Refusal: It is invalid, or the three dialects do not agree on it.
    """
    other = f"{_ASCII}*" if ascii_only else "(?s:.)*"
    alternatives = _Reader(pattern, ascii_only=ascii_only).alternatives()
    return "|".join(
        ("" if begins else other) + f"(?:{body})" + ("" if ends else other)
        for begins, body, ends in alternatives
    )


def literal(text: str) -> str:
    """Return the regular expression, in Rust's syntax, that matches the text and nothing else."""
    return "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    plain = character.isalnum() if character.isascii() else character.isprintable()
    return character if plain else f"\\x{{{ord(character):x}}}"


class _Reader:
    def __init__(self, pattern: str, *, ascii_only: bool) -> None:
        if len(pattern) > MAX_PATTERN:
            raise Refusal(f"it has more than {MAX_PATTERN:,} characters")
        self._pattern = pattern
        self._at = 0
        self._ascii_only = ascii_only
        self._depth = 0
        self._times = 1  # how often what was read last repeats within itself

    def alternatives(self) -> list[tuple[bool, str, bool]]:
        """Return of each alternative whether it begins with `^`, its body, and whether it ends with `$`."""
        found = []
        while True:
            begins = self._took("^")
            body = self._sequence()
            ends = self._took("$")
            found.append((begins, body, ends))
            if self._at == len(self._pattern):
                return found
            if not self._took("|"):
                raise self._misplaced()

    def _misplaced(self) -> Refusal:
        character = self._pattern[self._at]
        if character in "^$":
            return Refusal(f"'{character}' works only at an end of the pattern or of its alternatives")
        return Refusal(f"unexpected '{character}' at character {self._at + 1}")

    def _took(self, text: str) -> bool:
        if self._pattern.startswith(text, self._at):
            self._at += len(text)
            return True
        return False

    def _next(self) -> str:
        if self._at == len(self._pattern):
            raise Refusal("it ends too early")
        self._at += 1
        return self._pattern[self._at - 1]

    def _sequence(self) -> str:
        items = []
        most = 1
        while self._at < len(self._pattern) and self._pattern[self._at] not in "|)^$":
            self._times = 1
            items.append(self._atom() + self._quantifier())
            most = max(most, self._times)
        self._times = most
        return "".join(items)

    def _atom(self) -> str:
        character = self._next()
        match character:
            case "(":
                return self._group()
            case "[":
                return self._class()
            case ".":
                return _ASCII if self._ascii_only else _DOT
            case "\\":
                escaped = self._escape()
                return (
                    self._within(f"[{_NARROW[escaped[1:]]}]")
                    if len(escaped) > 1
                    else self._character(escaped)
                )
            case "*" | "+" | "?" | "{":
                place = f"'{character}' at character {self._at}"
                raise Refusal(f"{place} repeats nothing; for the character, write '\\{character}'")
            case _:
                return self._character(character)

    def _character(self, character: str) -> str:
        if "\ud800" <= character <= "\udfff":
            raise Refusal("half a surrogate pair is no character")
        if self._ascii_only and not " " <= character <= "~":
            raise Refusal("only ASCII's printable characters work in it")
        return _escaped(character)

    def _within(self, rust_class: str) -> str:
        return f"[{rust_class}&&{_ASCII}]" if self._ascii_only else rust_class

    def _group(self) -> str:
        if self._pattern.startswith("?", self._at) and not self._took("?:"):
            opening = self._pattern[self._at - 1 : self._at + 3]
            kind = next(kind for start, kind in _GROUPS.items() if opening.startswith(start))
            raise Refusal(f"{kind} is not enforced here")
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise Refusal(f"more than {MAX_NESTING} groups stand in one another")
        alternatives = [self._sequence()]
        most = self._times
        while self._took("|"):
            alternatives.append(self._sequence())
            most = max(most, self._times)
        self._times = most
        if self._at == len(self._pattern):
            raise Refusal("a group is not closed")
        if not self._took(")"):
            raise self._misplaced()
        self._depth -= 1
        return f"(?:{'|'.join(alternatives)})"

    def _quantifier(self) -> str:
        counts = ""
        if self._at < len(self._pattern) and self._pattern[self._at] in "*+?":
            counts = self._next()
        elif self._took("{"):
            counts = self._counts()
        if counts:
            self._took("?")  # lazy or not, it's the same texts
        return counts

    def _counts(self) -> str:
        end = self._pattern.find("}", self._at)
        lower, comma, upper = self._pattern[self._at : max(end, self._at)].partition(",")
        if not (lower.isdecimal() and lower.isascii()) or (
            upper and not (upper.isdecimal() and upper.isascii())
        ):
            raise Refusal(f"'{{' at character {self._at} begins no count; for the character, write '\\{{'")
        times = max(int(lower[:6]), int(upper[:6] or 0))
        self._times *= max(times, 1)
        if self._times > MAX_REPEAT or max(len(lower), len(upper)) > len(str(MAX_REPEAT)):
            raise Refusal(f"something in it repeats more than {MAX_REPEAT:,} times")
        if upper and int(upper) < int(lower):
            raise Refusal(f"{{{lower},{upper}}} counts backwards")
        self._at = end + 1
        return f"{{{int(lower)}{comma}{int(upper) if upper else ''}}}"

    def _escape(self) -> str:
        """Return a character, or a backslash and a class's letter."""
        character = self._next()
        if character in _NARROW:
            return "\\" + character
        if character in _CONTROLS:
            return _CONTROLS[character]
        if character in "xu":
            digits = self._pattern[self._at : self._at + (2 if character == "x" else 4)]
            if len(digits) != (2 if character == "x" else 4) or not all(
                each in "0123456789abcdefABCDEF" for each in digits
            ):
                raise Refusal(f"'\\{character}' takes {2 if character == 'x' else 4} hexadecimal digits")
            self._at += len(digits)
            return chr(int(digits, 16))
        if character.isdecimal():
            raise Refusal(f"'\\{character}' (what a group matched) is not enforced here")
        if character.isalnum() or not character.isascii():
            raise Refusal(f"'\\{character}' is not enforced here")
        return character

    def _class(self) -> str:
        negated = self._took("^")
        classes = _WIDE if negated else _NARROW
        items: list[str] = []
        while not self._took("]"):
            first = self._class_item()
            ranged = self._pattern.startswith("-", self._at) and not self._pattern.startswith("-]", self._at)
            if not ranged:
                items.append(
                    classes[first[1:]] if len(first) > 1 else self._class_character(first, negated=negated)
                )
                continue
            self._at += 1
            last = self._class_item()
            if len(first) > 1 or len(last) > 1:
                raise Refusal("a range in brackets goes from one character to another")
            if first > last:
                raise Refusal(f"the range {first}-{last} goes backwards")
            ends = (self._class_character(each, negated=negated) for each in (first, last))
            items.append("-".join(ends))
        if not items:
            raise Refusal("'[]' and '[^]' mean different things to different readers")
        return self._within(f"[{'^' if negated else ''}{''.join(items)}]")

    def _class_item(self) -> str:
        character = self._next()
        return self._escape() if character == "\\" else character

    def _class_character(self, character: str, *, negated: bool) -> str:
        return (
            _escaped(character)
            if negated and not "\ud800" <= character <= "\udfff"
            else self._character(character)
        )
