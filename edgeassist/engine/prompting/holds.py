"""What a template sees in place of a client's texts: marks for control tokens, or for all. Sans-I/O."""

from __future__ import annotations

import re
from typing import Any

from edgeassist.engine.messages import ChatMessage
from edgeassist.engine.prompting.documents import ASSISTANT, change_texts
from edgeassist.engine.prompting.escapes import MARK, Data
from edgeassist.engine.prompting.shield import Shield

# What templates look for in schemas: what they write may depend on it.
_KEYWORDS = frozenset(
    "$defs $id $ref $schema additionalProperties allOf anyOf const default definitions description enum "  # noqa: SIM905
    "examples exclusiveMaximum exclusiveMinimum format items maxItems maxLength maximum minItems "
    "minLength minimum multipleOf nullable oneOf pattern patternProperties prefixItems properties "
    "required title type uniqueItems".split()
)
_NAMED = frozenset({"$defs", "definitions", "patternProperties", "properties"})
_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})


class Held:
    """Takes control tokens out.

    Args:
        shield: Where they are kept.
        turns: Matches those that no message may hold.
        control: Matches those that only the assistant's words may hold, too.
    """

    def __init__(self, shield: Shield, turns: re.Pattern[str], control: re.Pattern[str]) -> None:
        self._shield = shield
        self._turns = turns
        self._control = control

    def text(self, message: ChatMessage) -> str:
        """Return a message's text without control tokens."""
        return self._shield.hold(message.content, self._turns if message.role == ASSISTANT else self._control)

    def data(self, value: Any) -> Any:
        """Return a JSON value without any in its texts and keys."""
        return change_texts(value, lambda text: _data(self._shield.hold(text, self._control)))

    def schema(self, value: Any) -> Any:
        """Return a schema without any."""
        return self.data(value)


class Sealed:
    """Takes all texts out.

    Args:
        shield: Where they are kept.
    """

    def __init__(self, shield: Shield) -> None:
        self._shield = shield
        self._sealed: dict[str, str] = {}

    def text(self, message: ChatMessage) -> str:
        """Return a mark for a message's text."""
        return self._shield.hold_all(message.content)

    def data(self, value: Any) -> Any:
        """Return a JSON value with a mark for each text and key, the same for the same."""
        return change_texts(value, self._seal)

    def schema(self, value: Any) -> Any:
        """Return a schema whose keywords and types stay, since a template may look for them."""
        if not isinstance(value, dict):
            return [self.schema(each) for each in value] if isinstance(value, list) else self.data(value)
        return {
            key if key in _KEYWORDS else self._seal(key): self._value(key, each)
            for key, each in value.items()
        }

    def _value(self, key: str, value: Any) -> Any:
        if key == "type" and all(
            each in _TYPES if isinstance(each, str) else False
            for each in (value if isinstance(value, list) else [value])
        ):
            return value
        if key in _NAMED and isinstance(value, dict):
            return {self._seal(name): self.schema(each) for name, each in value.items()}
        return self.schema(value)

    def _seal(self, text: str) -> str:
        if text not in self._sealed:
            self._sealed[text] = _data(self._shield.hold_all(text))
        return self._sealed[text]


def _data(text: str) -> str:
    return Data(text) if MARK in text else text
