"""What a box says of itself (`<root>/info`). Imports nothing of Home Assistant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .const import PROTOCOL_VERSION
from .events import read_object

# Names are shown, and stored in registries; anybody at the broker can publish longer ones.
_MAX_NAME = 255


@dataclass(frozen=True, slots=True)
class Info:
    """What is used of it.

    Attributes:
        protocol: The version of the wire contract that it speaks.
        version: Of its daemon.
        device: Its name.
        model: The model's name; None until one is loaded.
        context: How many tokens the model's context holds; None where that is not said.
        thinks: Whether the model marks its thoughts.
        decides: Whether it makes decisions.
        fields: Of a request; None where a small broker had them cut off.
        document: All of it.
    """

    protocol: int
    version: str
    device: str
    model: str | None = None
    context: int | None = None
    thinks: bool = False
    decides: bool = False
    fields: frozenset[str] | None = None
    document: Mapping[str, Any] = field(default_factory=dict)

    @property
    def understood(self) -> bool:
        """Whether we speak its protocol."""
        return self.protocol == PROTOCOL_VERSION

    def takes(self, name: str) -> bool:
        """Whether a request may have this field, with the model that runs; yes, where that is not known."""
        return self.fields is None or self.model is None or name in self.fields


def read_info(payload: str | bytes) -> Info | None:
    """Return what is known from it; None for what is no `info`, an empty one too."""
    document = read_object(payload)
    if document is None or type(document.get("protocol")) is not int:
        return None
    model = _object(document.get("model"))
    context = model.get("context")
    fields = _object(document.get("capabilities")).get("fields")
    name = model.get("name")
    return Info(
        protocol=document["protocol"],
        version=str(document.get("version", "")),
        device=str(document.get("device", "")),
        model=name[:_MAX_NAME] if isinstance(name, str) else None,
        context=context if isinstance(context, int) else None,
        thinks=model.get("thinks") is True,
        decides=model.get("decides") is True,
        fields=frozenset(map(str, fields)) if isinstance(fields, list) else None,
        document=document,
    )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
