"""The page of all topics and messages, made of docs/asyncapi.yaml."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml

from scripts.site.sources import PROJECT
from scripts.site.tables import code, described, kind, plain, table

_ABOUT = """\
# Topics and messages

Made of [asyncapi.yaml](asyncapi.yaml), an AsyncAPI 3 document for programs, which is made of the code and
held against recorded sessions. [The wire contract](protocol.md) is the same in words, and says what follows
what.
"""
# Nobody's concern but the boxes'.
_INTERNAL = "internal"


def markdown() -> str:
    """Return the page."""
    document = yaml.load((PROJECT / "docs/asyncapi.yaml").read_text(), Loader=yaml.CSafeLoader)
    return "\n".join(_Page(document).parts())


class _Page:
    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._messages: dict[str, Any] = document["components"]["messages"]
        self._schemas: dict[str, Any] = document["components"]["schemas"]
        # Types that a message is made of are told there.
        self._told = {_reference(each["payload"]): name for name, each in self._messages.items()}

    def parts(self) -> Iterator[str]:
        """Yield the page's parts."""
        parameters = self._document["components"]["parameters"]
        yield _ABOUT
        yield table(
            ["in topics", "stands for", "such as"],
            (
                [f"`{{{name}}}`", each["description"], code(each["examples"][0])]
                for name, each in parameters.items()
            ),
        )
        for tag in self._document["info"]["tags"]:
            yield f"## {tag['name'][0].upper()}{tag['name'][1:]}\n\n{tag['description']}\n"
            named = {"name": tag["name"]}
            operations = [each for each in self._document["operations"].values() if named in each["tags"]]
            yield table(["topic", "what"], map(self._channel, operations))
        yield "## Messages\n"
        for name in self._messages:
            if name != _INTERNAL:
                yield from self._message(name)
        yield "## Types\n"
        for name, each in self._schemas.items():
            if name not in self._told and not name.endswith("Properties"):
                yield f"### {name}\n\n{plain(each.get('description', ''))}\n"
                yield from self._fields(each)

    def _channel(self, operation: dict[str, Any]) -> list[str]:
        channel = self._document["channels"][_reference(operation["channel"])]
        binding = operation["bindings"]["mqtt"]
        names = [_reference(each) for each in operation["messages"]]
        linked = "" if names == [_INTERNAL] else ", ".join(f"[{name}](#{name.lower()})" for name in names)
        way = "to the device" if operation["action"] == "receive" else "from the device"
        topic = f"`{channel['address']}`" if channel["address"] else "as the message says"
        qos = f"QoS {binding['qos']}{', retained' if binding.get('retain') else ''}"
        return [topic, described(channel["description"], f"{way}: {linked}" if linked else way, qos)]

    def _message(self, name: str) -> Iterator[str]:
        message = self._messages[name]
        payload = message["payload"]
        schema = self._schemas.get(_reference(payload), payload)
        said = [message.get("summary") or schema.get("description", "")]
        if message["contentType"] == "text/plain":
            values = f": {kind(payload, self._named)}" if "enum" in payload else ""
            said.append(f"Bare text{values}.")
        yield f"### {name}\n\n{plain(' '.join(filter(None, said)))}\n"
        yield from self._fields(schema)
        for example in message.get("examples", ()):
            shown, title = example["payload"], f'title="{example["name"]}.json"'
            text = shown if isinstance(shown, str) else json.dumps(shown, indent=2, ensure_ascii=False)
            yield f"```{'text' if isinstance(shown, str) else 'json'} {title}\n{text}\n```\n"

    def _fields(self, schema: dict[str, Any]) -> Iterator[str]:
        if schema.get("properties"):
            required = schema.get("required", ())
            properties = schema["properties"].items()
            yield table(
                ["field", "what"],
                ([f"`{name}`", self._field(each, always=name in required)] for name, each in properties),
            )

    def _field(self, schema: dict[str, Any], *, always: bool) -> str:
        default = schema.get("default")
        said = f"by default {code(default)}" if default or default is False else ""
        return described(
            schema.get("description", ""),
            kind(schema, self._named),
            said,
            "" if always else "may be left out",
        )

    def _named(self, name: str) -> str:
        return f"[{name}](#{self._told.get(name, name).lower()})"


def _reference(part: dict[str, Any]) -> str:
    return str(part.get("$ref", "")).rpartition("/")[2]
