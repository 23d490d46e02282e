import json
from typing import Any

import pytest

from edgeassist.errors import Code
from edgeassist.gateways.mqtt.destination import ReplyTo
from edgeassist.gateways.mqtt.intake import Refused, ReplyRules, Taken, take_in
from edgeassist.protocol.asking import End, ReplyFormat
from edgeassist.protocol.packets import Inbound
from edgeassist.protocol.requests import PromptRequest
from edgeassist.protocol.topics import PromptTopic, Topics

TOPICS = Topics("edgeassist", "box")
RULES = ReplyRules(("{root}/reply/", "reply/"), 1000)


def take(payload: object, client: str | None = None, **properties: Any) -> Taken | Refused:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return take_in(Inbound("edgeassist/box/prompt", data, **properties), PromptTopic(client), TOPICS, RULES)


def asked(payload: object, client: str | None = None, **properties: Any) -> Taken:
    taken = take(payload, client, **properties)
    assert isinstance(taken, Taken), taken
    return taken


def refused(payload: object, client: str | None = None, **properties: Any) -> Refused:
    taken = take(payload, client, **properties)
    assert isinstance(taken, Refused), taken
    return taken


def test_a_bare_text_is_answered_below_the_devices_own_replies() -> None:
    taken = asked(b"hello")
    assert isinstance(taken.request, PromptRequest)
    assert taken.request.prompt == "hello"
    assert taken.reply_to == ReplyTo(f"edgeassist/box/reply/{taken.request.id}")


def test_a_client_is_answered_below_its_own_name() -> None:
    taken = asked({"id": "7", "prompt": "x"}, "kitchen")
    assert taken.reply_to.topic == "edgeassist/box/reply/kitchen/7"


def test_the_response_topic_of_mqtt_5_counts_more_than_reply_to() -> None:
    payload = {"prompt": "x", "reply_to": "reply/two"}
    assert asked(payload).reply_to.topic == "reply/two"
    assert asked(payload, response_topic="reply/one").reply_to.topic == "reply/one"


def test_correlation_and_the_wished_form_are_kept() -> None:
    taken = asked(
        {"prompt": "x", "stream": False, "format": "text", "metadata": {"a": [1]}},
        correlation=b"\x00\xff",
    )
    assert taken.reply_to.correlation == b"\x00\xff"
    assert taken.reply_to.format is ReplyFormat.TEXT
    assert not taken.reply_to.stream
    assert taken.request.metadata == {"a": [1]}


@pytest.mark.parametrize(
    "topic", ["somewhere/else", "edgeassist/box/command/cancel", "reply/#", "$SYS/x", "replying", ""]
)
def test_a_place_that_is_not_allowed_is_refused_at_the_default_place(topic: str) -> None:
    taken = refused({"id": "7", "prompt": "x", "reply_to": topic, "metadata": {"a": 1}}, correlation=b"c")
    assert taken.error.code is Code.INVALID_REQUEST
    assert taken.reply_to == ReplyTo("edgeassist/box/reply/7", b"c")
    assert taken.request_id == "7"
    assert taken.metadata == {"a": 1}


def test_a_response_topic_that_is_not_allowed_is_refused_too() -> None:
    taken = refused({"id": "7", "prompt": "x"}, "kitchen", response_topic="edgeassist/box/reply/hall/1")
    assert "'kitchen' may not go to" in taken.error.message
    assert taken.reply_to.topic == "edgeassist/box/reply/kitchen/7"


def test_a_broken_request_is_refused_where_its_answer_was_wanted() -> None:
    taken = refused({"id": "7", "reply_to": "reply/here", "promt": "x"}, correlation=b"c")
    assert taken.request_id == "7"
    assert taken.reply_to == ReplyTo("reply/here", b"c")
    assert "unknown field 'promt'" in taken.error.message


@pytest.mark.parametrize("topic", ["somewhere/else", "reply/\0", "reply/+", 5, None])
def test_a_broken_request_that_wants_a_forbidden_place_is_refused_at_the_default_place(topic: object) -> None:
    taken = refused({"id": "7", "reply_to": topic, "promt": "x"})
    assert taken.reply_to.topic == "edgeassist/box/reply/7"
    assert "unknown field 'promt'" in taken.error.message


