"""How paho's client reads its socket: ahead, so that a packet is one system call and not three."""

import socket
from collections.abc import Iterator

import pytest
from paho.mqtt.enums import MQTTErrorCode

from edgeassist.broker.client import TolerantClient
from edgeassist.broker.wire import make_client
from tests.conftest import options_for

PINGRESP = b"\xd0\x00"
# A PUBLISH at QoS 0 to the topic "t", with MQTT 5.
PUBLISH = b"\x30\x06\x00\x01t\x00"  # and two bytes


@pytest.fixture
def client() -> Iterator[tuple[TolerantClient, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    client = make_client(options_for(1), None, connect_timeout_s=1)
    client._sock = ours
    with ours, theirs:
        yield client, theirs
        client._sock = None


def read(client: TolerantClient) -> MQTTErrorCode:
    return client.loop_read()


def test_packets_that_came_together_are_read_at_once_and_taken_one_by_one(
    client: tuple[TolerantClient, socket.socket],
) -> None:
    link, broker = client
    heard: list[bytes] = []
    link.on_plain = lambda _topic, payload, _retained: heard.append(payload)
    broker.sendall(PINGRESP + PUBLISH + b"ab" + PUBLISH[:3])
    for ahead in (True, True):
        assert read(link) is MQTTErrorCode.MQTT_ERR_SUCCESS
        assert link.ahead is ahead
    assert heard == [b"ab"]
    assert read(link) is MQTTErrorCode.MQTT_ERR_SUCCESS  # half a packet
    assert not link.ahead
    assert link.dry
    broker.sendall(PUBLISH[3:] + b"cd")
    link.dry = False
    assert read(link) is MQTTErrorCode.MQTT_ERR_SUCCESS
    assert heard == [b"ab", b"cd"]


def test_a_socket_that_had_no_more_is_not_asked_again_before_it_is_readable(
    client: tuple[TolerantClient, socket.socket],
) -> None:
    link, broker = client
    heard: list[bytes] = []
    link.on_plain = lambda _topic, payload, _retained: heard.append(payload)
    broker.sendall(PINGRESP)
    read(link)
    broker.sendall(PUBLISH + b"ab")
    read(link)
    assert heard == []
    link.dry = False
    read(link)
    assert heard == [b"ab"]


def test_what_came_before_the_end_is_taken_before_the_end_is_noticed(
    client: tuple[TolerantClient, socket.socket],
) -> None:
    link, broker = client
    heard: list[bytes] = []
    link.on_plain = lambda _topic, payload, _retained: heard.append(payload)
    broker.sendall(PUBLISH + b"ab" + PUBLISH + b"cd")
    broker.close()
    for _ in range(2):
        assert read(link) is MQTTErrorCode.MQTT_ERR_SUCCESS
    assert heard == [b"ab", b"cd"]
    link.dry = False
    assert read(link) is MQTTErrorCode.MQTT_ERR_CONN_LOST


def test_another_connection_begins_with_nothing_of_the_last_one(
    client: tuple[TolerantClient, socket.socket],
) -> None:
    link, broker = client
    broker.sendall(PINGRESP * 3)
    read(link)
    assert link.ahead
    with pytest.raises(OSError):  # noqa: PT011 - nobody listens there
        link.connect("127.0.0.1", 1)
    assert not link.ahead
