"""An ESP32 with PubSubClient's buffer of 256 bytes: it hears everything, and nothing is too large for it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import Any

import pytest

from tests.conftest import TakeBox
from tests.small_client import BUFFER_BYTES, SmallClient

# Longer than a buffer, with all that makes JSON longer: 450 bytes.
SCRIPT = "!script repeat=30\n"
WORDS = 'say "厨"\n\\ 😀'

_numbers = count(1)


class Esp32(SmallClient):
    """One of its own for each test: its ids are its own too."""

    def __init__(self, port: int, qos: int) -> None:
        name = f"esp32-room-{next(_numbers):02}"
        super().__init__(port, name, f"edgeassist/box/reply/{name}/#", qos=qos)
        self._prompts = f"edgeassist/box/prompt/{name}"

    def prompt(self, payload: bytes) -> None:
        self.say(self._prompts, payload)


Ask = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture(params=[0, 1])
async def esp32(take_box: TakeBox, request: pytest.FixtureRequest) -> AsyncIterator[Esp32]:
    """A small client of either subscription; at the end nothing was too large for it."""
    # Room for one answer and one that waits.
    box = await take_box(model__context=512, engine__slots=1, admission__queue=1)
    async with Esp32(box.port, request.param) as small:
        yield small
        assert small.dropped == []
        await box.client.command("cancel", all=True)


@pytest.fixture
def ask(esp32: Esp32) -> Ask:
    """Ask as the small client, and return the end."""

    async def ask(prompt: str, *, name: str = "1", **fields: Any) -> dict[str, Any]:
        request = {"id": name, "prompt": prompt, "max_packet": BUFFER_BYTES, **fields}
        esp32.prompt(json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode())
        return await esp32.end(name)

    return ask


def chunks(client: SmallClient) -> str:
    return "".join(event["text"] for event in client.events if event["type"] == "chunk")


def bare(client: SmallClient) -> str:
    return b"".join(payload for topic, payload in client.heard if not topic.endswith("/end")).decode()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_long_answer_comes_in_packets_that_fit_and_so_does_its_end(
    ask: Ask, esp32: Esp32, *, stream: bool
) -> None:
    end = await ask(SCRIPT + WORDS, stream=stream)
    assert (end["type"], end["finish_reason"]) == ("done", "stop")
    assert end["usage"]["completion_tokens"] > 100
    assert chunks(esp32) == WORDS * 30
    assert [event["seq"] for event in esp32.events] == list(range(end["seq"] + 1))
    kinds = [event["type"] for event in esp32.events]
    assert kinds[:2] == (["accepted", "progress"] if stream else ["chunk"] * 2)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_long_answer_as_bare_text_comes_in_packets_that_fit_and_so_does_its_end(
    ask: Ask, esp32: Esp32, *, stream: bool
) -> None:
    end = await ask(SCRIPT + WORDS, format="text", stream=stream)
    assert (end["type"], end["seq"]) == ("done", len(esp32.heard) - 1)
    assert bare(esp32) == WORDS * 30
    assert esp32.heard[-2][1] == b""


@pytest.mark.parametrize("form", ["events", "text"])
async def test_a_failure_in_mid_answer_is_heard(ask: Ask, esp32: Esp32, form: str) -> None:
    end = await ask(f"!script repeat=30 delay_ms=5 crash_after=40\n{WORDS}", format=form)
    assert (end["type"], end["code"], end["retryable"]) == ("error", "engine_crashed", True)
    text = chunks(esp32) if form == "events" else bare(esp32)
    assert text
    assert (WORDS * 30).startswith(text)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"promt": 1, "prmpt": 2, "temprature": 3, "max_tokns": 4}, "invalid_request"),
    ({"max_tokens": "60"}, "invalid_request"),
    ({"reply_to": "elsewhere"}, "invalid_request"),
    ({"max_packet": 128}, "invalid_request"),
    ({"max_packet": "256"}, "invalid_request"),
    ({"tools": [{"name": "f"}]}, "invalid_request"),
    ({"choice": []}, "invalid_request"),
    ({"session": "s", "resume": True}, "invalid_request"),
    ({"timeout_s": 0.2, "prompt": "!script prefill_ms=50\nHello, hello"}, "deadline_exceeded"),
    ({"metadata": {"a": "long " * 20}, "prompt": ""}, "invalid_request"),
]


@pytest.mark.parametrize("form", ["events", "text"])
async def test_every_refusal_is_heard_in_the_form_that_was_asked_for(
    ask: Ask, esp32: Esp32, form: str
) -> None:
    for number, (fields, code) in enumerate(REFUSED, 1):
        request = {"prompt": "x", "format": form, "name": f"{number}", **fields}
        end = await ask(request.pop("prompt"), **request)
        assert end["code"] == code
        assert end["message"]
        assert [payload for _, payload in esp32.heard].count(b"") == number * (form == "text")


async def test_a_refusal_of_what_can_not_be_read_is_heard_though_it_can_not_tell_the_size(
    esp32: Esp32,
) -> None:
    named = [
        b'{"id":"%d","prompt":"x","max_tokens":60,}',
        b'{"id":%d,"prompt":"' + b"x" * 180,
        b"{'id':'%d','prompt':'x'}",
        b'{"id":"%d","prompt":"caf\xe9"}',
    ]
    for number, payload in enumerate(named):
        esp32.prompt(payload % number)
        assert (await esp32.end(f"{number}"))["code"] == "invalid_request"
    for payload in (b'{"prompt":"x","max_tokens":60,}', b"\xff\xfe", b"  "):
        esp32.heard.clear()
        esp32.prompt(payload)
        assert (await esp32.end())["code"] == "invalid_request"


async def test_a_busy_device_says_when_to_come_back(ask: Ask, esp32: Esp32) -> None:
    for name in ("a", "b"):
        request = {"id": name, "prompt": "!script delay_ms=500\nHello", "max_packet": BUFFER_BYTES}
        esp32.prompt(json.dumps(request).encode())
    assert (await ask("x", name="c", metadata={"n": 1}))["retry_after_ms"] > 0


async def test_an_answer_that_is_asked_for_again_comes_again_whole(ask: Ask, esp32: Esp32) -> None:
    for form, stream in (("events", True), ("events", False), ("text", True)):
        fields = {"name": f"{form}{stream}", "format": form, "stream": stream}
        first = await ask(SCRIPT + WORDS, **fields)
        esp32.heard.clear()
        again = await ask(SCRIPT + WORDS, **fields)
        assert (chunks(esp32) if form == "events" else bare(esp32)) == WORDS * 30
        assert {**again, "seq": 0} == {**first, "seq": 0, "repeat": True}
        esp32.heard.clear()


async def test_a_small_client_is_not_deaf_after_many_answers(ask: Ask, esp32: Esp32) -> None:
    for number in range(30):
        name = f"{number}"
        assert (await ask("hi", name=name))["type"] == "done"
    assert chunks(esp32) == "hi" * 30
