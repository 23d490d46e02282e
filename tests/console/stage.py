"""A broker with WebSockets, a device that echoes, the console's server, and a page in a real Chromium."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from playwright.sync_api import Browser, BrowserContext, Locator, Page, TimeoutError, expect  # noqa: A004

from edgeassist import __version__
from edgeassist.console.config import PageConfig
from edgeassist.console.server import Server
from edgeassist.console.site import Site
from edgeassist.sandbox import HOST, PrivateBroker, PrivateDaemon
from tests.conftest import environ_of
from tests.patience import PATIENCE_S

# Text that repeats would be drafted, and come many tokens at a time.
SLOW = {"engine__speculate": "false"}
# What each page has thrown.
_FAULTS: dict[Page, list[str]] = {}
# What it could not fetch.
_LOST: dict[Page, list[str]] = {}
expect.set_options(timeout=PATIENCE_S * 1000)


class WebBroker(PrivateBroker):
    """A Mosquitto that speaks MQTT over WebSockets too.

    Args:
        folder: For its configuration and log.
        settings: Extra lines of mosquitto.conf(5), besides the listeners.
    """

    def __init__(self, folder: Path, settings: Sequence[str] = ("allow_anonymous true",)) -> None:
        # By default it drops what is more than 1,000 messages ahead of a browser, at QoS 1 too.
        super().__init__(folder, [*settings, "max_queued_messages 100000"], web=True)

    @property
    def url(self) -> str:
        """Where a browser reaches it."""
        return f"ws://{HOST}:{self.web_port}"


@contextmanager
def serving(config: PageConfig) -> Iterator[str]:
    """Serve the page in a thread of its own; yield its address."""
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    ready: list[str] = []
    listens = threading.Event()

    async def serve() -> None:
        async with Server(Site(config), 0) as server:
            ready.append(server.url)
            listens.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), name="console", daemon=True)
    thread.start()
    assert listens.wait(PATIENCE_S)
    try:
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE_S)
        loop.close()


def config_of(broker: str, **values: Any) -> PageConfig:
    """Return what the page is told of a test's device."""
    defaults: dict[str, Any] = {
        "mqtt": "5",
        "base": "edgeassist",
        "device": "box",
        "group": None,
        "version": __version__,
    }
    return PageConfig(broker=broker, **{**defaults, **values})


@dataclass(frozen=True, slots=True)
class Stage:
    """What a module's tests share.

    Attributes:
        broker: Theirs.
        daemon: The device `box`, whose backend is `scripted`.
        url: Where the page is.
        browser: A Chromium.
    """

    broker: WebBroker
    daemon: PrivateDaemon
    url: str
    browser: Browser

    def open(self, **options: Any) -> Page:
        """Return a page in a browser context of its own, in English unless told otherwise."""
        context = self.browser.new_context(**{"locale": "en-GB", "reduced_motion": "reduce", **options})
        context.set_default_timeout(PATIENCE_S * 1000)
        page = context.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        _FAULTS[page] = faults
        page.on("requestfailed", lambda request: _LOST.setdefault(page, []).append(request.url))
        page.goto(self.url)
        shown = page.locator("form.login, [role=tablist]")
        try:
            shown.first.wait_for()
        except TimeoutError as error:
            told = page.locator("body").inner_text()
            raise AssertionError(f"{told}\n{faults}\nnot fetched: {_LOST.get(page)}") from error
        return page

    def enter(self, **options: Any) -> Page:
        """Return a page that is logged in, and knows the device."""
        page = self.open(**options)
        log_in(page)
        expect(page.locator("#state")).to_have_attribute("data-state", "online")
        return page


def log_in(page: Page, username: str = "", password: str = "") -> None:
    """Fill the form, and send it."""
    page.locator("input[autocomplete=username]").fill(username)
    page.locator("input[type=password]").fill(password)
    page.locator("form.login button[type=submit]").click()


@contextmanager
def stage(folder: Path, browser: Browser, settings: Sequence[str] = (), **device: Any) -> Iterator[Stage]:
    """Start all of it.

    Args:
        folder: For configuration and logs.
        browser: A Chromium.
        settings: Extra lines of mosquitto.conf(5); by default anybody may do anything.
        device: Settings of the daemon, as `engine__slots=4`.
    """
    with ExitStack() as stack:
        broker = stack.enter_context(WebBroker(folder, settings or ("allow_anonymous true",)))
        daemon = stack.enter_context(PrivateDaemon(folder, environ_of(broker.port, **{**SLOW, **device})))
        config = config_of(broker.url, device=device.get("device__name", "box"))
        url = stack.enter_context(serving(config))
        yield Stage(broker, daemon, url, browser)


