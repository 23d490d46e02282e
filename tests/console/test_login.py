"""Why there is no connection, or no answer, in words."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, WebSocketRoute, expect

from edgeassist import __version__
from edgeassist.console.config import PageConfig
from tests.console.stage import Stage, ask, close, config_of, last_turn, log_in, serving, stage

# The installer's rights of clients, for alice; guest may look.
RIGHTS = """
user daemon
topic readwrite edgeassist/#

user alice
topic write edgeassist/+/prompt/alice
topic write edgeassist/+/command/cancel/alice
topic read edgeassist/+/response/cancel/alice
topic read edgeassist/+/reply/alice/#
topic read edgeassist/+/status
topic read edgeassist/+/health
topic read edgeassist/+/telemetry

user guest
topic read edgeassist/#
"""
PASSWORD = "correct horse"  # noqa: S105 - of a broker that lives for this module
SUBACK, REFUSED = 0x90, 0x87
# As in a browser that is told to keep nothing for pages.
NOTHING_KEPT = """
for (const name of ["localStorage", "sessionStorage"]) {
  Object.defineProperty(window, name, { get() { throw new DOMException("denied", "SecurityError"); } });
}
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Stage]:
    """A broker that asks for a login, and keeps clients apart."""
    folder = tmp_path_factory.mktemp("guarded")
    accounts, rights = folder / "accounts", folder / "rights"
    accounts.touch(0o600)
    for name in ("daemon", "alice", "guest"):
        subprocess.run(["mosquitto_passwd", "-b", str(accounts), name, PASSWORD], check=True)
    rights.write_text(RIGHTS)
    rights.chmod(0o600)
    settings = ("allow_anonymous false", f"password_file {accounts}", f"acl_file {rights}")
    login = {"mqtt__username": "daemon", "mqtt__password": PASSWORD}
    with stage(folder, browser, settings, **login) as running:
        yield running


@pytest.fixture(scope="module")
def form(guarded: Stage) -> Iterator[Page]:
    """A page that a module shares."""
    page = guarded.open()
    yield page
    close(page.context)


@pytest.fixture
def asked(form: Page, guarded: Stage) -> Page:
    """The page with its form."""
    if form.get_by_role("button", name="Log out").is_visible():
        form.get_by_role("button", name="Log out").click()
    expect(form.get_by_role("heading", name="Log in to the broker")).to_be_visible()
    form.get_by_label("Broker (WebSocket)").fill(guarded.broker.url)
    return form


def test_a_wrong_login_is_told_and_can_be_mended(asked: Page) -> None:
    for username, password in (("alice", "wrong"), ("nobody", PASSWORD), ("", "")):
        log_in(asked, username, password)
        expect(asked.locator(".why")).to_have_text("The broker refuses this user with this password.")
        assert "wrong" not in asked.evaluate("JSON.stringify(sessionStorage)")
    log_in(asked, "alice", PASSWORD)
    expect(asked.locator("#state")).to_have_attribute("data-state", "online")


def test_a_browser_that_keeps_nothing_shows_the_page(asked: Page) -> None:
    page = asked.context.new_page()
    page.add_init_script(NOTHING_KEPT)
    page.goto(asked.url)
    log_in(page, "alice", PASSWORD)
    expect(page.locator("#state")).to_have_attribute("data-state", "online")
    page.get_by_label("Language").select_option("中文")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    page.close()


def test_an_account_asks_and_stops_on_the_topics_of_its_name(asked: Page) -> None:
    log_in(asked, "alice", PASSWORD)
    ask(asked, "!script repeat=2000 delay_ms=20\n Word.")
    expect(last_turn(asked).locator(".body")).to_contain_text("Word.")
    asked.get_by_role("button", name="Stop").click()
    expect(last_turn(asked)).to_contain_text("Stopped.")


def test_a_prompt_that_the_broker_refuses_is_told(asked: Page) -> None:
    log_in(asked, "guest", PASSWORD)
    ask(asked, "Hello")
    expect(last_turn(asked).locator(".bad")).to_contain_text(
        "The broker does not let this login publish on edgeassist/box/prompt/guest."
    )
    expect(asked.get_by_role("button", name="Send", exact=True)).to_be_visible()


def test_the_login_outlives_a_reload_and_is_forgotten_by_logging_out(asked: Page) -> None:
    log_in(asked, "alice", PASSWORD)
    expect(asked.locator("#state")).to_have_attribute("data-state", "online")
    asked.reload()
    expect(asked.locator("#state")).to_have_attribute("data-state", "online")
    assert PASSWORD not in asked.evaluate("JSON.stringify(localStorage)")
    ask(asked, "Between us")
    expect(last_turn(asked).locator(".timings")).to_be_visible()
    asked.evaluate("window.inMemory = true")
    asked.get_by_role("button", name="Log out").click()
    expect(asked.get_by_role("heading", name="Log in to the broker")).to_be_visible()
    # It began anew: findings, lists and figures of views are gone, too.
    assert asked.evaluate("window.inMemory") is None
    kept = asked.evaluate("JSON.stringify(sessionStorage)")
    assert PASSWORD not in kept
    assert "Between us" not in kept


def test_a_subscription_that_the_broker_refuses_is_told(guarded: Stage) -> None:
    # Mosquitto grants what may not be read, and other brokers don't.
    page = guarded.open()
    page.route_web_socket("**", refuse_replies)
    log_in(page, "alice", PASSWORD)
    ask(page, "Hello")
    expect(last_turn(page).locator(".bad")).to_contain_text(
        "The broker does not let this login read edgeassist/box/reply/alice/"
    )
    close(page.context)


