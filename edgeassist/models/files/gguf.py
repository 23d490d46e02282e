"""What a GGUF file says about its model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgeassist.errors import ModelError
from edgeassist.models.files.description import ModelFile
from edgeassist.models.files.gguf_container import TENSOR_TYPES, Scan, scan_gguf
from edgeassist.models.fit import Format

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

_PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$")
_GUESSED = 1024  # a flag that llama.cpp sets beside the file type


def read_gguf(path: Path) -> ModelFile:
    """Describe a GGUF file's model.

    Where layers differ in what the file does not tell layer by layer (hybrid models, sliding windows), the
    larger figure counts for all, so that no estimate of memory is too low.

    Raises:
        ModelError: The file is missing, unreadable, damaged, cut short or no GGUF language model.
    """
    scan = scan_gguf(path)
    fields = scan.fields

    def numbers(key: str, default: int | None = None) -> list[int]:
        found = fields[key].values() if key in fields else [default]
        known = [value for value in found if isinstance(value, int)]
        if not known:
            raise ModelError(f"{path} has no '{key}', so it is no language model; choose another .gguf file")
        return known

    def text(key: str, default: str) -> str:
        found = fields[key].values() if key in fields else [default]
        return str(next(iter(found), default))

    if not scan.elements:
        raise ModelError(f"{path} holds no weights; choose the model's own .gguf file")
    parts = [scan, *map(scan_gguf, _other_parts(path, max(numbers("split.count", 1))))]
    architecture = text("general.architecture", "unknown")
    trained_context = max(numbers(f"{architecture}.context_length"))
    layers = max(numbers(f"{architecture}.block_count"))
    heads = max(numbers(f"{architecture}.attention.head_count", 0))
    head_size = max(numbers(f"{architecture}.embedding_length")) // heads if heads else 0
    kv_heads = numbers(f"{architecture}.attention.head_count_kv", heads)
    return ModelFile(
        format=Format.GGUF,
        size_bytes=sum(part.file_size for part in parts),
        trained_context=trained_context,
        kv_heads=layers * kv_heads[0] if len(kv_heads) == 1 else sum(kv_heads),
        key_size=max(numbers(f"{architecture}.attention.key_length", head_size)),
        value_size=max(numbers(f"{architecture}.attention.value_length", head_size)),
        name=text("general.name", path.stem),
        architecture=architecture,
        layers=layers,
        quantization=_quantization(scan),
        main_type=_main_type(scan),
        template=text("tokenizer.chat_template", "") or None,
        parameters=sum(sum(part.elements.values()) for part in parts),
    )


def _other_parts(path: Path, count: int) -> list[Path]:
    """Return the further files of a model that is split into several, as llama.cpp names and finds them."""
    if count <= 1:
        return []
    found = _PART.search(path.name)
    if found is None:
        raise ModelError(
            f"{path} is one of {count} parts, and llama.cpp expects the name NAME-00001-of-{count:05}.gguf; "
            "give the parts their names back, or join them (llama-gguf-split --merge)"
        )
    names = [f"{path.name[: found.start()]}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1)]
    if path.name != names[0]:
        raise ModelError(f"{path} is one of {count} parts; name the first of them, {names[0]}")
    missing = [name for name in names if not path.with_name(name).exists()]
    if missing:
        raise ModelError(f"{path} is one of {count} parts, and {missing[0]} is not beside it; download it")
    return [path.with_name(name) for name in names[1:]]


def _quantization(scan: Scan) -> str:
    """Return the file type's name, or the type of most weights where the file does not tell."""
    stated = scan.fields.get("general.file_type")
    numbers = [value & ~_GUESSED for value in (stated.values() if stated else []) if isinstance(value, int)]
    return next((FILE_TYPES[number] for number in numbers if number in FILE_TYPES), _main_type(scan))


def _main_type(scan: Scan) -> str:
    most = max(scan.elements, key=lambda number: scan.elements[number])
    return TENSOR_TYPES[most][0] if most in TENSOR_TYPES else f"type {most}"
