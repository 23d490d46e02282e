import ipaddress
import re
import uuid
from collections.abc import Callable
from datetime import date, datetime, time
from urllib.parse import urlsplit

import pytest
from llguidance import LLMatcher

from edgeassist.engine.constraints.formats import FORMATS
from tests.judge.walks import allows, walks

READERS: dict[str, Callable[[str], object]] = {
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "date-time": datetime.fromisoformat,
    "duration": lambda text: re.fullmatch(r"P(?=.)(\d+[YMWD])*(T(?=.)(\d+[HMS])+)?", text) or int(text),
    "email": lambda text: len(text.encode("ascii").partition(b"@")[0]) <= 64 or int(text),
    "hostname": lambda text: max(map(len, text.encode("idna").split(b"."))) <= 63 or int(text),
    "ipv4": ipaddress.IPv4Address,
    "ipv6": ipaddress.IPv6Address,
    "uuid": uuid.UUID,
    "uri": lambda text: urlsplit(text).scheme or int(text),
}


def test_every_format_is_read() -> None:
    assert set(READERS) == set(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_every_text_of_a_format_can_be_read(name: str) -> None:
    texts = list(walks(LLMatcher.grammar_from_regex(FORMATS[name]), 100, name))
    assert len(texts) > 50
    for text in texts:
        READERS[name](text.decode())


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("date", "2024-02-29", True),
        ("date", "2023-02-29", False),
        ("date", "1900-02-29", False),
        ("date", "2000-02-29", True),
        ("date", "0000-01-01", False),
        ("date", "2024-04-31", False),
        ("time", "23:59:59Z", True),
        ("time", "23:59:60Z", False),
        ("date-time", "2024-01-01T00:00:00.123+08:00", True),
        ("date-time", "2024-01-01 00:00:00", False),
        ("duration", "P1DT2H", True),
        ("duration", "P", False),
        ("duration", "PT", False),
        ("email", "joe.bloggs+home@example.com", True),
        ("email", "joe..bloggs@example.com", False),
        ("hostname", "living-room.local", True),
        ("hostname", "-a", False),
        ("ipv4", "192.168.0.1", True),
        ("ipv4", "192.168.0.256", False),
        ("ipv4", "01.2.3.4", False),
        ("ipv6", "fe80::1", True),
        ("ipv6", "::", True),
        ("ipv6", "1::2::3", False),
        ("uri", "https://example.com:8443/a%20b?c=d#e", True),
        ("uri", "mailto:joe@example.com", True),
        ("uri", "urn:uuid:1", True),
        ("uri", "/path", False),
    ],
)
def test_a_format_is_what_its_rfc_says(name: str, text: str, expected: bool) -> None:  # noqa: FBT001
    assert allows(LLMatcher.grammar_from_regex(FORMATS[name]), text.encode()) is expected
