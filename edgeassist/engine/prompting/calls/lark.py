"""How answers with calls are put together in llguidance's Lark. Sans-I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from edgeassist.engine.messages import Choice, Tools
from edgeassist.engine.prompting.calls.form import Writer


def quoted(text: str) -> str:
    """Return a text as a literal."""
    return json.dumps(text, ensure_ascii=False)


def pattern(text: str) -> str:
    """Return the regular expression that matches a text and nothing else."""
    return "".join(each if each.isascii() and each.isalnum() else f"\\x{{{ord(each):x}}}" for each in text)


def without(mark: str) -> str:
    """Return a terminal's body for texts in which a mark does not stand."""
    return f"/(?s:.*)/ & ~/(?s:.*){pattern(mark)}(?s:.*)/"


def chosen(tools: Tools) -> list[int]:
    """Return which of the tools an answer may call."""
    return [number for number, tool in enumerate(tools.tools) if tools.only in {"", tool.name}]


def either(rules: Iterable[str]) -> str:
    """Return a rule's body of alternatives."""
    return " | ".join(rules)


def answer(
    tools: Tools,
    writer: Writer,
    opening: str,
    body: str,
    *,
    between: str | None = None,
    ends: Sequence[str] = (),
    unmarked: tuple[str, str] | None = None,
) -> list[str]:
    """Return the rules of an answer in which a mark opens calls.

    Args:
        tools: What may be called, and how.
        writer: Writes the marks.
        opening: The mark.
        body: The rule of what stands behind it.
        between: White space before another opening; None: one opens all calls.
        ends: Control tokens with which a model may end its turn behind calls.
        unmarked: The regular expression of how an answer begins that is a call without a mark, and its rule.
    """
    not_unmarked = "" if unmarked is None else f" & ~/{unmarked[0]}(?s:.*)/"
    rules = [f"CALLS_TEXT: {without(opening)}{not_unmarked}"]
    if tools.choice is Choice.NONE:
        return ["start: CALLS_TEXT", *rules]
    mark = writer.mark(opening)
    more = []
    if between is not None and tools.parallel:
        space = f"{quoted(between)}?" if between else ""
        # Some models write it behind the last one too.
        more.append(f"({space} {mark} {body})* {space}")
    tails = [tail for end in ends if (tail := writer.mark(end)).startswith("<")]
    if tails:
        rules.append(f"calls_tail: {either(tails)}")
        more.append("calls_tail?")
    rest = " ".join(more)
    if tools.choice is Choice.REQUIRED:
        start = f"{mark} {body} {rest}"
    elif mark.startswith("<"):
        start = f"CALLS_TEXT ({mark} {body} {rest})?"
    else:
        rules.append(f"calls_head[lazy]: CALLS_HEAD\nCALLS_HEAD: /(?s:.*){pattern(opening)}/{not_unmarked}")
        start = f"CALLS_TEXT | calls_head {body} {rest}"
    if unmarked is not None:
        start += f" | {unmarked[1]}"
    return [f"start: {start}", *rules]


def members(name: str, each: Sequence[tuple[str, bool]], comma: str) -> list[str]:
    """Return the rules of members in their order, of which those that are not required may be left out.

    Args:
        name: Of the rule; others begin with it.
        each: The rule of each member, and whether it is required.
        comma: Stands between them; none where it is empty.
    """
    if not comma:
        return [f"{name}: " + (" ".join(rule if needed else f"{rule}?" for rule, needed in each) or '""')]
    rules = []
    behind = '""'
    firsts: list[str] = []
    for at, (rule, needed) in reversed(list(enumerate(each))):
        firsts = [f"{rule} {behind}", *([] if needed else firsts)]
        tail = f"{name}_{at}"
        rules.append(f"{tail}: {quoted(comma)} {rule} {behind}" + ("" if needed else f" | {behind}"))
        behind = tail
    optional = not any(needed for _, needed in each)
    nothing = ['""'] if optional else []
    return [f"{name}: {either([*firsts, *nothing])}", *rules]
