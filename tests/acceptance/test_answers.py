"""A person's and a device's view of an answer: the whole way, on real parts."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from edgeassist.client.answers import AnyEvent
from edgeassist.client.requester import Requester
from edgeassist.protocol.constraints import MAX_CONSTRAINT_BYTES
from edgeassist.protocol.events import Accepted, Chunk, Done, Failed, Progress
from edgeassist.sandbox import HOST
from tests.conftest import AsyncConnect, Box, StartReady, TakeBox, expect_done, expect_failed
from tests.patience import PATIENCE_S

# The beginning of what llama2.c's doc/stories260K.md publishes for greedy sampling.
STORY = (
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. "
    "One day, she saw a big, red ball. She wanted to play with it, but it was too high.\n"
    "Lily's mom said, \"Lily, let's go to the park.\""
)
# And the whole of it: its length in characters and the SHA-256 of its UTF-8.
PUBLISHED = 565, "30b2ffb07967932a88bfdf5e23b517a6f4cfcf7231db9e537360d3c12a4e4d10"


@pytest.fixture(params=["trial_model", "trial_onnx"])
def any_model(request: pytest.FixtureRequest) -> Path:
    """A model of each kind, in turn."""
    path: Path = request.getfixturevalue(request.param)
    return path


async def gather(client: Requester, prompt: str, **fields: Any) -> list[AnyEvent]:
    return [event async for event in client.ask(prompt, **fields)]


def chunks(events: Iterable[AnyEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Chunk))


def run(*command: str, timeout: float = PATIENCE_S) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=timeout).stdout


async def publish(box: Box, topic: str, payload: str, *options: str) -> None:
    await asyncio.to_thread(
        run, "mosquitto_pub", "-h", HOST, "-p", str(box.port), "-t", topic, "-m", payload, *options
    )


async def test_the_published_story_is_told_greedily_and_its_chunks_join_to_the_final_text(
    take_box: TakeBox, stories: Path
) -> None:
    client = (await take_box(model__path=stories)).client
    events = await gather(client, "Once upon a time", temperature=0, max_tokens=260)
    done = expect_done(events[-1])
    story = "Once upon a time" + done.text
    assert story.startswith(STORY)
    length, digest = PUBLISHED
    assert hashlib.sha256(story[:length].encode()).hexdigest() == digest
    assert chunks(events) == done.text
    assert [event.seq for event in events] == list(range(len(events)))
    assert isinstance(events[0], Accepted)
    assert isinstance(events[1], Progress)
    assert done.usage.prompt_tokens == 5
    assert done.usage.completion_tokens == 260
    assert done.finish_reason == "length"


async def test_pub_rr_and_a_3_1_1_client_get_the_same_answer(take_box: TakeBox, stories: Path) -> None:
    box = await take_box(model__path=stories, sampling__temperature=0, sampling__max_tokens=30)
    expected = (await box.client.answer("Once upon a time")).text
    assert expected.startswith(", there was a little girl")

    wire = await box.connect.wire("edgeassist/box/reply/+")
    await publish(box, "edgeassist/box/prompt", "Once upon a time")
    assert (await wire.answer())["text"] == expected
    seqs = [json.loads(message.payload)["seq"] for message in wire.heard]
    assert seqs == list(range(len(wire.heard)))

    question = json.dumps({"prompt": "Once upon a time", "stream": False})
    answer = await asyncio.to_thread(
        run,
        *("mosquitto_rr", "-h", HOST, "-p", str(box.port)),
        *("-V", "5", "-t", "edgeassist/box/prompt", "-e", "edgeassist/box/reply/me/1"),
        *("-m", question, "-W", "10"),
    )
    assert json.loads(answer)["text"] == expected

    old = await box.connect("esp32", protocol="3.1.1")
    events = await gather(old, "Once upon a time")
    assert expect_done(events[-1]).text == chunks(events) == expected


async def test_correlation_data_comes_back_byte_for_byte_on_every_message(
    take_box: TakeBox,
) -> None:
    box = await take_box()
    wire = await box.connect.wire("reply/me")
    await publish(
        box, "edgeassist/box/prompt", "hello", "-V", "5",
        *("-D", "publish", "response-topic", "reply/me", "-D", "publish", "correlation-data", "k7/é"),
    )  # fmt: skip
    assert (await wire.answer())["text"] == "hello"
    assert {message.correlation for message in wire.heard} == {"k7/é".encode()}


async def test_200_chinese_prompts_from_8_clients_each_end_once_without_gaps(
    take_box: TakeBox,
) -> None:
    box = await take_box(
        engine__slots=4, admission__queue=400, admission__per_client=50, stream__interval_ms=5
    )
    clients = [await box.connect(f"client{number}") for number in range(8)]

    async def ask(number: int) -> tuple[str, list[AnyEvent]]:
        text = f"第{number}号设备：请把卧室的空调调到{number}度，谢谢！😀"
        events = await gather(clients[number % 8], text)
        return text, events

    for text, events in await asyncio.gather(*(ask(number) for number in range(200))):
        terminal = [event for event in events if isinstance(event, Done | Failed)]
        assert terminal == [events[-1]]
        assert isinstance(events[-1], Done)
        assert events[-1].text == text == chunks(events)
        assert [event.seq for event in events] == list(range(len(events)))
        assert "\ufffd" not in text


async def test_bare_text_comes_for_a_display_with_an_empty_end_and_the_details_beside(
    take_box: TakeBox,
) -> None:
    wire = await (await take_box()).connect.wire("reply/#")
    request = {"id": "d1", "prompt": "Guten Tag", "format": "text", "reply_to": "reply/display"}
    wire.say("edgeassist/box/prompt", json.dumps(request))
    document = await wire.answer()
    *text, end, details = wire.heard
    assert b"".join(message.payload for message in text) == b"Guten Tag"
    assert {message.topic for message in [*text, end]} == {"reply/display"}
    assert (end.payload, details.topic) == (b"", "reply/display/end")
    assert (document["type"], document["text"], document["seq"]) == ("done", "Guten Tag", len(wire.heard) - 1)


async def test_a_session_carries_on_and_an_unknown_one_is_refused_on_request(
    take_box: TakeBox, any_model: Path
) -> None:
    client = (await take_box(model__path=any_model)).client
    first = expect_done(await client.answer("hello", session="kitchen", max_tokens=8))
    second = expect_done(await client.answer("and now", session="kitchen", resume=True))
    assert second.usage.prompt_tokens > first.usage.prompt_tokens + first.usage.completion_tokens
    lost = expect_failed(await client.answer("and now", session="garden", resume=True))
    assert lost.code == "invalid_request"
    assert "garden" in lost.message


async def test_stop_texts_limits_and_seeds_do_what_they_say(take_box: TakeBox, any_model: Path) -> None:
    client = (await take_box(model__path=any_model)).client
    once = expect_done(await client.answer("tell me", seed=7, max_tokens=40, temperature=1.0))
    again = expect_done(await client.answer("tell me", seed=7, max_tokens=40, temperature=1.0))
    assert once.text == again.text
    word = once.text.split()[3]
    stopped = expect_done(await client.answer("tell me", seed=7, max_tokens=40, temperature=1.0, stop=word))
    assert stopped.finish_reason == "stop"
    assert stopped.text == once.text[: once.text.index(word)]
    short = expect_done(await client.answer("tell me", seed=7, max_tokens=3, temperature=1.0))
    assert (short.finish_reason, short.usage.completion_tokens) == ("length", 3)


async def test_a_prompt_beyond_the_context_is_refused_with_both_numbers(
    take_box: TakeBox, any_model: Path
) -> None:
    client = (await take_box(model__path=any_model, model__context=64)).client
    failed = expect_failed(await client.answer("word " * 300))
    assert failed.code == "context_overflow"
    assert "64" in failed.message
    assert any(int(number) > 64 for number in failed.message.split() if number.isdecimal())


@pytest.mark.parametrize(
    ("payload", "code", "hint"),
    [
        (b'{"prompt": "hi"', "invalid_request", "EOF"),
        (b'{"id": "x1", "prompt": "hi", "color": 1}', "invalid_request", "color"),
        (b'{"id": "x2", "prompt": 5}', "invalid_request", "prompt"),
        (b'{"id": "x3", "prompt": "hi", "temperature": -1}', "invalid_request", "temperature"),
        (b'{"id": "x4", "prompt": "  "}', "invalid_request", "empty"),
        (b"", "invalid_request", "empty"),
        (b"\xff\xfe", "invalid_request", "UTF-8"),
        (b"x" * 1001, "too_large", "1001"),
        (b'{"a":' * 180, "invalid_request", ""),
        (b'{"prompt": "hi", "reply_to": "#"}', "invalid_request", "wildcard"),
        (b'{"prompt": "hi", "reply_to": "$SYS/x"}', "invalid_request", "$"),
        (b'{"prompt": "hi", "reply_to": "homeassistant/x"}', "invalid_request", "reply_prefixes"),
        (b'{"prompt": "hi", "json_schema": true}', "invalid_request", "json_schema"),
        (b'{"prompt": "hi", "regex": "a", "choice": ["b"]}', "invalid_request", "regex and choice"),
        (b'{"prompt": "hi", "response_format": {}}', "invalid_request", "send json_schema"),
        (
            b'{"prompt": "hi", "tools": [{"name": "f"}]}',
            "invalid_request",
            '"type": "function"',
        ),
    ],
)
async def test_bad_input_gets_an_error_that_says_what_to_do(
    take_box: TakeBox, payload: bytes, code: str, hint: str
) -> None:
    box = await take_box(admission__payload_bytes=1000)
    wire = await box.connect.wire("edgeassist/box/reply/+")
    wire.say("edgeassist/box/prompt", payload)
    seen = await wire.answer()
    assert (seen["type"], seen["code"]) == ("error", code)
    assert hint in seen["message"]
    assert isinstance(await box.client.answer("still there?"), Done)


async def test_the_largest_schema_reaches_the_engine_and_comes_back_as_an_answer(take_box: TakeBox) -> None:
    client = (await take_box()).client
    schema = {"title": '"' * ((MAX_CONSTRAINT_BYTES - len('{"title":""}')) // 2)}
    done = expect_done(await client.answer("hello", json_schema=schema))
    assert (done.text, done.finish_reason) == ("hello", "stop")


@pytest.mark.parametrize("payload", ["[1, 2]", "42", "null", '"quoted"'])
async def test_json_that_is_no_object_is_a_prompt(take_box: TakeBox, payload: str) -> None:
    wire = await (await take_box()).connect.wire("edgeassist/box/reply/+")
    wire.say("edgeassist/box/prompt", payload)
    assert (await wire.answer())["text"] == payload


async def test_a_prompt_that_was_retained_before_the_daemon_came_is_ignored(
    ready: StartReady, connect: AsyncConnect
) -> None:
    wire = await connect.wire("edgeassist/box/reply/+")
    wire.say("edgeassist/box/prompt", "for ever", qos=1, retain=True)
    _, client = await ready()
    wire.say("edgeassist/box/prompt", "now")
    assert (await wire.answer())["text"] == "now"
    assert json.loads(await client.state("edgeassist/box/telemetry") or b"{}")["requests"] == 0
