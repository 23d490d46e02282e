"""Heating."""

from __future__ import annotations

from typing import Any

from homeassistant.components.climate import ClimateEntity, ClimateEntityFeature, HVACMode
from homeassistant.const import UnitOfTemperature

from .toy import Toy, platform

# Named so since 2026.11.
_NATIVE = "native_" if hasattr(ClimateEntity, "_attr_native_current_temperature") else ""


class ToyClimate(Toy, ClimateEntity):
    _attr_hvac_modes = [HVACMode.OFF, HVACMode.HEAT, HVACMode.COOL]  # noqa: RUF012 - an instance may have others
    _attr_supported_features = (
        ClimateEntityFeature.TARGET_TEMPERATURE | ClimateEntityFeature.TURN_ON | ClimateEntityFeature.TURN_OFF
    )

    def begin(self, state: str | None, attributes: dict[str, Any]) -> None:
        degrees = {
            "temperature_unit": UnitOfTemperature.CELSIUS,
            "current_temperature": attributes.get("current_temperature", 19.5),
            "target_temperature": attributes.get("temperature", 20.0),
        }
        self.now(
            hvac_mode=HVACMode(state or "heat"), **{_NATIVE + name: value for name, value in degrees.items()}
        )

    async def async_set_temperature(self, **kwargs: Any) -> None:
        self.now(**{f"{_NATIVE}target_temperature": kwargs["temperature"]})

    async def async_set_hvac_mode(self, hvac_mode: HVACMode) -> None:
        self.now(hvac_mode=hvac_mode)

    async def async_turn_on(self) -> None:
        self.now(hvac_mode=HVACMode.HEAT)

    async def async_turn_off(self) -> None:
        self.now(hvac_mode=HVACMode.OFF)


async_setup_entry = platform("climate", ToyClimate)
