"""Which things of a home a device of the model may be, and how they are set.

Imports nothing of Home Assistant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .home import Thing

# How much "brighter" is, in percent or degrees.
STEP = {
    "brightness": 25.0,
    "volume": 10.0,
    "temperature": 1.0,
    "speed": 25.0,
    "position": 25.0,
    "humidity": 5.0,
}
# Where a thing says how it stands, and what makes percent or degrees of that.
MEASURED: dict[str, tuple[str, float]] = {
    "brightness": ("brightness", 100 / 255),
    "temperature": ("temperature", 1.0),
    "speed": ("percentage", 1.0),
    "position": ("current_position", 1.0),
    "humidity": ("humidity", 1.0),
}


def _named(*parts: str) -> Callable[[Thing], bool]:
    def fits(thing: Thing) -> bool:
        if thing.domain not in ("switch", "fan", "humidifier", "input_boolean"):
            return False
        return any(part in name.casefold() for name in thing.names for part in parts)

    return fits


def _is(domain: str, *classes: str | None) -> Callable[[Thing], bool]:
    def fits(thing: Thing) -> bool:
        return thing.domain == domain and (not classes or thing.device_class in classes)

    return fits


def _can(mode: str) -> Callable[[Thing], bool]:
    def fits(thing: Thing) -> bool:
        modes = thing.attributes.get("hvac_modes")
        return isinstance(modes, Iterable) and mode in modes

    return fits


_SHADES = ("blind", "shade", "shutter", "awning", "curtain", None)
FITS: dict[str, Callable[[Thing], bool]] = {
    "light": _is("light"),
    "fan": _is("fan"),
    "heating": _is("climate"),
    "air_conditioner": _is("climate"),
    "blinds": _is("cover", *_SHADES),
    "curtains": _is("cover", *_SHADES),
    "socket": _is("switch", "outlet", "switch", None),
    "tv": _is("media_player"),
    "speaker": _is("media_player"),
    "vacuum": _is("vacuum"),
    "humidifier": _is("humidifier", "humidifier", None),
    "dehumidifier": _is("humidifier", "dehumidifier"),
    "air_purifier": _named("purifier", "air cleaner", "净化", "luftreiniger"),
    "kettle": _named("kettle", "水壶", "wasserkocher"),
    "coffee_machine": _named("coffee", "espresso", "咖啡", "kaffee"),
    "washing_machine": _named("washing machine", "washer", "洗衣机", "waschmaschine"),
}
NEARER: dict[str, tuple[Callable[[Thing], bool], ...]] = {
    "heating": (_can("heat"),),
    "air_conditioner": (_can("cool"),),
    "blinds": (_is("cover", "blind", "shade", "shutter", "awning"),),
    "curtains": (_is("cover", "curtain"),),
    "socket": (_is("switch", "outlet"),),
    "tv": (_is("media_player", "tv"),),
    "speaker": (_is("media_player", "speaker", "receiver"), _is("media_player", None)),
}
HOW = {
    ("light", "brightness"): ("HassLightSet", "brightness"),
    ("climate", "temperature"): ("HassClimateSetTemperature", "temperature"),
    ("fan", "speed"): ("HassFanSetSpeed", "percentage"),
    ("cover", "position"): ("HassSetPosition", "position"),
    ("media_player", "volume"): ("HassSetVolume", "volume_level"),
    ("humidifier", "humidity"): ("HassHumidifierSetpoint", "humidity"),
}
