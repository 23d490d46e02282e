"""What llama-server streams: server-sent events with JSON, in OpenAI's terms. Pure."""

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
    """The text is complete; whether the model ended it by itself."""

    by_itself: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """Tokens in, those of them that cost no work (None where that is not told), and out."""

    prompt: int
    cached: int | None
    completion: int


def read_line(line: str) -> Delta | Stopped | Counts | None:
    """Return what a line of the stream says; None for one that says nothing new.

    Raises:
        ModelError: The server reports an error, in its words, or the line can't be read.
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
            return Stopped(by_itself=choice["finish_reason"] == "stop")
        text = choice["delta"].get("content")
        return Delta(text) if text else None
    if document.get("usage"):
        usage = document["usage"]
        details = usage.get("prompt_tokens_details") or {}
        return Counts(usage["prompt_tokens"], details.get("cached_tokens"), usage["completion_tokens"])
    return None
