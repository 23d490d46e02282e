"""Areas, devices and entities, as Home Assistant's registries have them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.home_assistant.talk import Talk


class Registries(Talk):
    """Reads and changes them."""

    async def areas(self) -> dict[str, str]:
        """Return the areas' ids by their name."""
        return {each["name"]: each["area_id"] for each in await self.command("config/area_registry/list")}

    async def devices(self) -> list[dict[str, Any]]:
        """Return the devices, with `id`, `name`, `area_id`, `identifiers`, `via_device_id` and others."""
        found: list[dict[str, Any]] = await self.command("config/device_registry/list")
        return found

    async def device(self, name: str) -> str:
        """Return the id of the device of this name."""
        return next(str(each["id"]) for each in await self.devices() if each["name"] == name)

    async def entities(self) -> dict[str, dict[str, Any]]:
        """Return what the registry has of entities (`platform`, `unique_id`, `device_id`, …) by their id."""
        return {each["entity_id"]: each for each in await self.command("config/entity_registry/list")}

    async def change(self, entity: str, **changes: Any) -> None:
        """Change an entity: `name`, `area_id`, `aliases`, `new_entity_id`, `disabled_by` and others."""
        await self.command("config/entity_registry/update", entity_id=entity, **changes)

    async def expose(self, entities: Iterable[str], *, exposed: bool = True) -> None:
        """Let assistants see entities, or not."""
        await self.command(
            "homeassistant/expose_entity",
            assistants=["conversation"],
            entity_ids=list(entities),
            should_expose=exposed,
        )
