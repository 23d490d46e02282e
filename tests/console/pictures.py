"""Pictures of the page for its document: `python -m tests.console.pictures MODEL`, with one that chats."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.console.stage import Stage, ask, last_turn, stage

DOCS = Path(__file__).parents[2] / "docs"
SIZE = {"width": 900, "height": 860}
SYSTEM = "Answer in two or three short sentences."


def main() -> None:
    """Write them."""
    options = argparse.ArgumentParser(description="Takes pictures of the console.")
    options.add_argument("model", type=Path, help="a GGUF file")
    model = options.parse_args().model
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        take(browser, Path(folder), model)
        browser.close()


def take(browser: Browser, folder: Path, model: Path) -> None:
    """Have a conversation, and take the chat and the figures."""
    said = {
        "model__path": model,
        "model__system": SYSTEM,
        "device__name": "pi",
        "daemon__telemetry_s": 2,
        "engine__speculate": "true",
    }
    with stage(folder, browser, **said) as running:  # type: ignore[arg-type]
        page = running.enter(viewport=SIZE, color_scheme="light")
        expect(page.locator("#state")).to_have_text("pi is online: ready", timeout=300_000)
        talk(page)
        picture(page, running, "chat")
        page.get_by_role("tab").nth(1).click()
        page.wait_for_timeout(20_000)  # some points for the charts
        picture(page, running, "live")


def talk(page: Page) -> None:
    """Ask for text, and for a decision."""
    ask(page, "Why is the sky blue?")
    expect(last_turn(page).locator(".timings")).to_be_visible(timeout=300_000)
    page.get_by_label("What for").select_option("decide")
    page.get_by_label("Question", exact=True).fill("Which room is meant?")
    page.get_by_role("textbox", name="Options").fill("bath\nkitchen\nhall")
    ask(page, "The lamp over the kitchen table is broken")
    expect(last_turn(page).locator("meter")).to_have_count(3, timeout=300_000)
    page.get_by_label("What for").select_option("prompt")
    page.locator(".log").evaluate("each => { each.scrollTop = each.scrollHeight; }")


def picture(page: Page, running: Stage, name: str) -> None:
    """Write one."""
    del running
    path = DOCS / f"console-{name}.png"
    page.screenshot(path=path)
    print(path.name, path.stat().st_size)  # noqa: T201 - for who runs it


if __name__ == "__main__":
    main()
