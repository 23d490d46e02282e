import asyncio
import json
import logging
from typing import Any

import pytest
from pydantic import JsonValue

from edgeassist.errors import Code, ConfigurationError, InvalidRequestError
from edgeassist.gateways.commands import Handler, Say, answer
from edgeassist.gateways.mqtt.commands import AT_ONCE, Commands
from edgeassist.protocol.commands import (
    COMMANDS,
    MAX_PAYLOAD_BYTES,
    CancelArguments,
    LogLevelArguments,
    ModelArguments,
    NoArguments,
)
from edgeassist.protocol.packets import Inbound, Outbound
from edgeassist.protocol.state import CommandResponse
from tests.unit.conftest import TOPICS, ListLink


class Handlers:
    """One that is called for every command, notes its arguments and answers with the same."""

    def __init__(self, *, error: Exception | None = None) -> None:
        self.called: list[Any] = []
        self._error = error

    async def handle(self, arguments: Any, _say: Say) -> dict[str, JsonValue]:
        self.called.append(arguments)
        if self._error is not None:
            raise self._error
        return {"state": "ready", "nothing": None}

    @property
    def table(self) -> dict[str, Handler]:
        return dict.fromkeys(COMMANDS, self.handle)


async def give(name: str, payload: object = b"", handlers: Handlers | None = None) -> CommandResponse:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return await answer(name, data, (handlers or Handlers()).table)


async def refusal(name: str, payload: object = b"") -> str:
    """Give a command that must be refused before anybody carries it out, and return why."""
    handlers = Handlers()
    response = await give(name, payload, handlers)
    assert handlers.called == []
    assert response.status == "error"
    assert response.data is None
    assert response.error is not None
    assert response.error.code in {Code.INVALID_REQUEST, Code.TOO_LARGE}
    return response.error.message


@pytest.mark.parametrize(
    ("name", "payload", "arguments"),
    [
        ("ping", b"", NoArguments()),
        ("ping", b" \n", NoArguments()),
        ("info", {}, NoArguments()),
        ("reload", {"id": "7"}, NoArguments(id="7")),
        ("cancel", b"abc", CancelArguments(request="abc")),
        ("cancel", b" abc\n", CancelArguments(request="abc")),
        ("cancel", b"all", CancelArguments(all=True)),
        ("cancel", {"request": "all"}, CancelArguments(request="all")),
        ("cancel", {"all": True, "id": "7"}, CancelArguments(all=True, id="7")),
        ("cancel", {"all": True, "client": "kitchen"}, CancelArguments(all=True, client="kitchen")),
        ("cancel", {"request": 7, "client": 1, "id": 5}, CancelArguments(request="7", client="1", id="5")),
        ("cancel", b"abc\0", CancelArguments(request="abc")),
        ("ping", b'{"id": "7"}\n\0', NoArguments(id="7")),
        ("log_level", b"debug", LogLevelArguments(level="debug")),
        ("log_level", {"level": "error"}, LogLevelArguments(level="error")),
        ("model", b"", ModelArguments()),
        ("model", b"list", ModelArguments()),
        ("model", b"use  tiny one\n", ModelArguments(action="use", model="tiny one")),
        (
            "model",
            {"action": "pull", "model": "hf:a/b/c", "id": 1},
            ModelArguments(action="pull", model="hf:a/b/c", id="1"),
        ),
        ("model", {"action": "cancel"}, ModelArguments(action="cancel")),
    ],
)
async def test_a_command_reaches_its_handler_with_its_arguments(
    name: str, payload: object, arguments: object
) -> None:
    handlers = Handlers()
    response = await give(name, payload, handlers)
    assert handlers.called == [arguments]
    assert response.status == "ok"
    assert response.error is None


async def test_an_answer_carries_the_data_and_the_id_that_was_given() -> None:
    response = await give("ping", {"id": "7"})
    assert response.data == {"state": "ready", "nothing": None}
    assert response.id == "7"


async def test_a_command_that_is_unknown_is_refused_with_those_there_are() -> None:
    message = await refusal("dance")
    assert "'dance'" in message
    assert "cancel, ping, info, log_level, reload, model" in message


