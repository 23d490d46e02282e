"""Home Assistant's tools as those of a request."""

from __future__ import annotations

import json
import re
from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.helpers import area_registry as ar
from homeassistant.helpers import floor_registry as fr
from homeassistant.helpers import llm

from .failures import Failure, Why
from .layout import compact, in_order, without
from .structure import json_schema

# Of the wire contract (docs/tools.md).
MAX_TOOLS = 128
MAX_BYTES = 65_536
MAX_NAME = 64


class Tools:
    """The tools of an API, as the box is told of them.

    Attributes:
        wire: The field `tools` of a request.
    """

    def __init__(self, hass: HomeAssistant, api: llm.APIInstance | None) -> None:
        """Take an API's tools.

        Args:
            hass: Home Assistant.
            api: What offers them; None for no tools.

        Raises:
            Failure: There are more than a request may have.
        """
        self._names: dict[str, str] = {}
        self.wire: list[dict[str, Any]] = []
        if api is None:
            return
        nowhere = _nowhere(hass)
        for tool in in_order(api.tools, lambda each: each.name):
            function: dict[str, Any] = {"name": self._name(tool.name)}
            if tool.description:
                function["description"] = tool.description.strip()
            schema = json_schema(tool.parameters, api.custom_serializer)
            function["parameters"] = compact(without(schema, nowhere) if _is_intent(tool) else schema)
            self.wire.append({"type": "function", "function": function})
        size = len(json.dumps(self.wire, ensure_ascii=False, separators=(",", ":")).encode())
        if len(self.wire) > MAX_TOOLS or size > MAX_BYTES:
            raise Failure(Why.TOO_MANY_TOOLS, {"tools": str(len(self.wire)), "most": str(MAX_TOOLS)})

    def tool_name(self, name: str) -> str:
        """Return Home Assistant's name of a tool that the box calls so."""
        return self._names.get(name, name)

    def _name(self, name: str) -> str:
        """Return the name that the box is told: some APIs have names with dots or without end."""
        safe = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:MAX_NAME] or "_"
        number = 1
        while safe in self._names:
            number += 1
            safe = f"{safe[: MAX_NAME - len(str(number)) - 1]}_{number}"
        self._names[safe] = name
        return safe


def _nowhere(hass: HomeAssistant) -> frozenset[str]:
    """Return the arguments of intents that name nothing in this home.

    A small model fills in what it is offered, and a floor that does not exist is where nothing is found.
    """
    names = {"floor": fr.async_get(hass).async_list_floors(), "area": ar.async_get(hass).async_list_areas()}
    return frozenset(name for name, there in names.items() if not any(True for _ in there))


def _is_intent(tool: llm.Tool) -> bool:
    while isinstance(tool, llm.NamespacedTool):
        tool = tool.tool
    return isinstance(tool, llm.IntentTool)
