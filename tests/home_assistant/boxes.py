"""A box in Home Assistant, for tests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from edgeassist.sandbox import PrivateDaemon
from tests.home_assistant.driver import Driver

AGENT = "conversation.edgeassist"
TASK = "ai_task.edgeassist_ai_task"
CLIENT = "house"

# Starts a box with these answers, or with other settings (the fixture `box`).
Box = Callable[..., Awaitable[PrivateDaemon]]


def is_there(state: dict[str, Any] | None) -> bool:
    """Whether an entity can be asked."""
    return state is not None and state["state"] != "unavailable"


async def add_box(house: Driver) -> dict[str, Any]:
    """Add the box, or take the one that is there, and wait until its task can be asked; return its entry."""
    entries = await house.entries("edgeassist")
    entry: dict[str, Any] = (
        entries[0]
        if entries
        else await house.add("edgeassist", base="edgeassist", device="box", client=CLIENT)
    )
    await house.shows(TASK, lambda state: state and state["state"] != "unavailable")
    return entry


async def remove_boxes(house: Driver) -> None:
    """Remove all boxes."""
    for entry in await house.entries("edgeassist"):
        await house.remove(entry["entry_id"])


async def generate(house: Driver, instructions: str, **more: Any) -> Any:
    """Have the task generate data, and return it."""
    done = await house.call(
        "ai_task.generate_data",
        response=True,
        task_name="test",
        entity_id=TASK,
        instructions=instructions,
        **more,
    )
    return done["data"]
