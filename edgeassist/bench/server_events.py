"""Parses llama-server's stream: server-sent events in OpenAI's JSON format. Pure functions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from edgeassist.errors import ModelError

_DATA = "data:"
_ERROR = "error:"
_LAST = "[DONE]"


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of the text."""

    text: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The answer is complete; `by_itself` is True if the model ended it, or its grammar."""

    by_itself: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """Token counts; `cached` of the prompt came from the prompt cache (None if not reported)."""

    prompt: int
    cached: int | None
    completion: int


def read_line(line: str) -> Delta | Stopped | Counts | None:
    """Parse a line of the stream; None if it carries nothing new.

    Raises:
        ModelError: The server reports an error, or the line can't be parsed.
    """
    field = line.strip()
    if field.startswith(_ERROR):
        raise ModelError(f"llama-server: {field.removeprefix(_ERROR).strip()}")
    if not field.startswith(_DATA) or field == f"{_DATA} {_LAST}":
        return None
    try:
        return _read(json.loads(field.removeprefix(_DATA)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"llama-server: can't read what it streams: {field[:200]}") from error


def _read(document: dict[str, Any]) -> Delta | Stopped | Counts | None:
    if "error" in document:
        error = document["error"]
        raise ModelError(f"llama-server: {error.get('message', error)}")
    if document["choices"]:
        choice = document["choices"][0]
        if choice.get("finish_reason"):
            return Stopped(by_itself=choice["finish_reason"] != "length")
        text = choice["delta"].get("content")
        return Delta(text) if text else None
    if document.get("usage"):
        usage = document["usage"]
        details = usage.get("prompt_tokens_details") or {}
        return Counts(usage["prompt_tokens"], details.get("cached_tokens"), usage["completion_tokens"])
    return None
