"""The client for other people's programs, blocking and not, against a real broker and daemon."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import Any, Literal

import pytest
import trustme

from edgeassist.client import (
    Accepted,
    Answer,
    AsyncClient,
    BrokerError,
    CancelledRequestError,
    Client,
    Code,
    ContextOverflowError,
    DeadlineExceededError,
    Done,
    EdgeAssistError,
    EngineCrashedError,
    InternalError,
    InvalidRequestError,
    Tls,
    requester,
)
from edgeassist.sandbox import HOST, PrivateBroker, free_port
from tests.conftest import TOPICS, StartDaemon, StartReady, TakeBox
from tests.patience import PATIENCE_S

TEXT = " ".join(str(number * 7919 % 100_003) for number in range(1, 60))
# Takes a minute: who waits for its end has not cancelled it.
LONG = "!script delay_ms=1000\n" + TEXT


def test_an_answer_comes_whole_with_its_figures(client: Client) -> None:
    answer = client.ask(TEXT, metadata={"room": "kitchen"})
    assert (str(answer), answer.text, answer.finish_reason) == (TEXT, TEXT, "stop")
    assert (answer.model, answer.device, answer.metadata) == ("scripted", "box", {"room": "kitchen"})
    assert answer.usage.completion_tokens > 0
    assert answer.timings.total_ms > 0


def test_a_stream_gives_the_texts_and_then_the_answer(client: Client) -> None:
    with client.stream("!script delay_ms=5\n" + TEXT) as stream:
        texts = list(stream)
        assert len(texts) > 1
        assert "".join(texts) == stream.text == stream.result().text == TEXT
        assert list(stream) == []


def test_a_stream_gives_the_events_the_end_last(client: Client) -> None:
    events = list(client.stream(TEXT, id="mine").events())
    assert isinstance(events[0], Accepted)
    assert isinstance(events[-1], Done)
    assert {event.id for event in events} == {"mine"}


def test_a_loop_that_is_left_cancels_the_request(client: Client) -> None:
    for text in client.stream(LONG):
        assert text
        break
    # There is one slot.
    assert client.ask("next", timeout_s=20).text == "next"


def test_a_block_that_is_left_by_an_error_cancels_the_request(client: Client) -> None:
    stream = client.stream(LONG)

    def fail() -> None:
        with stream:
            for _ in stream:
                raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert client.ask("next", timeout_s=20).text == "next"
    with pytest.raises(CancelledRequestError, match="left before"):
        stream.result()


def test_a_request_is_cancelled_by_its_id(client: Client) -> None:
    with client.stream(LONG, id="long") as stream:
        texts = iter(stream)
        next(texts)
        client.cancel("long")
        with pytest.raises(CancelledRequestError):
            list(texts)
    with pytest.raises(InvalidRequestError, match="no request 'long' waits or runs"):
        client.cancel("long")


def test_threads_share_a_client(client: Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(client.ask, [f"question {number}" for number in range(8)]))
    assert [each.text for each in answers] == [f"question {number}" for number in range(8)]


@pytest.mark.parametrize(
    ("prompt", "fields", "kind", "code"),
    [
        ("!script fail_after=2\nhello", {}, InternalError, Code.INTERNAL),
        ("word " * 20_000, {}, ContextOverflowError, Code.CONTEXT_OVERFLOW),
        ("hello", {"temperature": 9}, InvalidRequestError, Code.INVALID_REQUEST),
        ("hello", {"tempreature": 1}, InvalidRequestError, Code.INVALID_REQUEST),
        ("hello", {"session": "new", "resume": True}, InvalidRequestError, Code.INVALID_REQUEST),
        (LONG, {"timeout_s": 0.5}, DeadlineExceededError, Code.DEADLINE_EXCEEDED),
    ],
)
def test_a_failure_is_raised_by_its_kind(
    client: Client, prompt: str, fields: dict[str, Any], kind: type[EdgeAssistError], code: Code
) -> None:
    with pytest.raises(kind) as raised:
        client.ask(prompt, **fields)
    assert (raised.value.code, raised.value.retryable) == (code, code is Code.DEADLINE_EXCEEDED)
    with pytest.raises(kind):
        list(client.stream(prompt, **fields))


def test_a_crash_of_the_engine_is_raised_as_worth_another_try(
    broker: PrivateBroker, daemon: StartDaemon
) -> None:
    daemon(engine__slots=1)
    with Client(HOST, broker.port, device="box", name="me") as client:
        client.wait_ready(PATIENCE_S)
        with pytest.raises(EngineCrashedError) as raised:
            client.ask("!script crash_after=2\nhello")
        assert (raised.value.code, raised.value.retryable) == (Code.ENGINE_CRASHED, True)
        with pytest.raises(EngineCrashedError):
            list(client.stream("!script crash_after=2\nhello"))


@pytest.mark.parametrize("field", ["reply_to", "format", "max_packet", "end"])
def test_a_field_that_would_send_the_answer_past_the_client_is_refused(client: Client, field: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"leave out {field}"):
        client.ask("hello", **{field: "text"})  # type: ignore[arg-type]


def test_what_is_no_json_is_refused_before_it_is_sent(client: Client) -> None:
    with pytest.raises(InvalidRequestError, match="can't be written as JSON"):
        client.ask("hello", metadata={"when": object()})


def test_a_session_goes_on_with_the_conversation(client: Client) -> None:
    first = client.ask("hello", session="kitchen")
    second = client.ask("and now", session="kitchen", resume=True)
    assert first.session == second.session == "kitchen"
    assert second.usage.prompt_tokens > first.usage.prompt_tokens


def test_a_device_tells_of_itself_and_obeys(client: Client) -> None:
    assert client.online()
    assert client.health()["state"] in {"ready", "busy"}
    assert client.info()["device"] == "box"
    assert client.command("ping")["state"] in {"ready", "busy"}
    with pytest.raises(InvalidRequestError, match="there is no command 'dance'"):
        client.command("dance")


def test_a_time_limit_holds_although_the_device_says_nothing_more(
    broker: PrivateBroker, daemon: StartDaemon
) -> None:
    process = daemon()
    with Client(HOST, broker.port, device="box") as client:
        client.wait_ready(PATIENCE_S)
        begun = time.monotonic()
        os.kill(process.pid, signal.SIGSTOP)
        try:
            with pytest.raises(DeadlineExceededError, match=r"within timeout_s, 0\.5 s"):
                client.ask("hello", timeout_s=0.5)
        finally:
            os.kill(process.pid, signal.SIGCONT)
        assert time.monotonic() - begun < 20


def test_one_that_is_closed_ends_what_others_wait_for(client: Client) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = threading.Event()

        def read() -> list[str]:
            texts = []
            for text in client.stream(LONG):
                texts.append(text)
                asked.set()
            return texts

        reading = pool.submit(read)
        assert asked.wait(PATIENCE_S)
        client.close()
        with pytest.raises(BrokerError, match="was closed"):
            reading.result(PATIENCE_S)
    with pytest.raises(BrokerError, match="not connected"):
        client.ask("hello")
    client.close()
    client.connect()
    assert client.ask("again").text == "again"


def test_a_broker_that_restarts_costs_no_text(broker: PrivateBroker, daemon: StartDaemon) -> None:
    daemon()
    with Client(HOST, broker.port, device="box") as client:
        client.wait_ready(PATIENCE_S)
        stream = client.stream("!script delay_ms=40\n" + TEXT)
        texts = iter(stream)
        first = next(texts)
        broker.stop()
        broker.start()
        assert first + "".join(texts) == stream.result().text == TEXT


def test_without_a_broker_it_says_so_and_may_be_tried_again(tmp_path: Path) -> None:
    port = free_port()
    client = Client(HOST, port, device="box", connect_s=2)
    with pytest.raises(BrokerError, match="nothing listens on") as raised:
        client.connect()
    assert (raised.value.code, raised.value.retryable) == (Code.UNREACHABLE, True)
    broker = PrivateBroker(tmp_path)
    broker.port = port
    with broker:
        client.connect()
        assert client.connected
        client.close()
        assert not client.connected


def test_a_device_that_is_not_there_is_an_error_that_names_it(broker: PrivateBroker) -> None:
    with Client(HOST, broker.port, device="attic", return_s=0.2) as client:
        with pytest.raises(BrokerError, match="nothing is known of a device edgeassist/attic"):
            client.ask("hello")
        with pytest.raises(BrokerError, match="edgeassist/attic did not come online"):
            client.wait_ready(0.2)
        assert not client.online()
        assert client.health() == {}


@pytest.mark.parametrize(("device", "name"), [("a/b", "me"), ("box", "me/you"), ("box", "#"), ("+", "me")])
def test_a_name_that_is_no_part_of_a_topic_is_refused(device: str, name: str) -> None:
    with pytest.raises(InvalidRequestError):
        Client(device=device, name=name)


@pytest.mark.parametrize(
    ("protocol", "said"),
    [
        ("5", "can't be published on edgeassist/box/prompt/me: the broker says: not authorized"),
        ("3.1.1", "may this client publish to edgeassist/box/prompt/me"),  # it has no word for a refusal
    ],
)
def test_one_who_may_not_ask_is_told_what_to_look_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: Literal["5", "3.1.1"], said: str
) -> None:
    monkeypatch.setattr(requester, "ACCEPT_S", 0.5 if protocol == "3.1.1" else 60)
    (tmp_path / "rights").write_text("topic read edgeassist/#\n")
    lines = ("allow_anonymous true", f"acl_file {tmp_path / 'rights'}")
    with PrivateBroker(tmp_path, lines) as broker:
        client = Client(HOST, broker.port, device="box", name="me", return_s=60, protocol=protocol)
        with client, pytest.raises(BrokerError, match=said):
            client.ask("hello")


PROGRAM = """
import sys
from edgeassist.client import Client
with Client({host!r}, {port}, device="box", name="me") as client:
    for text in client.stream({prompt!r}):
        print("text", flush=True)
