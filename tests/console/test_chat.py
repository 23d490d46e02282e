import json
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.console.stage import Ear, Stage, ask, close, last_turn

HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=2</script> & </p> {prompt} \u202e'


def test_an_answer_streams_and_ends_with_its_timings(page: Page) -> None:
    ask(page, "!script repeat=40 delay_ms=20\n Word.")
    turn = last_turn(page)
    expect(turn.locator(".body")).to_contain_text("Word. Word.")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    expect(turn.locator(".timings")).to_contain_text("tokens/s")
    expect(turn.locator(".body")).to_have_text("Word. " * 39 + "Word.")
    expect(page.locator("#said")).to_contain_text("Answer: Word.")
    expect(page.get_by_role("button", name="Send")).to_be_visible()


def test_stop_ends_an_answer_and_keeps_its_text(page: Page) -> None:
    ask(page, "!script repeat=2000 delay_ms=20\n Word.")
    turn = last_turn(page)
    expect(turn.locator(".body")).to_contain_text("Word.")
    page.get_by_role("button", name="Stop").click()
    expect(turn).to_contain_text("Stopped.")
    expect(turn.locator(".body")).to_contain_text("Word.")
    expect(page.get_by_role("button", name="Send")).to_be_visible()


def test_thoughts_are_folded(page: Page) -> None:
    ask(page, "<think>Let me see.</think>It is five.")
    turn = last_turn(page)
    expect(turn.locator(".body")).to_have_text("It is five.")
    thoughts = turn.locator("details.thoughts")
    assert not thoughts.evaluate("each => each.open")
    thoughts.locator("summary").click()
    expect(thoughts.locator(".text")).to_have_text("Let me see.")


def test_hostile_text_is_text_while_it_comes_and_after(page: Page) -> None:
    ask(page, f"!script repeat=3 delay_ms=50\n{HOSTILE}")
    turn = last_turn(page)
    expect(turn.locator(".body")).to_contain_text("<img src=x")
    assert turn.locator("img, script").count() == 0
    expect(turn.locator(".timings")).to_be_visible()
    assert (turn.locator(".body").text_content() or "").startswith(HOSTILE)
    assert turn.locator("img, script").count() == 0
    assert page.evaluate("window.hacked") is None


def test_fenced_code_stands_apart(page: Page) -> None:
    ask(page, "Do this:\n```sh\nls <b>\n```\nThen go.")
    turn = last_turn(page)
    expect(turn.locator(".body pre")).to_have_text("ls <b>")
    expect(turn.locator(".body p.text")).to_have_text(["Do this:", "Then go."])


def test_a_structured_answer_is_shown_as_json(page: Page) -> None:
    page.locator("details.options summary").click()
    page.get_by_label("JSON Schema of the answer").fill('{"type": "object"}')
    ask(page, '{"room":"kitchen"}')
    expect(last_turn(page).locator("pre.json")).to_have_text('{\n  "room": "kitchen"\n}')


@pytest.mark.parametrize(
    ("label", "text", "words"),
    [("JSON Schema of the answer", "{", "no JSON object"), ("Tools", '{"a": 1}', "no JSON list")],
)
def test_what_is_no_json_is_told_where_it_stands(page: Page, label: str, text: str, words: str) -> None:
    page.locator("details.options summary").click()
    control = page.get_by_label(label, exact=True)
    control.fill(text)
    ask(page, "Hello")
    expect(page.locator(".composer [role=alert]")).to_contain_text(words)
    expect(control).to_be_focused()
    expect(page.locator(".turn")).to_have_count(0)


def test_a_decision_is_a_card_with_bars(page: Page) -> None:
    page.get_by_label("What for").select_option("decide")
    page.get_by_label("Question", exact=True).fill("Which room is meant?")
    page.get_by_role("textbox", name="Options").fill("bath\nkitchen\nhall")
    ask(page, "The lamp in the kitchen, over the kitchen's stove, is broken.")
    card = last_turn(page).locator(".decision")
    expect(card.locator("strong")).to_have_text("kitchen")
    expect(card.locator("meter")).to_have_count(3)
    expect(card.locator(".picked th")).to_have_text("kitchen")


