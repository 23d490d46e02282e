"""What the client makes of an event that this version does not know."""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import Any, Literal

import pytest

from edgeassist.client import AsyncClient, AsyncStream, Client, Stream
from edgeassist.client.answers import AnswerStream, AnyEvent
from edgeassist.client.fields import Fields, Options
from edgeassist.client.formats import AnswerFormatError
from edgeassist.client.pending import MOST_WAITING, Events
from edgeassist.client.reading import Unread, read_document, read_event
from edgeassist.client.result import Answer
from edgeassist.errors import BrokerError, Code, DeadlyPromptError, EngineCrashedError
from edgeassist.protocol.events import Chunk, Done, Failed, Progress, Timings, Usage
from edgeassist.protocol.requests import PromptRequest


def event(**fields: Any) -> bytes:
    return json.dumps({"id": "r", "seq": 3, **fields}).encode()


def test_an_error_with_a_code_of_a_newer_device_ends_the_request_and_keeps_the_code_in_its_message() -> None:
    failed = read_event(event(type="error", code="too_hot", message="wait", retryable=True, device="box"))
    assert isinstance(failed, Failed)
    assert (failed.code, failed.message, failed.retryable) == (Code.INTERNAL, "too_hot: wait", True)


def test_a_short_error_is_an_error() -> None:
    failed = read_event(event(type="error", code="busy", message="m", retryable=True, retry_after_ms=40))
    assert isinstance(failed, Failed)
    assert (failed.code, failed.retry_after_ms, failed.message) == (Code.BUSY, 40, "m")


def test_an_end_that_can_not_be_made_out_is_a_failure_with_its_text() -> None:
    failed = read_event(event(type="done", text="all", finish_reason="thought_enough"))
    assert isinstance(failed, Failed)
    assert (failed.code, failed.text) == (Code.INTERNAL, "all")


def test_an_event_of_an_unknown_kind_counts_in_seq_and_is_passed_over() -> None:
    unread = read_event(event(type="thought", text="hm"))
    assert isinstance(unread, Unread)
    stream = AnswerStream()
    chunks = [Chunk(id="r", seq=seq, text="a") for seq in range(3)]
    assert [each for chunk in chunks for each in stream.take(chunk)] == chunks
    assert stream.take(unread) == []
    after = Chunk(id="r", seq=4, text="b")
    assert stream.take(after) == [after]


@pytest.mark.parametrize(
    "payload", [b"text", b"[]", b'{"type": "chunk"}', b'{"id": 1, "seq": 0, "type": "x"}']
)
def test_what_is_no_event_of_any_version_is_an_error(payload: bytes) -> None:
    with pytest.raises(ValueError, match="validation error"):
        read_event(payload)


@pytest.mark.parametrize("retryable", [True, False])
def test_a_failure_raises_as_retryable_as_the_device_says(retryable: bool) -> None:  # noqa: FBT001 - a case
    failed = Failed(
        id="r",
        seq=0,
        code=Code.ENGINE_CRASHED,
        message="m",
        retryable=retryable,
        retry_after_ms=9,
        device="b",
    )
    error = failed.error()
    assert isinstance(error, EngineCrashedError)
    assert (error.code, error.retryable, error.message) == (Code.ENGINE_CRASHED, retryable, "m")
    assert error.retry_after_ms == 9
    assert (EngineCrashedError.retryable, DeadlyPromptError.retryable) == (True, False)


def answer(text: str, finish_reason: Literal["stop", "length"] = "stop") -> Answer:
    return Answer.of(
        Done(
            id="r",
            seq=1,
            text=text,
            finish_reason=finish_reason,
            usage=Usage(prompt_tokens=1, cached_tokens=0, completion_tokens=1),
            timings=Timings(queue_ms=0, prefill_ms=0, decode_ms=0, total_ms=0),
            model="m",
            device="box",
        )
    )


def test_a_caller_who_is_slow_gets_longer_chunks_and_no_event_more() -> None:
    waiting = Events()
    texts = [str(number) for number in range(10 * MOST_WAITING)]
    for seq, text in enumerate(texts):
        waiting.put(Chunk(id="r", seq=seq, text=text))
        waiting.put(Progress(id="r", seq=seq, processed=1, cached=0, total=1))
    assert len(waiting) <= MOST_WAITING
    waiting.put(BrokerError("gone"))
    taken = asyncio.run(_all(waiting))
    assert "".join(each.text for each in taken if isinstance(each, Chunk)) == "".join(texts)
    assert isinstance(taken[-1], BrokerError)


async def _all(waiting: Events) -> list[AnyEvent | BrokerError]:
    return [await waiting.get() for _ in range(len(waiting))]


def test_an_answer_is_its_text_and_its_json() -> None:
    assert str(answer('{"action": "set"}')) == '{"action": "set"}'
    assert answer('{"action": "set"}').json() == {"action": "set"}


def test_an_answer_that_is_no_json_says_so_and_that_it_was_cut_off() -> None:
    with pytest.raises(AnswerFormatError, match=r"is no JSON .*: 'hello'"):
        answer("hello").json()
    with pytest.raises(AnswerFormatError, match="max_tokens cut it off"):
        answer('{"action": ', "length").json()


def test_the_clients_fields_are_those_of_a_request_but_for_what_it_sets_itself() -> None:
    own = {"prompt", "reply_to", "stream", "format", "max_packet", "end"}
    assert set(Fields.__annotations__) - {"busy_s"} == set(PromptRequest.model_fields) - own


def test_both_clients_take_the_same_options() -> None:
    parameters = set(inspect.signature(AsyncClient).parameters) - {"host", "port"}
    assert set(Options.__annotations__) == parameters


def test_both_clients_have_the_same_words() -> None:
    def words(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert words(Client) == words(AsyncClient)
    assert words(Stream) - {"text", "reasoning", "tool_calls", "close"} == words(AsyncStream) - {
        "aclose",
        "next_event",
        "next_text",
    }


@pytest.mark.parametrize("payload", [None, b"", b"{", b"[1]", b"5", b"\xff", b'{"a":' * 100_000])
def test_what_a_device_says_of_itself_is_nothing_where_it_is_no_object(payload: bytes | None) -> None:
    assert read_document(payload) == {}
    assert read_document(b'{"state":"ready"}') == {"state": "ready"}
