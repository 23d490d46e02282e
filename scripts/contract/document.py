"""The AsyncAPI document, put together."""

from __future__ import annotations

from typing import Any

import yaml

from edgeassist.protocol.state import PROTOCOL_VERSION
from scripts.contract.examples import examples
from scripts.contract.judge import Judge
from scripts.contract.messages import all_messages, all_schemas
from scripts.contract.topics import DEVICE, PARAMETERS, TAGS, Channel, channels

HEADER = """\
# The wire contract as an AsyncAPI 3 document, generated of edgeassist/protocol and the recorded sessions:
# python -m scripts.contract. docs/protocol.md is the same for people.
"""
_ABOUT = """\
A language model on a device, asked over MQTT 5 or 3.1.1. Operations are the device's: it receives requests
and commands, and sends answers and what it says of itself.

The text that goes with this document, docs/protocol.md, says what no schema can: what follows what, what is
promised, and what happens when something breaks. Of what the device sends, new fields may come with any
version: pass over what you do not know. Of requests, an unknown field is an error.
"""
_CHANNELS = "#/channels/"


def document() -> dict[str, Any]:
    """Return the document."""
    found = _bare_document()
    shown = examples(Judge(found))
    for name, each in found["components"]["messages"].items():
        if name in shown:
            each["examples"] = shown[name]
    return found


def _bare_document() -> dict[str, Any]:
    """Return it without examples."""
    known = channels()
    return {
        "asyncapi": "3.0.0",
        "id": "urn:edgeassist:mqtt",
        "info": {
            "title": "EdgeAssist over MQTT",
            "version": str(PROTOCOL_VERSION),
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
            "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        },
        "defaultContentType": "application/json",
        "servers": _servers(),
        "channels": {each.name: _channel(each) for each in known},
        "operations": {_operation_name(each): _operation(each) for each in known},
        "components": {
            "messages": all_messages(),
            "schemas": {**_properties(), **all_schemas()},
            "parameters": {
                name: {"description": text, "examples": values} for name, (text, values) in PARAMETERS.items()
            },
            "correlationIds": {
                "correlationData": {
                    "description": "MQTT 5: comes back, byte for byte, with every message of the answer.",
                    "location": "$message.header#/correlationData",
                }
            },
        },
    }


def text() -> str:
    """Return the document as its file has it."""
    written: str = yaml.dump(document(), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110)
    return HEADER + written


class _Plain(yaml.SafeDumper):
    """Without anchors; texts of several lines as blocks."""

    def ignore_aliases(self, data: Any) -> bool:
        """Always: what stands twice is written twice."""
        del data
        return True


def _block(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Plain.add_representer(str, _block)


def _servers() -> dict[str, Any]:
    variables = {
        "host": {"description": "The setting `mqtt.host`.", "default": "localhost"},
        "port": {"description": "The setting `mqtt.port`; 8883 with TLS.", "default": "1883"},
    }
    binding = {
        "clientId": "edgeassist-{device}",
        "cleanSession": False,
        "lastWill": {"topic": DEVICE.status, "qos": 1, "message": "offline", "retain": True},
        "keepAlive": 30,
        "sessionExpiryInterval": 60,
        "bindingVersion": "0.2.0",
    }
    return {
        "broker": {
            "host": "{host}:{port}",
            "protocol": "mqtt",
            "protocolVersion": "5",
            "description": "Your broker, and how the device connects to it by default. 3.1.1 works as well, "
            "without what MQTT 5 adds: Response Topic, Correlation Data, Message Expiry.",
            "variables": variables,
            "bindings": {"mqtt": binding},
        }
    }


def _channel(channel: Channel) -> dict[str, Any]:
    parameters = {name: {"$ref": f"#/components/parameters/{name}"} for name in channel.parameters}
    return {
        "address": channel.address,
        "description": channel.about,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in channel.messages},
        **({"parameters": parameters} if parameters else {}),
        "tags": [{"name": channel.tag}],
    }


def _operation_name(channel: Channel) -> str:
    verb = "receive" if channel.receives else "send"
    return f"{verb}{channel.name[0].upper()}{channel.name[1:]}"


def _operation(channel: Channel) -> dict[str, Any]:
    binding: dict[str, Any] = {"qos": channel.qos}
    if not channel.receives:
        binding["retain"] = channel.retain
    found: dict[str, Any] = {
        "action": "receive" if channel.receives else "send",
        "channel": {"$ref": f"{_CHANNELS}{channel.name}"},
        "summary": channel.about,
        "tags": [{"name": channel.tag}],
        "bindings": {"mqtt": {**binding, "bindingVersion": "0.2.0"}},
        "messages": _messages_of(channel.name, channel.messages),
    }
    if channel.answers is not None:
        [default] = [each for each in channels() if each.name == channel.answers]
        place = channel.elsewhere or default.name
        found["reply"] = {
            "channel": {"$ref": f"{_CHANNELS}{place}"},
            "messages": _messages_of(place, default.messages),
        }
        if channel.elsewhere is not None:
            found["reply"]["address"] = {
                "description": f"Without one, `{default.address}`.",
                "location": "$message.header#/responseTopic",
            }
    return found


def _messages_of(channel: str, names: list[str]) -> list[dict[str, str]]:
    return [{"$ref": f"{_CHANNELS}{channel}/messages/{name}"} for name in names]


def _properties() -> dict[str, Any]:
    correlation = {"type": "string", "description": "Correlation Data (MQTT 5), binary."}
    return {
        "RequestProperties": {
            "type": "object",
            "description": "Properties of MQTT 5 that a request may have.",
            "properties": {
                "responseTopic": {"type": "string", "description": "Response Topic: where to answer."},
                "correlationData": correlation,
                "messageExpiryInterval": {
                    "type": "integer",
                    "minimum": 0,
                    "description": "Message Expiry Interval, s: how long it may take, waiting included.",
                },
            },
        },
        "ReplyProperties": {
            "type": "object",
            "description": "Properties of MQTT 5 that an answer has.",
            "properties": {"correlationData": correlation},
        },
    }
