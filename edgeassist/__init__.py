"""EdgeAssist: a language model that stays on the device, served over MQTT."""

__version__ = "0.1.0"
# Names the settings' file. Here, where the command line has it without the settings and pydantic.
ENV_FILE = "EDGEASSIST_CONFIG"
