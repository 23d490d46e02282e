"""Which keys were pressed."""

import pytest

from edgeassist.top.keys import Key, Keyboard


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        (b"q", [Key.QUIT]),
        (b"\x03", [Key.QUIT]),
        (b"p p", [Key.PAUSE] * 3),
        (b"?", [Key.HELP]),
        (b"\x0c", [Key.REDRAW]),
        (b"\t\x1b[B\x1bOC", [Key.NEXT] * 3),
        (b"\x1b[Z\x1b[A\x1bOD", [Key.BEFORE] * 3),
        (b"\x1b[1;5C\x1b[15~x", [Key.OTHER] * 3),
        ("ü厨".encode(), [Key.OTHER] * 2),
        (b"\xff", [Key.OTHER]),
        (b"\x1b\x1b[B", [Key.OTHER, Key.NEXT]),
    ],
)
def test_keys_are_known_by_what_terminals_send(typed: bytes, keys: list[Key]) -> None:
    keyboard = Keyboard()
    assert keyboard.feed(typed) == keys
    assert keyboard.pause() == []


def test_a_sequence_may_come_in_pieces() -> None:
    keyboard = Keyboard()
    assert keyboard.feed(b"\x1b") == []
    assert keyboard.feed(b"[") == []
    assert keyboard.feed(b"Bq") == [Key.NEXT, Key.QUIT]


def test_escape_alone_is_a_key_once_nothing_follows() -> None:
    keyboard = Keyboard()
    assert keyboard.feed(b"\x1b") == []
    assert keyboard.pause() == [Key.OTHER]
    assert keyboard.feed(b"[B") == [Key.OTHER, Key.OTHER]


def test_what_never_ends_is_dropped() -> None:
    keyboard = Keyboard()
    for _ in range(1000):
        keyboard.feed(b"\x1b[" + b"0" * 1000)
    assert keyboard.feed(b"q") in ([], [Key.OTHER], [Key.QUIT])
    assert keyboard.feed(b"q") == [Key.QUIT]
