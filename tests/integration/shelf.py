"""A web server with files, as hubs and indexes of packages have them, that can be told to misbehave."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, quote, urlsplit


@dataclass
class Seen:
    """A request that came."""

    path: str
    headers: dict[str, str]


@dataclass
class File:
    """What the server has at a path.

    Attributes:
        content: The bytes.
        etag: Entity tag; None: it sends none.
        modified: Last-Modified; None: it sends none.
        ranges: Whether it knows `Range`.
        stubborn: Whether it goes on although `If-Range` names another version.
        cuts: After how many bytes the connection breaks off, for one request after the other.
        then: What takes its place once a connection has been broken off.
        held: After how many bytes it stops until `Shelf.let_go` is set; None: it does not.
        statuses: What it answers instead, for one request after the other.
        sized: Whether it says how long it is.
        length: What it says instead of the true length.
        moved: Where it redirects to; None: nowhere.
        token: What must come as a bearer's; None: nothing.
        type: Content-Type.
    """

    content: bytes
    etag: str | None = None
    modified: str | None = None
    ranges: bool = True
    stubborn: bool = False
    cuts: list[int] = field(default_factory=list)
    then: File | None = None
    held: int | None = None
    statuses: list[int] = field(default_factory=list)
    sized: bool = True
    length: int | str | None = None
    moved: str | None = None
    token: str | None = None
    type: str = "application/octet-stream"


class Shelf:
    """A web server on 127.0.0.1. Paths may have a query, which then must be the same."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.seen: list[Seen] = []
        self.let_go = threading.Event()
        self.reached = threading.Event()
        shelf = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with suppress(ConnectionError):
                    shelf._answer(self)

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="shelf", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def other_url(self) -> str:
        """The same server by another name, as a host of its own."""
        return f"http://localhost:{self._server.server_address[1]}"

    def put(self, path: str, content: bytes, **how: Any) -> File:
        self.files[path] = File(content, **how)
        return self.files[path]

    def put_hub(self, repo: str, files: dict[str, bytes], **how: Any) -> None:
        """Offer a repository as Hugging Face does: a list in two pages, and files that lie elsewhere."""
        listing = [
            {"type": "directory", "path": "cpu", "size": 0, "oid": "0"},
            {"type": "file", "path": ".gitattributes", "size": 9, "oid": "1"},
        ]
        for name, content in files.items():
            digest = hashlib.sha256(content).hexdigest()
            lfs = {"lfs": {"oid": digest, "size": len(content)}} if not name.endswith(".json") else {}
            oid = hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest()  # noqa: S324
            listing.append({"type": "file", "path": name, "size": len(content), "oid": oid, **lfs})
            stored = f"/store/{digest}"
            self.put(stored, content, **how)
            self.put(f"/{repo}/resolve/main/{quote(name)}", b"", moved=f"{self.other_url}{stored}")
        tree = f"/api/models/{repo}/tree/main?recursive=true"
        self.put(tree, json.dumps(listing[:3]).encode(), type="application/json")
        self.put(f"{tree}&cursor=x", json.dumps(listing[3:]).encode(), type="application/json")

    def put_package(self, filename: str, wheel: bytes, *, html: bool = False) -> None:
        """Offer a wheel as PyPI does."""
        project = filename.partition("-")[0].replace("_", "-").lower()
        digest = hashlib.sha256(wheel).hexdigest()
        self.put(f"/files/{filename}", wheel, etag='"1"')
        page = f"/simple/{project}/"
        if html:
            link = f'<a href="../../files/{filename}#sha256={digest}">{filename}</a>'
            self.put(page, f"<!DOCTYPE html><html><body>{link}</body></html>".encode(), type="text/html")
            return
        there = json.loads(self.files[page].content)["files"] if page in self.files else []
        entry = {
            "filename": filename,
            "url": f"../../files/{filename}",
            "hashes": {"sha256": digest},
            "size": len(wheel),
            "yanked": False,
        }
        self.put(
            page,
            json.dumps({"meta": {"api-version": "1.1"}, "files": [*there, entry]}).encode(),
            type="application/vnd.pypi.simple.v1+json",
        )

    def asked(self, path: str) -> list[Seen]:
        return [seen for seen in self.seen if urlsplit(seen.path).path == path]

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append(Seen(request.path, headers))
        file = self._find(request.path)
        if file is None:
            request.send_error(404)
            return
        if file.token is not None and headers.get("authorization") != f"Bearer {file.token}":
            request.send_error(401)
            return
        if file.statuses:
            request.send_error(file.statuses.pop(0))
            return
        if file.moved is not None:
            request.send_response(302)
            request.send_header("Location", file.moved)
            request.end_headers()
            return
        self._send(request, file, headers)

    def _find(self, path: str) -> File | None:
        if path in self.files:
            return self.files[path]
        wanted = urlsplit(path)
        same: Callable[[str], bool] = lambda each: (  # noqa: E731
            urlsplit(each).path == wanted.path and parse_qs(urlsplit(each).query) == parse_qs(wanted.query)
        )
        return next((file for each, file in self.files.items() if same(each)), None)

    def _start(self, file: File, headers: dict[str, str]) -> int:
        asked = headers.get("range", "").removeprefix("bytes=").removesuffix("-")
        same = file.stubborn or headers.get("if-range") in {None, file.etag, file.modified}
        return int(asked) if asked and file.ranges and same else 0

    def _send(self, request: BaseHTTPRequestHandler, file: File, headers: dict[str, str]) -> None:
        start, content = self._start(file, headers), file.content
        if start and start >= len(content):
            request.send_error(416)
            return
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if file.sized:
            request.send_header("Content-Length", str(file.length or len(content) - start))
        if file.etag is not None:
            request.send_header("ETag", file.etag)
        if file.modified is not None:
            request.send_header("Last-Modified", file.modified)
        if "tree" in request.path and "cursor" not in request.path:
            # As a mirror passes it on: the origin's address.
            request.send_header("Link", f'<https://huggingface.co{request.path}&cursor=x>; rel="next"')
        request.send_header("Content-Type", file.type)
        request.end_headers()
        body = content[start:]
        if file.cuts:
            if file.then is not None:
                self.files[request.path] = file.then
            request.wfile.write(body[: file.cuts.pop(0)])
            return
        if file.held is not None:
            request.wfile.write(body[: file.held])
            request.wfile.flush()
            self.reached.set()
            self.let_go.wait()
            body = body[file.held :]
        request.wfile.write(body)
