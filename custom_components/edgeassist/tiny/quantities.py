"""What a thing says, by the model's names: a sensor of class carbon_dioxide says co2.

Imports nothing of Home Assistant.
"""

from __future__ import annotations

from .home import Thing

SENSORS = {
    "temperature": "temperature",
    "humidity": "humidity",
    "carbon_dioxide": "co2",
    "illuminance": "brightness",
    "power": "power",
    "battery": "battery",
    "pressure": "pressure",
    "atmospheric_pressure": "pressure",
    "sound_pressure": "noise",
    "pm25": "dust",
    "pm10": "dust",
}
BINARY = {
    "window": "window",
    "door": "door",
    "garage_door": "door",
    "opening": "door",
    "motion": "motion",
    "occupancy": "motion",
    "presence": "motion",
}
_COVERS = {"window": "window", "door": "door", "garage": "door", "gate": "door"}
_DOMAINS = {"light": "light", "climate": "heating", "lock": "door"}


def quantity_of(thing: Thing) -> str | None:
    """Return what a thing says, None if it is nothing that the model knows."""
    device_class = thing.device_class or ""
    match thing.domain:
        case "sensor":
            return SENSORS.get(device_class)
        case "binary_sensor":
            return BINARY.get(device_class)
        case "cover":
            return _COVERS.get(device_class)
    return _DOMAINS.get(thing.domain)
