"""Constraints as grammars that llguidance reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from llguidance import LLMatcher
from llguidance.gbnf_to_lark import gbnf_to_lark

from edgeassist.engine.constraints import patterns
from edgeassist.engine.constraints.endless import ends_somewhere
from edgeassist.engine.constraints.refusals import Refusal, pointer
from edgeassist.engine.constraints.schema import end_of_json, grammar_of_schema, plain_schema
from edgeassist.engine.messages import Constraint, ConstraintKind
from edgeassist.errors import InvalidRequestError

MAX_CHOICES = 1000
MAX_TEXT = 65_536

# What a grammar consists of, so that what is asked for is not found in a text or a comment.
_LARK = re.compile(
    r'"(?:[^"\\\n]|\\.)*"|%llguidance\s*\{\s*\}|//[^\n]*|#[^\n]*|/(?:[^/\\\n]|\\.)+/'
    r"|(?P<asked><[^\s<>]*>|%[a-z]+|@\w+)|.",
    re.DOTALL,
)
# llguidance's converter drops the zeros that \u00e9 begins with, and then can't read it.
_ESCAPED = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|.)", re.DOTALL)
_GBNF = re.compile(r"^\s*[\w-]+\s*::=", re.MULTILINE)
_KNOWN = frozenset({"%import", "%ignore", "%json"})


def grammar_of(constraint: Constraint) -> str:
    """Return llguidance's grammar of a constraint.

    A regular expression matches the whole answer; `patterns` says in which dialect. A choice is written as it
    stands, without quotes. A grammar is Lark as llguidance reads it, with schemas after `%json`, or GBNF as
    llama.cpp reads it, if it has rules with `::=`.

    Raises:
        InvalidRequestError: It is invalid, or asks for what isn't enforced. What only a compile shows is not
            found here.
    """
    try:
        return _grammar_of(constraint)
    except Refusal as refusal:
        raise InvalidRequestError(f"{constraint.kind}: {refusal.reason}") from None


def _grammar_of(constraint: Constraint) -> str:
    text = constraint.text
    match constraint.kind:
        case ConstraintKind.JSON_SCHEMA:
            return grammar_of_schema(text)
        case ConstraintKind.REGEX:
            return LLMatcher.grammar_from_regex(patterns.whole(text))
        case ConstraintKind.CHOICE:
            return LLMatcher.grammar_from_regex("|".join(map(patterns.literal, _choices(text))))
        case ConstraintKind.GRAMMAR:
            grammar = _lark(text)
            if not ends_somewhere(grammar):
                raise Refusal(
                    "no answer fulfils it: its first rule always leads back to itself, without an end"
                )
            return LLMatcher.grammar_from_lark(grammar)


def _choices(text: str) -> list[str]:
    try:
        choices = json.loads(text)
    except (ValueError, RecursionError):
        raise Refusal("not a JSON list of texts") from None
    if (
        not isinstance(choices, list)
        or not choices
        or not all(isinstance(each, str) and each for each in choices)
    ):
        raise Refusal("give a list of texts, one at least, none of them empty")
    if len(choices) > MAX_CHOICES:
        raise Refusal(f"there are more than {MAX_CHOICES:,} texts")
    if len(text) > MAX_TEXT:
        raise Refusal(f"the texts have more than {MAX_TEXT:,} characters together")
    if any("\ud800" <= character <= "\udfff" for character in text + "".join(choices)):
        raise Refusal("half a surrogate pair is no character")
    return list(dict.fromkeys(choices))


def _lark(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise Refusal(f"the grammar has more than {MAX_TEXT:,} characters")
    if _GBNF.search(text):
        try:
            # Nothing below comes from the client: the converter knows no such things.
            return str(gbnf_to_lark(_ESCAPED.sub(_unescaped, text)))
        except RecursionError:
            raise Refusal("groups are nested too deeply") from None
        except Refusal:
            raise
        except Exception as error:  # noqa: BLE001 - it raises Exception itself
            raise Refusal(f"not GBNF: {' '.join(str(error).split())[:200]}") from None
    return "".join(_pieces(text))


def _pieces(text: str) -> Iterator[str]:
    """Yield a Lark grammar, with the schemas in it as they are enforced."""
    at = 0
    while found := _LARK.match(text, at):
        at = found.end()
        asked = found["asked"]
        if asked and asked not in _KNOWN:
            raise Refusal(f"{_reason(asked)} is not enforced here")
        yield found[0]
        if asked == "%json":
            start = at + len(text[at:]) - len(text[at:].lstrip())
            try:
                at = end_of_json(text, start)
                yield " " + json.dumps(plain_schema(text[start:at]))
            except Refusal as refusal:
                raise Refusal(f"%json: {pointer(refusal.place)}: {refusal.reason}") from None


def _unescaped(found: re.Match[str]) -> str:
    digits = found[1] or found[2]
    if digits is None:
        return found[0]
    try:
        character = chr(int(digits, 16))
        character.encode()
    except (ValueError, OverflowError):
        raise Refusal(f"{found[0]} is no character") from None
    return f"\\x{ord(character):02x}" if character.isascii() else character


def _reason(asked: str) -> str:
    shown = "".join(each if each.isprintable() else "?" for each in asked[:40])
    if asked.startswith("<"):
        return f"{shown}, a control token,"
    return f"'{shown}'"
