"""The models that `recommend` knows.

Parameters, languages and licences are the publishers'. Sizes follow from the shapes, vocabulary included;
Q4_0, Q4_K_M and int4 were measured with random weights, except Phi-3-mini's Q4_0.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgeassist.models.fit import Format, Weights
from edgeassist.models.kv import alike


@dataclass(frozen=True, slots=True)
class Variant:
    """A model in one file format and quantization.

    Attributes:
        name: The quantization.
        format: The file format.
        size_bytes: Size of its file or files, including embeddings.
    """

    name: str
    format: Format
    size_bytes: int

    @property
    def backend(self) -> str:
        """The backend that serves it."""
        return "onnx" if self.format is Format.ONNX else "llama"


@dataclass(frozen=True, slots=True)
class Entry:
    """A model.

    Attributes:
        name: The publisher's name for it.
        shape: The bench's name for its shape.
        parameters: Total number of weights.
        context: Trained context length in tokens.
        kv_heads: Key/value heads of all layers together.
        head_size: Values in a head's key, and in its value.
        languages: Languages it was trained on, as ISO 639-1 codes.
        licence: SPDX identifier.
        source: The publisher's page.
        variants: From smallest to largest.
        vocabulary: Tokens that it knows.
    """

    name: str
    shape: str
    parameters: int
    context: int
    kv_heads: int
    head_size: int
    languages: tuple[str, ...]
    licence: str
    source: str
    variants: tuple[Variant, ...]
    vocabulary: int = 0

    def weights(self, variant: Variant) -> Weights:
        """Return what the memory of one of its variants follows from."""
        return Weights(
            format=variant.format,
            size_bytes=variant.size_bytes,
            trained_context=self.context,
            kept=alike(1, self.kv_heads, self.head_size),
            vocabulary=self.vocabulary,
        )


CATALOGUE = (
    Entry(
        name="Qwen2.5-0.5B-Instruct",
        shape="qwen2.5-0.5b",
        parameters=494_032_768,
        context=32_768,
        kv_heads=24 * 2,
        head_size=64,
        languages=("en", "zh", "fr", "es", "pt", "de", "it", "ru", "ja", "ko", "vi", "th", "ar"),
        licence="Apache-2.0",
        source="https://huggingface.co/Qwen/Qwen2.5-0.5B-Instruct",
        variants=(
            Variant("Q4_0", Format.GGUF, 352_000_000),
            Variant("Q4_K_M", Format.GGUF, 398_000_000),
            Variant("Q8_0", Format.GGUF, 531_000_000),
        ),
        vocabulary=151_936,
    ),
    Entry(
        name="Phi-3-mini-4k-instruct",
        shape="phi-3-mini",
        parameters=3_821_079_552,
        context=4096,
        kv_heads=32 * 32,
        head_size=96,
        languages=("en",),
        licence="MIT",
        source="https://huggingface.co/microsoft/Phi-3-mini-4k-instruct",
        variants=(
            Variant("Q4_0", Format.GGUF, 2_176_000_000),
            Variant("int4", Format.ONNX, 2_720_000_000),
        ),
        vocabulary=32_064,
    ),
)
