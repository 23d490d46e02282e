"""Fans with a speed in percent."""

from __future__ import annotations

from typing import Any

from homeassistant.components.fan import FanEntity, FanEntityFeature

from .toy import Toy, platform


class ToyFan(Toy, FanEntity):
    _attr_supported_features = (
        FanEntityFeature.SET_SPEED | FanEntityFeature.TURN_ON | FanEntityFeature.TURN_OFF
    )

    def begin(self, state: str | None, attributes: dict[str, Any]) -> None:
        self.now(percentage=attributes.get("percentage", 100 if state == "on" else 0))

    async def async_turn_on(
        self, percentage: int | None = None, _preset_mode: str | None = None, **_kwargs: Any
    ) -> None:
        self.now(percentage=percentage or 100)

    async def async_turn_off(self, **_kwargs: Any) -> None:
        self.now(percentage=0)

    async def async_set_percentage(self, percentage: int) -> None:
        self.now(percentage=percentage)


async_setup_entry = platform("fan", ToyFan)
