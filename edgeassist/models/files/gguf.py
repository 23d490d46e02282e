"""What a GGUF file says about its model."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from edgeassist.errors import ModelError
from edgeassist.models.files.description import FOR_TOOLS, ModelFile
from edgeassist.models.files.gguf_container import REMOVED_TYPES, TENSOR_TYPES, Scan, scan_gguf
from edgeassist.models.files.gguf_kv import kept_by
from edgeassist.models.files.gguf_metadata import Metadata
from edgeassist.models.files.gguf_parts import check_parts
from edgeassist.models.fit import Format
from edgeassist.models.kinds import Traits, objection

if TYPE_CHECKING:
    from pathlib import Path

# llama.cpp's file types ("mostly" this quantization) by number; the gaps are types it removed.
FILE_TYPES = {
    number: name
    for first, names in (
        (0, "F32 F16 Q4_0 Q4_1"),
        (7, "Q8_0 Q5_0 Q5_1 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K"),
        (19, "IQ2_XXS IQ2_XS Q2_K_S IQ3_XS IQ3_XXS IQ1_S IQ4_NL IQ3_S IQ3_M IQ2_S IQ2_M IQ4_XS IQ1_M BF16"),
        (36, "TQ1_0 TQ2_0 MXFP4_MOE NVFP4 Q1_0"),
    )
    for number, name in enumerate(names.split(), start=first)
}

_GUESSED = 1024  # a flag that llama.cpp sets beside the file type


def read_gguf(path: Path) -> ModelFile:
    """Describe a GGUF file's model.

    Raises:
        ModelError: The file is missing, unreadable, damaged, cut short, of a type that llama.cpp has removed,
            or no GGUF language model.
    """
    return describe_gguf(path, scan_gguf(path))


def describe_gguf(path: Path, scan: Scan) -> ModelFile:
    """Describe the model of a file whose header was read, as `read_gguf`."""
    metadata = Metadata(path, scan.fields)
    files = check_parts(path, max(metadata.whole("split.count"), default=1))
    parts = [scan, *map(scan_gguf, files[1:])]
    # The first part may hold none (llama-gguf-split --no-tensor-first-split).
    elements = sum((Counter(part.elements) for part in parts), Counter())
    traits = Traits(
        metadata.architecture,
        file=metadata.text("general.type", "model"),
        pooling=metadata.number("pooling_type", 0),
        causal=bool(metadata.number("attention.causal", 1)),
        weights=bool(elements),
    )
    if (why := objection(traits)) is not None:
        raise ModelError(f"{path} {why}")
    _refuse_removed(path, elements)
    for_tools = metadata.text(f"tokenizer.chat_template.{FOR_TOOLS}", "") or None
    return ModelFile(
        format=Format.GGUF,
        files=tuple(files),
        size_bytes=sum(part.file_size for part in parts),
        trained_context=metadata.number("context_length"),
        kept=kept_by(metadata),
        vocabulary=metadata.count("tokenizer.ggml.tokens"),
        name=metadata.text("general.name", path.stem),
        architecture=metadata.architecture,
        layers=metadata.layers(),
        quantization=_quantization(scan, elements),
        main_type=_main_type(elements),
        template=metadata.text("tokenizer.chat_template", "") or for_tools,
        template_for_tools=for_tools,
        parameters=elements.total(),
    )


def _refuse_removed(path: Path, elements: Counter[int]) -> None:
    for number in sorted(REMOVED_TYPES.keys() & elements.keys()):
        name, instead = REMOVED_TYPES[number]
        raise ModelError(
            f"{path} has weights of the type {name}, which llama.cpp has removed; take the {instead} file of "
            "the same model: it is repacked for this processor as it is loaded"
        )


def _quantization(scan: Scan, elements: Counter[int]) -> str:
    """Return the file type's name, or the type of most weights where the file does not tell."""
    stated = scan.fields.get("general.file_type")
    numbers = [value & ~_GUESSED for value in (stated.values() if stated else []) if isinstance(value, int)]
    return next((FILE_TYPES[number] for number in numbers if number in FILE_TYPES), _main_type(elements))


def _main_type(elements: Counter[int]) -> str:
    ((most, _),) = elements.most_common(1)
    return TENSOR_TYPES[most][0] if most in TENSOR_TYPES else f"type {most}"