"""


def test_ctrl_c_ends_a_program_and_its_request(client: Client, port: int) -> None:
    program = PROGRAM.format(host=HOST, port=port, prompt=LONG)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"text\n"
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=20)
    assert b"KeyboardInterrupt" in errors
    assert client.ask("next", timeout_s=20).text == "next"


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
def test_it_speaks_both_versions_of_mqtt_with_tls_and_a_password(
    daemon: StartDaemon, tmp_path: Path, protocol: Literal["5", "3.1.1"]
) -> None:
    folder = tmp_path / "secure"
    folder.mkdir()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued = authority.issue_cert(HOST)
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(folder / "users"), "kitchen", "secret"], check=True)
    lines = (f"certfile {folder / 'cert.pem'}", f"keyfile {folder / 'key.pem'}")
    with PrivateBroker(folder, (*lines, f"password_file {folder / 'users'}")) as broker:
        login: dict[str, Any] = {"username": "kitchen", "password": "secret"}
        settings: dict[str, Any] = {f"mqtt__{key}": value for key, value in login.items()}
        daemon(mqtt__port=broker.port, mqtt__tls=True, mqtt__tls_ca=folder / "ca.pem", **settings)
        tls = Tls(ca=folder / "ca.pem")
        with Client(HOST, broker.port, device="box", tls=tls, protocol=protocol, **login) as client:
            client.wait_ready(PATIENCE_S)
            assert client.name == "kitchen"
            assert client.ask("hello").text == "hello"
        with pytest.raises(BrokerError, match="password"):
            Client(HOST, broker.port, device="box", tls=tls, **{**login, "password": "no"}).connect()


# --- with an event loop ---------------------------------------------------------------------------------


async def test_several_are_asked_at_once(take_box: TakeBox) -> None:
    async with AsyncClient(HOST, (await take_box()).port, device="box") as client:
        answers = await asyncio.gather(*(client.ask(f"question {number}") for number in range(6)))
    assert [each.text for each in answers] == [f"question {number}" for number in range(6)]
    assert all(isinstance(each, Answer) for each in answers)


async def test_more_than_the_device_has_room_for_are_asked_again(
    broker: PrivateBroker, ready: StartReady
) -> None:
    await ready(admission__per_client=1, engine__slots=1)
    async with AsyncClient(HOST, broker.port, device="box") as client:
        answers = await asyncio.gather(*(client.ask(f"question {number}") for number in range(3)))
    assert [each.text for each in answers] == [f"question {number}" for number in range(3)]


async def test_a_stream_is_read_and_left_and_what_it_asked_is_cancelled(take_box: TakeBox) -> None:
    async with AsyncClient(HOST, (await take_box(engine__slots=1)).port, device="box") as client:
        async with client.stream(TEXT) as stream:
            assert "".join([text async for text in stream]) == (await stream.result()).text == TEXT
        async for _ in client.stream(LONG):
            break
        assert (await client.ask("next", timeout_s=20)).text == "next"
        async with aclosing(client.stream(LONG).events()) as events:
            assert isinstance(await anext(events), Accepted)
        assert (await client.ask("next", timeout_s=20)).text == "next"


async def test_a_task_that_is_cancelled_cancels_its_request(take_box: TakeBox) -> None:
    box = await take_box(engine__slots=1)
    async with AsyncClient(HOST, box.port, device="box") as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await client.ask(LONG)
        assert (await client.ask("next", timeout_s=20)).text == "next"
    health = json.loads(await box.client.state(TOPICS.health) or b"{}")
    assert health["queued"] == 0


async def test_texts_that_a_restarted_device_takes_back_are_an_error(
    broker: PrivateBroker, daemon: StartDaemon, trial_model: Path
) -> None:
    first = daemon()
    async with AsyncClient(HOST, broker.port, device="box") as client:
        await client.wait_ready(PATIENCE_S)
        texts = aiter(client.stream(LONG, max_tokens=20, temperature=0))
        await anext(texts)
        await asyncio.to_thread(first.stop, signal.SIGKILL)
        daemon(model__path=trial_model)
        with pytest.raises(EngineCrashedError, match="forget the text so far"):
            async for _ in texts:
                pass
