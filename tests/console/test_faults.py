"""What goes wrong at a page's edges: a tab that was duplicated, a device that dies, a small broker."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.console.impostor import answering
from tests.console.saying import health, say
from tests.console.stage import Ear, Stage, ask, close, last_turn, publish, reply_topic, stage

LONG = "!script repeat=100 delay_ms=30\n Word."
WHOLE = "Word. " * 99 + "Word."
LITTLE = 3_000


def duplicate(page: Page) -> Page:
    """Return a page that has all that another kept for its tab, as one that a person duplicates."""
    with page.expect_popup() as opened:
        page.evaluate("open(location.href)")
    return opened.value


def test_a_tab_that_was_duplicated_has_a_name_and_a_conversation_of_its_own(page: Page, box: Stage) -> None:
    with Ear(box.broker, "edgeassist/box/prompt/#", "edgeassist/box/reply/#") as ear:
        ask(page, LONG)
        expect(last_turn(page).locator(".body")).to_contain_text("Word. Word.")
        copy = duplicate(page)
        expect(copy.locator("#state")).to_have_attribute("data-state", "online")
        expect(copy.locator(".turn")).to_have_count(0)
        assert reply_topic(copy) != reply_topic(page)
        ask(copy, "Mine")
        expect(last_turn(copy).locator(".timings")).to_be_visible()
        copy.reload()
        expect(last_turn(copy).locator(".body")).to_have_text("Mine")
        expect(last_turn(page).locator(".body")).to_have_text(WHOLE)
        requests = [json.loads(line.partition(" ")[2]) for line in ear.prompts()]
        assert [each["prompt"] for each in requests] == [LONG, "Mine"]
        assert requests[0]["session"] != requests[1]["session"]
    copy.close()
    name = reply_topic(page)
    page.reload()
    expect(last_turn(page).locator(".body")).to_have_text(WHOLE)
    assert reply_topic(page) == name


def test_what_is_too_long_for_the_broker_is_told_and_nothing_breaks(browser: Browser, tmp_path: Path) -> None:
    with stage(tmp_path, browser, ("allow_anonymous true", f"max_packet_size {LITTLE}")) as box:
        page = box.enter()
        ask(page, "x" * LITTLE)
        expect(last_turn(page).locator(".bad")).to_contain_text("It is too long for the broker")
        expect(last_turn(page).locator(".bad")).to_contain_text(f"and it takes {LITTLE}")
        page.locator("#tab-models").click()
        page.get_by_label("Where from").fill("模" * 1024)
        page.get_by_role("button", name="Get it").click()
        expect(page.get_by_role("alert")).to_contain_text("It is too long for the broker")
        page.locator("#tab-chat").click()
        ask(page, "x" * 100)
        expect(last_turn(page).locator(".body")).to_have_text("x" * 100)
        close(page.context)


def test_a_device_that_goes_away_in_a_switch_of_models_ends_the_wait_for_it(page: Page, box: Stage) -> None:
    models = {"in_use": "a", "default": "a", "models": [{"name": "a"}, {"name": "b"}]}
    answers = {"model": lambda asked: models if asked["action"] == "list" else None}
    with answering(box.broker.port, "fake", answers):
        page.get_by_label("Device", exact=True).select_option("fake")
        page.locator("#tab-models").click()
        main = page.locator("#view")
        main.get_by_role("button", name="Use b").click()
        page.get_by_role("dialog").get_by_role("button", name="Use").click()
        expect(main.locator(".work").first).to_contain_text("Going over to b.")
        # It says so now and then.
        say(box.broker.port, "edgeassist/fake/status", "online", retain=True)
        say(box.broker.port, "edgeassist/fake/health", health(model="marked"), retain=True)
        expect(main).to_contain_text("Loaded: marked.")
        expect(main.locator(".work").first).to_be_visible()
        say(box.broker.port, "edgeassist/fake/status", "offline", retain=True)
        expect(main.get_by_role("alert")).to_have_text("The device went away before it answered.")
        expect(main.locator(".work").first).to_be_hidden()
        models["in_use"] = "b"
        say(box.broker.port, "edgeassist/fake/status", "online", retain=True)
        expect(main.locator("tbody tr").nth(1)).to_contain_text("in use")
        say(box.broker.port, "edgeassist/fake/health", retain=True)


def test_a_request_is_asked_again_at_the_first_online_and_not_at_each(page: Page, box: Stage) -> None:
    port = box.broker.port
    with (
        answering(port, "fake", {}),
        Ear(box.broker, "edgeassist/fake/prompt/#", "edgeassist/fake/command/#") as ear,
    ):
        page.get_by_label("Device", exact=True).select_option("fake")
        expect(page.locator("#state")).to_have_attribute("data-state", "online")
        ask(page, "Are you there?")
        # The device may be back later than the page; after that it only says that it is there.
        for _ in range(3):
            say(port, "edgeassist/fake/status", "online", retain=True)
        say(port, "edgeassist/fake/status", "offline", retain=True)
        expect(page.locator("#state")).to_have_attribute("data-state", "offline")
        say(port, "edgeassist/fake/status", "online", retain=True)
        expect(page.locator("#state")).to_have_attribute("data-state", "online")
        page.get_by_role("button", name="New conversation").click()
        ear.wait_until(lambda: len(ear.requests("command")) == 1)
        assert len(ear.prompts()) == 3
        assert len(set(ear.prompts())) == 1


def test_an_examination_goes_on_while_another_device_is_asked(page: Page, box: Stage) -> None:
    main = page.locator("#view")
    page.locator("#tab-doctor").click()
    main.get_by_role("button", name="Examine the device").click()
    with answering(box.broker.port, "fake", {"model": {"in_use": "a", "models": [{"name": "a"}]}}):
        page.get_by_label("Device", exact=True).select_option("fake")
        page.locator("#tab-models").click()
        expect(main.locator("tbody tr")).to_have_count(1)
        page.get_by_label("Device", exact=True).select_option("box")
        page.locator("#tab-doctor").click()
        expect(main.locator("article.card").first).to_be_visible()


def test_null_in_an_answer_is_left_out(page: Page, box: Stage) -> None:
    request = {"id": "r", "client": "c", "kind": "prompt", "priority": "low", "state": "running", "age_s": 1}
    finding = {"severity": "problem", "area": "broker", "text": "It is gone.", "remedy": None}
    answers = {
        "model": {"in_use": None, "models": [None, {"name": "a"}, 5, "b"]},
        "doctor": {"version": None, "findings": [None, finding, []], "left_out": None},
        "requests": {"running": 1, "waiting": 0, "requests": [None, request, 7]},
    }
    main = page.locator("#view")
    with answering(box.broker.port, "fake", answers):
        page.get_by_label("Device", exact=True).select_option("fake")
        page.locator("#tab-models").click()
        expect(main.locator("tbody tr")).to_have_count(1)
        page.locator("#tab-requests").click()
        expect(main.locator("tbody tr")).to_contain_text("running")
        page.locator("#tab-doctor").click()
        main.get_by_role("button", name="Examine the device").click()
        expect(main.locator("article.card").first).to_contain_text("It is gone.")
        page.locator("#tab-chat").click()
        ask(page, "Hello")
        expect(last_turn(page)).to_be_visible()
        id_ = page.evaluate("JSON.parse(sessionStorage.getItem('edgeassist.pending')).at(-1).id")
        done = {"id": id_, "seq": 0, "type": "done", "text": "", "finish_reason": "tool_calls"}
        calls = [None, {"id": "c", "function": {"name": "f", "arguments": "{}"}}]
        publish(box, reply_topic(page, "fake"), json.dumps({**done, "tool_calls": calls, "answers": None}))
        expect(last_turn(page).locator(".call")).to_have_count(1)
        ask(page, "Hello")
        id_ = page.evaluate("JSON.parse(sessionStorage.getItem('edgeassist.pending')).at(-1).id")
        answered = {"a": None, "b": {"choice": None, "probabilities": {"x": None}}, "c": {"choice": "y"}}
        publish(
            box,
            reply_topic(page, "fake"),
            json.dumps({**done, "id": id_, "finish_reason": "stop", "answers": answered}),
        )
        expect(last_turn(page).locator(".decision")).to_have_count(3)


def test_the_figures_of_a_device_that_died_in_mid_answer_and_came_back_go_on(page: Page, box: Stage) -> None:
    page.locator("#tab-requests").click()
    main = page.locator("#view")
    say(box.broker.port, "edgeassist/box/prompt/other", {"id": "long", "prompt": LONG, "max_tokens": 4000})
    expect(main.locator("tbody tr")).to_have_count(1)
    box.daemon.stop(signal.SIGKILL)
    expect(page.locator("#state")).to_have_attribute("data-state", "offline")
    box.daemon.start()
    expect(page.locator("#state")).to_have_text("box is online: ready")
    expect(main).to_contain_text("Nothing runs, and nothing waits.")
