"""Constraints as grammars that llguidance reads."""

from __future__ import annotations

import msgspec
from llguidance import LLMatcher
from llguidance.gbnf_to_lark import any_to_lark

from edgeassist.engine.messages import Constraint, ConstraintKind


def grammar_of(constraint: Constraint) -> str:
    """Return llguidance's grammar of a constraint."""
    text = constraint.text
    match constraint.kind:
        case ConstraintKind.JSON_SCHEMA:
            return LLMatcher.grammar_from_json_schema(text, overrides={"whitespace_flexible": False})
        case ConstraintKind.REGEX:
            return LLMatcher.grammar_from_regex(text)
        case ConstraintKind.CHOICE:
            options = msgspec.json.decode(text, type=list[str])
            lines = " | ".join(msgspec.json.encode(option).decode() for option in options)
            return LLMatcher.grammar_from_lark(f"start: {lines}")
        case ConstraintKind.GRAMMAR:
            return LLMatcher.grammar_from_lark(any_to_lark(text))
