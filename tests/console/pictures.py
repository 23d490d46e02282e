"""Pictures of the page for its document: `python -m tests.console.pictures MODEL`, with one that chats."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.console.stage import Stage, ask, last_turn, stage

DOCS = Path(__file__).parents[2] / "docs"
SIZE = {"width": 900, "height": 700}
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
        picture(page, "chat")
        page.get_by_role("tab").nth(1).click()
        others_ask(running)
        page.wait_for_timeout(20_000)  # some points for the charts
        picture(page, "live")


def talk(page: Page) -> None:
    """Ask, and ask on."""
    for question in ("Why is the sky blue?", "And why is it red in the evening?"):
        ask(page, question)
        expect(last_turn(page).locator(".timings")).to_be_visible(timeout=300_000)
    page.locator(".log").evaluate("each => { each.scrollTop = each.scrollHeight; }")


def others_ask(running: Stage) -> None:
    """Have other clients ask, so that there is something to see."""
    for number in range(40):
        request = {"prompt": f"Name {number % 7 + 3} animals of the sea.", "max_tokens": 50}
        where = ("-p", str(running.broker.port), "-t", "edgeassist/pi/prompt/nursery")
        subprocess.run(["mosquitto_pub", *where, "-q", "1", "-m", json.dumps(request)], check=True)


def picture(page: Page, name: str) -> None:
    """Write one."""
    path = DOCS / f"console-{name}.png"
    page.screenshot(path=path)
    print(path.name, path.stat().st_size)  # noqa: T201 - for who runs it


if __name__ == "__main__":
    main()
