"""The GGUF container: metadata fields and tensor types, read without the weights (ggml's docs/gguf.md).

The gguf package's reader makes several numpy arrays per vocabulary entry: seconds of work for a vocabulary
of 150,000. Walking the bytes takes a fraction of a second and needs no package.
"""

from __future__ import annotations

import stat
import struct
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from edgeassist.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MAGIC = b"GGUF"
OLDEST_VERSION, NEWEST_VERSION = 2, 3
STRING, ARRAY = 8, 9
# The key of the vocabulary.
TOKENS = "tokenizer.ggml.tokens"
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
# Types that were removed again: name, and the type that took their place. They held weights in the order that
# an ARM processor reads them in, which is now made while a file is loaded (2024).
REMOVED_TYPES = {
    31: ("Q4_0_4_4", "Q4_0"),
    32: ("Q4_0_4_8", "Q4_0"),
    33: ("Q4_0_8_8", "Q4_0"),
    36: ("IQ4_NL_4_4", "IQ4_NL"),
    37: ("IQ4_NL_4_8", "IQ4_NL"),
    38: ("IQ4_NL_8_8", "IQ4_NL"),
}

# Of a text.
_LENGTH = struct.Struct("<Q")
_CHUNK = 1024 * 1024
# What ggml has room for (GGML_MAX_DIMS).
_MOST_DIMENSIONS = 4
_HEADER_LIMIT = 256 * _CHUNK  # a damaged length field must not make us read gigabytes

_MISTAKEN_FOR_A_MODEL = {
    b"<": "a web page (often a login or error page saved under the model's name)",
    b"{": "JSON (a model's configuration, or an error message saved under the model's name)",
    b"version https://git-lfs": "a Git LFS pointer, not the file it points to",
    b"pk\x03\x04": "a zip archive or a PyTorch checkpoint",
    b"tjgg": "a model in a format older than GGUF",
    b"lmgg": "a model in a format older than GGUF, or one of whisper.cpp",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A metadata value as stored, decoded on demand.

    Attributes:
        kind: The value's type.
        item: The type of its elements; the same as `kind` for a value that is not an array.
        count: The number of elements.
        raw: The bytes.
        stops: Where each text of a vocabulary ends in them; none for anything else.
    """

    kind: int
    item: int
    count: int
    raw: bytes
    stops: Sequence[int] = ()

    def values(self) -> list[int | float | str]:
        """Return the elements; a single one for a value that is not an array."""
        if self.item != STRING:
            return list(struct.unpack(f"<{self.count}{SCALARS[self.item]}", self.raw))
        found: list[int | float | str] = []
        position = 0
        for _ in range(self.count):
            start = position + 8
            position = start + int.from_bytes(self.raw[position:start], "little")
            found.append(self.raw[start:position].decode("utf-8", "replace"))
        return found


def read_fields(path: Path) -> Mapping[str, Field]:
    """Return a GGUF file's metadata, a lone vocabulary's too; raises what `scan_gguf` does."""
    return scan_gguf(path).fields


def scan_gguf(path: Path) -> Scan:
    """Read a GGUF file's header: all before the weights.

    Raises:
        ModelError: The file is missing, unreadable, damaged, cut short or not GGUF.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ModelError(_about_folder(path))
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"{path} is a device or a pipe; name a .gguf file")
        with path.open("rb") as file:
            scan = Scan(path, file, status.st_size)
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
    known = (name for mark, name in _MISTAKEN_FOR_A_MODEL.items() if start.startswith(mark))
    what = next(known, "something else")
    return f"{path} is not a GGUF file but {what}; download the model's .gguf file"


def _about_version(version: int) -> str:
    if version & 0xFFFF == 0:
        return "is for big-endian machines; get the little-endian file"
    todo = "update EdgeAssist or get an older file" if version > NEWEST_VERSION else "get a newer file"
    return f"has GGUF version {version}, not {OLDEST_VERSION} to {NEWEST_VERSION}; {todo}"


class Scan:
    """One pass over a header. It reads, since a bad sector under mmap is a SIGBUS instead of an OSError.

    Attributes:
        file_size: In bytes.
        fields: The metadata.
        elements: The number of values stored in each tensor type.
    """

    def __init__(self, path: Path, file: BinaryIO, file_size: int) -> None:
        self.file_size = file_size
        self.fields: dict[str, Field] = {}
        self.elements: dict[int, int] = {}
        self._path = path
        self._file = file
        self._data = bytearray()
        self._position = 0

    def run(self) -> None:
        """Read the header, and check that the file is as long as it says."""
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
            self.fields[name] = self._field(located=name == TOKENS)
        self._scan_tensors(tensors)

    def _scan_tensors(self, count: int) -> None:
        end = 0
        for _ in range(count):
            self._text()
            elements = 1
            if (dimensions := self._number("I")) > _MOST_DIMENSIONS:
                raise ModelError(
                    f"{self._path} is damaged (a tensor of {dimensions} dimensions); download it again"
                )
            for _ in range(dimensions):
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

    def _field(self, *, located: bool) -> Field:
        kind = item = self._number("I")
        count = 1
        if kind == ARRAY:
            item, count = self._number("I"), self._number("Q")
        start = self._position
        stops: list[int] = []
        if item == STRING:
            self._pass_texts(count, stops if located else None)
        elif item in SCALARS:
            self._take(count * struct.calcsize(SCALARS[item]))
        else:
            raise ModelError(f"{self._path} is damaged (value type {item}); download it again")
        raw = bytes(self._data[start : self._position])
        return Field(kind, item, count, raw, array("q", [stop - start for stop in stops]))

    def _pass_texts(self, count: int, stops: list[int] | None) -> None:
        """Step over so many texts; a vocabulary has more than a hundred thousand.

        Args:
            count: How many.
            stops: Takes where each ends; None: nobody wants to know.
        """
        start = end = self._position
        length_at, data = _LENGTH.unpack_from, self._data
        texts = range(count)
        while texts:
            try:
                if stops is None:
                    for passed in texts:  # noqa: B007 - where it stopped
                        end += 8 + length_at(data, end)[0]
                else:
                    for passed in texts:  # noqa: B007
                        end += 8 + length_at(data, end)[0]
                        stops.append(end)
                break
            except (struct.error, OverflowError):  # more has to be read, or there is no more
                texts = range(passed, count)
                self._position = end
                self._take(_LENGTH.size)
        self._position = start
        self._take(end - start)

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
