"""What a GGUF file says about its model, read without touching the weights (format: ggml's docs/gguf.md).

The gguf package's reader makes several numpy arrays per vocabulary entry: seconds of work for a vocabulary
of 150,000. Walking the bytes takes a fraction of one and needs no package.
"""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from edgeassist.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAGIC = b"GGUF"
OLDEST_VERSION, NEWEST_VERSION = 2, 3
STRING, ARRAY = 8, 9
SCALARS = dict(enumerate("BbHhIif?")) | dict(enumerate("Qqd", start=10))  # value type → struct's letter

# fmt: off
# ggml's tensor types by number: name, values in a block, bytes of a block.
TENSOR_TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8),
    28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}
# fmt: on

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
_CHUNK = 1024 * 1024
_HEADER_LIMIT = 256 * _CHUNK  # a damaged length field must not make us read gigabytes
_KV_VALUE_BYTES = 2

_MISTAKEN_FOR_A_MODEL = {
    b"<": "a web page (often a login or error page saved under the model's name)",
    b"{": "JSON (a model's configuration, or an error message saved under the model's name)",
    b"version https://git-lfs": "a Git LFS pointer, not the file it points to",
    b"pk\x03\x04": "a zip archive or a PyTorch checkpoint",
    b"tjgg": "a model in a format older than GGUF",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A metadata value as stored, decoded only when asked for; `item` is what an array holds, or the type."""

    kind: int
    item: int
    count: int
    raw: bytes

    def values(self) -> list[int | float | str]:
        """The elements; a single one for a value that is no array."""
        if self.item != STRING:
            return list(struct.unpack(f"<{self.count}{SCALARS[self.item]}", self.raw))
        found: list[int | float | str] = []
        position = 0
        for _ in range(self.count):
            start = position + 8
            position = start + int.from_bytes(self.raw[position:start], "little")
            found.append(self.raw[start:position].decode("utf-8", "replace"))
        return found


@dataclass(frozen=True, slots=True)
class ModelHeader:
    """What can be known of a model before it is loaded.

    Where layers differ (KV heads) or keys and values do, the larger counts, so that no estimate of memory is
    too low.

    Attributes:
        quantization: As the file calls it.
        weights: The type of most weights, which may be another: a width that is no multiple of 256 does not
            go with the types that end in _K.
    """

    architecture: str
    name: str
    parameters: int
    quantization: str
    weights: str
    context_length: int
    layers: int
    kv_heads: int
    head_size: int
    vocabulary_size: int
    has_chat_template: bool
    file_size: int


def kv_bytes_per_token(header: ModelHeader) -> int:
    """Bytes of KV memory one token takes over all layers, with keys and values in f16."""
    return 2 * _KV_VALUE_BYTES * header.layers * header.kv_heads * header.head_size


def read_header(path: Path) -> ModelHeader:
    """Read what a GGUF file says about its model.

    Raises:
        ModelError: The file is missing, unreadable, damaged, cut short or no GGUF language model.
    """
    scan = _scan(path)
    fields = scan.fields

    def number(key: str, default: int | None = None) -> int:
        found = fields[key].values() if key in fields else [default]
        numbers = [value for value in found if isinstance(value, int)]
        if not numbers:
            raise ModelError(f"{path} has no '{key}', so it is no language model; choose another .gguf file")
        return max(numbers)

    def text(key: str, default: str) -> str:
        found = fields[key].values() if key in fields else [default]
        return str(next(iter(found), default))

    if not scan.elements:
        raise ModelError(f"{path} holds no weights; choose the model's own .gguf file")
    if number("split.count", 1) > 1:
        raise ModelError(f"{path} is one part of several; join them first (llama-gguf-split --merge)")
    architecture = text("general.architecture", "unknown")
    heads = number(f"{architecture}.attention.head_count", 0)
    head_size = number(f"{architecture}.embedding_length") // heads if heads else 0
    tokens = fields.get("tokenizer.ggml.tokens")
    return ModelHeader(
        architecture=architecture,
        name=text("general.name", path.stem),
        parameters=sum(scan.elements.values()),
        quantization=scan.quantization(fields.get("general.file_type")),
        weights=scan.most_weights(),
        context_length=number(f"{architecture}.context_length"),
        layers=number(f"{architecture}.block_count"),
        kv_heads=number(f"{architecture}.attention.head_count_kv", heads),
        head_size=max(
            number(f"{architecture}.attention.key_length", head_size),
            number(f"{architecture}.attention.value_length", head_size),
        ),
        vocabulary_size=number(f"{architecture}.vocab_size", tokens.count if tokens else 0),
        has_chat_template="tokenizer.chat_template" in fields,
        file_size=scan.file_size,
    )


def read_fields(path: Path) -> Mapping[str, Field]:
    """Read a GGUF file's metadata, a lone vocabulary's too; it raises what `read_header` does."""
    return _scan(path).fields


def _scan(path: Path) -> _Scan:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ModelError(_about_folder(path))
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"{path} is a device or a pipe; name a .gguf file")
        with path.open("rb") as file:
            scan = _Scan(path, file, status.st_size)
            scan.run()
            return scan
    except (FileNotFoundError, NotADirectoryError):
        raise ModelError(f"{path} does not exist; correct the path or download the model") from None
    except PermissionError:
        todo = "let this user read it (chmod a+r the file, a+x its folders)"
        raise ModelError(f"{path}: no permission to read it; {todo}") from None
    except OSError as error:
        raise ModelError(f"{path} can't be read ({error.strerror}); check its disk") from error


def _about_folder(path: Path) -> str:
    if (path / "genai_config.json").exists() or any(path.glob("*.onnx")):
        return (
            f"{path} holds an ONNX model and llama.cpp runs .gguf files; name one or choose the ONNX backend"
        )
    inside = sorted(file.name for file in path.glob("*.gguf"))
    return f"{path} is a folder; name a .gguf file" + (f" in it: {', '.join(inside)}" if inside else "")


def _about_stranger(path: Path, start: bytes) -> str:
    if start[8:10] == b'{"':
        return f"{path} is a safetensors file; convert it to GGUF (llama.cpp's convert_hf_to_gguf.py)"
    if path.suffix == ".onnx":
        return f"{path} is an ONNX model; choose the ONNX backend and name the folder the file is in"
    start = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    what = [name for mark, name in _MISTAKEN_FOR_A_MODEL.items() if start.startswith(mark)]
    return f"{path} is not GGUF but {what[0] if what else 'something else'}; download the model's .gguf file"


def _about_version(version: int) -> str:
    if version & 0xFFFF == 0:
        return "is for big-endian machines; get the little-endian file"
    todo = "update EdgeAssist or get an older file" if version > NEWEST_VERSION else "get a newer file"
    return f"has GGUF version {version}, not {OLDEST_VERSION} to {NEWEST_VERSION}; {todo}"


class _Scan:
    """One pass over a header. It reads, since a bad sector under mmap is a SIGBUS instead of an OSError."""

    def __init__(self, path: Path, file: BinaryIO, file_size: int) -> None:
        self.file_size = file_size
        self.fields: dict[str, Field] = {}
        self.elements: dict[int, int] = {}
        self._path = path
        self._file = file
        self._data = bytearray()
        self._position = 0

    def run(self) -> None:
        if not self.file_size:
            raise ModelError(f"{self._path} is empty; download the model again")
        self._data += self._file.read(_CHUNK)
        if not self._data.startswith(MAGIC):
            raise ModelError(_about_stranger(self._path, bytes(self._data[:512])))
        self._position = len(MAGIC)
        version = self._number("I")
        if not OLDEST_VERSION <= version <= NEWEST_VERSION:
            raise ModelError(f"{self._path} {_about_version(version)}")
        tensors, fields = self._number("Q"), self._number("Q")
        for _ in range(fields):
            name = self._text()
            self.fields[name] = self._field()
        self._scan_tensors(tensors)

    def quantization(self, stated: Field | None) -> str:
        """The file type's name, or the type of most weights where the file does not say."""
        numbers = (value for value in (stated.values() if stated else []) if isinstance(value, int))
        return next(
            (FILE_TYPES[n & ~_GUESSED] for n in numbers if n & ~_GUESSED in FILE_TYPES), self.most_weights()
        )

    def most_weights(self) -> str:
        """The type of most weights."""
        most = max(self.elements, key=lambda number: self.elements[number])
        return TENSOR_TYPES[most][0] if most in TENSOR_TYPES else f"type {most}"

    def _scan_tensors(self, count: int) -> None:
        end = 0
        for _ in range(count):
            self._text()
            elements = 1
            for _ in range(self._number("I")):
                elements *= self._number("Q")
            number, offset = self._number("I"), self._number("Q")
            self.elements[number] = self.elements.get(number, 0) + elements
            _, values, size = TENSOR_TYPES.get(number, ("", 1, 0))
            end = max(end, offset + elements // values * size)
        stored = self.fields["general.alignment"].values() if "general.alignment" in self.fields else []
        alignment = next((value for value in stored if isinstance(value, int) and value > 0), 32)
        needed = -(-self._position // alignment) * alignment + end
        if count and needed > self.file_size:
            raise self._cut_short(needed)

    def _field(self) -> Field:
        kind = item = self._number("I")
        count = 1
        if kind == ARRAY:
            item, count = self._number("I"), self._number("Q")
        start = self._position
        if item == STRING:
            for _ in range(count):
                self._take(self._number("Q"))
        elif item in SCALARS:
            self._take(count * struct.calcsize(SCALARS[item]))
        else:
            raise ModelError(f"{self._path} is damaged (value type {item}); download it again")
        return Field(kind, item, count, bytes(self._data[start : self._position]))

    def _number(self, letter: str) -> int:
        start = self._take(struct.calcsize(letter))
        return int.from_bytes(self._data[start : self._position], "little")

    def _text(self) -> str:
        start = self._take(self._number("Q"))
        return self._data[start : self._position].decode("utf-8", "replace")

    def _take(self, count: int) -> int:
        """Step over the next bytes and return where they start."""
        start = self._position
        self._position = end = start + count
        if end > len(self._data):
            if end <= _HEADER_LIMIT:
                self._data += self._file.read(max(end - len(self._data), _CHUNK))
            if end > len(self._data):
                raise self._cut_short(end)
        return start

    def _cut_short(self, needed: int) -> ModelError:
        have = f"it has {self.file_size:,} bytes, and its header speaks of {needed:,}"
        return ModelError(f"{self._path} is cut short or damaged: {have}; download it again")
