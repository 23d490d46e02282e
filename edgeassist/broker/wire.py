"""A paho client's socket, looked after by the event loop.

Paho's own way, a thread that sleeps in `select`, costs two wakes and two changes of thread for each message
that is published, and on a small machine the model computes on every core that they want.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from edgeassist.broker.options import BrokerOptions

# How often paho looks whether a ping is due or its answer overdue: a share of the keep-alive, and at most.
_CHECK_SHARE = 0.2
_CHECK_S = 5.0


def make_client(options: BrokerOptions, tls: ssl.SSLContext | None, *, connect_timeout_s: float) -> Client:
    """Return a client that speaks as the options say, without callbacks; it has not connected yet."""
    version5 = options.protocol == "5"
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=options.client_id,
        protocol=MQTTProtocolVersion.MQTTv5 if version5 else MQTTProtocolVersion.MQTTv311,
        clean_session=None if version5 else True,
    )
    client.connect_timeout = connect_timeout_s
    client.suppress_exceptions = True
    if options.username is not None:
        client.username_pw_set(options.username, options.password)
    if tls is not None:
        client.tls_set_context(tls)
    return client


class Wire:
    """Reads and writes for one client; all methods are for the event loop's thread.

    Args:
        client: Its socket callbacks are taken.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[MQTTErrorCode] | None = None
        self._in_paho = False
        self._blocked = False
        client.on_socket_open = _without_delay
        client.on_socket_close = lambda _client, _data, connection: self._unwatch(connection)
        # With this set, `publish` never writes by itself.
        client.on_socket_register_write = lambda *_: self._want_write()

    async def connect(self, connect: Callable[[], object]) -> None:
        """Call what connects the client in a thread: it may take long to look up a name and shake hands.

        Nobody can interrupt that; what is given up closes its socket when it is through.

        Raises:
            Exception: Whatever `connect` raises.
        """
        connected: asyncio.Future[None] = self._loop.create_future()

        def settle(error: Exception | None) -> None:
            if connected.cancelled():
                self._close()
            elif error is not None:
                connected.set_exception(error)
            else:
                connected.set_result(None)

        def attempt() -> None:
            try:
                connect()
            except Exception as error:  # noqa: BLE001 - raised again in the event loop
                self._hand_over(settle, error)
            else:
                self._hand_over(settle, None)

        threading.Thread(target=attempt, name="mqtt-connect", daemon=True).start()
        await connected

    async def serve(self) -> MQTTErrorCode:
        """Carry messages until the connection ends, and return paho's reason; cancelled, it closes it.

        Raises:
            Exception: Whatever paho stumbled over, such as a packet that is none.
        """
        connection = self._client.socket()
        if connection is None:
            return MQTTErrorCode.MQTT_ERR_NO_CONN
        pause = min(_CHECK_SHARE * self._client.keepalive, _CHECK_S)
        self._ended = self._loop.create_future()
        self._loop.add_reader(connection, self._read)
        try:
            self._write()
            while not self._ended.done():
                await asyncio.wait([self._ended], timeout=pause)
                self._let(self._client.loop_misc)
            return self._ended.result()
        finally:
            self._ended.cancel()
            self._close()

    @property
    def serving(self) -> bool:
        """Whether there is a connection."""
        return self._ended is not None and not self._ended.done()

    def _read(self) -> None:
        self._let(self._client.loop_read)
        connection: Any = self._client.socket()
        # What TLS has decrypted already makes no socket readable.
        if connection is not None and hasattr(connection, "pending") and connection.pending():
            self._loop.call_soon(self._read)

    def _want_write(self) -> None:
        # Called by `publish`, and in the thread that connects, after which `serve` writes in any case.
        if self._in_paho:
            self._loop.call_soon(self._write)
        else:
            self._write()

    def _write(self) -> None:
        self._let(self._client.loop_write)
        blocked = self._client.want_write()
        connection = self._client.socket()
        if blocked == self._blocked or connection is None or not self.serving:
            return
        self._blocked = blocked
        if blocked:
            self._loop.add_writer(connection, self._write)
        else:
            self._loop.remove_writer(connection)

    def _let(self, work: Callable[[], MQTTErrorCode]) -> None:
        """Let paho do something, and look whether the connection is still there."""
        if self._ended is None or self._ended.done():
            return
        self._in_paho = True
        try:
            status = work()
        except Exception as error:  # noqa: BLE001 - raised by `serve`: such a connection can't go on
            self._ended.set_exception(error)
            return
        finally:
            self._in_paho = False
        if status != MQTTErrorCode.MQTT_ERR_SUCCESS or self._client.socket() is None:
            self._ended.set_result(status)

    def _unwatch(self, connection: Any) -> None:
        if connection.fileno() < 0:  # closed by us, which paho finds when it connects again
            return
        self._loop.remove_reader(connection)
        self._loop.remove_writer(connection)
        self._blocked = False

    def _hand_over(self, settle: Callable[[Exception | None], None], error: Exception | None) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody is left to hear
            self._loop.call_soon_threadsafe(settle, error)

    def _close(self) -> None:
        """Close a connection that paho has not closed."""
        connection: Any = self._client.socket()
        if connection is not None:
            self._unwatch(connection)
            connection.close()


def _without_delay(_client: Client, _data: Any, connection: Any) -> None:
    # Nagle's algorithm holds a QoS 1 exchange up by 44 to 88 ms (measured).
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
