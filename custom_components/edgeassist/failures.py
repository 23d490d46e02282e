"""Why a box did not answer, as a sentence for the user. Imports nothing of Home Assistant.

A failure's key is that of its sentence in translations/*.json, below `exceptions`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from .events import Failed


class Why(StrEnum):
    """The keys of all sentences."""

    # Found here, before or without an answer.
    BROKER_AWAY = "broker_away"
    BOX_AWAY = "box_away"
    BOX_SILENT = "box_silent"
    LINK_LOST = "link_lost"
    PROTOCOL_UNKNOWN = "protocol_unknown"
    MODEL_WITHOUT_TOOLS = "model_without_tools"
    TOO_MANY_TOOLS = "too_many_tools"
    TOOLS_TOO_LARGE = "tools_too_large"
    ATTACHMENTS = "attachments"
    RESTARTED = "restarted"
    NO_WORDS = "no_words"
    NOT_WORDS = "not_words"
    NOT_FOUND = "not_found"
    NOT_DONE = "not_done"
    NO_DECISIONS = "no_decisions"
    STRUCTURE = "structure"
    STATE = "state"
    CUT_OFF = "cut_off"
    # The codes of the wire contract.
    INVALID_REQUEST = "invalid_request"
    TOO_LARGE = "too_large"
    BUSY = "busy"
    CONTEXT_OVERFLOW = "context_overflow"
    MODEL_LOADING = "model_loading"
    MODEL_UNAVAILABLE = "model_unavailable"
    ENGINE_CRASHED = "engine_crashed"
    INTERRUPTED = "interrupted"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    CANCELLED = "cancelled"
    SHUTTING_DOWN = "shutting_down"
    UNSUPPORTED = "unsupported"
    INTERNAL = "internal"


# What a setting, or somebody at the box, mends: worth a repair issue.
MENDABLE = frozenset(
    {Why.PROTOCOL_UNKNOWN, Why.MODEL_WITHOUT_TOOLS, Why.CONTEXT_OVERFLOW, Why.MODEL_UNAVAILABLE}
)

# A code of the wire contract is the key of its sentence, but for these.
_OF_CODE = {code.value: code for code in Why} | {"quota_exceeded": Why.BUSY, "unreachable": Why.BOX_AWAY}
_NUMBERS = re.compile(r"has (?:at least )?(\d+) tokens and the context holds (\d+)")


class Failure(Exception):  # noqa: N818 - what happened to a request, not to the program
    """A request that was not answered.

    Args:
        why: Which sentence says so.
        placeholders: What stands in the sentence.
        detail: What the box said, in English, for the log.
    """

    def __init__(self, why: Why, placeholders: Mapping[str, str] | None = None, *, detail: str = "") -> None:
        super().__init__(detail or why.value)
        self.why = why
        self.placeholders = MappingProxyType(dict(placeholders or {}))
        self.detail = detail


def failure_of(end: Failed) -> Failure:
    """Return the failure that an answer ended in."""
    why = _OF_CODE.get(end.code, Why.INTERNAL)
    placeholders = {"message": end.message}
    if why is Why.CONTEXT_OVERFLOW:
        numbers = _NUMBERS.search(end.message)
        if numbers is None:
            why = Why.INVALID_REQUEST
        else:
            placeholders |= {"needed": numbers[1], "context": numbers[2]}
    return Failure(why, placeholders, detail=f"{end.code}: {end.message}")
