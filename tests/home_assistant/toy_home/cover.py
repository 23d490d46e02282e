"""Blinds and doors, which move in no time; 100 is open."""

from __future__ import annotations

from typing import Any

from homeassistant.components.cover import CoverEntity

from .toy import Toy, platform


class ToyCover(Toy, CoverEntity):
    def begin(self, state: str | None, attributes: dict[str, Any]) -> None:
        self._go(attributes.get("current_position", 100 if state == "open" else 0))

    async def async_open_cover(self, **_kwargs: Any) -> None:
        self._go(100)

    async def async_close_cover(self, **_kwargs: Any) -> None:
        self._go(0)

    async def async_set_cover_position(self, **kwargs: Any) -> None:
        self._go(kwargs["position"])

    def _go(self, position: int) -> None:
        self.now(current_cover_position=position, is_closed=position == 0)


async_setup_entry = platform("cover", ToyCover)
