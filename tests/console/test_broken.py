"""What breaks: the page, the broker, the device, the connection; in mid-answer."""

import json

from playwright.sync_api import Page, expect

from tests.console.stage import Ear, Stage, ask, last_turn, publish, reply_topic

LONG = "!script repeat=60 delay_ms=30\n Word."
WHOLE = "Word. " * 59 + "Word."


def test_a_reload_in_mid_answer_goes_on_with_it_and_asks_nothing_twice(page: Page, box: Stage) -> None:
    with Ear(box.broker, "edgeassist/box/prompt/#", "edgeassist/box/reply/#") as ear:
        ask(page, LONG)
        expect(last_turn(page).locator(".body")).to_contain_text("Word. Word.")
        page.reload()
        expect(last_turn(page).locator(".question")).to_contain_text("repeat=60")
        expect(last_turn(page).locator(".timings")).to_be_visible()
        expect(last_turn(page).locator(".body")).to_have_text(WHOLE)
        assert ear.kinds().count("accepted") == 1
        assert ear.kinds().count("done") == 1
        assert len(set(ear.prompts())) == 1
        assert len(ear.prompts()) == 2


def test_an_answer_that_ended_while_the_page_was_away_is_there_after_it(page: Page, box: Stage) -> None:
    with Ear(box.broker, "edgeassist/box/reply/#") as ear:
        ask(page, LONG)
        expect(last_turn(page).locator(".body")).to_contain_text("Word.")
        page.goto("about:blank")
        ear.wait_for("done")
        page.go_back()
        expect(last_turn(page).locator(".timings")).to_be_visible()
        expect(last_turn(page).locator(".body")).to_have_text(WHOLE)
        assert ear.kinds().count("accepted") == 1


def test_what_was_said_stands_there_after_a_reload(page: Page) -> None:
    ask(page, "<think>Hm.</think>Yes.")
    expect(last_turn(page).locator(".timings")).to_be_visible()
    page.reload()
    expect(last_turn(page).locator(".body")).to_have_text("Yes.")
    expect(last_turn(page).locator(".timings")).to_be_visible()
    expect(last_turn(page).locator("details.thoughts")).to_be_visible()


def test_a_broker_that_goes_and_comes_back_in_mid_answer_loses_nothing(page: Page, box: Stage) -> None:
    ask(page, LONG)
    expect(last_turn(page).locator(".body")).to_contain_text("Word. Word.")
    box.broker.stop()
    expect(page.locator("#notices")).to_contain_text("The connection to the broker broke")
    expect(page.locator("#notices")).to_contain_text("Next attempt in")
    box.broker.start()
    page.get_by_role("button", name="Try now").click()
    expect(page.locator("#state")).to_have_attribute("data-state", "online")
    expect(last_turn(page).locator(".timings")).to_be_visible()
    expect(last_turn(page).locator(".body")).to_have_text(WHOLE)
    expect(page.locator("#notices .notice")).to_have_count(0)


def test_what_is_asked_without_a_broker_is_asked_when_it_is_back(page: Page, box: Stage) -> None:
    box.broker.stop()
    expect(page.locator("#state")).to_have_attribute("data-state", "waiting")
    ask(page, "Are you there?")
    box.broker.start()
    expect(last_turn(page).locator(".timings")).to_be_visible()
    expect(last_turn(page).locator(".body")).to_have_text("Are you there?")


def test_a_late_repeat_changes_nothing(page: Page, box: Stage) -> None:
    ask(page, "Once")
    expect(last_turn(page).locator(".timings")).to_be_visible()
    turn = page.evaluate("JSON.parse(sessionStorage.getItem('edgeassist.conversation')).turns[0]")
    reply = reply_topic(page)
    late = {
        "id": turn["id"],
        "seq": 9,
        "type": "done",
        "text": "Twice",
        "finish_reason": "stop",
        "repeat": True,
    }
    publish(box, reply, json.dumps(late))
    ask(page, "Again")
    expect(last_turn(page).locator(".body")).to_have_text("Again")
    expect(page.locator(".turn").first.locator(".body")).to_have_text("Once")


def test_what_is_no_event_changes_nothing(page: Page, box: Stage) -> None:
    ask(page, LONG)
    expect(last_turn(page).locator(".body")).to_contain_text("Word.")
    reply = reply_topic(page)
    request = page.evaluate("JSON.parse(sessionStorage.getItem('edgeassist.pending'))[0].id")
    for payload in (
        "",
        "[]",
        "null",
        "5",
        '"text"',
        "{",
        json.dumps({"id": request}),
        json.dumps({"id": request, "seq": "x", "type": "done"}),
    ):
        publish(box, reply, payload)
    expect(last_turn(page).locator(".timings")).to_be_visible()
    expect(last_turn(page).locator(".body")).to_have_text(WHOLE)


def test_a_device_that_is_gone_is_told(page: Page, box: Stage) -> None:
    publish(box, "edgeassist/ghost/status", "offline", "-r")
    page.get_by_label("Device", exact=True).select_option("ghost")
    expect(page.locator("#notices")).to_contain_text("The device edgeassist/ghost is offline")
    publish(box, "edgeassist/ghost/status", "", "-r")
    expect(page.locator("#notices")).to_contain_text("The broker knows no device edgeassist/ghost")
    page.get_by_label("Device", exact=True).select_option("box")
    expect(page.locator("#state")).to_have_attribute("data-state", "online")
