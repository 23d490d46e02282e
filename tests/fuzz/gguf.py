"""GGUF headers: small ones to begin with, and a mutator that knows where their numbers stand."""

from __future__ import annotations

import contextlib
import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from random import Random

import gguf

from tests.fuzz import mutation

_STRING, _ARRAY = 8, 9
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_NUMBERS = (0, 1, 2, 4, 5, 31, 32, 255, 256, 4096, 65535, 1 << 20, 1 << 27, (1 << 31) - 1, 1 << 31)
_LARGE = ((1 << 32) - 1, 1 << 32, (1 << 61) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
_KEYS = (
    "general.architecture", "general.alignment", "general.file_type", "general.name", "general.type",
    "split.count", "split.no", "llama.context_length", "llama.block_count", "llama.attention.head_count",
    "llama.attention.head_count_kv", "llama.embedding_length", "llama.attention.key_length",
    "llama.attention.sliding_window", "llama.pooling_type", "llama.attention.causal", "gemma3.block_count",
    "tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.chat_template",
    "tokenizer.chat_template.tool_use", "tokenizer.ggml.eos_token_id", "llama.ssm.state_size",
)  # fmt: skip


class Kind(Enum):
    """What a stretch of a header is."""

    COUNT = auto()
    LENGTH = auto()
    TYPE = auto()
    VALUE = auto()
    TEXT = auto()
    ITEM = auto()


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch: its first byte, and the one behind its last."""

    kind: Kind
    start: int
    end: int


def seeds() -> list[bytes]:
    """Return small files of some architectures, with and without weights."""
    return [
        _write(architecture, more)
        for architecture in ("llama", "gemma3", "qwen35", "bert", "clip")
        for more in (True, False)
    ]


def _write(architecture: str, more: bool) -> bytes:  # noqa: FBT001
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.gguf"
        writer = gguf.GGUFWriter(path, architecture)
        for key, value in (("context_length", 2048), ("block_count", 3), ("embedding_length", 64)):
            writer.add_uint32(f"{architecture}.{key}", value)
        writer.add_uint32(f"{architecture}.attention.head_count", 4)
        if more:
            writer.add_array(f"{architecture}.attention.head_count_kv", [2, 2, 1])
            writer.add_uint32(f"{architecture}.attention.sliding_window", 512)
            writer.add_file_type(2)
            writer.add_name("small")
            writer.add_custom_alignment(64)
            writer.add_token_list(["<s>", "</s>", "a", "b", "<|im_end|>"])
            writer.add_token_types([3, 3, 1, 1, 4])
            writer.add_eos_token_id(1)
            writer.add_chat_template("{% for m in messages %}{{ m.content }}{% endfor %}")
        kind = gguf.GGMLQuantizationType.Q4_0
        writer.add_tensor_info("token_embd.weight", (4, 32), "float16", 144, kind)
        writer.add_tensor_info("output.weight", (4, 32), "float16", 144, kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        writer.close()
        return path.read_bytes() + bytes(512)


def places(data: bytes) -> list[Place]:
    """Return where the numbers and texts of a header stand, as far as it can be read."""
    found: list[Place] = []
    with contextlib.suppress(struct.error):
        _Walk(data, found).run()
    return found


class _Walk:
    def __init__(self, data: bytes, found: list[Place]) -> None:
        self._data, self._found, self._at = data, found, 4

    def run(self) -> None:
        self._number(Kind.TYPE, "<I")
        tensors, fields = self._number(Kind.COUNT, "<Q"), self._number(Kind.COUNT, "<Q")
        for _ in range(min(fields, 64)):
            start = self._at
            self._text()
            self._value(self._number(Kind.TYPE, "<I"))
            self._found.append(Place(Kind.ITEM, start, self._at))
        for _ in range(min(tensors, 64)):
            start = self._at
            self._text()
            for _ in range(min(self._number(Kind.COUNT, "<I"), 16)):
                self._number(Kind.LENGTH, "<Q")
            self._number(Kind.TYPE, "<I")
            self._number(Kind.LENGTH, "<Q")
            self._found.append(Place(Kind.ITEM, start, self._at))

    def _value(self, kind: int) -> None:
        if kind == _ARRAY:
            item, count = self._number(Kind.TYPE, "<I"), self._number(Kind.COUNT, "<Q")
            for _ in range(min(count, 64)):
                self._value(item)
        elif kind == _STRING:
            self._text()
        else:
            size = _SIZES.get(kind, 4)
            self._found.append(Place(Kind.VALUE, self._at, self._at + size))
            self._at += size

    def _text(self) -> None:
        length = self._number(Kind.LENGTH, "<Q")
        if length > len(self._data):
            raise struct.error
        self._found.append(Place(Kind.TEXT, self._at, self._at + length))
        self._at += length

    def _number(self, kind: Kind, form: str) -> int:
        (value,) = struct.unpack_from(form, self._data, self._at)
        size = struct.calcsize(form)
        self._found.append(Place(kind, self._at, self._at + size))
        self._at += size
        return int(value)


def mutate(random: Random, data: bytes, other: bytes) -> bytes:
    """Return a file with other lengths, types, counts, offsets, keys or items, mostly."""
    if random.random() < 0.2:
        return mutation.mutate_bytes(random, data, other)
    changed = data
    for _ in range(random.choice((1, 1, 2, 3))):
        known, others = places(changed), places(other)
        if not known or not others:
            return mutation.mutate_bytes(random, changed, other)
        place = random.choice(known)
        changed = (
            changed[: place.start] + _instead(random, changed, place, other, others) + changed[place.end :]
        )
    return changed[: mutation.MOST_BYTES]


def _instead(random: Random, data: bytes, place: Place, other: bytes, others: Sequence[Place]) -> bytes:
    old = data[place.start : place.end]
    match place.kind:
        case Kind.ITEM:
            items = [other[each.start : each.end] for each in others if each.kind is Kind.ITEM]
            return bytes(random.choice((b"", old + old, *items)))
        case Kind.TEXT:
            texts = [other[each.start : each.end] for each in others if each.kind is Kind.TEXT]
            text: bytes = random.choice((*texts, random.choice(_KEYS).encode(), random.randbytes(len(old))))
            # Of the same length, so that what follows stands where it stood.
            return text[: len(old)].ljust(len(old), b"x")
        case Kind.TYPE:
            kind: int = random.choice((*range(15), 30, 39, 200, (1 << 32) - 1))
            return kind.to_bytes(4, "little")
        case _:
            near = int.from_bytes(old, "little") + random.choice((-1, 1, 2, 8))
            value = random.choice((near, *_NUMBERS, random.choice(_LARGE)))
            return (value % (1 << 8 * len(old))).to_bytes(len(old), "little")
