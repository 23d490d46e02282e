"""What the page shows of a device without asking it: figures, watches, fleets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from edgeassist.protocol.state import Health
from tests.console.accessibility import violations
from tests.console.impostor import answering
from tests.console.memory import heap_bytes
from tests.console.saying import health, say, say_all
from tests.console.stage import Stage, close, stage

VIEWS = ["live", "requests", "models", "watches", "doctor", "fleet"]
WATCH = [
    {
        "name": "laundry",
        "topics": ["washer"],
        "interval_s": 1,
        "questions": {
            "room": {"type": "choice", "instructions": "Which room?", "criteria": ["kitchen", "bath", "hall"]}
        },
    }
]
HOSTILE = '<img src=x onerror="window.hurt=1"><b>bold</b>'


# All that can be pressed, chosen or typed into, with the test that does.
AROUND = {
    "Skip to the content": "test_the_first_link_leads_to_the_content",
    "Device": "test_a_fleet_shows_its_boxes_and_choosing_one_goes_to_it",
    "Language": "test_all_of_it_speaks_chinese",
    "Log out": "test_the_login_outlives_a_reload_and_is_forgotten_by_logging_out",
    **dict.fromkeys(
        ("Chat", "Live", "Requests", "Models", "Watches", "Doctor", "Fleet"), "test_tabs_go_by_arrow_keys"
    ),
}
CONTROLS = {
    "chat": {
        "Message": "test_the_keyboard_does_all_of_it",
        "Send": "test_an_answer_streams_and_ends_with_its_timings",
        "Stop": "test_stop_ends_an_answer_and_keeps_its_text",
        "New conversation": "test_a_new_conversation_forgets_the_old",
        "What for": "test_a_decision_is_a_card_with_bars",
        **dict.fromkeys(
            ("Question", "Kind of answer", "Options"), "test_a_decision_of_each_kind_is_asked_and_shown"
        ),
        **dict.fromkeys(
            ("System prompt", "Most tokens", "Temperature", "Think first"),
            "test_the_options_go_with_the_prompt_and_outlive_a_reload",
        ),
        "JSON Schema of the answer": "test_a_structured_answer_is_shown_as_json",
        "Tools": "test_a_tool_call_is_a_card_and_takes_its_result",
        "Thoughts": "test_thoughts_are_folded",
        "Copy": "test_an_answer_can_be_copied",
        "Ask again": "test_an_error_says_what_to_do_and_asks_again",
        "Result of f": "test_a_tool_call_is_a_card_and_takes_its_result",
        "Send the results": "test_a_tool_call_is_a_card_and_takes_its_result",
    },
    "live": {},
    "requests": {
        "Cancel all": "test_before_all_are_cancelled_it_is_asked_whether_that_is_meant",
        "Cancel r of c": "test_what_runs_and_waits_is_listed_and_one_is_cancelled_by_keyboard",
    },
    "models": {
        "Use a": "test_another_model_is_served_and_what_can_not_be_is_said",
        **dict.fromkeys(
            ("Where from", "Get it", "Stop getting it"),
            "test_a_model_is_got_with_progress_that_another_page_sees_too_and_stopped_and_got",
        ),
    },
    "watches": {},
    "doctor": {
        "Examine the device": "test_where_copying_is_forbidden_the_command_is_marked",
        **dict.fromkeys(
            ("Copy: do it", "In order (1)", "Not checked (1)"),
            "test_the_devices_findings_are_shown_with_commands_to_copy_and_stay_over_a_change_of_tabs",
        ),
    },
    "fleet": {"Look at box": "test_a_fleet_shows_its_boxes_and_choosing_one_goes_to_it"},
}
NAMES = """(root) => [...document.querySelectorAll(root)].flatMap((each) =>
  [...each.querySelectorAll("button, a, input, select, textarea, summary")]
).map((each) => each.getAttribute("aria-label") ?? each.labels?.[0]?.textContent ?? each.textContent)"""


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Stage]:
    """A device with a watch, in a fleet, which says often how it is."""
    settings: dict[str, Any] = {"watch": json.dumps(WATCH), "fleet__group": "home", "daemon__telemetry_s": 1}
    # An echo that repeats itself would be guessed, and be over at once.
    settings |= {"engine__speculate": "false"}
    with stage(tmp_path_factory.mktemp("views"), browser, **settings) as running:
        yield running


def show(page: Page, view: str) -> Locator:
    """Choose a tab, and return what it shows."""
    page.locator(f"#tab-{view}").click()
    return page.locator("#view")


def look_at(page: Page, device: str) -> None:
    page.locator("#device select").select_option(device)


def chart(page: Page, name: str) -> Locator:
    return page.locator("figure").filter(has=page.get_by_role("heading", name=name, exact=True))


def test_our_health_has_the_fields_of_the_contract() -> None:
    assert set(health()) == set(Health.model_fields)


def test_all_that_can_be_pressed_is_known_and_pressed_by_a_test(box: Stage, page: Page) -> None:
    assert set(page.evaluate(NAMES, "body")) - set(page.evaluate(NAMES, "main > #view")) == set(AROUND)
    request = {"id": "r", "client": "c", "kind": "prompt", "priority": "low", "state": "running", "age_s": 1}
    finding = {"severity": "problem", "area": "broker", "text": "It is gone.", "remedy": "do it"}
    ok, skipped = ({**finding, "severity": each, "remedy": None} for each in ("ok", "skipped"))
    answers = {
        "model": {"in_use": "b", "models": [{"name": "a"}], "pulling": {"model": "c"}},
        "doctor": {"version": "0.1.0", "findings": [finding, ok, skipped]},
        "requests": {"running": 1, "waiting": 0, "requests": [request]},
    }
    with answering(box.broker.port, "fake", answers):
        tools = '[{"type": "function", "function": {"name": "f"}}]'
        page.locator("details.options summary").click()
        page.get_by_label("Tools", exact=True).fill(tools)
        for prompt in (
            "<think>Hm.</think>Yes.",
            "!script fail_after=2\nHello there",
            '<tool_call>{"name": "f", "arguments": {}}</tool_call>',
        ):
            page.get_by_label("Message").fill(prompt)
            page.get_by_role("button", name="Send", exact=True).click()
            expect(page.locator(".turn").last).to_have_class("turn ended")
        look_at(page, "fake")
        for view, known in CONTROLS.items():
            main = show(page, view)
            if view == "doctor":
                main.get_by_role("button", name="Examine the device").click()
            if view in {"models", "requests", "fleet"}:
                expect(main.locator("tbody tr")).to_have_count(1)
            if view == "doctor":
                expect(main.locator("details")).to_have_count(2)
            assert set(page.evaluate(NAMES, "#view")) == set(known), view
    tests = "".join(each.read_text() for each in Path(__file__).parent.glob("test_*.py"))
    pressing = {test for known in (AROUND, *CONTROLS.values()) for test in known.values()}
    assert [test for test in pressing if f"def {test}(" not in tests] == []


def test_figures_come_alive_while_an_answer_is_written_and_each_chart_has_its_words(
    box: Stage, page: Page
) -> None:
    main = show(page, "live")
    expect(main).to_contain_text("box is ready, with scripted: 0 running, 0 waiting.")
    port = box.broker.port
    say(
        port,
        "edgeassist/box/prompt",
        {"id": "a", "max_tokens": 4000, "prompt": "!script repeat=4000 delay_ms=20\nabcd"},
    )
    expect(main).to_contain_text("box is busy, with scripted: 1 running, 0 waiting.")
    rate = chart(page, "Tokens per second")
    expect(rate).to_contain_text(re.compile(r"[1-9][\d.]* tokens/s now"))
    expect(rate.get_by_role("img")).to_have_accessible_name(re.compile(r"^Tokens per second: .*[1-9]"))
    expect(chart(page, "Requests").get_by_role("img")).to_have_accessible_name(
        re.compile(r"1 running .* Between 0 and 1 in the last 1 minutes")
    )
    say(port, "edgeassist/box/prompt", "hello")
    expect(chart(page, "First token")).to_contain_text(re.compile(r"[\d.]+ s from asking"))
    expect(chart(page, "Memory")).to_contain_text(re.compile(r"\d+ MB in use by daemon and engine"))
    expect(rate.locator("path.first")).to_have_attribute("d", re.compile("^M.*L"))
    say(port, "edgeassist/box/command/cancel", "a")
    expect(main).to_contain_text("box is ready, with scripted: 0 running, 0 waiting.")


def test_what_holds_a_device_back_is_said_and_all_that_comes_from_outside_is_text(
    box: Stage, page: Page
) -> None:
    port = box.broker.port
    troubles = health(
        model=HOSTILE, reason=HOSTILE, throttled=True, under_voltage_since_start=True, durable=False,
        undurable_reason=HOSTILE, engine_restarts=2, threads_reason=HOSTILE, mqtt_refused=1,
        mqtt_last_refusal=HOSTILE,
    )  # fmt: skip
    say(port, "edgeassist/hot/status", "online", retain=True)
    say(port, "edgeassist/hot/health", troubles, retain=True)
    main = show(page, "live")
    look_at(page, "hot")
    expect(main.locator(".troubles")).to_contain_text("the firmware throttles the processor now")
    expect(main.locator(".troubles")).to_contain_text("There was under-voltage since the daemon started")
    expect(main.locator(".troubles")).to_contain_text(f"do not outlive a restart of the device: {HOSTILE}")
    expect(main.locator(".troubles")).to_contain_text(
        "Engines that died or hung since the daemon started: 2."
    )
    expect(main.locator(".sentence")).to_contain_text(HOSTILE)
    expect(chart(page, "Threads")).to_contain_text(HOSTILE)
    expect(chart(page, "Temperature")).to_contain_text("52 °C at the processor.")
    expect(main).to_contain_text("Its telemetry is not to be seen")
    say(port, "edgeassist/hot/health", health(), retain=True)
    expect(main.locator(".troubles li")).to_have_count(0)
    say(port, "edgeassist/hot/status", "offline", retain=True)
    expect(main.locator(".sentence")).to_contain_text("hot is offline. This is what it said last")
    assert page.evaluate("window.hurt") is None
    assert page.locator("main img, main b").count() == 0


def test_a_watch_shows_its_answer_with_a_bar_for_each_option(box: Stage, page: Page) -> None:
    main = show(page, "watches")
    card = main.locator("section").filter(has=page.get_by_role("heading", name="laundry"))
    expect(card).to_contain_text("room: unknown")
    say(box.broker.port, "washer", "kitchen kitchen kitchen bath")
    expect(card).to_contain_text("room: kitchen")
    expect(card.locator(".notice")).to_be_hidden()
    expect(card).to_contain_text("The state is from")
    bars = card.get_by_role("meter")
    expect(bars).to_have_count(3)
    expect(bars.first).to_have_accessible_name(re.compile(r"^room: kitchen, \d+ %$"))
    shares = [float(bars.nth(at).evaluate("each => each.value")) for at in range(3)]
    assert shares == sorted(shares, reverse=True)
    assert abs(sum(shares) - 1) < 0.01
    say(box.broker.port, "washer", "bath bath bath bath")
    expect(card).to_contain_text("room: bath")


def test_a_watch_that_somebody_else_wrote_is_text_and_no_more_are_shown_than_there_may_be(
    box: Stage, page: Page
) -> None:
    port = box.broker.port
    answer = {"type": "choice", "choice": HOSTILE, "probabilities": {HOSTILE: 0.9, "__proto__": 0.1}}
    state = {"answers": {HOSTILE: answer}, "reason": HOSTILE, "state_at": "nonsense", "answered_at": None}
    odd = [
        "[]",
        "7",
        "null",
        '{"answers": 5}',
        '{"answers": {"a": null}}',
        "{",
        '{"answers": {"a": {"probabilities": 3}}}',
    ]
    say(port, "edgeassist/odd/status", "online", retain=True)
    said = [(f"edgeassist/odd/watch/{HOSTILE.replace('/', '')}", json.dumps(state))]
    said += [(f"edgeassist/odd/watch/w{at:02}", odd[at % len(odd)]) for at in range(90)]
    say_all(port, said, retain=True)
    main = show(page, "watches")
    look_at(page, "odd")
    expect(main.locator("section").first).to_contain_text(HOSTILE)
    expect(main.get_by_role("meter").first).to_have_accessible_name(f"{HOSTILE}: {HOSTILE}, 90 %")
    assert 8 <= main.locator("section").count() <= 64
    assert page.evaluate("window.hurt") is None
    assert page.locator("main img, main b").count() == 0
    say_all(port, [(topic, "") for topic, _ in said], retain=True)


def test_a_fleet_shows_its_boxes_and_choosing_one_goes_to_it(box: Stage, page: Page) -> None:
    port = box.broker.port
    attic = {
        "device": "attic", "root": "edgeassist/attic", "session": "s", "model": "Other", "protocol": 1,
        "state": "draining", "reason": HOSTILE, "slots": 2, "running": 1, "waiting": 3, "movable": 0,
        "room": 0, "held_back": None, "since": None, "boot_id": "b", "version": "0.0.9", "adopter": None,
        "empty": False,
    }  # fmt: skip
    say(port, "edgeassist/attic/status", "online", retain=True)
    say(port, "edgeassist/attic/health", health(model="Other"), retain=True)
    say(port, "edgeassist/fleet/home/box/attic", attic, retain=True)
    say(port, "edgeassist/fleet/home/box/shed", {**attic, "device": "attic"}, retain=True)
    main = show(page, "fleet")
    expect(main.get_by_role("heading", name="Fleet home")).to_be_visible()
    rows = main.locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text(f"takes nothing new: {HOSTILE}")
    expect(rows.nth(0)).to_contain_text("1 of 2 running, 3 waiting")
    expect(rows.nth(1)).to_contain_text("takes requests")
    expect(rows.nth(1).get_by_role("button")).to_be_disabled()
    expect(main).to_contain_text(
        "Its boxes have different models, so answers depend on who gives them: Other, scripted."
    )
    rows.nth(0).get_by_role("button", name="Look at attic").click()
    expect(page.locator("#device select")).to_have_value("attic")
    expect(rows.nth(0).get_by_role("button")).to_be_disabled()
    expect(show(page, "live")).to_contain_text("attic is ready, with Other")
    assert page.evaluate("window.hurt") is None
    for topic in ("fleet/home/box/attic", "fleet/home/box/shed"):
        say(port, f"edgeassist/{topic}", retain=True)


def test_words_that_javascript_has_a_meaning_for_are_words(box: Stage, page: Page) -> None:
    port = box.broker.port
    no_text = {"toString": 1, "valueOf": 1}
    odd = health(state="constructor", reason=no_text, model=no_text, version=no_text, fleet=no_text)
    answer = {"type": "yes_no", "choice": "constructor", "since": no_text, "probabilities": {"toString": 1}}
    member = {
        "device": "odd",
        "root": "edgeassist/odd",
        "state": "__proto__",
        "model": no_text,
        "version": no_text,
    }
    said = {
        "status": "online",
        "health": json.dumps(odd),
        "telemetry": '{"errors": {"toString": 1}, "ttft_ms": {"p50": {"toString": 1}}}',
        "info": '{"version": {"toString": 1}, "settings": {"watch": [{"name": {"toString": 1}}, null]}}',
        "watch/a": json.dumps({"reason": no_text, "state_at": no_text, "answers": {"b": answer}}),
        "watch/deep": f'{{"reason": {"[" * 100_000}{"]" * 100_000}}}',
    }
    said = {f"edgeassist/odd/{name}": text for name, text in said.items()}
    said["edgeassist/fleet/home/box/odd"] = json.dumps(member)
    say_all(port, list(said.items()), retain=True)
    main = show(page, "live")
    look_at(page, "odd")
    expect(main.locator(".sentence")).to_contain_text("odd is constructor, with [object Object]")
    expect(page.locator("#state")).to_have_text("odd is online: constructor")
    expect(show(page, "watches")).to_contain_text("b: constructor")
    expect(show(page, "fleet").get_by_role("row", name="odd")).to_contain_text("__proto__")
    expect(main.get_by_role("row", name="box")).to_contain_text("takes requests")
    for view in VIEWS:
        assert len(show(page, view).inner_text().splitlines()) > 1
    say_all(port, [(topic, "") for topic in said], retain=True)


def test_the_list_of_devices_keeps_its_focus_and_has_an_end(box: Stage, page: Page) -> None:
    port = box.broker.port
    topics = [f"edgeassist/d{number:04}/status" for number in range(1200)]
    chosen = page.locator("#device select")
    chosen.focus()
    say_all(port, [(f"edgeassist/{'n' * 65}/status", "online"), (topics[0], "online")], retain=True)
    expect(chosen.locator("option", has_text="d0000")).to_have_count(1)
    expect(chosen).to_be_focused()
    say_all(port, [(topic, "online") for topic in topics], retain=True)
    expect(chosen.locator("option")).to_have_count(1000)
    expect(chosen).to_have_value("box")
    say_all(port, [(topic, "") for topic in [*topics, f"edgeassist/{'n' * 65}/status"]], retain=True)
    expect(chosen.locator("option", has_text="d0")).to_have_count(0)
    expect(chosen).to_be_focused()


@pytest.mark.parametrize(("scheme", "locale"), [("light", "en-GB"), ("dark", "zh-CN")])
def test_no_view_breaks_a_rule_of_accessibility(box: Stage, scheme: str, locale: str) -> None:
    page = box.enter(color_scheme=scheme, locale=locale)
    for view in VIEWS:
        expect(show(page, view).get_by_role("heading", level=2)).to_be_visible()
        if view == "live":
            expect(page.locator("figure")).to_have_count(6)
        assert violations(page) == [], view
    close(page.context)


def test_the_page_fits_a_phone(box: Stage) -> None:
    page = box.enter(viewport={"width": 360, "height": 640})
    for view in VIEWS:
        show(page, view)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, view
    close(page.context)


def test_a_thousand_reports_leave_the_page_as_large_as_it_was(box: Stage, page: Page) -> None:
    port = box.broker.port
    say(port, "edgeassist/many/status", "online", retain=True)
    main = show(page, "live")

    def report(first: int, last: int) -> None:
        documents = [
            json.dumps(health(running=at % 5, queued=at, cpu_temperature_c=40 + at % 20))
            for at in range(first, last)
        ]
        say_all(port, [("edgeassist/many/health", document) for document in documents])

    session = page.context.new_cdp_session(page)

    def size() -> tuple[int, int]:
        return heap_bytes(session), page.locator("*").count()

    look_at(page, "many")
    report(0, 200)
    expect(main.locator(".sentence")).to_contain_text("199 waiting.")
    heap, elements = size()
    report(200, 1200)
    expect(main.locator(".sentence")).to_contain_text("1199 waiting.")
    heap_then, elements_then = size()
    assert elements_then == elements
    assert heap_then < heap * 1.1
