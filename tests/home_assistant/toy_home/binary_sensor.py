"""Binary sensors that never change."""

from __future__ import annotations

from typing import Any

from homeassistant.components.binary_sensor import BinarySensorEntity

from .toy import Toy, platform


class ToyBinarySensor(Toy, BinarySensorEntity):
    def begin(self, state: str | None, _attributes: dict[str, Any]) -> None:
        self.now(is_on=state == "on")


async_setup_entry = platform("binary_sensor", ToyBinarySensor)
