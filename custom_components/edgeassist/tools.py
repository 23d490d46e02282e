"""Home Assistant's tools as those of a request."""

from __future__ import annotations

import json
from collections.abc import Iterable
from secrets import token_hex
from typing import Any

from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant
from homeassistant.helpers import llm

from .choosing import Chosen, chosen
from .const import LOGGER
from .direction import intent_of
from .done import Target
from .events import Called
from .failures import Failure, Why
from .layout import compact, in_order, without
from .looking import told
from .messages import MAX_NAME, arguments_of, wire_name
from .pointing import Pointing
from .spelling import Spelling
from .structure import json_schema
from .tiny.registries import home_of

_LOOK = "GetLiveContext"
_POINTING = frozenset(("name", "area", "floor", "domain", "device_class"))
_ON_OFF = ("HassTurnOn", "HassTurnOff")
# Of the wire contract (docs/tools.md).
MAX_TOOLS = 128
MAX_BYTES = 65_536


class Tools:
    """The tools of an API, as the box is told of them.

    Attributes:
        wire: The field `tools` of a request.
        readings: How the things are that somebody may have asked about, where the model may know that.
        chosen: More fields of a request, where what was said is plainly for one of the tools.
        call: The call that what was said plainly is, which needs no model.
    """

    def __init__(self, hass: HomeAssistant, api: llm.APIInstance | None, said: str) -> None:
        """Take an API's tools.

        Args:
            hass: Home Assistant.
            api: What offers them; None for no tools.
            said: What somebody said, for which they are called.

        Raises:
            Failure: There are more than a request may have.
        """
        self._hass = hass
        self._said = said
        # Home Assistant's tools by the names that the box is told.
        self._tools: dict[str, llm.Tool] = {}
        self.wire: list[dict[str, Any]] = []
        self.readings: str | None = None
        self.chosen: dict[str, Any] = {}
        self.call: llm.ToolInput | None = None
        self._plainly: Chosen | None = None
        if api is None:
            return
        home = home_of(hass)
        nowhere = frozenset(
            name for name, there in (("floor", home.floors), ("area", home.areas)) if not there
        )
        self._spelling = Spelling(
            {thing.entity_id: thing.names for thing in home.things if thing.names},
            [name for area in home.areas for name in (area.name, *area.aliases)],
            [name for floor in home.floors for name in (floor.name, *floor.aliases)],
        )
        self._pointing = Pointing(home, said)
        for tool in in_order(api.tools, lambda each: each.name):
            try:
                schema = json_schema(tool.parameters, api.custom_serializer)
            except ValueError as error:
                # One that can't be told of is no reason to do without all others.
                LOGGER.debug("%s is left out: %s", tool.name, error)
                continue
            function: dict[str, Any] = {"name": self._name(tool)}
            if tool.description:
                function["description"] = tool.description.strip()
            # A small model fills in what it is offered, and on a floor that does not exist nothing is found.
            function["parameters"] = compact(without(schema, nowhere) if _is_intent(tool) else schema)
            self.wire.append({"type": "function", "function": function})
            if tool.name.rpartition("__")[2] == _LOOK:
                self.readings = told(home, said)
        size = len(json.dumps(self.wire, ensure_ascii=False, separators=(",", ":")).encode())
        if size > MAX_BYTES:
            raise Failure(
                Why.TOOLS_TOO_LARGE, {"size": str(-(-size // 1024)), "most": str(MAX_BYTES // 1024)}
            )
        if len(self.wire) > MAX_TOOLS:
            raise Failure(Why.TOO_MANY_TOOLS, {"tools": str(len(self.wire)), "most": str(MAX_TOOLS)})
        if plainly := chosen(said, home):
            self._choose(plainly)

    @property
    def names(self) -> Iterable[str]:
        """Those that the box is told."""
        return self._tools.keys()

    def unavailable(self) -> frozenset[str]:
        """Return the ids of the entities that are so now."""
        return frozenset(
            state.entity_id for state in self._hass.states.async_all() if state.state == STATE_UNAVAILABLE
        )

    def called_by(self, name: str) -> str | Target | None:
        """Return what a tool of this name of Home Assistant's calls: an intent, a script, None for others."""
        tool = next((each for each in self._tools.values() if each.name == name), None)
        while isinstance(tool, llm.NamespacedTool):
            tool = tool.tool
        if isinstance(tool, llm.IntentTool):
            # Its name was that of its intent until Home Assistant 2026.9.
            return getattr(tool, "intent_type", tool.name)
        if not isinstance(tool, llm.ActionTool):
            return None
        script = self._hass.states.get(f"script.{tool.name.removeprefix('script__')}")
        return Target("entity", script.name, script.entity_id) if script else None

    def input_of(self, call: Called) -> llm.ToolInput:
        """Return a call as Home Assistant takes it."""
        tool = self._tools.get(call.name)
        arguments = arguments_of(call)
        if tool is not None and _is_intent(tool):
            arguments = self._pointing.mended(self._spelling.mended(arguments))
            tool = self._moving(tool, arguments)
            arguments = self._pointed(tool, arguments)
        return llm.ToolInput(id=call.call, tool_name=tool.name if tool else call.name, tool_args=arguments)

    def _choose(self, plainly: Chosen) -> None:
        """Have the tool called that a command is for, if it is offered."""
        for name, tool in self._tools.items():
            if self.called_by(tool.name) == plainly.intent:
                self._plainly = plainly
                self.chosen = {"tool_choice": {"type": "function", "function": {"name": name}}}
                if plainly.thing:
                    self.chosen["parallel_tool_calls"] = False
                if plainly.whole:
                    # As long as templates want a call's id to be.
                    self.call = llm.ToolInput(
                        id=token_hex(5)[:9], tool_name=tool.name, tool_args=self._pointed(tool, {})
                    )
                return

    def _pointed(self, tool: llm.Tool, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return a call's arguments for the one thing that was plainly named, if one was."""
        plainly = self._plainly
        if plainly is None or plainly.thing is None or self.called_by(tool.name) != plainly.intent:
            return arguments
        values = {name: value for name, value in arguments.items() if name not in _POINTING}
        known = next(each["function"] for each in self.wire if self._tools[each["function"]["name"]] is tool)
        if "domain" in known["parameters"].get("properties", {}):
            values["domain"] = [plainly.thing.domain]
        # Else Home Assistant takes that of the room in which somebody speaks.
        if plainly.area is not None:
            values["area"] = plainly.area
        return {"name": plainly.thing.name, **values}

    def _moving(self, tool: llm.Tool, arguments: dict[str, Any]) -> llm.Tool:
        """Return the tool that moves a door or a lock as the words say: this one, or the other of two."""
        intent = self.called_by(tool.name)
        thing = self._pointing.thing(arguments) if intent in _ON_OFF else None
        wanted = intent_of(self._said, thing.domain) if thing else None
        if wanted in (None, intent):
            return tool
        own = str(intent)
        other = tool.name.removesuffix(own) + str(wanted)
        return next((each for each in self._tools.values() if each.name == other), tool)

    def _name(self, tool: llm.Tool) -> str:
        """Return the name that the box is told."""
        safe = wire_name(tool.name)
        number = 1
        while safe in self._tools:
            number += 1
            safe = f"{safe[: MAX_NAME - len(str(number)) - 1]}_{number}"
        self._tools[safe] = tool
        return safe


def _is_intent(tool: llm.Tool) -> bool:
    while isinstance(tool, llm.NamespacedTool):
        tool = tool.tool
    return isinstance(tool, llm.IntentTool)
