"""EdgeAssist: a language model that stays on the device, served over MQTT."""

__version__ = "0.1.0"
