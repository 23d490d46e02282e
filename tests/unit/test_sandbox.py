"""Ports for servers of our own, beside others who look for some at the same moment."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from edgeassist.sandbox import HOST, PORTS_HELD, free_port


@pytest.mark.parametrize("option", [socket.SO_REUSEADDR, socket.SO_REUSEPORT])
def test_a_free_port_refuses_connections_until_its_server_listens(option: int) -> None:
    port = free_port()
    with socket.socket() as client:
        assert client.connect_ex((HOST, port)) != 0
    with socket.socket() as server, socket.socket() as client:
        server.setsockopt(socket.SOL_SOCKET, option, 1)
        server.bind((HOST, port))
        server.listen()
        assert client.connect_ex((HOST, port)) == 0


def test_a_free_port_is_given_to_nobody_else() -> None:
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((HOST, port))


def test_ports_are_held_up_to_a_bound() -> None:
    ports = {free_port() for _ in range(PORTS_HELD + 1)}
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    more = {free_port() for _ in range(PORTS_HELD)}
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files
    assert len(ports) == PORTS_HELD + 1
    assert len(more) == PORTS_HELD
