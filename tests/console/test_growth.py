"""What many chunks cost the page."""

import json

from playwright.sync_api import Page, expect

from tests.console.memory import heap_bytes
from tests.console.stage import Stage, ask, last_turn, publish, publish_lines, reply_topic

# A device gathers text while the broker is slower than it: one that says each token at once is played.
CHUNKS = 10_000
TEXT = " four"


def answer(page: Page, box: Stage, chunks: int) -> None:
    """Ask a device without a daemon, and answer for it in so many chunks."""
    before = page.locator(".turn").count()
    ask(page, "Go on")
    expect(page.locator(".turn")).to_have_count(before + 1)
    request = page.evaluate("JSON.parse(sessionStorage.getItem('edgeassist.pending'))[0].id")
    events = [{"id": request, "seq": seq, "type": "chunk", "text": TEXT} for seq in range(chunks)]
    end = {"id": request, "seq": chunks, "type": "done", "text": TEXT * chunks, "finish_reason": "stop"}
    publish_lines(box, reply_topic(page, "ghost"), (json.dumps(each) for each in [*events, end]))
    expect(last_turn(page)).to_have_class("turn ended")


def test_ten_thousand_chunks_do_not_grow_the_page(page: Page, box: Stage) -> None:
    publish(box, "edgeassist/ghost/status", "online", "-r")
    page.get_by_label("Device", exact=True).select_option("ghost")
    session = page.context.new_cdp_session(page)
    for _ in range(2):
        answer(page, box, 10)
    before = heap_bytes(session)
    nodes = page.evaluate("document.querySelectorAll('*').length")
    answer(page, box, CHUNKS)
    assert last_turn(page).locator(".body").text_content() == (TEXT * CHUNKS)
    after = heap_bytes(session)
    assert after < 1.1 * before, (before, after)
    assert page.evaluate("document.querySelectorAll('*').length") < nodes + 50