def test_a_place_with_half_a_character_is_refused_at_the_default_place() -> None:
    taken = refused({"id": "7", "reply_to": "reply/\ud800", "prompt": "x"})
    assert taken.request_id == "7"
    assert taken.reply_to.topic == "edgeassist/box/reply/7"


@pytest.mark.parametrize(
    "payload", [b"\xff\xfe", b"{broken", b"", b'{"id": "no/topic", "prompt": ""}', b'{"a":' * 10_000]
)
def test_a_refusal_without_a_usable_id_gets_a_fresh_one(payload: bytes) -> None:
    first, second = refused(payload[:999]), refused(payload[:999])
    assert first.error.code is Code.INVALID_REQUEST
    assert first.request_id != second.request_id
    assert first.reply_to.topic == f"edgeassist/box/reply/{first.request_id}"


def test_a_payload_that_is_too_large_is_refused_by_its_id_where_that_stands_within_the_limit() -> None:
    taken = refused({"id": "7", "prompt": "x" * 1000}, "kitchen")
    assert taken.error.code is Code.TOO_LARGE
    assert "1000" in taken.error.message
    assert (taken.request_id, taken.reply_to.topic) == ("7", "edgeassist/box/reply/kitchen/7")
    assert refused({"prompt": "x" * 1000, "id": "7"}, "kitchen").request_id != "7"


@pytest.mark.parametrize(
    "payload",
    [
        {"id": 7, "prompt": ""},
        {"id": 7.0, "promt": "x"},
        b'{"id": 7, "prompt": "x",}',
        b"{'id': '7', 'prompt': 'x'}",
        b'{"id": "7", "prompt": "cut o',
        b'{"id": "7", "prompt": "x"} \0 rest',
        b'{"prompt": "caf\xe9", "id": "7"}',
    ],
)
def test_a_broken_request_is_refused_under_its_id_on_its_clients_topic(payload: object) -> None:
    taken = refused(payload, "kitchen")
    assert (taken.request_id, taken.reply_to.topic) == ("7", "edgeassist/box/reply/kitchen/7")


def test_a_refusal_without_an_id_goes_to_where_its_client_can_listen() -> None:
    taken = refused(b'{"prompt": "x",}', "kitchen")
    assert taken.reply_to.topic == f"edgeassist/box/reply/kitchen/{taken.request_id}"


@pytest.mark.parametrize(
    "payload",
    [
        {"prompt": "", "format": "text", "max_packet": 300, "end": "short"},
        b'{"prompt": "x", "format": "text", "max_packet": 300, "end": "short",}',
        {"prompt": "x", "format": "text", "max_packet": 300, "end": "short", "reply_to": "elsewhere"},
    ],
)
def test_a_refusal_has_the_form_that_the_answer_would_have_had(payload: object) -> None:
    to = refused(payload).reply_to
    assert (to.format, to.max_packet, to.end) == (ReplyFormat.TEXT, 300, End.SHORT)


def test_what_can_not_be_read_is_refused_as_if_by_a_small_client() -> None:
    assert refused(b"\xff").reply_to.max_packet == 256
    assert refused({"promt": "x"}).reply_to.max_packet is None


def test_a_topic_too_long_for_the_clients_buffer_is_refused() -> None:
    taken = refused({"id": "7", "prompt": "x", "reply_to": "reply/" + "x" * 200, "max_packet": 256})
    assert "256 bytes leave" in taken.error.message
    assert taken.reply_to.topic.startswith("reply/x")


@pytest.mark.parametrize(("client", "problem"), [("", "is missing"), ("x" * 129, "is longer than 128")])
def test_a_prompt_topic_with_an_unusable_client_is_refused_where_all_listen(
    client: str, problem: str
) -> None:
    taken = refused({"id": "7", "prompt": "x"}, client)
    assert problem in taken.error.message
    assert taken.reply_to.topic == "edgeassist/box/reply/7"
