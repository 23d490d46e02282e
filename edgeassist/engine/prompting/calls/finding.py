"""Which form a model's tool calls have. Sans-I/O."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace

from edgeassist.engine.prompting.calls.form import Form
from edgeassist.engine.prompting.calls.jsons import BareCall, JsonCalls, NamedCalls
from edgeassist.engine.prompting.calls.pairs import PairCalls
from edgeassist.engine.prompting.calls.tags import TagCalls
from edgeassist.engine.prompting.calls.words import KeywordCalls

# For a template that knows no tools, and what Hermes and Qwen write.
OURS = JsonCalls("hermes", "<tool_call>", "</tool_call>", inside="\n", between="\n")

GEMMA_4 = PairCalls("gemma 4", "<|tool_call>", "<tool_call|>", '<|"|>', "<|tool_response>")
FUNCTION_GEMMA = PairCalls(
    "functiongemma", "<start_function_call>", "<end_function_call>", "<escape>", "<start_function_response>"
)
LFM_2 = KeywordCalls("lfm2", "<|tool_call_start|>", "<|tool_call_end|>")
QWEN_3_CODER = TagCalls("qwen3-coder")
LLAMA_3 = BareCall("llama 3", "<|python_tag|>")
MISTRAL_11 = NamedCalls("mistral", "[TOOL_CALLS]", "[CALL_ID]", "[ARGS]")
MISTRAL_LIST = JsonCalls("mistral list", "[TOOL_CALLS]", listed=True, ids=True)
GRANITE_3 = JsonCalls("granite", "<|tool_call|>", listed=True)
PHI_4_MINI = JsonCalls("phi-4-mini", "<|tool_call|>", "<|/tool_call|>", listed=True)

# What only one form has in it, in what a template writes, in its source, or in the vocabulary.
_SIGNS: dict[str, Form] = {
    "[ARGS]": MISTRAL_11,
    "<|tool_call>": GEMMA_4,
    "<start_function_call>": FUNCTION_GEMMA,
    "<|tool_call_start|>": LFM_2,
}
# No stretch of white space is looked at twice: a template may write long ones.
_JSON = re.compile(
    r"(?:(?P<opening><[^<>\s]+>|\[[A-Z_]+\])(?P<inside>\s*+))?(?:(?P<list>\[)\s*+)?"
    r'\{"name": "zqtool", "(?P<key>\w+)": \{"zqkey": "zqvalue"\}(?P<id>, "id": "[^"]*")?\}'
    r"\]?\s*(?P<closing>(?:</[^<>\s]+>|<\|/[^<>\s]+>|\[/[A-Z_]+\])?)"
)
_TAGS = re.compile(r"<tool_call>\s*<function=")
# What a mark before a call has in it, and one of a turn has not.
_CALLS = re.compile("tool|call|function", re.IGNORECASE)


def find_form(written: str | None, source: str, vocabulary: Collection[str]) -> Form:
    """Return how a model writes calls: as its template does, or else tells it, or as its vocabulary lets it.

    Args:
        written: What the template wrote for a turn that calls the tool `zqtool` with `{"zqkey": "zqvalue"}`;
            None: it does not write calls.
        source: The template.
        vocabulary: The texts of tokens that may be marks.
    """
    for text in (written or "", source):
        for sign, form in _SIGNS.items():
            if sign in text:
                return form
        if _TAGS.search(text) and "<parameter=" in text:
            return QWEN_3_CODER
        if found := _JSON.search(text):
            return _of_json(found, source)
    # What is written otherwise than all that we know is no form that only the source has the signs of.
    return OURS if written else _of_source(source, vocabulary)


def _of_json(found: re.Match[str], source: str) -> Form:
    opening = found["opening"] or ""
    if not _CALLS.search(opening):
        return LLAMA_3 if found["key"] == LLAMA_3.key or "<|python_tag|>" in source else OURS
    if opening == MISTRAL_LIST.opening and found["list"]:
        return MISTRAL_LIST
    closes = re.sub(r"\W", "", found["closing"]) == re.sub(r"\W", "", opening)
    listed = bool(found["list"])
    inside = found["inside"] or ""
    form = JsonCalls(
        re.sub(r"\W", "", opening),
        opening,
        found["closing"] if closes else "",
        key=found["key"],
        inside=inside if "\n" in inside else "",
        between="" if listed else "\n",
        listed=listed,
        ids=found["id"] is not None,
    )
    return OURS if replace(form, name=OURS.name, ids=OURS.ids) == OURS else form


def _of_source(source: str, vocabulary: Collection[str]) -> Form:
    known = frozenset(vocabulary)
    if OURS.opening in source:
        return OURS
    if '"parameters": dictionary' in source or "<|python_tag|>" in source:
        return LLAMA_3
    for sign, form in _SIGNS.items():
        if sign in known:
            return form
    if GRANITE_3.opening in source or GRANITE_3.opening in known:
        return PHI_4_MINI if PHI_4_MINI.closing in known else GRANITE_3
    if MISTRAL_LIST.opening in source or MISTRAL_LIST.opening in known:
        return MISTRAL_LIST
    return OURS
