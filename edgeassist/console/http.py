"""As much of HTTP/1.1 as it takes to hand out files: a request's head in, a response out. Sans-I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

# Chromium sends some 700 bytes, and cookies of other servers on this host.
MAX_HEAD_BYTES = 16_384


class HttpError(Exception):
    """What was sent can't be answered as asked.

    Attributes:
        status: What the response says instead.
    """

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """The head of a request.

    Attributes:
        method: `GET` or `HEAD`.
        path: Without the query, as it was sent.
        headers: By name in lower case.
    """

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Response:
    """A response; the length and the end of the connection are added when it is written."""

    status: HTTPStatus
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def read_request(head: bytes) -> Request:
    """Read a request's head, up to and with the empty line; at a line's end LF is enough (RFC 9112, 2.2).

    Raises:
        HttpError: It is none, or asks for something else than a file.
    """
    first, *lines = [line.removesuffix("\r") for line in head.decode("latin-1").split("\n")]
    if lines[-2:] != ["", ""]:
        raise HttpError(HTTPStatus.BAD_REQUEST, "the request's head is not complete")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):  # noqa: PLR2004 - method, target, version
        raise HttpError(HTTPStatus.BAD_REQUEST, "this is no request of HTTP/1.1")
    method, target, _ = words
    if method not in {"GET", "HEAD"}:
        raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, "files can be fetched here, and no more: GET or HEAD")
    headers: dict[str, str] = {}
    for line in lines[:-2]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise HttpError(HTTPStatus.BAD_REQUEST, "a header has no name")
        if name.lower() == "host" and "host" in headers:
            raise HttpError(HTTPStatus.BAD_REQUEST, "there are two hosts")
        headers[name.lower()] = value.strip()
    return Request(method, target.partition("?")[0], headers)


def write_response(response: Response, *, with_body: bool) -> bytes:
    """Return a response's bytes; of one to `HEAD`, and of one without changes, the head alone."""
    head = [f"HTTP/1.1 {response.status.value} {response.status.phrase}"]
    head += [f"{name}: {value}" for name, value in response.headers.items()]
    if response.status is not HTTPStatus.NOT_MODIFIED:
        head.append(f"Content-Length: {len(response.body)}")
    head.append("Connection: close")
    bare = ("\r\n".join(head) + "\r\n\r\n").encode("latin-1")
    return bare + response.body if with_body else bare
