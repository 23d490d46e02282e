"""Whether a grammar in Lark's notation has a finite text at all."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgeassist.engine.constraints.schema import end_of_json

_TOKEN = re.compile(
    r"^[ \t]*[?!]*(?P<rule>[A-Za-z_]\w*)(?:\.-?\d+)?(?:\[[^\]\n]*\])?\s*:"
    r'|(?P<text>"(?:[^"\\\n]|\\.)*"i?)|//[^\n]*|#[^\n]*|(?P<regex>/(?:[^/\\\n]|\\.)+/[a-z]*)'
    r"|(?P<json>%json)|(?P<other>%[^\n]*)|->\s*\w+|(?P<name>[A-Za-z_]\w*)"
    r"|[~{]\s*(?P<count>\d+)|(?P<mark>[()\[\]|?*])|.",
    re.DOTALL | re.MULTILINE,
)
_ANYTHING = "%"
# What is longer is taken for one that ends; a grammar of the largest size has a tenth.
_MOST = 500_000


def ends_somewhere(grammar: str) -> bool:
    """Whether some finite text is of the grammar; also true where this can't be told.

    Args:
        grammar: In Lark's notation, with JSON Schemas after `%json`; its first rule is `start`.
    """
    rules = _rules_of(grammar)
    left, ending, looked_at = rules, set[str](), 0
    while "start" in left and looked_at < _MOST:
        looked_at += sum(map(len, left.values()))
        found = {name for name, body in left.items() if _ends(body, rules, ending)}
        if not found:
            return False
        ending |= found
        left = {name: body for name, body in left.items() if name not in found}
    return True


def _rules_of(grammar: str) -> dict[str, list[str]]:
    """Return each rule's body: names, `%` for a text, and what groups, repeats or parts them."""
    rules: dict[str, list[str]] = {}
    body: list[str] = []
    at = 0
    while found := _TOKEN.match(grammar, at):
        at = found.end()
        match found.lastgroup:
            case "rule":
                body = rules.setdefault(found["rule"], [])
            case "other":
                body = []
            case "json":
                at = end_of_json(grammar, at + len(grammar[at:]) - len(grammar[at:].lstrip()))
                body.append(_ANYTHING)
            case "text" | "regex":
                body.append(_ANYTHING)
            case "count":
                if not found["count"].strip("0"):  # it may be longer than `int` takes
                    body.append("?")
            case "name" | "mark":
                body.append(found[0])
            case _:
                pass
    return rules


@dataclass(slots=True)
class _Group:
    """Alternatives, as far as they are read.

    Attributes:
        some: Whether one of those before ends.
        all: Whether all of this one does, but for its last part.
        last: Whether that does.
    """

    some: bool = False
    all: bool = True
    last: bool = True

    @property
    def ends(self) -> bool:
        return self.some or (self.all and self.last)

    def add(self, *, ends: bool) -> None:
        self.all, self.last = self.all and self.last, ends


def _ends(body: list[str], rules: dict[str, list[str]], ending: set[str]) -> bool:
    groups = [_Group()]
    for part in body:
        match part:
            case "(" | "[":
                groups.append(_Group())
            case ")" | "]":
                if len(groups) > 1:
                    inner = groups.pop()
                    groups[-1].add(ends=inner.ends or part == "]")
            case "|":
                groups[-1] = _Group(some=groups[-1].ends)
            case "?" | "*":
                groups[-1].last = True
            case _:
                groups[-1].add(ends=part not in rules or part in ending)
    return groups[0].ends