@pytest.mark.parametrize("name", ["ping", "info", "reload"])
async def test_a_command_without_arguments_takes_no_text(name: str) -> None:
    assert await refusal(name, b"now") == (
        f"{name} takes no argument: send an empty payload or a JSON object with an id"
    )


@pytest.mark.parametrize(
    ("name", "payload", "problem"),
    [
        ("model", b"use", 'need "model"'),
        ("model", b"list all", '"list" and "cancel" take none'),
        ("model", b"dance", "action: "),
        ("model", {"action": "use", "model": ""}, "model: "),
        ("ping", b"\xff", "not UTF-8"),
        ("ping", b"{", "ping: Invalid JSON"),
        ("ping", b'{"a":' * 10_000, "ping: Invalid JSON"),
        ("ping", {"loud": True}, "ping: unknown field 'loud'"),
        ("ping", {"id": 5.5}, "ping: id: must be text, not a number"),
        ("ping", {"id": "x" * 65}, "ping: id:"),
        ("cancel", {"request": True}, "cancel: request: must be text, not true or false"),
        ("cancel", {"all": "perhaps"}, "cancel: all:"),
        ("log_level", b"", "log_level: level: Field required"),
        ("log_level", {}, "log_level: level: Field required"),
        ("log_level", b"loud", "log_level: level:"),
        ("log_level", b"DEBUG", "log_level: level:"),
        ("log_level", b"all", "log_level: level: Input should be"),
    ],
)
async def test_arguments_that_can_not_be_are_refused_by_name(
    name: str, payload: object, problem: str
) -> None:
    assert problem in await refusal(name, payload)


async def test_a_payload_over_the_limit_is_refused_unread() -> None:
    assert str(MAX_PAYLOAD_BYTES) in await refusal("cancel", b"x" * (MAX_PAYLOAD_BYTES + 1))


@pytest.mark.parametrize("payload", [b'{"id": "7", "request": "x",}', b'{"id": 7, "request": "x'])
async def test_a_command_in_broken_json_is_refused_under_its_id(payload: bytes) -> None:
    response = await give("cancel", payload)
    assert (response.status, response.id) == ("error", "7")


async def test_a_refusal_of_the_handlers_is_the_answer() -> None:
    handlers = Handlers(error=InvalidRequestError("no request 'abc' waits or runs"))
    response = await give("cancel", {"request": "abc", "id": "7"}, handlers)
    assert response.error is not None
    assert (response.error.code, response.error.message) == (
        Code.INVALID_REQUEST,
        "no request 'abc' waits or runs",
    )
    assert response.id == "7"


async def test_settings_that_can_not_be_used_are_an_answer_too() -> None:
    response = await give("reload", b"", Handlers(error=ConfigurationError("mqtt.port: too large")))
    assert response.error is not None
    assert response.error.message == "mqtt.port: too large"


async def test_a_defect_is_answered_without_its_details_and_logged_with_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        response = await give("info", {"id": "7"}, Handlers(error=KeyError("hunter2")))
    assert response.error is not None
    assert response.error.code is Code.INTERNAL
    assert "hunter2" not in response.error.message
    assert "hunter2" in caplog.text
    assert response.id == "7"


async def bring(
    link: ListLink,
    *messages: Inbound,
    prefixes: tuple[str, ...] = ("reply/",),
    handlers: Handlers | None = None,
) -> None:
    """Start the gateway, deliver commands, and wait until they are carried out."""
    commands = Commands(TOPICS, prefixes, link, (handlers or Handlers()).table)
    commands.start()
    for message in messages:
        link.bring(message)
    while commands._tasks:
        await asyncio.sleep(0)


async def test_an_answer_goes_out_once_with_the_correlation_of_its_command() -> None:
    link = ListLink()
    await bring(link, Inbound("edgeassist/box/command/ping", b'{"id": "7"}', correlation=b"\x00tag"))
    (published,) = link.published
    assert published == Outbound(
        "edgeassist/box/response/ping", published.payload, qos=1, retain=False, correlation=b"\x00tag"
    )
    assert json.loads(published.payload) == {
        "status": "ok",
        "data": {"state": "ready", "nothing": None},
        "id": "7",
    }


