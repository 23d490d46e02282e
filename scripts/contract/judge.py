"""Which channel a topic is, which message of it a payload is, and which payload is none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from jsonschema import Draft7Validator
from pydantic import JsonValue

from scripts.contract.topics import Channel, channels

_PARAMETER = re.compile(r"\\{(\w+)\\}")


def channel_of(topic: str) -> Channel | None:
    """Return the channel that a topic is; None where it is none, or one that a message names."""
    for pattern, channel in _patterns():
        if pattern.fullmatch(topic):
            return channel
    return None


class Judge:
    """Judges by a document.

    Args:
        document: The AsyncAPI document.
        closed: Whether what the device sends may have no other fields than those that are there.
    """

    def __init__(self, document: Mapping[str, Any], *, closed: bool = False) -> None:
        self._channels = document["channels"]
        self._messages = document["components"]["messages"]
        schemas = document["components"]["schemas"]
        self._components = {"components": {"schemas": _closed(schemas) if closed else schemas}}
        self._wrap = _closed if closed else (lambda schema: schema)
        self._validators: dict[str, Draft7Validator] = {}

    def messages_of(self, channel: str) -> Sequence[str]:
        """Return the names of the messages that may come on a channel."""
        return [each["$ref"].rpartition("/")[2] for each in self._channels[channel]["messages"].values()]

    def fitting(self, channel: str, payload: JsonValue) -> list[str]:
        """Return which messages of a channel a payload may be: JSON, or text (a str)."""
        kind = "text/plain" if isinstance(payload, str) else "application/json"
        return [
            name
            for name in self.messages_of(channel)
            if self._messages[name]["contentType"] == kind and self._validator(name).is_valid(payload)
        ]

    def problems(self, message: str, payload: JsonValue) -> Iterator[str]:
        """Yield why a payload is not that message."""
        yield from (
            f"{each.json_path}: {each.message}" for each in self._validator(message).iter_errors(payload)
        )

    def _validator(self, name: str) -> Draft7Validator:
        if name not in self._validators:
            schema = {**self._wrap(self._messages[name]["payload"]), **self._components}
            if "$ref" in schema:  # in draft 7, nothing beside it counts
                schema = {"allOf": [{"$ref": schema.pop("$ref")}], **schema}
            self._validators[name] = Draft7Validator(schema)
        return self._validators[name]


@cache
def _patterns() -> list[tuple[re.Pattern[str], Channel]]:
    found = []
    for channel in channels():
        if channel.address is not None:
            pattern = _PARAMETER.sub("([^/]+)", re.escape(channel.address))
            found.append((re.compile(pattern), channel))
    return found


def _closed(value: Any) -> Any:
    """Return schemas without room for fields that they do not name."""
    if isinstance(value, list):
        return [_closed(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    found = {key: _closed(each) for key, each in value.items()}
    if isinstance(found.get("properties"), dict) and found.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found
