"""What Home Assistant is told of this device: the discovery message. Sans-I/O.

Keys are Home Assistant's own abbreviations (https://www.home-assistant.io/integrations/mqtt/#discovery-options).
Values are read from the retained topics that everybody reads; a template yields `None`, which Home Assistant
takes for "unknown", where the field is null.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import JsonValue

from edgeassist.gateways.homeassistant.topics import CLIENT, answer_topic, object_id
from edgeassist.protocol.state import Availability, Health, State
from edgeassist.protocol.topics import Topics

# Of a state, and so also of what can be typed into a text entity (homeassistant/const.py).
MAX_STATE_CHARACTERS = 255

# A question that waited longer at the broker, for a device that was away, is not answered any more.
EXPIRY_S = 60

Component = dict[str, JsonValue]

# A bool becomes Python's word for it, and null `None`.
_PROBLEM: Component = {"dev_cla": "problem", "pl_on": "True", "pl_off": "False"}


def device_message(
    topics: Topics, health: Health, more: Mapping[str, Component] | None = None, *, expires: bool = True
) -> dict[str, JsonValue]:
    """Return the discovery message: the device, who says so, and its components, `more` among them.

    A sensor that this machine does not have (null in `health`) is no entity: one that is unavailable for ever
    would be on every dashboard. Its component has only its platform then, which removes it from a Home
    Assistant that knew it.

    Args:
        topics: This device's.
        health: How it is: tells which sensors it has.
        more: Components beside its own, by key.
        expires: Whether the broker lets messages expire, which MQTT 5 does. On MQTT 3.1.1 Home Assistant
            refuses to publish on a topic for which that is wanted; before 2026.6 it does not know of it.
    """
    maker: dict[str, JsonValue] = {"name": "EdgeAssist", "sw": health.version}
    device: dict[str, JsonValue] = {
        "ids": [object_id(topics)],
        "name": f"EdgeAssist {topics.device}",
        "mf": "EdgeAssist",
        "mdl": "Language model on MQTT",
        "sw": health.version,
    }
    missing = _missing(health)
    # Of these only the platform is said, which removes them.
    removed = missing | {key for key, component in (more or {}).items() if set(component) == {"p"}}
    components: dict[str, JsonValue] = {
        key: {"p": component["p"]} if key in removed else {**_identity(topics, key, component), **component}
        for key, component in {**_components(topics, expires=expires), **(more or {})}.items()
    }
    return {"dev": device, "o": maker, "cmps": components}


def _missing(health: Health) -> set[str]:
    sensors = {
        "cpu_temperature": health.cpu_temperature_c,
        "under_voltage": health.under_voltage,
        "throttled": health.throttled,
    }
    return {key for key, value in sensors.items() if value is None}


def _identity(topics: Topics, key: str, component: Component) -> Component:
    """Return what keeps an entity the same over restarts and upgrades, and apart from other devices'.

    A colon is in no object id, so that no two ids can be put together to the same text.
    """
    platform = str(component["p"])
    return {"uniq_id": f"{object_id(topics)}:{key}", "def_ent_id": entity_id(topics, platform, key)}


def entity_id(topics: Topics, platform: str, words: str) -> str:
    """Return what an entity of this device is called by default."""
    slug = re.sub(r"[^a-z0-9]+", "_", f"{object_id(topics)} {words}".lower()).strip("_")
    return f"{platform}.{slug}"


def _components(topics: Topics, *, expires: bool) -> Mapping[str, Component]:
    """Return all components by key; the keys are part of every entity's identity, so they never change."""
    health = {"stat_t": topics.health, "avty_t": topics.status}
    telemetry = {"stat_t": topics.telemetry, "avty_t": topics.status}
    diagnostic = {"ent_cat": "diagnostic"}
    measured = {"stat_cla": "measurement"}
    commanded: Component = {"avty_t": topics.status, **({"msg_exp_int": EXPIRY_S} if expires else {})}
    # Counters begin again with the daemon, which this class allows for.
    counted = {"stat_cla": "total_increasing", "unit_of_meas": "prompts"}
    return {
        # Without availability: it tells that the device is away, instead of being unavailable then.
        "connectivity": {
            "p": "binary_sensor",
            "name": "Connectivity",
            "stat_t": topics.status,
            "pl_on": Availability.ONLINE.value,
            "pl_off": Availability.OFFLINE.value,
            "dev_cla": "connectivity",
            **diagnostic,
        },
        "state": {
            "p": "sensor",
            "name": "State",
            "val_tpl": "{{ value_json.state }}",
            "dev_cla": "enum",
            "ops": [state.value for state in State],
            "ic": "mdi:brain",
            # A reason can be longer than a state may be.
            "json_attr_t": topics.health,
            "json_attr_tpl": "{{ {'reason': value_json.reason, 'running': value_json.running} | tojson }}",
            **health,
        },
        "model": {
            "p": "sensor",
            "name": "Model",
            "val_tpl": f"{{{{ (value_json.model | string)[:{MAX_STATE_CHARACTERS}] }}}}",
            "ic": "mdi:file-cog-outline",
            "json_attr_t": topics.info,
            "json_attr_tpl": "{{ (value_json.model or {}) | tojson }}",
            **health,
            **diagnostic,
        },
        "queued": {
            "p": "sensor",
            "name": "Prompts waiting",
            "val_tpl": "{{ value_json.queued }}",
            "unit_of_meas": "prompts",
            "ic": "mdi:tray-full",
            **health,
            **measured,
        },
        "ttft": {
            "p": "sensor",
            "name": "Time to first token",
            "val_tpl": "{{ value_json.ttft_ms.p50 }}",
            "dev_cla": "duration",
            "unit_of_meas": "ms",
            "sug_dsp_prc": 0,
            **telemetry,
            **measured,
            **diagnostic,
        },
        "decode_rate": {
            "p": "sensor",
            "name": "Speed",
            "val_tpl": "{{ value_json.decode_tokens_per_s.p50 }}",
            "unit_of_meas": "tokens/s",
            "sug_dsp_prc": 1,
            "ic": "mdi:speedometer",
            **telemetry,
            **measured,
            **diagnostic,
        },
        "answered": {
            "p": "sensor",
            "name": "Prompts answered",
            "val_tpl": "{{ value_json.done }}",
            "ic": "mdi:message-check-outline",
            **telemetry,
            **counted,
            **diagnostic,
        },
        "failed": {
            "p": "sensor",
            "name": "Prompts failed",
            "val_tpl": "{{ value_json.errors.values() | sum }}",
            "ic": "mdi:message-alert-outline",
            "json_attr_t": topics.telemetry,
            "json_attr_tpl": "{{ value_json.errors | tojson }}",
            **telemetry,
            **counted,
            **diagnostic,
        },
        "cpu_temperature": {
            "p": "sensor",
            "name": "CPU temperature",
            "val_tpl": "{{ value_json.cpu_temperature_c }}",
            "dev_cla": "temperature",
            "unit_of_meas": "°C",
            "sug_dsp_prc": 0,
            **health,
            **measured,
            **diagnostic,
        },
        "memory": {
            "p": "sensor",
            "name": "Memory",
            # Of both processes; the engine has none while it is being replaced.
            "val_tpl": "{{ (((value_json.daemon_memory_bytes or 0) + (value_json.engine_memory_bytes or 0))"
            " / 1048576) | round(1) }}",
            "dev_cla": "data_size",
            "unit_of_meas": "MiB",
            "sug_dsp_prc": 0,
            **health,
            **measured,
            **diagnostic,
        },
        "under_voltage": {
            "p": "binary_sensor",
            "name": "Under-voltage",
            "val_tpl": "{{ value_json.under_voltage }}",
            **health,
            **_PROBLEM,
            **diagnostic,
        },
        "throttled": {
            "p": "binary_sensor",
            "name": "Throttled",
            "val_tpl": "{{ value_json.throttled }}",
            **health,
            **_PROBLEM,
            **diagnostic,
        },
        "threads": {
            "p": "sensor",
            "name": "Threads",
            "val_tpl": "{{ value_json.threads }}",
            "unit_of_meas": "threads",
            "ic": "mdi:cpu-64-bit",
            "json_attr_t": topics.health,
            "json_attr_tpl": "{{ {'reason': value_json.threads_reason,"
            " 'prefill_threads': value_json.prefill_threads} | tojson }}",
            **health,
            **measured,
            **diagnostic,
        },
        "cancel": {
            "p": "button",
            "name": "Cancel all",
            "cmd_t": topics.command("cancel"),
            "pl_prs": '{"all": true}',
            "ic": "mdi:cancel",
            **commanded,
        },
        "ask": {
            "p": "text",
            "name": "Ask",
            "cmd_t": topics.prompt(CLIENT),
            # As JSON, so that text which begins with a brace is still the prompt.
            "cmd_tpl": "{{ {'prompt': value, 'stream': false} | tojson }}",
            # Empty again with the next news of the device: a browser sends only what differs from the
            # state, and could not ask the same twice.
            "val_tpl": "{{ '' }}",
            "opt": True,
            "min": 0,
            "max": MAX_STATE_CHARACTERS,
            "ic": "mdi:chat-question-outline",
            **health,
            **commanded,
        },
        "answer": {
            "p": "event",
            "name": "Answer",
            "stat_t": answer_topic(topics),
            "evt_typ": ["answered", "failed"],
            "qos": 1,
            "ic": "mdi:chat-processing-outline",
            "avty_t": topics.status,
        },
    }
