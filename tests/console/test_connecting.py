from playwright.sync_api import Page, expect

from tests.console.stage import Stage, close


def test_the_page_asks_for_a_login_and_then_knows_the_device(box: Stage) -> None:
    page = box.open()
    expect(page.get_by_role("heading", name="Log in to the broker")).to_be_visible()
    page.get_by_role("button", name="Connect").click()
    expect(page.locator("#state")).to_have_text("box is online: ready")
    expect(page.get_by_role("tab", name="Chat")).to_have_attribute("aria-selected", "true")
    close(page.context)


def test_all_of_it_speaks_chinese(page: Page) -> None:
    page.get_by_label("Language").select_option("zh")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page.get_by_role("tab", name="对话")).to_be_visible()
    expect(page.locator("#state")).to_have_text("box 在线：就绪")
