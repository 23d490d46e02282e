"""A connection that can't be: the reason names what to look at."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from edgeassist.broker.limits import Limits
from edgeassist.protocol.packets import Subscription
from edgeassist.sandbox import HOST, PrivateBroker, free_port
from tests.integration.link import Link, until

PROTOCOLS = pytest.mark.parametrize("protocol", ["5", "3.1.1"])
ALICE: dict[str, Any] = {"username": "alice", "password": "right"}
ACL = """
user alice
topic read t/#
topic write t/open
topic deny t/closed
"""


class StartBroker(Protocol):
    def __call__(self, *lines: str) -> PrivateBroker: ...


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartBroker]:
    """Start a Mosquitto that knows Alice, with these lines in its configuration."""
    with ExitStack() as stack:

        def run(*lines: str) -> PrivateBroker:
            people = tmp_path / "people"
            subprocess.run(["mosquitto_passwd", "-b", "-c", str(people), "alice", "right"], check=True)
            settings = ("allow_anonymous false", f"password_file {people}", *lines)
            return stack.enter_context(PrivateBroker(tmp_path, settings))

        yield run


async def refused(port: int, **options: Any) -> Link:
    async with Link(port, wait=False, **options) as link:
        await link.fails()
    assert link.ups == 0
    assert not link.broker.connected
    return link


async def test_an_unknown_host_is_named_with_its_setting() -> None:
    link = await refused(1883, host="no-such-host.invalid")
    assert "no-such-host.invalid" in link.reason
    assert "mqtt.host" in link.reason


async def test_a_host_that_can_be_no_name_is_named_with_its_setting() -> None:
    link = await refused(1883, host="broker..local")
    assert "mqtt.host" in link.reason


async def test_a_port_that_nothing_listens_on_is_named_with_its_setting() -> None:
    port = free_port()
    link = await refused(port)
    assert f"{HOST}:{port}" in link.reason
    assert "mqtt.port" in link.reason


@PROTOCOLS
async def test_a_wrong_password_is_told_with_the_settings_to_check(start: StartBroker, protocol: str) -> None:
    broker = start()
    for options in ({"username": "alice", "password": "wrong"}, {"username": "bob", "password": "right"}, {}):
        link = await refused(broker.port, protocol=protocol, **options)
        assert "not authorized" in link.reason
        assert "mqtt.username" in link.reason
        assert "mqtt.password" in link.reason
    async with Link(broker.port, protocol=protocol, **ALICE) as link:
        assert link.reasons == []


@pytest.fixture
def strict_broker(tmp_path: Path) -> Iterator[PrivateBroker]:
    """A Mosquitto that refuses every subscription but the one to `t/mine`."""
    rules = {
        "defaultACLAccess": {"subscribe": False, "publishClientReceive": True, "publishClientSend": True},
        "roles": [{"rolename": "reader", "acls": [
            {"acltype": "subscribePattern", "topic": "t/mine", "allow": True},
        ]}],
        "clients": [],
        "groups": [{"groupname": "all", "roles": [{"rolename": "reader"}]}],
        "anonymousGroup": "all",
    }  # fmt: skip
    (tmp_path / "rules.json").write_text(json.dumps(rules))
    plugin = ("plugin", "mosquitto_dynamic_security.so")
    lines = [
        f"{' '.join(plugin)}",
        f"plugin_opt_config_file {tmp_path / 'rules.json'}",
        "allow_anonymous true",
    ]
    with PrivateBroker(tmp_path, lines) as broker:
        yield broker


@PROTOCOLS
async def test_a_later_subscription_that_is_needed_and_refused_ends_the_connection(
    strict_broker: PrivateBroker, protocol: str
) -> None:
    async with Link(strict_broker.port, ["t/mine"], protocol=protocol) as link:
        route = link.broker.subscribe(Subscription("t/theirs", 0), link.heard.append)
        assert "t/theirs" in await link.fails()
        route.close()
        await until(lambda: link.ups == 2)


@PROTOCOLS
async def test_a_subscription_that_was_closed_before_its_refusal_does_no_harm(
    strict_broker: PrivateBroker, protocol: str
) -> None:
    async with Link(strict_broker.port, ["t/mine"], protocol=protocol) as link:
        link.broker.subscribe(Subscription("t/theirs", 0), link.heard.append).close()
        link.say("t/mine", b"heard", qos=1)
        await link.hears(1)
        assert link.reasons == []


@PROTOCOLS
async def test_a_subscription_that_the_broker_refuses_is_named(
    strict_broker: PrivateBroker, protocol: str
) -> None:
    link = await refused(strict_broker.port, filters=["t/mine", "t/theirs"], protocol=protocol)
    why = {"5": "not authorized", "3.1.1": "refused, without a reason given"}
    assert f"t/theirs ({why[protocol]})" in link.reason
    assert "t/mine" not in link.reason
    assert "access control list" in link.reason


@PROTOCOLS
async def test_an_optional_subscription_that_is_refused_is_named_and_does_without(
    strict_broker: PrivateBroker, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Link(strict_broker.port, ["t/mine"], wait=False, protocol=protocol) as link:
        link.broker.subscribe(Subscription("t/theirs", 0, optional=True), link.heard.append)
        await until(lambda: link.ups)
        link.broker.subscribe(Subscription("t/others", 0, optional=True), link.heard.append)
        link.say("t/mine", b"heard", qos=1)
        await link.hears(1)
        await until(lambda: "t/others" in caplog.text)
        assert (link.ups, link.reasons) == (1, [])
    for record in caplog.records:
        if record.levelname == "WARNING":
            assert "access control list" in record.message
    assert "t/theirs" in caplog.text


@PROTOCOLS
async def test_an_acl_file_lets_a_subscription_pass_and_withholds_its_messages(
    start: StartBroker, tmp_path: Path, protocol: str
) -> None:
    (tmp_path / "acl").write_text(ACL)
    broker = start(f"acl_file {tmp_path / 'acl'}")
    async with Link(broker.port, ["t/#", "other/#"], protocol=protocol, **ALICE) as link:
        link.say("t/closed", b"withheld", qos=1)
        link.say("other/x", b"withheld", qos=1)
        link.say("t/open", b"passed", qos=1)
        await link.hears(1)
        assert await link.broker.flush(5)
        assert link.payloads == [b"passed"]
        assert link.reasons == []


async def test_a_broker_that_only_knows_3_1_1_is_told_with_the_setting_to_change() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"\x20\x02\x00\x01")  # CONNACK of MQTT 3.1.1: unacceptable protocol version
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, HOST, 0) as server:
        link = await refused(server.sockets[0].getsockname()[1])
    assert 'mqtt.protocol to "3.1.1"' in link.reason


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (1, "mqtt.protocol"),
        (2, "mqtt.client_id"),
        (3, "not available"),
        (4, "mqtt.password"),
        (5, "access control list"),
        (6, "without a reason"),
    ],
)
async def test_every_return_code_of_3_1_1_is_told_in_words(code: int, hint: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"\x20\x02\x00" + bytes([code]))  # CONNACK
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, HOST, 0) as server:
        link = await refused(server.sockets[0].getsockname()[1], protocol="3.1.1")
    assert hint in link.reason


async def test_a_message_beyond_the_limit_that_ends_the_connection_is_told_in_words(tmp_path: Path) -> None:
    with PrivateBroker(tmp_path, ("allow_anonymous true", "max_packet_size 1000")) as broker:
        async with Link(broker.port) as link:
            link.broker.sender.limits = Limits()
            link.say("t/1", bytes(3000), qos=1)
            assert "says: packet too large" in await link.fails()


async def test_a_server_that_is_no_broker_is_a_lost_connection() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, HOST, 0) as server:
        port = server.sockets[0].getsockname()[1]
        link = await refused(port)
    assert f"{HOST}:{port}" in link.reason


async def test_a_session_that_another_client_took_over_is_told_with_the_setting_to_change() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"\x20\x03\x00\x00\x00")  # CONNACK: success
        await reader.read(100)
        writer.write(b"\x90\x04\x00\x01\x00\x01")  # SUBACK: granted at QoS 1
        writer.write(b"\xe0\x01\x8e")  # DISCONNECT: session taken over
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, HOST, 0)
    async with server, Link(server.sockets[0].getsockname()[1], client_id="twin") as link:
        assert "'twin'" in await link.fails()
        assert "mqtt.client_id" in link.reason


async def test_a_client_whose_id_a_second_one_takes_over_comes_back(broker: PrivateBroker) -> None:
    async with Link(broker.port, client_id="twin") as first, Link(broker.port, client_id="twin"):
        assert str(broker.port) in await first.fails()
        await until(lambda: first.ups == 2)


async def test_two_clients_of_the_same_id_do_not_fight_at_full_speed(broker: PrivateBroker) -> None:
    async with Link(broker.port, client_id="twin") as first, Link(broker.port, client_id="twin") as second:
        await asyncio.sleep(2)
        assert first.ups + second.ups <= 5


async def test_a_client_id_of_many_letters_connects(broker: PrivateBroker) -> None:
    async with Link(broker.port, client_id="x" * 200, protocol="3.1.1") as link:
        assert link.broker.connected


async def test_reasons_keep_coming_while_it_is_tried_again(broker: PrivateBroker) -> None:
    broker.stop()
    async with Link(broker.port, wait=False, reconnect_max_s=0.5) as link:
        await until(lambda: len(link.reasons) >= 3)
        broker.start()
        await until(lambda: link.ups)
        count = len(link.reasons)
        await asyncio.sleep(0.3)
        assert len(link.reasons) == count
