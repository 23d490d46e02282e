"""What the page says where a device has little to show, or the broker lets this login see little of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.console.accessibility import violations
from tests.console.stage import Stage, close, log_in, stage

# What scripts/install.sh gives a client, and all that the device may.
RIGHTS = """
topic read edgeassist/+/status
topic read edgeassist/+/health
user box
topic readwrite #
user guest
topic read edgeassist/+/status
topic read edgeassist/+/health
topic write edgeassist/+/prompt/guest
topic write edgeassist/+/command/cancel/guest
topic read edgeassist/+/reply/guest/#
topic read edgeassist/+/response/cancel/guest
"""


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Stage]:
    """A device without watches and without a fleet, and a broker that keeps logins apart."""
    folder = tmp_path_factory.mktemp("bare")
    account = {"mqtt__username": "box", "mqtt__password": "right"}
    with stage(folder, browser, _keeping_apart(folder), **account) as running:
        yield running


def _keeping_apart(folder: Path) -> list[str]:
    people = folder / "people"
    for number, name in enumerate(("box", "guest")):
        create = ["-c"] if not number else []
        subprocess.run(["mosquitto_passwd", "-b", *create, str(people), name, "right"], check=True)
    (folder / "rights").write_text(RIGHTS)
    return ["allow_anonymous false", f"password_file {people}", f"acl_file {folder / 'rights'}"]


def enter(box: Stage, name: str) -> Page:
    page = box.open()
    log_in(page, name, "right")
    expect(page.locator("#state")).to_have_attribute("data-state", "online")
    return page


def show(page: Page, view: str) -> Locator:
    """Choose a tab, and return what it shows."""
    page.locator(f"#tab-{view}").click()
    return page.locator("#view")


def test_a_device_without_watches_and_fleet_says_so(box: Stage) -> None:
    page = enter(box, "box")
    expect(show(page, "watches")).to_contain_text("This device has no watches")
    expect(show(page, "fleet")).to_contain_text("No fleet is heard of at this broker")
    expect(show(page, "requests")).to_contain_text("Nothing runs, and nothing waits.")
    close(page.context)


def test_a_login_that_may_only_ask_is_told_what_it_may_not(box: Stage) -> None:
    page = enter(box, "guest")
    main = show(page, "live")
    expect(main).to_contain_text("box is ready, with scripted")
    expect(main).to_contain_text("Its telemetry is not to be seen")
    for view, command in (("requests", "requests"), ("models", "model"), ("doctor", "doctor")):
        main = show(page, view)
        if view == "doctor":
            main.get_by_role("button", name="Examine the device").click()
        topic = f"edgeassist/box/command/{command}"
        expect(main).to_contain_text(f"The broker does not let this login publish on {topic}.")
        assert violations(page) == []
    expect(show(page, "watches")).to_contain_text("Nothing is known of this device's watches")
    expect(show(page, "fleet")).to_contain_text("No fleet is heard of at this broker")
    close(page.context)


def test_a_device_that_nobody_has_heard_of_leaves_no_view_empty(box: Stage) -> None:
    page = enter(box, "guest")
    page.evaluate("sessionStorage.setItem('edgeassist.device', '\"nowhere\"')")
    page.reload()
    expect(page.locator("#state")).to_have_text("No device nowhere here")
    expect(show(page, "live")).to_contain_text("Nothing is known of this device's health")
    for view in ("requests", "models", "watches", "doctor", "fleet"):
        text = show(page, view).inner_text()
        assert len(text.splitlines()) > 1, (view, text)
    close(page.context)
