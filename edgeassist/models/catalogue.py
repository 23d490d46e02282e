"""The models that `recommend` and `edgeassist models` know.

They stand in `assets/catalogue.toml`, where it is told of each figure whose it is.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from edgeassist.errors import ModelError
from edgeassist.models.fit import Format, Weights
from edgeassist.models.kv import alike


class Thinking(StrEnum):
    """Whether a model thinks before it answers."""

    NONE = "none"
    SWITCH = "switch"
    """As requests and `model.think` say."""
    ALWAYS = "always"


class Reuse(StrEnum):
    """What of a prompt that began like an earlier one need not be computed again."""

    EXACT = "exact"
    """All that is equal."""
    CHECKPOINTS = "checkpoints"
    """What is equal up to a point at which its state was kept: recurrent layers and sliding windows."""


class Basis(StrEnum):
    """Whose figures of a variant these are."""

    MEASURED = "measured"
    """Of a file that was loaded here."""
    PUBLISHED = "published"
    """Of who made the file."""
    SHAPE = "shape"
    """Of random weights in the model's shape, measured here: a file of that form is not published."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A model in one file format and quantization.

    Attributes:
        name: The quantization.
        format: The file format.
        size_bytes: Size of its file or files, including embeddings.
        basis: Whose figure that is.
        sources: Where it is got from, as `pull` takes it; the next where one can't be reached.
    """

    name: str
    format: Format
    size_bytes: int
    basis: Basis
    sources: tuple[str, ...] = ()

    @property
    def backend(self) -> str:
        """The backend that serves it."""
        return "onnx" if self.format is Format.ONNX else "llama"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A model.

    Attributes:
        name: The publisher's name for it.
        shape: The bench's name for its shape; empty where it has none.
        parameters: Total number of weights in its files.
        active: How many of them a token reads.
        context: Trained context length in tokens.
        kv_heads: Key/value heads of all layers together that keep them for each token.
        head_size: Values in a head's key, and in its value.
        languages: Languages it was trained on, as ISO 639-1 codes.
        licence: SPDX identifier, or the name of the publisher's own.
        thinking: Whether it thinks.
        tools: The form of its tool calls (docs/tools.md); empty: it was not trained to call any.
        reuse: What of a prompt can be used again.
        caveat: Why it is not recommended, whatever the device; empty where it may be.
        pi5: Tokens a second on a Raspberry Pi 5 by the publisher, from and to; None where it tells none.
        source: The publisher's page.
        variants: From smallest to largest.
        vocabulary: Tokens that it knows.
    """

    name: str
    shape: str
    parameters: int
    active: int
    context: int
    kv_heads: int
    head_size: int
    languages: tuple[str, ...]
    licence: str
    thinking: Thinking
    tools: str
    reuse: Reuse
    caveat: str
    pi5: tuple[float, float] | None
    source: str
    variants: tuple[Variant, ...]
    vocabulary: int

    def speed_name(self, variant: Variant) -> str:
        """Return what the bench calls a variant; one of a shape that it has not, by the model's name."""
        return f"{self.shape or self.name}:{variant.name.lower()}"

    def weights(self, variant: Variant) -> Weights:
        """Return what the memory of one of its variants follows from."""
        return Weights(
            format=variant.format,
            size_bytes=variant.size_bytes,
            trained_context=self.context,
            kept=alike(1, self.kv_heads, self.head_size),
            vocabulary=self.vocabulary,
        )


def sources_of(name: str) -> list[str]:
    """Return where a model of the catalogue is got from, as `pull` takes it.

    Args:
        name: A model's name, its smallest variant is meant, or `NAME:VARIANT`; case does not matter.

    Raises:
        ModelError: There is no such model; says which there are.
    """
    if found := known_sources(name):
        return found
    model = name.partition(":")[0].casefold()
    for entry in catalogue():
        if entry.name.casefold() == model:
            there = [variant.name for variant in entry.variants if variant.sources]
            raise ModelError(f"{name}: of {entry.name} the catalogue knows {', '.join(there) or 'no file'}")
    raise ModelError(
        f"the catalogue has no {name!r}: it has {', '.join(entry.name for entry in catalogue())}; others are "
        "named hf:OWNER/REPO/FILE, ms:OWNER/REPO/FILE, pypi:PACKAGE or by their URL"
    )


def known_sources(name: str) -> list[str]:
    """Return what `sources_of` returns; empty where the catalogue does not know the name."""
    model, _, quantization = name.casefold().partition(":")
    for entry in catalogue():
        if entry.name.casefold() == model:
            for variant in entry.variants:
                if variant.sources and quantization in {"", variant.name.casefold()}:
                    return list(variant.sources)
    return []


def _entry(table: dict[str, Any]) -> Entry:
    return Entry(
        **table
        | {
            "shape": table.get("shape", ""),
            "active": table.get("active", table["parameters"]),
            "caveat": table.get("caveat", ""),
            "pi5": tuple(table["pi5"]) if "pi5" in table else None,
            "languages": tuple(table["languages"]),
            "thinking": Thinking(table["thinking"]),
            "reuse": Reuse(table["reuse"]),
            "variants": tuple(_variant(each) for each in table["variants"]),
        }
    )


def _variant(table: dict[str, Any]) -> Variant:
    return Variant(
        name=table["name"],
        format=Format(table["format"]),
        size_bytes=table["size_bytes"],
        basis=Basis(table["basis"]),
        sources=tuple(table.get("sources", ())),
    )


@cache
def catalogue() -> tuple[Entry, ...]:
    """Return the models of the catalogue."""
    text = (files("edgeassist") / "assets" / "catalogue.toml").read_text("utf-8")
    return tuple(_entry(table) for table in tomllib.loads(text)["model"])