def refuse_replies(socket: WebSocketRoute) -> None:
    """Pass all on, but say of each subscription to replies that it is refused."""
    server = socket.connect_to_server()
    refused: set[bytes] = set()

    def ask_for(message: str | bytes) -> None:
        assert isinstance(message, bytes)
        if message[0] >> 4 == 8 and b"/reply/" in message:
            refused.add(message[2:4])
        server.send(message)

    def grant(message: str | bytes) -> None:
        assert isinstance(message, bytes)
        packets = bytearray(message)
        at = 0
        while at + 2 <= len(packets) and packets[at + 1] < 128:
            size = packets[at + 1] + 2
            if packets[at] == SUBACK and bytes(packets[at + 2 : at + 4]) in refused:
                packets[at + size - 1] = REFUSED
            at += size
        socket.send(bytes(packets))

    socket.on_message(ask_for)
    server.on_message(grant)


def opened(browser: Browser, config: PageConfig, url: str) -> Page:
    page = browser.new_context(locale="en-GB").new_page()
    page.goto(url)
    return page


def test_a_broker_without_websockets_is_told_with_the_lines_that_open_them(
    guarded: Stage, browser: Browser
) -> None:
    port = guarded.broker.port
    config = config_of(f"ws://127.0.0.1:{port}")
    with serving(config) as url:
        page = opened(browser, config, url)
        log_in(page)
        expect(page.locator(".why")).to_contain_text("No WebSocket answers at")
        expect(page.locator(".why pre")).to_have_text(f"listener {port} 127.0.0.1\nprotocol websockets")
        page.get_by_label("Broker (WebSocket)").fill(guarded.broker.url)
        log_in(page, "alice", PASSWORD)
        expect(page.locator("#state")).to_have_attribute("data-state", "online")
        page.context.close()


def test_a_broker_that_grants_a_login_and_hangs_up_is_asked_ever_more_seldom(
    browser: Browser, guarded: Stage
) -> None:
    def hang_up(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def pass_on(packets: str | bytes) -> None:
            socket.send(packets)
            if packets[0] == SUBACK:
                socket.close()

        server.on_message(pass_on)

    page = browser.new_context(locale="en-GB").new_page()
    page.route_web_socket(re.compile("^ws:"), hang_up)
    page.goto(guarded.url)
    log_in(page, "alice", PASSWORD)
    # One that begins anew each time never waits for more than 1.25 s.
    expect(page.locator("#notices .again")).to_have_text(re.compile(r"in [3-9] s"))
    page.context.close()


def test_an_address_that_the_page_may_not_speak_to_is_told(asked: Page) -> None:
    for address, words in (
        ("ws://192.0.2.1:9001", "edgeassist console --broker ws://192.0.2.1:9001"),
        ("broker", "begins with ws:// or wss://"),
        ("http://localhost:1", "begins with ws:// or wss://"),
    ):
        asked.get_by_label("Broker (WebSocket)").fill(address)
        log_in(asked)
        expect(asked.locator(".why")).to_contain_text(words)


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ('export const VERSION = "0.0.9"; export const PROTOCOL = 1;', "This page is of EdgeAssist 0.0.9"),
        (f'export const VERSION = "{__version__}"; export const PROTOCOL = 0;', "and this page knows 0"),
    ],
)
def test_an_old_page_with_a_newer_device_says_so(box: Stage, version: str, words: str) -> None:
    page = box.open()
    page.route("**/version.js", lambda route: old(route, version))
    page.reload()
    log_in(page)
    expect(page.locator("#notices")).to_contain_text(words)
    close(page.context)


def old(route: Route, version: str) -> None:
    """Answer as a cache does."""
    route.fulfill(body=version, content_type="text/javascript")


def test_a_page_of_an_older_version_than_the_device_says_so(browser: Browser, box: Stage) -> None:
    # Served by an EdgeAssist that was not updated: page and server are alike.
    config = config_of(box.broker.url, version="0.0.9")
    with serving(config) as url:
        page = browser.new_context(locale="en-GB").new_page()
        body = 'export const VERSION = "0.0.9"; export const PROTOCOL = 1;'
        page.route("**/version.js", lambda route: old(route, body))
        page.goto(url)
        log_in(page)
        expect(page.locator("#notices")).to_contain_text(
            f"EdgeAssist 0.0.9, and the device has {__version__}"
        )
        page.context.close()


def test_mqtt_3_1_1_does_too(browser: Browser, box: Stage) -> None:
    with serving(config_of(box.broker.url, mqtt="3.1.1")) as url:
        page = browser.new_context(locale="en-GB").new_page()
        page.goto(url)
        log_in(page)
        ask(page, "!script repeat=2000 delay_ms=20\n Word.")
        expect(last_turn(page).locator(".body")).to_contain_text("Word.")
        page.get_by_role("button", name="Stop").click()
        expect(last_turn(page)).to_contain_text("Stopped.")
        page.context.close()


def test_a_page_that_could_not_be_loaded_whole_says_so(browser: Browser, box: Stage) -> None:
    page = browser.new_context(locale="en-GB").new_page()
    page.route("**/vendor/*", lambda route: route.abort())
    page.goto(box.url)
    expect(page.locator("#view")).to_contain_text("could not be loaded whole")
    page.unroute("**/vendor/*")
    page.get_by_role("button", name="Reload").click()
    expect(page.get_by_role("heading", name="Log in to the broker")).to_be_visible()
    page.context.close()


def test_the_console_says_so_where_its_server_is_gone(browser: Browser, box: Stage, tmp_path: Path) -> None:
    page = browser.new_context(locale="en-GB").new_page()
    page.route("**/config.json", lambda route: route.abort())
    page.goto(box.url)
    expect(page.locator("#view")).to_contain_text("Is edgeassist console still running?")
    page.unroute("**/config.json")
    expect(page.get_by_role("heading", name="Log in to the broker")).to_be_visible()
    page.context.close()
