"""Examples of messages, from the recorded sessions of tests/wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import JsonValue

from scripts.contract.judge import Judge, channel_of
from tests.wire.fixtures import FOLDER, load, paths
from tests.wire.masks import unmask

# The plainest first.
_FIRST = ["chunks", "tools", "thoughts", "decisions", "small-clients", "format-text", "cancel", "states"]
# Of a box's `since`, in seconds since 1970.
_SINCE = 1_795_886_600


def messages() -> Iterator[tuple[str, str, JsonValue, bool]]:
    """Yield what was published and received in all sessions.

    Yields:
        The fixture's name, the topic, the payload (JSON, or text as a str), and whether the device sent it.
    """
    order = {name: at for at, name in enumerate(_FIRST)}
    for path in sorted(paths(), key=lambda path: (order.get(path.stem, len(order)), path.stem)):
        session = load(FOLDER / path.name)
        for each in session.before:
            yield path.stem, each.topic, _as_read(each.payload), False
        for step in session.steps:
            for sent in step.publish:
                if sent.payload_hex is None:
                    yield path.stem, _named(sent.topic), _as_read(sent.payload), False
            for said in (*step.receive, *([] if step.document is None else [step.document])):
                yield path.stem, _named(said.topic), real(said.topic, said.payload), True


def real(topic: str, payload: JsonValue) -> JsonValue:
    """Return a payload with values in the places of masks."""
    channel = channel_of(_named(topic))
    if channel is not None and channel.name == "box":
        return unmask(payload, since=_SINCE)
    return unmask(payload)


def examples(judge: Judge) -> dict[str, list[dict[str, Any]]]:
    """Return an example of each message that is in a session, by the message's name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for fixture, topic, payload, _ in messages():
        channel = channel_of(topic)
        fitting = [] if channel is None else judge.fitting(channel.name, payload)
        for name in fitting[:1]:
            if name not in found and payload != "":
                found[name] = [{"name": fixture, "payload": _short(payload)}]
    return found


def _as_read(payload: JsonValue) -> JsonValue:
    """Return a payload as the device reads it: an object in JSON, or text."""
    if isinstance(payload, str) and payload.lstrip("\ufeff \t\r\n").startswith("{"):
        try:
            return dict(json.loads(payload.strip("\ufeff\0 \t\r\n")))
        except ValueError:
            return payload
    return unmask(payload)


def _named(topic: str) -> str:
    return str(unmask(topic))


def _short(payload: JsonValue) -> JsonValue:
    """Return a payload with what is long and says nothing here left out."""
    if not isinstance(payload, dict):
        return payload
    shown = {key: _short(each) if key in {"data", "payload"} else each for key, each in payload.items()}
    for key, count in (("settings", 2), ("cmps", 2)):
        if isinstance(inner := shown.get(key), dict):
            shown[key] = dict([*inner.items()][:count])
    return shown
