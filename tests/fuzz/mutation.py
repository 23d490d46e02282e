"""Mutators: of bytes, and of JSON by its structure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

# What parsers stumble over.
MOST_BYTES = 1 << 17
_BYTES = (b"\0", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\n", b"\r\n", b'"', b"\\", b"{", b"]", b"\x1f")
_INTEGERS = (0, 1, 2, 7, 8, 127, 128, 255, 256, 32767, 65535, 65536, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
_LONG = ((1 << 53) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1 << 64)
_LITERALS = (
    "null", "true", "false", "0", "-0", "-1", "1", "2", "0.5", "1e3", "1e308", "1e309", "-1e400", "1e-400",
    "1.0", "9007199254740993", "18446744073709551616", "1" + "0" * 400, "NaN", "Infinity", "-Infinity",
    '""', '"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"\u2028"', '" "', '"x"',
    '"a/b"', '"+"', '"#"', '"$SYS"', "[]", "{}", "[[]]", "[null]", '{"":null}', "01", "1.", "+1", "'x'",
)  # fmt: skip
_TEXTS = (
    "",
    "\0",
    "é",
    "日本",
    "😀",
    "\u2028",
    "\u202e",
    "a" * 300,
    " ",
    "\n",
    "../",
    "%s",
    "{0}",
    "{{",
    "$",
)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_GIST = re.compile(r"'[^']*'|\"[^\"]*\"|\d+|/\S+")


class Raw(str):
    """JSON as it is to be written, valid or not."""

    __slots__ = ()


class Pairs(list[list[Any]]):
    """An object, in which a key may occur twice."""

    __slots__ = ()


def gist(message: str) -> str:
    """Return what is the same in messages about different values."""
    return _GIST.sub("#", message[:400])[:120]


def read(data: bytes) -> Any:
    """Return JSON as a tree of Pairs, lists and plain values.

    Raises:
        ValueError: It is none.
        RecursionError: It is nested too deeply.
    """
    return json.loads(data, object_pairs_hook=lambda pairs: Pairs([list(pair) for pair in pairs]))


def write(tree: Any) -> bytes:
    """Return a tree as JSON, or as what is nearly JSON."""
    parts: list[str] = []
    _write(tree, parts)
    return "".join(parts).encode("utf-8", "surrogatepass")


def _write(tree: Any, parts: list[str]) -> None:
    match tree:
        case Raw():
            parts.append(str(tree))
        case Pairs():
            parts.append("{")
            for at, (key, value) in enumerate(tree):
                parts.append(("," if at else "") + (key if isinstance(key, Raw) else json.dumps(key)) + ":")
                _write(value, parts)
            parts.append("}")
        case list():
            parts.append("[")
            for at, value in enumerate(tree):
                parts.append("," if at else "")
                _write(value, parts)
            parts.append("]")
        case _:
            parts.append(json.dumps(tree))


def mutate(random: Random, data: bytes, other: bytes) -> bytes:
    """Return JSON like `data`, mostly by its structure, or any bytes like it."""
    if random.random() < 0.15:
        return mutate_bytes(random, data, other)
    try:
        changed = write(mutate_tree(random, read(data), read(other)))
    except (ValueError, RecursionError):
        return mutate_bytes(random, data, other)
    return mutate_bytes(random, changed, other) if random.random() < 0.05 else changed[:MOST_BYTES]


def mutate_tree(random: Random, tree: Any, donor: Any) -> Any:
    """Return the tree, changed in some places; parts of the donor may stand in it."""
    holder = [tree]
    # Where the donor is what is changed, it would be put into itself.
    values = _values(donor)
    others = [read(write(each)) for each in random.sample(values, min(3, len(values)))]
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 5))):
        places = _places(holder)
        container, at = random.choice(places)
        random.choice(_CHANGES)(random, container, at, others)
    return holder[0] if holder else Raw("")


def _places(holder: list[Any]) -> list[tuple[Any, int]]:
    """Return where values stand: in which list or object, at which index."""
    found: list[tuple[Any, int]] = []
    waiting: list[Any] = [holder]
    while waiting and len(found) < 2000:
        container = waiting.pop()
        for at in range(len(container)):
            found.append((container, at))
            value = _get(container, at)
            if isinstance(value, list):
                waiting.append(value)
    return found or [(holder, 0)]


def _values(tree: Any) -> list[Any]:
    return [_get(container, at) for container, at in _places([tree])[:500]]


def _get(container: Any, at: int) -> Any:
    return container[at][1] if isinstance(container, Pairs) else container[at]


def _set(container: Any, at: int, value: Any) -> None:
    if isinstance(container, Pairs):
        container[at][1] = value
    elif at < len(container):
        container[at] = value
    else:
        container.append(value)


def _literal(random: Random, container: Any, at: int, _others: Sequence[Any]) -> None:
    _set(container, at, Raw(random.choice(_LITERALS)))


def _remove(_random: Random, container: Any, at: int, _others: Sequence[Any]) -> None:
    if len(container) > 1 or isinstance(container, Pairs):
        del container[at]


def _double(random: Random, container: Any, at: int, _others: Sequence[Any]) -> None:
    each = container[at]
    copy = list(each) if isinstance(container, Pairs) else each
    for _ in range(random.choice((1, 1, 2, 40))):
        container.insert(at, list(copy) if isinstance(container, Pairs) else copy)


def _rename(random: Random, container: Any, at: int, others: Sequence[Any]) -> None:
    if isinstance(container, Pairs):
        keys = [pair[0] for other in others if isinstance(other, Pairs) for pair in other]
        container[at][0] = random.choice([*keys, *(pair[0] for pair in container), random.choice(_TEXTS)])
    else:
        _literal(random, container, at, others)


def _nest(random: Random, container: Any, at: int, _others: Sequence[Any]) -> None:
    value = _get(container, at)
    depth = random.choice((1, 1, 2, 8, 33, 65, 129, 1100))
    if depth < 100:
        for _ in range(depth):
            value = [value] if random.random() < 0.5 else Pairs([[random.choice(("a", "items", "x")), value]])
        _set(container, at, value)
    else:
        opening, closing = random.choice((("[", "]"), ('{"a":', "}")))
        _set(container, at, Raw(opening * depth + "1" + closing * depth))


def _swap(random: Random, container: Any, at: int, others: Sequence[Any]) -> None:
    if others:
        _set(container, at, random.choice(others))


def _insert(random: Random, container: Any, at: int, others: Sequence[Any]) -> None:
    value = random.choice([*others, Raw(random.choice(_LITERALS))])
    pairs = [pair for other in others if isinstance(other, Pairs) for pair in other]
    if isinstance(container, Pairs):
        container.insert(at, list(random.choice(pairs)) if pairs else [random.choice(_TEXTS), value])
    else:
        container.insert(at, value)


def _change(random: Random, container: Any, at: int, others: Sequence[Any]) -> None:
    match _get(container, at):
        case Raw():
            _literal(random, container, at, others)
        case bool() as value:
            _set(container, at, not value)
        case int() | float() as value:
            near = random.choice((value + 1, value - 1, -value, value * 2, value // 2, value * 1000))
            _set(container, at, random.choice((near, *_INTEGERS, random.choice(_LONG), str(value))))
        case str() as text:
            _set(container, at, mutate_text(random, text))
        case _:
            _literal(random, container, at, others)


_CHANGES: tuple[Callable[[Random, Any, int, Sequence[Any]], None], ...] = (
    _change, _change, _change, _literal, _remove, _double, _rename, _nest, _swap, _swap, _insert, _insert,
)  # fmt: skip


def mutate_text(random: Random, text: str, words: Sequence[str] = _TEXTS) -> str:
    """Return a text like it: cut, doubled, or with something else in it."""
    start, end = sorted((random.randint(0, len(text)), random.randint(0, len(text))))
    if random.random() < 0.6:
        end = min(end, start + random.randint(0, 4))
    part = text[start:end]
    match random.randrange(6):
        case 0:
            part = ""
        case 1:
            part *= random.choice((2, 2, 3, 10, 100))
        case 2:
            part += random.choice(words)
        case 3:
            part = chr(random.choice((random.randrange(32, 127), random.randrange(0x800), 0x1F600)))
        case 4:
            part = _NUMBER.sub(lambda _: str(random.choice((*_INTEGERS, *_LONG))), part or text[start:], 1)
            return text[:start] + part + (text[end:] if start != end else "")
        case _:
            at = random.randint(0, len(text))
            return text[:at] + part + text[at:]
    return text[:start] + part + text[end:]


def mutate_bytes(random: Random, data: bytes, other: bytes) -> bytes:
    """Return bytes like `data`; a stretch of `other` may stand in them."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4, 8))):
        at = random.randint(0, len(changed))
        end = min(len(changed), at + random.choice((1, 1, 2, 4, 8, 32, 256)))
        match random.randrange(8):
            case 0 if changed:
                changed[min(at, len(changed) - 1)] ^= 1 << random.randrange(8)
            case 1:
                del changed[at:end]
            case 2:
                changed[at:at] = random.choice(_BYTES)
            case 3:
                changed[at:end] = changed[at:end] * random.choice((2, 3, 50))
            case 4 if other:
                start = random.randrange(len(other))
                changed[at:at] = other[start : start + random.choice((1, 4, 16, 64, 512))]
            case 5:
                changed[at:end] = random.randbytes(end - at)
            case 6 if random.random() < 0.3:
                del changed[at:]
            case _:
                number = random.choice((*_INTEGERS, *_LONG[:4]))
                changed[at:end] = number.to_bytes(8, "little")[: random.choice((1, 2, 4, 8))]
    return bytes(changed[:MOST_BYTES])


