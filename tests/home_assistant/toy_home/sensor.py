"""Sensors with one value."""

from __future__ import annotations

from typing import Any

from homeassistant.components.sensor import SensorEntity

from .toy import Toy, platform


class ToySensor(Toy, SensorEntity):
    def begin(self, state: str | None, attributes: dict[str, Any]) -> None:
        unit = attributes.get("unit_of_measurement")
        self.now(native_value=state, native_unit_of_measurement=unit)


async_setup_entry = platform("sensor", ToySensor)
