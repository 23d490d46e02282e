"""MQTT: the only rooms that turn packets into requests, commands and state."""