def close(context: BrowserContext) -> None:
    """End a context; what its pages threw fails the test."""
    faults = [fault for page in context.pages for fault in _FAULTS.pop(page, [])]
    context.close()
    assert not faults, faults


def begin_anew(page: Page) -> None:
    """Undo what a test has said, typed and chosen."""
    page.locator("#language select").select_option("en")
    page.locator("#tab-chat").click()
    page.get_by_label("Device", exact=True).select_option("box")
    expect(page.locator("#state")).to_have_attribute("data-state", "online")
    page.get_by_role("button", name="New conversation").click()
    page.locator("form.composer").evaluate(
        """form => {
          form.reset();
          form.dispatchEvent(new Event("input"));
          form.querySelector("details.options").open = false;
        }"""
    )
    expect(page.locator(".turn")).to_have_count(0)


def ask(page: Page, prompt: str) -> None:
    """Type a message, and send it."""
    page.get_by_label("Message").fill(prompt)
    page.get_by_role("button", name="Send", exact=True).click()


def last_turn(page: Page) -> Locator:
    """Return the newest turn of the chat."""
    return page.locator(".turn").last


def reply_topic(page: Page, device: str = "box") -> str:
    """Return where a page is answered that has no user's name."""
    tab = page.evaluate("JSON.parse(sessionStorage.getItem('edgeassist.tab'))")
    return f"edgeassist/{device}/reply/console/console-{tab}"


def publish(box: Stage, topic: str, payload: str, *options: str) -> None:
    """Publish a message as anybody may."""
    subprocess.run([*_publishing(box, topic), "-m", payload, *options], check=True)


def publish_lines(box: Stage, topic: str, lines: Iterable[str]) -> None:
    """Publish a message for each line."""
    subprocess.run([*_publishing(box, topic), "-l"], input="\n".join(lines), text=True, check=True)


def _publishing(box: Stage, topic: str) -> list[str]:
    return ["mosquitto_pub", "-h", HOST, "-p", str(box.broker.port), "-q", "1", "-t", topic]


class Ear:
    """Hears topics, in a process of its own, inside its `with`.

    Args:
        broker: Where.
        filters: Which.
    """

    def __init__(self, broker: PrivateBroker, *filters: str) -> None:
        topics = [word for each in filters for word in ("-t", each)]
        self._command = [
            "stdbuf",
            "-oL",
            "mosquitto_sub",
            "-d",
            "-v",
            "-q",
            "1",
            "-h",
            HOST,
            "-p",
            str(broker.port),
            *topics,
        ]
        self._lines: list[str] = []
        self._listens = threading.Event()
        self._news = threading.Condition()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        self._thread = threading.Thread(target=self._read, name="ear", daemon=True)
        self._thread.start()
        if not self._listens.wait(PATIENCE_S):
            self.__exit__()
            raise AssertionError("mosquitto_sub does not say that it listens")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._thread.join(PATIENCE_S)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                if line.startswith("Subscribed"):
                    self._listens.set()
                elif line.startswith("edgeassist/"):
                    with self._news:
                        self._lines.append(line.rstrip("\n"))
                        self._news.notify_all()

    def wait_for(self, kind: str) -> None:
        """Wait until such an event was heard."""
        self.wait_until(lambda: kind in self.kinds())

    def wait_until(self, reached: Callable[[], bool]) -> None:
        """Wait until that is so of what was heard."""
        with self._news:
            assert self._news.wait_for(reached, PATIENCE_S)

    def requests(self, kind: str) -> list[dict[str, Any]]:
        """Return what was published on `prompt` or `decide` topics."""
        found = (line.partition(" ") for line in self._lines if line.split("/")[2] == kind)
        return [json.loads(payload) for _, _, payload in found]

    def prompts(self) -> list[str]:
        """Return what was published on prompt topics."""
        return [line for line in self._lines if line.split("/")[2] == "prompt"]

    def kinds(self) -> list[str]:
        """Return the types of the events on reply topics."""
        replies = (line.partition(" ")[2] for line in self._lines if line.split("/")[2] == "reply")
        return [json.loads(each)["type"] for each in replies]
