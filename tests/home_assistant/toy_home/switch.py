"""Switches."""

from __future__ import annotations

from typing import Any

from homeassistant.components.switch import SwitchEntity

from .toy import Toy, platform


class ToySwitch(Toy, SwitchEntity):
    def begin(self, state: str | None, _attributes: dict[str, Any]) -> None:
        self.now(is_on=state == "on")

    async def async_turn_on(self, **_kwargs: Any) -> None:
        self.now(is_on=True)

    async def async_turn_off(self, **_kwargs: Any) -> None:
        self.now(is_on=False)


async_setup_entry = platform("switch", ToySwitch)
