"""What page/answer.js makes of events, whatever was lost, doubled or said again on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from edgeassist.console.config import PageConfig
from tests.console.stage import serving

PLAY = """async ([events, saved]) => {
  const { Answer } = await import("./answer.js");
  const answer = new Answer("a");
  if (saved) answer.restore(saved);
  for (const event of events) event === "again" ? answer.repeated() : answer.take(event);
  const { state, text, reasoning, calls, gap } = answer;
  return { state, text, reasoning, calls, gap, code: answer.end?.code };
}"""
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.fixture(scope="module")
def console(browser: Browser) -> Iterator[Page]:
    """The page, before anybody has logged in."""
    with serving(PageConfig("ws://127.0.0.1:1", "5", "edgeassist", "box", None, "0.1.0")) as url:
        page = browser.new_page()
        page.goto(url)
        yield page
        page.close()


def accepted(seq: int = 0) -> dict[str, Any]:
    return {"type": "accepted", "seq": seq}


def chunk(seq: int, text: str, **more: Any) -> dict[str, Any]:
    return {"type": "chunk", "seq": seq, "text": text, **more}


def done(seq: int, text: str, **more: Any) -> dict[str, Any]:
    return {"type": "done", "seq": seq, "text": text, "finish_reason": "stop", **more}


def failed(seq: int, text: str = "") -> dict[str, Any]:
    return {"type": "error", "seq": seq, "code": "interrupted", "text": text}


@pytest.mark.parametrize(
    ("events", "text", "state"),
    [
        ([accepted(), chunk(1, "a"), chunk(2, "b")], "ab", "running"),
        ([accepted(), chunk(1, "a"), chunk(1, "a"), chunk(2, "b")], "ab", "running"),  # delivered twice
        ([accepted(), chunk(1, "a"), chunk(3, "c")], "a […] c", "running"),
        ([accepted(), chunk(1, "a"), chunk(3, "c"), done(4, "abc")], "abc", "ended"),
        ([accepted(), chunk(1, "a"), accepted(), chunk(1, "x")], "x", "running"),  # begun anew
        ([accepted(), chunk(1, "a"), "again", chunk(1, "x"), chunk(2, "y")], "xy", "running"),
        ([accepted(), chunk(1, "a"), "again", chunk(2, "b")], "ab", "running"),  # it went on
        ([accepted(), chunk(1, "a"), done(2, "a"), done(2, "z", repeat=True)], "a", "ended"),
        ([accepted(), chunk(1, "a"), chunk(0, "z", repeat=True), done(3, "az", repeat=True)], "az", "ended"),
        ([accepted(), chunk(1, "a"), failed(1_000_000)], "a", "ended"),
        ([accepted(), chunk(1, "a"), failed(2, "ab")], "ab", "ended"),
        ([done(0, "all at once")], "all at once", "ended"),
        ([{"type": "news", "seq": 0}, chunk(1, "a")], "a", "running"),  # of a newer device
        ([accepted(), {"type": "chunk", "text": "a"}], "", "accepted"),
    ],
)
def test_the_text_is_in_order_and_complete(console: Page, events: list[Any], text: str, state: str) -> None:
    answer = console.evaluate(PLAY, [events, None])
    assert (answer["text"], answer["state"]) == (text, state)


def test_after_a_reload_it_goes_on_where_it_was(console: Page) -> None:
    saved = {"text": "ab", "reasoning": "hm", "gap": False, "next": 3}
    went_on = console.evaluate(PLAY, [["again", chunk(3, "c"), done(4, "abc")], saved])
    assert (went_on["text"], went_on["reasoning"]) == ("abc", "hm")
    missed = console.evaluate(PLAY, [["again", chunk(5, "e")], saved])
    assert (missed["text"], missed["gap"]) == ("ab […] e", True)
    anew = console.evaluate(PLAY, [["again", accepted(), chunk(1, "x")], saved])
    assert (anew["text"], anew["reasoning"]) == ("x", "")


def test_the_end_has_all_calls(console: Page) -> None:
    called = {"type": "tool_call", "seq": 1, "tool_call_id": "c1", "name": "f", "arguments": "{}"}
    events = [accepted(), called, done(2, "", tool_calls=[CALL])]
    assert console.evaluate(PLAY, [events[:2], None])["calls"] == [
        {"id": "c1", "name": "f", "arguments": "{}"}
    ]
    assert console.evaluate(PLAY, [events, None])["calls"] == [{"id": "c1", "name": "f", "arguments": "{}"}]


BLOCKS = "async (text) => (await import('./blocks.js')).blocksOf(text)"


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("", []),
        ("a\n\nb", [("", "a\n\nb")]),
        ("a\n```py\nx\n\ny\n```\nb", [("", "a"), ("py", "x\n\ny"), ("", "b")]),
        ("```\nnever closed", [("code", "never closed")]),
        ("~~~\n```\n~~~", [("code", "```")]),
        ("````\n```\n````", [("code", "```")]),
        ("`` ` ``", [("", "`` ` ``")]),
        ("```a`b```", [("", "```a`b```")]),
    ],
)
def test_fenced_code_is_known(console: Page, text: str, blocks: list[tuple[str, str]]) -> None:
    found = [
        ((each.get("language") or "code") if each["code"] else "", each["text"])
        for each in console.evaluate(BLOCKS, text)
    ]
    assert found == blocks


@pytest.mark.parametrize(
    ("pattern", "topic", "fits"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("+/status", "x/status", True),
        ("a/b", "a/b/c", False),
        ("a/+/c", "a//c", True),
    ],
)
def test_filters_take_in_topics(console: Page, pattern: str, topic: str, fits: bool) -> None:  # noqa: FBT001
    script = "async ([filter, topic]) => (await import('./connection.js')).matches(filter, topic)"
    assert console.evaluate(script, [pattern, topic]) is fits
