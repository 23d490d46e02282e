"""Describes the built-in model's actions for people."""

from __future__ import annotations

import json
from typing import Any

_ROOMS = {"all": "everywhere"}


def describe_action(answer: str) -> str | None:
    """Return a readable form of an action, such as `kitchen light: brightness to 30 %`.

    Args:
        answer: A complete answer of the model.

    Returns:
        The description; None if the answer is not an action.
    """
    try:
        action = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    if not isinstance(action, dict) or not {"action", "device"} <= action.keys():
        return None
    room = str(action.get("room", ""))
    thing = " ".join(filter(None, (_ROOMS.get(room, room), _plain(action["device"]))))
    return f"{thing}: {_change(action)}"


def _change(action: dict[str, Any]) -> str:
    """Return the change: `turn on`, `brightness to 30 %`, `volume up by 10 %`."""
    quality, value = _plain(action.get("property", "")), action.get("value")
    if action["action"] not in {"set", "increase", "decrease"}:
        return _plain(action["action"])
    unit = " °C" if quality == "temperature" else " %"
    amount = f"{value}{unit}" if isinstance(value, int | float) else _plain(value)
    if action["action"] == "set":
        return f"{quality} to {amount}"
    direction = "up" if action["action"] == "increase" else "down"
    return f"{quality} {direction}" + ("" if value is None else f" by {amount}")


def _plain(name: object) -> str:
    return str(name).replace("_", " ")
