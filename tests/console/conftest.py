"""One Chromium for a module of tests, and one stage in it; a page of its own for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.console.stage import Stage, begin_anew, close, stage

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: sudo apt-get install chromium")
    with sync_playwright() as playwright:
        # Not its own sandbox, which root can't have; nothing but our own page is shown.
        options = ["--no-sandbox", "--disable-dev-shm-usage", "--js-flags=--expose-gc"]
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield running
        running.close()


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Stage]:
    """A device that anybody may ask, and the page for it."""
    with stage(tmp_path_factory.mktemp("console"), browser) as running:
        yield running


@pytest.fixture(scope="module")
def shared_page(box: Stage) -> Iterator[Page]:
    """A page that is logged in. To load one costs more than most tests do with it."""
    entered = box.enter()
    yield entered
    close(entered.context)


@pytest.fixture
def page(shared_page: Page) -> Page:
    """The page as after a login: nothing was said, nothing typed; what it throws fails the last test."""
    begin_anew(shared_page)
    return shared_page
