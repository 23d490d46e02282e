"""Requests to the console's server."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from edgeassist.console.config import PageConfig
from edgeassist.console.http import HttpError, read_request, write_response
from edgeassist.console.site import Site
from tests.fuzz import mutation
from tests.fuzz.target import FaultError, Parser, Target

_SITE = Site(PageConfig("ws://pi:9001", "5", "edgeassist", "box", None, "0.1.0"))
_SEEDS = (
    b"GET / HTTP/1.1\r\nHost: localhost:8484\r\nAccept: */*\r\n\r\n",
    b'HEAD /vendor/mqtt.esm.js?x=1 HTTP/1.1\r\nHost: [::1]:8484\r\nIf-None-Match: W/"a", "b"\r\n\r\n',
    b"GET /%2e%2e/site.py HTTP/1.0\r\nhost: 127.0.0.1\r\nCookie: a=b; c=d\r\n\r\n",
    b"POST /config.json HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 5\r\n\r\n",
)


def _answer(head: bytes) -> Hashable:
    try:
        response = _SITE.answer(read_request(head))
    except HttpError as error:
        response = _SITE.refuse(error)
    written = write_response(response, with_body=True)
    told, _, body = written.partition(b"\r\n\r\n")
    if body != response.body or b"Content-Security-Policy: default-src 'none'" not in told:
        raise FaultError("a response is not whole, or not confined")
    return response.status


def targets() -> Sequence[Target]:
    """Return what reads something that a browser sent."""
    return [Parser("console", _answer, lambda: _SEEDS, mutate=mutation.mutate_lines)]