def mutate_lines(random: Random, data: bytes, other: bytes) -> bytes:
    """Return lines of JSON like those of `data`, with some of `other`'s."""
    lines, others = data.split(b"\n")[:32], other.split(b"\n")
    match random.randrange(8):
        case 0:
            lines.insert(random.randint(0, len(lines)), random.choice(others))
        case 1 if len(lines) > 1:
            del lines[random.randrange(len(lines))]
        case 2:
            lines.append(random.choice(lines))
    at = random.randrange(len(lines))
    lines[at] = mutate(random, lines[at], random.choice(others))
    return b"\n".join(lines)[:MOST_BYTES]


def texts(*words: str) -> Callable[[Random, bytes, bytes], bytes]:
    """Return a mutator of texts that are made of such words, and written in lines."""
    known = (*_TEXTS, *words)

    def mutated(random: Random, data: bytes, other: bytes) -> bytes:
        if random.random() < 0.1:
            return mutate_bytes(random, data, other)
        text = data.decode("utf-8", "replace")
        donor = other.decode("utf-8", "replace")
        for _ in range(random.choice((1, 1, 2, 3))):
            match random.randrange(4):
                case 0:
                    lines, more = text.split("\n"), donor.split("\n")
                    lines.insert(random.randint(0, len(lines)), random.choice(more))
                    text = "\n".join(lines)
                case 1 if donor:
                    start = random.randrange(len(donor))
                    at = random.randint(0, len(text))
                    text = text[:at] + donor[start : start + random.choice((1, 4, 16, 64))] + text[at:]
                case _:
                    text = mutate_text(random, text, known)
        return text.encode("utf-8", "replace")[:MOST_BYTES]

    return mutated
