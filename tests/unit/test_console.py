"""The console's server, and what it hands out."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from posixpath import normpath

import pytest

from edgeassist import __version__
from edgeassist.console import server as server_module
from edgeassist.console import site as site_module
from edgeassist.console.config import PageConfig, check_broker_url
from edgeassist.console.http import HttpError, Request, read_request
from edgeassist.console.server import HOST, Server
from edgeassist.console.site import Site, page_files
from edgeassist.errors import ConfigurationError
from edgeassist.gateways.console import Console, ConsoleOptions
from edgeassist.protocol.state import PROTOCOL_VERSION
from edgeassist.sandbox import free_port
from edgeassist.settings import Settings
from edgeassist.wiring import page_config_of
from tests.patience import PATIENCE_S

CONFIG = PageConfig("ws://pi:9001", "5", "edgeassist", "box", None, "0.1.0")
# As a browser gets them, and as they lie in the package.
MOST_SENT_BYTES = 200_000
MOST_BYTES = 500_000
PAGE = Path(site_module.__file__).parent / "page"
FILES = {name: gzip.decompress(data).decode() for name, data in page_files()}


def get(path: str = "/", host: str = "localhost:8484", **headers: str) -> Request:
    return Request("GET", path, {"host": host, **headers})


# --- the page ---------------------------------------------------------------------------------------------


def test_all_files_together_are_small() -> None:
    site = Site(CONFIG)
    sent = [site.answer(get(f"/{name}", **{"accept-encoding": "gzip, br"})) for name in FILES]
    assert all(response.headers["Content-Encoding"] == "gzip" for response in sent)
    assert sum(len(response.body) for response in sent) <= MOST_SENT_BYTES
    assert sum(each.stat().st_size for each in PAGE.rglob("*") if each.is_file()) <= MOST_BYTES
    assert [gzip.decompress(response.body).decode() for response in sent] == [*FILES.values()]


def test_the_page_has_the_files_that_it_loads_and_no_others() -> None:
    loaded = {"vendor/mqtt.LICENSE.md", "index.html"}
    left = re.findall(r'(?:src|href)="([^"#]+)"', FILES["index.html"])
    while left:
        name = left.pop()
        if name not in loaded:
            loaded.add(name)
            left += [] if name.startswith("vendor/") else imports_of(name)
    assert loaded == set(FILES)


def imports_of(name: str) -> list[str]:
    """Return what a module imports, as paths in the page."""
    folder = PurePosixPath(name).parent
    return [
        normpath(folder / path)
        for path in re.findall(r'^import .*from "([^"]+)";$', FILES[name], re.MULTILINE)
    ]


def test_no_file_of_ours_makes_markup_of_text_or_reaches_elsewhere() -> None:
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc|https?://\w"
    )
    for name, text in FILES.items():
        if name.startswith("vendor/"):
            continue
        found = re.findall(forbidden, text.replace("http://www.w3.org/2000/svg", ""))
        assert not found, f"{name}: {found}"
    assert not re.search(r"<style|style=|<script(?! (type=\"module\" )?src=)|\son\w+=", FILES["index.html"])


def test_the_page_knows_its_version_and_that_of_the_contract() -> None:
    said = dict(re.findall(r'export const (\w+) = "?([^";]+)"?;', FILES["version.js"]))
    assert said == {"VERSION": __version__, "PROTOCOL": str(PROTOCOL_VERSION)}


# --- requests ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"", HTTPStatus.BAD_REQUEST),
        (b"\r\n", HTTPStatus.BAD_REQUEST),
        (b"GET /\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"GET / HTTP/2\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"GET / HTTP/1.1\r\nHost\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"GET / HTTP/1.1\r\n : x\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"POST / HTTP/1.1\r\n\r\n", HTTPStatus.METHOD_NOT_ALLOWED),
        (b"OPTIONS * HTTP/1.1\r\n\r\n", HTTPStatus.METHOD_NOT_ALLOWED),
    ],
)
def test_what_asks_for_no_file_is_refused(head: bytes, status: HTTPStatus) -> None:
    with pytest.raises(HttpError) as raised:
        read_request(head)
    assert raised.value.status is status


def test_a_request_is_read() -> None:
    head = b'HEAD /app.js?x=1 HTTP/1.1\r\nHOST:  localhost\r\nIf-None-Match: "a"\r\n\r\n'
    assert read_request(head) == Request("HEAD", "/app.js", {"host": "localhost", "if-none-match": '"a"'})


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8484", "", "localhost.evil.example", "192.0.2.7"]
)
def test_another_host_gets_nothing(host: str) -> None:
    response = Site(CONFIG).answer(get(host=host))
    assert response.status is HTTPStatus.MISDIRECTED_REQUEST
    assert b"ssh -L" in response.body


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:9", "LOCALHOST:8484", "127.0.0.1:8484", "[::1]:8484"]
)
def test_this_host_does_whatever_its_port(host: str) -> None:
    assert Site(CONFIG).answer(get(host=host)).status is HTTPStatus.OK


@pytest.mark.parametrize(
    "path", ["/nothing.js", "/../site.py", "/%2e%2e/site.py", "/views/", "//etc/passwd", "/page/app.js", "*"]
)
def test_nothing_but_the_page_is_handed_out(path: str) -> None:
    assert Site(CONFIG).answer(get(path)).status is HTTPStatus.NOT_FOUND


def test_every_response_is_confined() -> None:
    site = Site(CONFIG)
    for request in (get(), get("/config.json"), get("/nothing"), get(host="evil.example")):
        headers = site.answer(request).headers
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "frame-ancestors 'none'" in policy
        assert "connect-src 'self' ws://pi:9001 ws://localhost:* " in policy
        assert not re.search(r"unsafe|data:|blob:|\*(?!;| |$)", policy)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-cache"


def test_what_a_browser_has_already_is_not_sent_again() -> None:
    site = Site(CONFIG)
    first = site.answer(get("/app.js"))
    etag = first.headers["ETag"]
    again = site.answer(get("/app.js", **{"if-none-match": f'"other", {etag}'}))
    assert (again.status, again.body) == (HTTPStatus.NOT_MODIFIED, b"")
    assert site.answer(get("/app.js", **{"if-none-match": '"other"'})).body == first.body


def test_the_page_is_told_no_secret() -> None:
    settings = Settings.model_validate(
        {"mqtt": {"host": "pi", "username": "u", "password": "hidden"}, "device": {"name": "box"}}
    )
    told = json.loads(Site(page_config_of(settings)).answer(get("/config.json")).body)
    assert told == {
        "broker": "ws://pi:9001",
        "mqtt": "5",
        "base": "edgeassist",
        "device": "box",
        "group": None,
        "version": __version__,
    }


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({"mqtt": {"host": "fd00::1"}}, "ws://[fd00::1]:9001"),
        ({"mqtt": {"host": "pi", "tls": True}}, "wss://pi:9001"),
        ({"mqtt": {"host": "bröker.example"}}, "ws://xn--brker-kua.example:9001"),
        ({"mqtt": {"host": "pi:1883"}, "console": {"broker": "ws://pi:9001"}}, "ws://pi:9001"),
        ({"console": {"broker": "wss://proxy/mqtt"}}, "wss://proxy/mqtt"),
    ],
)
def test_the_brokers_address_is_guessed_or_set(settings: dict[str, object], url: str) -> None:
    assert page_config_of(Settings.model_validate(settings)).broker == url


@pytest.mark.parametrize("host", ["pi:1883", "pi; script-src *", "u@pi", "pi 1"])
def test_a_name_that_no_browser_can_reach_says_what_to_set(host: str) -> None:
    settings = Settings.model_validate({"mqtt": {"host": host}})
    with pytest.raises(ConfigurationError, match=r"set console\.broker"):
        page_config_of(settings)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "pi:9001",
        "http://pi",
        "ws://",
        "ws://u:p@pi",
        "ws://pi; script-src *",
        "ws://pi:x",
        "ws://pi 1",
        "ws://pï",
    ],
)
def test_no_address_of_a_websocket_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="such as ws://broker:9001"):
        check_broker_url(url)


# --- the listener -----------------------------------------------------------------------------------------


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server(Site(CONFIG), 0) as running:
        yield running


def port_of(server: Server) -> int:
    return int(server.url.rpartition(":")[2].strip("/"))


async def fetch(server: Server, head: str) -> tuple[str, bytes]:
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(HOST, port_of(server))
        writer.write(head.encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    told, _, body = answer.partition(b"\r\n\r\n")
    return told.decode(), body


async def test_a_file_is_handed_out_whole(server: Server) -> None:
    head, body = await fetch(server, "GET /vendor/mqtt.esm.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 OK")
    assert body.decode() == FILES["vendor/mqtt.esm.js"]
    assert f"Content-Length: {len(body)}" in head
    assert "Content-Encoding" not in head


async def test_a_head_alone_has_no_body(server: Server) -> None:
    head, body = await fetch(server, "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert f"Content-Length: {len(FILES['index.html'].encode())}" in head
    assert body == b""


@pytest.mark.parametrize("more", [f"X: {'x' * 20_000}\r\n", "X: x\r\n" * 4_000])
async def test_a_head_that_is_too_long_is_refused(server: Server, more: str) -> None:
    head, _ = await fetch(server, f"GET / HTTP/1.1\r\nHost: localhost\r\n{more}\r\n")
    assert head.startswith("HTTP/1.1 431")


async def test_a_head_whose_lines_end_without_cr_is_answered_at_once(server: Server) -> None:
    head, body = await fetch(server, "GET /app.js HTTP/1.1\nHost: localhost\nAccept: */*\n\n")
    assert head.startswith("HTTP/1.1 200 OK")
    assert body.decode() == FILES["app.js"]


async def test_who_says_nothing_is_left_alone_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "LIMIT_S", 0.05)
    async with Server(Site(CONFIG), 0) as server:
        assert await fetch(server, "GET / HT") == ("", b"")


async def test_too_many_connections_keep_nobody_else_away_for_ever(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "CONNECTIONS", 1)
    _, idle = await asyncio.open_connection(HOST, port_of(server))
    async with asyncio.timeout(PATIENCE_S):
        while not server._open:
            await asyncio.sleep(0.01)
    with pytest.raises((ConnectionError, AssertionError)):
        assert (await fetch(server, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))[0]
    idle.close()
    async with asyncio.timeout(PATIENCE_S):
        while server._open:
            await asyncio.sleep(0.01)
    assert (await fetch(server, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))[0].startswith("HTTP/1.1 200")


async def test_a_port_that_is_taken_is_told_in_a_sentence(server: Server) -> None:
    with pytest.raises(ConfigurationError, match=r"port \d+ of 127\.0\.0\.1 is taken: name another"):
        async with Server(Site(CONFIG), port_of(server)):
            pass


# --- the gateway ------------------------------------------------------------------------------------------


async def test_the_daemon_serves_it_while_it_is_wanted(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    off = ConsoleOptions(on=False, port=port_of(server), broker=None)
    console = Console(off, lambda _: CONFIG)
    task = asyncio.create_task(console.run())
    await asyncio.sleep(0)
    console.apply(ConsoleOptions(on=True, port=port_of(server), broker=None))
    await until(caplog, "is taken")
    console.apply(ConsoleOptions(on=True, port=free_port(), broker=None))
    await until(caplog, "the console is at http://localhost:")
    console.apply(off)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


async def until(caplog: pytest.LogCaptureFixture, words: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while words not in caplog.text:
            await asyncio.sleep(0.01)
