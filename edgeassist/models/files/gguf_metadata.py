"""A GGUF file's metadata, by the names that keys have without their architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeassist.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edgeassist.models.files.gguf_container import Field

# What llama.cpp has room for (LLAMA_MAX_LAYERS).
MOST_LAYERS = 512


class Metadata:
    """What a header says.

    Args:
        path: The file, for messages.
        fields: Its metadata.

    Attributes:
        architecture: llama.cpp's name for it.
    """

    def __init__(self, path: Path, fields: Mapping[str, Field]) -> None:
        self._path = path
        self._fields = fields
        self.architecture = self.text("general.architecture", "unknown")

    def text(self, key: str, default: str) -> str:
        """Return a text by its whole key."""
        found = self._fields[key].values() if key in self._fields else [default]
        return str(next(iter(found), default))

    def count(self, key: str) -> int:
        """Return how many values there are under a whole key."""
        return self._fields[key].count if key in self._fields else 0

    def whole(self, key: str) -> list[int]:
        """Return the whole numbers and truth values under a whole key; none where there is no such key."""
        found = self._fields[key].values() if key in self._fields else []
        return [int(value) for value in found if isinstance(value, int)]

    def has(self, key: str) -> bool:
        """Whether there is a number under a key of the architecture's."""
        return bool(self._numbers(key))

    def number(self, key: str, default: int | None = None) -> int:
        """Return a number, of several the largest, under a key of the architecture's.

        Raises:
            ModelError: There is none, and no default.
        """
        known = self._numbers(key)
        if known:
            return max(known)
        if default is None:
            raise ModelError(
                f"{self._path} has no '{self.architecture}.{key}', so it is no language model; choose "
                "another .gguf file"
            )
        return default

    def layers(self) -> int:
        """Return the number of layers.

        Raises:
            ModelError: The file does not tell, or it is none that a model can have.
        """
        count = self.number("block_count")
        if not 0 < count <= MOST_LAYERS:
            raise ModelError(f"{self._path} is damaged (it speaks of {count} layers); download it again")
        return count

    def per_layer(self, key: str, layers: int, default: Sequence[int]) -> list[int]:
        """Return a number for each layer; one number stands for all, and missing ones are the largest."""
        known = self._numbers(key)
        if not known:
            return list(default)
        return [*known[:layers], *[max(known)] * (layers - len(known))]

    def is_list(self, key: str) -> bool:
        """Whether a key of the architecture's has a list of numbers."""
        field = self._fields.get(f"{self.architecture}.{key}")
        return field is not None and field.kind != field.item and self.has(key)

    def _numbers(self, key: str) -> list[int]:
        return self.whole(f"{self.architecture}.{key}")
