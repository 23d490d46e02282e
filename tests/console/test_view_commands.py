"""What the page has a device do: cancel, serve another model, get one, examine itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from edgeassist.trial_models.synthetic import SHAPES, Precision, write_gguf
from tests.console.accessibility import violations
from tests.console.impostor import answering
from tests.console.saying import say, say_all
from tests.console.stage import Stage, close, stage
from tests.integration.shelf import Shelf

SLOW = "!script repeat=4000 delay_ms=20\nabcd"
HOSTILE = "<img src=x onerror=hurt()>"
CAN_COPY = ["clipboard-read", "clipboard-write"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF file of random weights, in a folder of its own."""
    path = tmp_path_factory.mktemp("library") / "trial.gguf"
    write_gguf(path, SHAPES["trial"], precision=Precision.F32)
    return path


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, browser: Browser, model: Path) -> Iterator[Stage]:
    """A device that answers one at a time, with a model in its library."""
    settings: dict[str, Any] = {
        "engine__slots": 1,
        "engine__speculate": "false",
        "library__folder": model.parent,
    }
    with stage(tmp_path_factory.mktemp("commands"), browser, **settings) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_is_left(box: Stage) -> Iterator[None]:
    """What a test has asked is over when the next begins."""
    yield
    say(box.broker.port, "edgeassist/box/command/cancel", "all")


def show(page: Page, view: str) -> Locator:
    """Choose a tab, and return what it shows."""
    page.locator(f"#tab-{view}").click()
    return page.locator("#view")


def ask(box: Stage, client: str, id_: str, prompt: str = SLOW) -> None:
    say(box.broker.port, f"edgeassist/box/prompt/{client}", {"id": id_, "prompt": prompt, "max_tokens": 4000})


def test_what_runs_and_waits_is_listed_and_one_is_cancelled_by_keyboard(box: Stage, page: Page) -> None:
    main = show(page, "requests")
    expect(main).to_contain_text("Nothing runs, and nothing waits.")
    ask(box, "kitchen", "first")
    ask(box, HOSTILE, "second")
    expect(main).to_contain_text("1 running, 1 waiting.")
    rows = main.locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text(
        re.compile(r"first\s*kitchen\s*prompt\s*normal\s*running.*[1-9]\d* written, [\d.]+/s")
    )
    expect(rows.nth(1)).to_contain_text(HOSTILE)
    expect(rows.nth(1)).to_contain_text("waiting, next")
    assert page.locator("#view img").count() == 0
    assert violations(page) == []
    button = main.get_by_role("button", name="Cancel first of kitchen")
    button.focus()
    age = rows.nth(0).locator("td").nth(4)
    expect(age).not_to_have_text(age.text_content() or "")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    expect(page.locator("#said")).to_have_text("first is cancelled.")
    expect(main.get_by_role("heading", name="Requests")).to_be_focused()
    expect(rows.nth(0)).to_contain_text("running")
    main.get_by_role("button", name="Cancel second of").click()
    expect(main).to_contain_text("Nothing runs, and nothing waits.")
    expect(main.get_by_role("button", name="Cancel all")).to_be_hidden()


def test_before_all_are_cancelled_it_is_asked_whether_that_is_meant(box: Stage, page: Page) -> None:
    main = show(page, "requests")
    for number in range(3):
        ask(box, "kitchen", f"r{number}")
    expect(main).to_contain_text("1 running, 2 waiting.")
    every = main.get_by_role("button", name="Cancel all")
    every.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Cancel all 3 requests of all clients on box?")
    expect(dialog.get_by_role("button", name="No")).to_be_focused()
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(every).to_be_focused()
    expect(main).to_contain_text("1 running, 2 waiting.")
    every.click()
    dialog.get_by_role("button", name="Cancel all").click()
    expect(main).to_contain_text("Nothing runs, and nothing waits.")
    expect(page.locator("#said")).to_have_text("3 cancelled.")


