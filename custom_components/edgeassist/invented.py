"""Calls that a model writes as text. Imports nothing of Home Assistant.

A real call never comes as that. A small model that has read a home's tools now and then answers in their
form all the same, with a call or what it thinks that came of one, and nobody wants to hear that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# From here on an answer may be one. In what is spoken none of them occurs.
_BEGINS = re.compile(r"\{|```|</?(?:tool|function)|\[\s*[\[{\"']")
# The beginning of one of these at the end of what has come.
_MAY_BEGIN = re.compile(r"(?:`{1,2}|</?[a-z]{0,7}|\[\s*)$")
_NAMED = re.compile(
    r"""["'](?:name|function|tool|tool_name|action|intent)["']\s*:\s*(?:\{\s*["']name["']\s*:\s*)?"""
    r"""["'](?P<name>[\w.-]+)["'](?P<arguments>\s*,\s*["'](?:arguments|parameters|args|input)["']\s*:)?"""
)
# So many characters of what is held are looked at again with each piece: a call's name is its beginning.
_LOOKED_AT = 2000
# JSON and nothing else, whole or cut off.
_CODE = re.compile(r"\s*(?:```\w*\s*)?(?:\{\s*[\"'}]|\[\s*[\[{\"'])")
_TAGGED = re.compile(r"</?(?:tool|function)[\w=\s>]")


class InventedCallError(Exception):
    """An answer is a call that was written as text, or other code.

    Attributes:
        tool: The offered tool that it names; None if it names none of them, or is JSON of another kind.
    """

    def __init__(self, tool: str | None = None) -> None:
        super().__init__(tool or "no such tool")
        self.tool = tool


class Words:
    """Lets an answer's words through, and holds back what begins as a call.

    Args:
        tools: The names of those that were offered; None to let all through.
    """

    def __init__(self, tools: Iterable[str] | None) -> None:
        self._tools = None if tools is None else frozenset(tools)
        self._held = ""
        self._said = False

    def take(self, text: str) -> str:
        """Return what can be said of the answer, with its next piece.

        Raises:
            InventedCallError: It is a call.
        """
        self._held += text
        begins = None if self._tools is None else _BEGINS.search(self._held) or _MAY_BEGIN.search(self._held)
        if begins is None:
            said, self._held = self._held, ""
        else:
            said, self._held = self._held[: begins.start()], self._held[begins.start() :]
            if len(self._held) <= _LOOKED_AT:
                self._judge()
        self._said = self._said or bool(said.strip())
        return said

    def rest(self) -> str:
        """Return what is still held, when the answer has ended.

        Raises:
            InventedCallError: There is nothing but JSON.
        """
        held, self._held = self._held, ""
        if self._tools is not None and not self._said and _CODE.match(held):
            raise InventedCallError
        return held

    def forget(self) -> None:
        """Forget what is held: the answer begins anew."""
        self._held = ""

    def _judge(self) -> None:
        tools = self._tools or frozenset()
        if _TAGGED.search(self._held):
            raise InventedCallError
        if named := _NAMED.search(self._held):
            name, own = named["name"], _own(named["name"])
            exact = name if name in tools else next((tool for tool in tools if _own(tool) == own), None)
            near = any(own.startswith(_own(tool)) for tool in tools)
            if exact or near or named["arguments"]:
                raise InventedCallError(exact)


def _own(name: str) -> str:
    """Return a tool's name without what says whose it is: `TurnOn` of `intent__HassTurnOn`."""
    return name.rpartition("__")[2].removeprefix("Hass")
