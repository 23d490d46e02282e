"""axe-core finds nothing, in both themes and both languages; and what it can't know."""

from playwright.sync_api import Page, expect

from tests.console.accessibility import violations
from tests.console.stage import Stage, ask, close, last_turn, log_in

TOOLS = '[{"type": "function", "function": {"name": "get_relay"}}]'
CALL = '<tool_call>{"name": "get_relay", "arguments": {}}</tool_call>'


def test_axe_finds_nothing_in_login_and_chat_in_both_themes_and_languages(box: Stage) -> None:
    page = box.open()
    assert looked_at(page) == []
    page.locator("form.login input[inputmode=url]").fill("ws://127.0.0.1:1")
    log_in(page)
    expect(page.locator(".why pre")).to_be_visible()
    assert violations(page) == []
    page.locator("form.login input[inputmode=url]").fill(box.broker.url)
    log_in(page)
    expect(page.locator("#state")).to_have_attribute("data-state", "online")
    fill_chat(page)
    assert looked_at(page) == []
    close(page.context)


def looked_at(page: Page) -> list[str]:
    """Return what axe finds in each theme and language; the last is English, in the light."""
    found = []
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        for language in ("zh", "en"):
            page.locator("#language select").select_option(language)
            found += violations(page)
    return found


def fill_chat(page: Page) -> None:
    """Have all that the chat shows: thoughts, code, an error, cards, what could not be sent."""
    send = page.locator(".composer button[type=submit]")
    prompt = page.locator(".composer textarea").first
    page.locator("details.options summary").click()
    page.locator("details.options textarea").last.fill(TOOLS)
    for each in ("<think>Hm.</think>So:\n```sh\nls\n```", "!script fail_after=2\nHello there", CALL):
        prompt.fill(each)
        send.click()
        expect(last_turn(page)).to_have_class("turn ended")
    page.locator("details.thoughts summary").first.click()
    page.locator(".composer .row select").select_option("decide")
    send.click()
    expect(page.locator(".composer [role=alert]")).not_to_be_empty()
    prompt.fill("The lamp in the kitchen is broken.")
    page.locator("fieldset.decide input").fill("Where?")
    page.locator("fieldset.decide textarea").fill("kitchen\nbath")
    send.click()
    expect(last_turn(page).locator("meter")).to_have_count(2)


def test_an_answer_is_read_out_once_and_whole(page: Page) -> None:
    page.evaluate(
        """() => {
          window.heard = [];
          const said = document.getElementById("said");
          new MutationObserver(() => heard.push(said.textContent)).observe(said, { childList: true });
        }"""
    )
    ask(page, "!script repeat=20 delay_ms=20\nWord. ")
    expect(last_turn(page).locator(".timings")).to_be_visible()
    assert page.evaluate("heard") == ["Answer: " + "Word." * 20]
    assert page.locator("[aria-live]:not(#said):not([aria-live=off])").count() == 0


def test_tabs_go_by_arrow_keys(page: Page) -> None:
    tabs = page.get_by_role("tab")
    tabs.first.focus()
    page.keyboard.press("ArrowLeft")
    expect(tabs.last).to_be_focused()
    expect(tabs.last).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Home")
    expect(tabs.first).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    expect(tabs.first).to_be_focused()
    expect(page.get_by_role("tabpanel")).to_have_attribute("aria-labelledby", "tab-chat")


def test_the_first_link_leads_to_the_content(page: Page) -> None:
    page.reload()
    expect(page.locator("#state")).to_have_attribute("data-state", "online")
    page.get_by_role("link", name="Skip to the content").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#view")).to_be_focused()


def test_nothing_moves_where_that_is_wished(box: Stage) -> None:
    page = box.open(reduced_motion="reduce")
    assert page.evaluate("document.getAnimations().length") == 0
    close(page.context)


def test_all_texts_are_there_in_both_languages(page: Page) -> None:
    parts = page.evaluate("import('./texts.js').then(texts => texts.ALL_TEXTS)")
    assert parts
    for name, part in parts.items():
        # What a device says in English stands there as it is.
        assert set(part["en"]) <= set(part["zh"]), name
        for key, text in part["en"].items():
            assert holes(text) == holes(part["zh"][key]), f"{name}.{key}"


def holes(text: str) -> list[str]:
    """Return what is put into a text."""
    return sorted(each.partition("}")[0] for each in text.split("{")[1:])
