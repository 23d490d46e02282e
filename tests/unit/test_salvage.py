import sys

import pytest

from edgeassist.protocol.requests import salvage


def test_id_and_place_of_a_broken_request_are_found() -> None:
    assert salvage(b'{"id": "7", "reply_to": "reply/x", "promt": 5}') == ("7", "reply/x")
    assert salvage(b'{"id": "7"}') == ("7", None)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"hello",
        b"\xff",
        b"[]",
        b"5",
        b'{"id": 5, "reply_to": 5}',
        b'{"id": "a/b"}',
        b'{"id": "a\\n"}',
        b'{"id": ""}',
        b'{"id": "7"',
        b'{"a":' * 10_000,
        b'{"id": "7", "seed": ' + b"9" * (sys.get_int_max_str_digits() + 1) + b"}",
    ],
)
def test_what_can_not_be_made_out_is_not_guessed(payload: bytes) -> None:
    assert salvage(payload) == (None, None)