@pytest.mark.parametrize(
    ("kind", "options", "asked"),
    [
        ("yes_no", None, {"type": "yes_no"}),
        ("score", "low\nhigh", {"type": "score", "criteria": ["low", "high"]}),
        ("score", "0..3", {"type": "score", "minimum": 0, "maximum": 3}),
    ],
)
def test_a_decision_of_each_kind_is_asked_and_shown(
    page: Page, box: Stage, kind: str, options: str | None, asked: dict[str, Any]
) -> None:
    with Ear(box.broker, "edgeassist/box/decide/#", "edgeassist/box/reply/#") as ear:
        page.get_by_label("What for").select_option("decide")
        page.get_by_label("Question", exact=True).fill("Is it bad?")
        page.get_by_label("Kind of answer").select_option(kind)
        if options is None:
            expect(page.get_by_role("textbox", name="Options")).to_be_hidden()
        else:
            page.get_by_role("textbox", name="Options").fill(options)
        ask(page, "The lamp is broken.")
        expect(last_turn(page).locator(".decision strong")).not_to_be_empty()
        (request,) = ear.requests("decide")
    (question,) = request["questions"].values()
    assert question == {"instructions": "Is it bad?", **asked}
    assert request["state"] == "The lamp is broken."


def test_the_options_go_with_the_prompt_and_outlive_a_reload(page: Page, box: Stage) -> None:
    page.locator("details.options summary").click()
    page.get_by_label("System prompt").fill("Be short.")
    page.get_by_label("Most tokens").fill("50")
    page.get_by_label("Temperature").fill("0.5")
    page.get_by_label("Think first").select_option("no")
    page.reload()
    with Ear(box.broker, "edgeassist/box/prompt/#", "edgeassist/box/reply/#") as ear:
        ask(page, "Hello")
        expect(last_turn(page).locator(".timings")).to_be_visible()
        (request,) = ear.requests("prompt")
    wanted = {"system": "Be short.", "max_tokens": 50, "temperature": 0.5, "think": False, "prompt": "Hello"}
    assert wanted.items() <= request.items()


def test_a_tool_call_is_a_card_and_takes_its_result(page: Page) -> None:
    page.locator("details.options summary").click()
    tool = {
        "type": "function",
        "function": {"name": "get_relay", "parameters": {"type": "object", "properties": {}}},
    }
    page.get_by_label("Tools", exact=True).fill(json.dumps([tool]))
    ask(page, '<tool_call>{"name": "get_relay", "arguments": {}}</tool_call>')
    turn = last_turn(page)
    expect(turn.locator(".call h3")).to_have_text("Calls get_relay")
    turn.get_by_label("Result of get_relay").fill("it is on")
    turn.get_by_role("button", name="Send the results").click()
    expect(page.locator(".turn")).to_have_count(2)
    expect(last_turn(page).locator(".body")).to_contain_text("it is on")
    expect(page.get_by_role("button", name="Send the results")).to_have_count(0)


def test_an_error_says_what_to_do_and_asks_again(page: Page) -> None:
    ask(page, "!script fail_after=3\n" + "Hello there. " * 5)
    turn = last_turn(page)
    expect(turn.locator(".bad")).to_be_visible()
    turn.get_by_role("button", name="Ask again").click()
    expect(page.locator(".turn")).to_have_count(2)


def test_a_new_conversation_forgets_the_old(page: Page) -> None:
    ask(page, "Hello")
    expect(last_turn(page).locator(".timings")).to_be_visible()
    page.get_by_role("button", name="New conversation").click()
    expect(page.locator(".turn")).to_have_count(0)
    expect(page.get_by_label("Message")).to_be_focused()
    page.reload()
    expect(page.locator(".empty")).to_be_visible()


def test_an_answer_can_be_copied(box: Stage) -> None:
    page = box.enter(permissions=["clipboard-read", "clipboard-write"])
    ask(page, "Copy me")
    last_turn(page).get_by_role("button", name="Copy").click()
    expect(last_turn(page).get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "Copy me"
    close(page.context)


def test_the_keyboard_does_all_of_it(box: Stage) -> None:
    page = box.open()
    expect(page.locator("input[autocomplete=username]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_attribute("data-state", "online")
    focus = tab_to(page, page.get_by_label("Message"))
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    page.keyboard.press("Enter")
    expect(last_turn(page).locator(".body")).to_have_text("one\ntwo")
    expect(focus).to_be_focused()
    tab_to(page, page.get_by_role("button", name="New conversation"))
    page.keyboard.press("Enter")
    expect(page.locator(".turn")).to_have_count(0)
    close(page.context)


def tab_to(page: Page, wanted: Locator) -> Locator:
    """Press Tab until it has the focus."""
    expect(wanted).to_be_visible()
    for _ in range(40):
        if wanted.evaluate("each => each === document.activeElement"):
            return wanted
        page.keyboard.press("Tab")
    raise AssertionError("Tab does not lead there")
