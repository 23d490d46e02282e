"""The models that `recommend` knows.

Parameters, languages and licences are the publishers'. Sizes follow from the shapes, vocabulary included;
Q4_0, Q4_K_M and int4 were measured with random weights, except Phi-3-mini's Q4_0.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Variant:
    """One form of a model.

    Attributes:
        name: The quantization.
        backend: The backend that serves it.
        size_bytes: Size of its file or files, including embeddings.
        kv_bytes_per_token: KV cache bytes per token.
    """

    name: str
    backend: str
    size_bytes: int
    kv_bytes_per_token: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A model.

    Attributes:
        name: The publisher's name for it.
        shape: The bench's name for its shape.
        parameters: Total number of weights.
        context: Trained context length in tokens.
        languages: Languages it was trained on, as ISO 639-1 codes.
        licence: SPDX identifier.
        source: The publisher's page.
        variants: From smallest to largest.
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
