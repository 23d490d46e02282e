"""What the console hands out: the page's files, and what it is told of this device."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable
from urllib.parse import urlsplit

from edgeassist.console.config import PageConfig
from edgeassist.console.http import HttpError, Request, Response

# A page elsewhere whose name is made to point here (DNS rebinding) sends that name. Not the port: an SSH
# tunnel has its own.
_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "md": "text/plain; charset=utf-8",
}
# A broker's WebSockets behind a tunnel on this machine may have any port.
_LOOPBACK_SOURCES = "ws://localhost:* ws://127.0.0.1:* wss://localhost:* wss://127.0.0.1:*"


class Site:
    """The answers to all requests. To make one reads and compresses files, for some hundredths of a second.

    Args:
        config: What the page is told.
    """

    def __init__(self, config: PageConfig) -> None:
        self._policy = _policy(config.broker)
        self._files = {f"/{name}": _Page.of(name, zipped) for name, zipped in page_files()}
        self._files["/config.json"] = _Page.of("config.json", _zipped(json.dumps(asdict(config)).encode()))
        self._files["/"] = self._files["/index.html"]

    def answer(self, request: Request) -> Response:
        """Return the response; never raises."""
        try:
            page = self._find(request)
        except HttpError as error:
            return self.refuse(error)
        zipped = "gzip" in request.headers.get("accept-encoding", "")
        etag = f'"{page.digest}{"-gzip" if zipped else ""}"'
        headers = {**self._headers(page.type), "ETag": etag, "Vary": "Accept-Encoding"}
        if etag in request.headers.get("if-none-match", ""):
            return Response(HTTPStatus.NOT_MODIFIED, headers=headers)
        if not zipped:
            return Response(HTTPStatus.OK, gzip.decompress(page.zipped), headers)
        return Response(HTTPStatus.OK, page.zipped, {**headers, "Content-Encoding": "gzip"})

    def refuse(self, error: HttpError) -> Response:
        """Return the response to what can't be answered."""
        headers = self._headers("text/plain; charset=utf-8")
        if error.status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = "GET, HEAD"
        return Response(error.status, f"{error}\n".encode(), headers)

    def _find(self, request: Request) -> _Page:
        host = request.headers.get("host", "")
        if _without_port(host).lower() not in _HOSTS:
            raise HttpError(
                HTTPStatus.MISDIRECTED_REQUEST,
                "the console answers to localhost only: open http://localhost with its port, "
                "from another machine through ssh -L",
            )
        page = self._files.get(request.path)
        if page is None:
            raise HttpError(HTTPStatus.NOT_FOUND, "there is no such file here")
        return page

    def _headers(self, kind: str) -> dict[str, str]:
        return {
            "Content-Type": kind,
            # It may keep a file, and asks every time whether that is still the one.
            "Cache-Control": "no-cache",
            "Content-Security-Policy": self._policy,
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }


@dataclass(frozen=True, slots=True)
class _Page:
    """A file, compressed: every browser takes it so, and who does not gets it unpacked."""

    zipped: bytes
    type: str
    digest: str

    @classmethod
    def of(cls, name: str, zipped: bytes) -> _Page:
        return cls(zipped, _TYPES[_suffix(name)], hashlib.sha256(zipped).hexdigest()[:32])


def page_files() -> Iterator[tuple[str, bytes]]:
    """Yield the page's files: their path in it, and what is in them, compressed (gzip).

    One that lies here as `NAME.gz` is the file `NAME` of the page.
    """
    yield from _below(files("edgeassist.console") / "page", "")


def _below(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for each in sorted(folder.iterdir(), key=lambda each: each.name):
        name = each.name.removesuffix(".gz")
        if each.is_dir():
            yield from _below(each, f"{prefix}{each.name}/")
        elif _suffix(name) in _TYPES:
            data = each.read_bytes()
            yield f"{prefix}{name}", data if name != each.name else _zipped(data)


def _suffix(name: str) -> str:
    return name.rpartition(".")[2]


def _zipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def _policy(broker: str) -> str:
    """Return what the page may do: its own files, this broker, and no more."""
    parts = urlsplit(broker)
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            f"connect-src 'self' {parts.scheme}://{parts.netloc} {_LOOPBACK_SOURCES}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host
