"""What an intent was for, and did not reach. Imports nothing of Home Assistant.

Home Assistant passes over entities that are unavailable, and reports them as done. Where that is noted in the
call's result, both the model and who asked hear that they were not.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

UNAVAILABLE = "unavailable"


def note_unreached(result: Any, unavailable: Container[str]) -> None:
    """Move what was not reached from what a call has done to what has failed, in its result.

    Args:
        result: What the call has returned; only that of an intent is changed.
        unavailable: The ids of the entities that were unavailable when it was made.
    """
    match result:
        case {"response_type": "action_done", "data": {"success": [*done], "failed": [*failed]} as data}:
            unreached = [each for each in done if each.get("id") in unavailable]
        case _:
            return
    if not unreached:
        return
    reached = [each for each in done if each not in unreached]
    # A place has heard of it where something there has.
    data["success"] = reached if any(each.get("type") == "entity" for each in reached) else []
    data["failed"] = [*failed, *({**each, "state": UNAVAILABLE} for each in unreached)]


def was_unreached(target: Mapping[str, Any]) -> bool:
    """Whether one of what has failed has done so because it was unavailable."""
    return target.get("state") == UNAVAILABLE