@pytest.mark.parametrize(
    ("wanted", "topic"),
    [
        ("reply/me", "reply/me"),
        ("edgeassist/box/response/mine", "edgeassist/box/response/mine"),
        ("elsewhere", "edgeassist/box/response/ping"),
    ],
)
async def test_an_answer_goes_to_the_response_topic_where_that_is_allowed(wanted: str, topic: str) -> None:
    link = ListLink()
    await bring(link, Inbound("edgeassist/box/command/ping", b"", response_topic=wanted))
    assert link.topics == [topic]


@pytest.mark.parametrize("payload", [b"7", b'{"request": "7"}', b'{"request": "7", "client": "esp32"}'])
async def test_on_a_topic_of_its_own_a_client_cancels_what_is_its_own(payload: bytes) -> None:
    link, handlers = ListLink(), Handlers()
    await bring(link, Inbound("edgeassist/box/command/cancel/esp32", payload), handlers=handlers)
    assert handlers.called == [CancelArguments(request="7", client="esp32")]
    assert link.topics == ["edgeassist/box/response/cancel/esp32"]


@pytest.mark.parametrize("client", ["kitchen", ""])
async def test_on_a_topic_of_its_own_a_client_can_not_cancel_anothers(client: str) -> None:
    link, handlers = ListLink(), Handlers()
    payload = json.dumps({"all": True, "client": client}).encode()
    await bring(link, Inbound("edgeassist/box/command/cancel/esp32", payload), handlers=handlers)
    assert handlers.called == []
    assert "only requests of 'esp32'" in json.loads(link.published[0].payload)["error"]["message"]


@pytest.mark.parametrize(
    ("wanted", "topic"),
    [
        ("edgeassist/box/reply/esp32/x", "edgeassist/box/reply/esp32/x"),
        ("edgeassist/box/reply/kitchen/x", "edgeassist/box/response/cancel/esp32"),
        ("edgeassist/box/response/cancel/kitchen", "edgeassist/box/response/cancel/esp32"),
    ],
)
async def test_a_client_has_its_cancel_answered_on_topics_of_its_own(wanted: str, topic: str) -> None:
    link = ListLink()
    message = Inbound("edgeassist/box/command/cancel/esp32", b"7", response_topic=wanted)
    await bring(link, message, prefixes=("{root}/reply/",))
    assert link.topics == [topic]


async def test_progress_takes_no_room_in_the_queue_for_a_broker_that_is_away() -> None:
    async def pull(_arguments: Any, say: Say) -> dict[str, JsonValue]:
        say({"done_bytes": 1})
        return {}

    link = ListLink()
    commands = Commands(TOPICS, (), link, {"model": pull})
    commands.start()
    link.bring(Inbound("edgeassist/box/command/model", b"pull hf:a/b/c.gguf"))
    await commands.settle()
    assert [(json.loads(each.payload)["status"], each.qos) for each in link.published] == [
        ("progress", 0),
        ("ok", 1),
    ]


async def test_a_retained_command_is_ignored() -> None:
    link = ListLink()
    await bring(link, Inbound("edgeassist/box/command/ping", b"", retained=True))
    assert link.published == []


async def test_more_commands_at_once_than_may_be_are_refused() -> None:
    link = ListLink()
    await bring(link, *[Inbound("edgeassist/box/command/ping", b'{"id": "7"}')] * (AT_ONCE + 4))
    answers = [json.loads(message.payload) for message in link.published]
    assert [each["status"] for each in answers] == ["error"] * 4 + ["ok"] * AT_ONCE
    assert answers[0]["error"]["code"] == "busy"
    assert {each["id"] for each in answers} == {"7"}


async def test_what_a_long_command_says_on_the_way_comes_before_its_answer_under_its_id() -> None:
    said: list[CommandResponse] = []

    async def pull(_arguments: Any, say: Say) -> dict[str, JsonValue]:
        say({"done_bytes": 1})
        return {"name": "m"}

    payload = json.dumps({"action": "pull", "model": "m", "id": "7"}).encode()
    last = await answer("model", payload, {"model": pull}, on_progress=said.append)
    assert said == [CommandResponse(status="progress", data={"done_bytes": 1}, id="7")]
    assert (last.status, last.data, last.id) == ("ok", {"name": "m"}, "7")
