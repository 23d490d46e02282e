"""One Chromium for a module of tests, and one stage in it; a page of its own for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.console.stage import Stage, close, stage

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


@pytest.fixture
def page(box: Stage) -> Iterator[Page]:
    """The page, logged in; what it throws fails the test."""
    entered = box.enter()
    yield entered
    close(entered.context)