def test_the_devices_findings_are_shown_with_commands_to_copy_and_stay_over_a_change_of_tabs(
    box: Stage,
) -> None:
    page = box.enter(permissions=CAN_COPY)
    main = show(page, "doctor")
    main.get_by_role("button", name="Examine the device").click()
    expect(main.get_by_role("progressbar", name="The examination goes on")).to_be_visible()
    expect(main.get_by_role("button", name="Examine the device")).to_be_disabled()
    show(page, "models")
    main = show(page, "doctor")
    expect(main.get_by_role("button", name="Examine the device")).to_be_disabled()
    warning = main.locator("article.card").filter(has_text="prompts are answered with themselves")
    expect(warning).to_contain_text("warning")
    expect(main.get_by_role("status")).to_contain_text(re.compile(r"Problems: \d+, warnings: [1-9]"))
    warning.get_by_role("button", name="Copy").click()
    expect(warning.get_by_role("button")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == warning.locator("pre").text_content()
    fold = main.get_by_text(re.compile(r"^In order \(\d+\)$"))
    fold.focus()
    page.keyboard.press("Enter")
    expect(main).to_contain_text("edgeassist/box is online and answers")
    assert violations(page) == []
    show(page, "live")
    expect(show(page, "doctor").locator("article.card").first).to_be_visible()
    close(page.context)


def test_where_copying_is_forbidden_the_command_is_marked(box: Stage, page: Page) -> None:
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.reload()
    main = show(page, "doctor")
    main.get_by_role("button", name="Examine the device").click()
    card = main.locator("article.card").filter(has=page.locator("pre")).first
    card.get_by_role("button", name="Copy").click()
    assert page.evaluate("getSelection().toString()") == card.locator("pre").text_content()


def test_findings_of_another_program_are_text(box: Stage, page: Page) -> None:
    """A device may be of any version, or none of ours."""
    page.evaluate("() => { window.hurt = () => { window.hurts = true } }")
    finding = {"severity": "terrible", "area": HOSTILE, "text": HOSTILE, "remedy": HOSTILE}
    findings = {"version": HOSTILE, "worst": "ok", "findings": [finding, {**finding, "severity": "problem"}]}
    with answering(box.broker.port, "fake", {"doctor": findings, "model": {"models": [{"name": HOSTILE}]}}):
        page.locator("#device select").select_option("fake")
        main = show(page, "doctor")
        main.get_by_role("button", name="Examine the device").click()
        expect(main.locator("article.card")).to_contain_text(HOSTILE)
        expect(show(page, "models").locator("tbody")).to_contain_text(HOSTILE)
    assert page.evaluate("window.hurts") is None


def test_findings_that_were_left_out_are_counted(box: Stage, page: Page) -> None:
    finding = {"severity": "warning", "area": "watches", "text": "It is slow.", "remedy": None}
    examination = {"version": "0.1.0", "worst": "warning", "findings": [finding], "left_out": 12}
    with answering(box.broker.port, "fake", {"doctor": examination}):
        page.locator("#device select").select_option("fake")
        main = show(page, "doctor")
        main.get_by_role("button", name="Examine the device").click()
        expect(main.get_by_role("status")).to_contain_text("warnings: 1, not checked: 0, in order: 0.")
        expect(main.get_by_role("status")).to_contain_text("12 more are not shown.")


def test_requests_that_were_left_out_are_counted(box: Stage, page: Page) -> None:
    request = {"id": "r", "client": "c", "kind": "prompt", "priority": "low", "state": "running", "age_s": 1}
    listed = {"running": 1, "waiting": 150, "requests": [request], "left_out": 150}
    with answering(box.broker.port, "fake", {"requests": listed}):
        page.locator("#device select").select_option("fake")
        expect(show(page, "requests")).to_contain_text("1 running, 150 waiting; 150 of them are not shown.")


def test_a_device_that_is_too_old_for_a_command_says_so(box: Stage, page: Page) -> None:
    port = box.broker.port
    words = "The device's version, 0.0.7, can't tell this. A newer EdgeAssist on it can."
    info = {"version": "0.0.7", "capabilities": {"commands": ["ping", "cancel"]}}
    say(port, "edgeassist/old/info", info, retain=True)
    say(port, "edgeassist/old/status", "online", retain=True)
    page.locator("#device select").select_option("old")
    main = show(page, "doctor")
    expect(main.get_by_role("alert")).to_have_text(words)
    expect(main.get_by_role("button", name="Examine the device")).to_be_disabled()
    expect(show(page, "requests")).to_contain_text(words)
    say_all(port, [(f"edgeassist/old/{name}", "") for name in ("info", "status")], retain=True)


def test_a_switch_says_how_far_it_is_to_its_end(box: Stage, page: Page) -> None:
    models = {"in_use": "a", "default": "a", "models": [{"name": "a"}, {"name": "b"}]}
    listed = lambda asked: models if asked["action"] == "list" else None  # noqa: E731 - one line of an impostor
    with answering(box.broker.port, "fake", {"model": listed}) as tell:
        page.locator("#device select").select_option("fake")
        main = show(page, "models")
        main.get_by_role("button", name="Use b").click()
        page.get_by_role("dialog").get_by_role("button", name="Use").click()
        work = main.locator(".work").first
        bar = work.get_by_role("progressbar", name="How far the other model is")
        expect(work).to_contain_text("Going over to b.")
        expect(bar).not_to_have_attribute("value", re.compile("."))
        steps: tuple[tuple[dict[str, Any], str], ...] = (
            ({"step": "draining", "running": 2}, "Waiting for 2 running answers"),
            ({"step": "loading", "fraction": 0.0}, "Loading, 0 %"),
            ({"step": "loading", "fraction": 0.455}, "Loading, 46 %"),
            ({"step": "loading", "fraction": 1.0}, "Loading, 100 %"),
            ({"step": "polishing", "fraction": 7}, "polishing"),
        )
        for said, words in steps:
            tell("progress", said)
            expect(work).to_contain_text(f"Going over to b. {words}")
            if "fraction" in said:
                assert bar.evaluate("each => each.value") == min(1, said["fraction"])
        models["in_use"] = "b"
        tell("ok", {"model": "b", "switched": True, "warning": "It is slow."})
        expect(work).to_be_hidden()
        expect(page.locator("#said")).to_have_text("b answers now. It is slow.")
        expect(main.locator("tbody tr").nth(1)).to_contain_text("in use")


def test_another_model_is_served_and_what_can_not_be_is_said(box: Stage, page: Page, model: Path) -> None:
    main = show(page, "models")
    rows = main.locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("builtin:tiny in use, of the settings")
    expect(rows.nth(0).get_by_role("button")).to_be_disabled()
    expect(rows.nth(1)).to_contain_text(re.compile(r"trial\s*llama\s*\d+ kB|trial\s*llama\s*\d+ MB"))
    main.get_by_role("button", name="Use trial").click()
    page.get_by_role("dialog").get_by_role("button", name="No").click()
    expect(rows.nth(0)).to_contain_text("in use")
    main.get_by_role("button", name="Use trial").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Let box go over to trial")
    dialog.get_by_role("button", name="Use").click()
    expect(rows.nth(1)).to_contain_text("in use")
    expect(main.locator(".work").first).to_be_hidden()
    expect(main).to_contain_text(re.compile(r"In use: trial\. Loaded: (?!scripted)"))
    model.rename(model.with_suffix(".away"))
    main.get_by_role("button", name="Use builtin:tiny").click()
    page.get_by_role("dialog").get_by_role("button", name="Use").click()
    expect(rows).to_have_count(1)
    expect(rows.nth(0)).to_contain_text("in use")
    model.with_suffix(".away").rename(model)


def test_a_model_is_got_with_progress_that_another_page_sees_too_and_stopped_and_got(
    box: Stage, page: Page, model: Path
) -> None:
    content = model.read_bytes()
    with Shelf() as shelf:
        shelf.put("/got.gguf", content, held=len(content) // 2)
        main = show(page, "models")
        source = main.get_by_label("Where from")
        source.fill(f"{shelf.url}/nothing.gguf")
        main.get_by_role("button", name="Get it").click()
        expect(main.get_by_role("alert")).to_contain_text("nothing.gguf")
        source.fill(f"{shelf.url}/got.gguf")
        page.keyboard.press("Enter")
        work = main.locator("form .work")
        expect(work).to_contain_text(re.compile(r"Getting http://.*/got\.gguf\. \w+"))
        expect(main.get_by_role("button", name="Get it")).to_be_disabled()
        other = box.enter()
        theirs = show(other, "models")
        expect(theirs.locator("form .work")).to_contain_text(re.compile(r"Getting http://.*/got\.gguf\. \w+"))
        expect(theirs.get_by_role("progressbar", name="How far the model is")).to_be_visible()
        theirs.get_by_role("button", name="Stop getting it").click()
        expect(other.locator("#said")).to_contain_text("is not got any further")
        shelf.let_go.set()
        expect(main.get_by_role("alert")).to_be_visible()
        expect(work).to_be_hidden()
        expect(theirs.locator("form .work")).to_be_hidden()
        close(other.context)
        shelf.put("/got.gguf", content)
        main.get_by_role("button", name="Get it").click()
        expect(main.locator("tbody")).to_contain_text("got")
        expect(source).to_have_value("")
        expect(main.get_by_role("alert")).to_be_empty()
