"""Lights with brightness and colour."""

from __future__ import annotations

from typing import Any

from homeassistant.components.light import ColorMode, LightEntity

from .toy import Toy, platform

_FEATURES = {
    "brightness": ColorMode.BRIGHTNESS,
    "color_temp_kelvin": ColorMode.COLOR_TEMP,
    "hs_color": ColorMode.HS,
    "rgb_color": ColorMode.RGB,
}


class ToyLight(Toy, LightEntity):
    _attr_min_color_temp_kelvin = 2000
    _attr_max_color_temp_kelvin = 6500

    def begin(self, state: str | None, attributes: dict[str, Any]) -> None:
        modes = attributes.get("supported_color_modes", ["color_temp", "hs"])
        self._attr_supported_color_modes = {ColorMode(mode) for mode in modes}
        self._attr_color_mode = ColorMode(modes[0])
        self.now(is_on=state == "on", brightness=attributes.get("brightness", 255), color_temp_kelvin=4000)

    async def async_turn_on(self, **kwargs: Any) -> None:
        known = {name: value for name, value in kwargs.items() if name in _FEATURES}
        modes = [_FEATURES[name] for name in known if _FEATURES[name] in self._attr_supported_color_modes]
        self.now(is_on=True, color_mode=modes[-1] if modes else self._attr_color_mode, **known)

    async def async_turn_off(self, **_kwargs: Any) -> None:
        self.now(is_on=False)


async_setup_entry = platform("light", ToyLight)
