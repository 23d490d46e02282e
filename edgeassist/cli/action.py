"""An action of the built-in model, in words."""

from __future__ import annotations

import json
from typing import Any

_ROOMS = {"all": "everywhere"}


def describe_action(answer: str) -> str | None:
    """Return an action as a person would say it, such as `kitchen light: brightness to 30 %`.

    Args:
        answer: The whole of an answer; None comes back for one that is no action.
    """
    try:
        action = json.loads(answer)
    except ValueError:
        return None
    if not isinstance(action, dict) or not {"action", "device"} <= action.keys():
        return None
    room = str(action.get("room", ""))
    thing = " ".join(filter(None, (_ROOMS.get(room, room), _plain(action["device"]))))
    return f"{thing}: {_what(action)}"


def _what(action: dict[str, Any]) -> str:
    """Return what happens: `turn on`, `brightness to 30 %`, `volume up by 10 %`."""
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
