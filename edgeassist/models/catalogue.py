"""The models that we know. Pure data.

Parameters, languages and licences are their publishers'; sizes are what the shapes come to in those formats,
vocabulary included. Q4_0, Q4_K_M and int4 were made of random weights and measured, but for Phi-3-mini's
Q4_0.

The document that this project started from calls Phi-3-mini a model of 380 M parameters and 0.75 GB. It has
3,821,079,552, of which int4 makes more than 2 GB: another class of board.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Variant:
    """One form of a model.

    Attributes:
        name: The quantisation.
        backend: Which serves it.
        size_bytes: Of its file or files, embeddings included.
        kv_bytes_per_token: What KV memory takes for one token.
    """

    name: str
    backend: str
    size_bytes: int
    kv_bytes_per_token: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A model.

    Attributes:
        name: As its publisher calls it.
        shape: As the bench calls its shape.
        parameters: All of them.
        context: Tokens that it was trained for.
        languages: That it was trained to answer in, as ISO 639-1 codes.
        licence: As an SPDX identifier.
        source: Where its publisher offers it.
        variants: The smallest first.
    """

    name: str
    shape: str
    parameters: int
    context: int
    languages: tuple[str, ...]
    licence: str
    source: str
    variants: tuple[Variant, ...]


CATALOGUE = (
    Entry(
        name="Qwen2.5-0.5B-Instruct",
        shape="qwen2.5-0.5b",
        parameters=494_032_768,
        context=32_768,
        languages=("en", "zh", "fr", "es", "pt", "de", "it", "ru", "ja", "ko", "vi", "th", "ar"),
        licence="Apache-2.0",
        source="https://huggingface.co/Qwen/Qwen2.5-0.5B-Instruct",
        variants=(
            Variant("Q4_0", "llama", 352_000_000, 12_288),
            Variant("Q4_K_M", "llama", 398_000_000, 12_288),
            Variant("Q8_0", "llama", 531_000_000, 12_288),
        ),
    ),
    Entry(
        name="Phi-3-mini-4k-instruct",
        shape="phi-3-mini",
        parameters=3_821_079_552,
        context=4096,
        languages=("en",),
        licence="MIT",
        source="https://huggingface.co/microsoft/Phi-3-mini-4k-instruct",
        variants=(
            Variant("Q4_0", "llama", 2_176_000_000, 393_216),
            Variant("int4", "onnx", 2_720_000_000, 786_432),
        ),
    ),
)
