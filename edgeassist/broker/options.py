"""The broker's address, the protocol options, and the credentials of both sides. Plain values."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edgeassist.errors import ConfigurationError
from edgeassist.protocol.packets import Outbound


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS files. `ca` None takes the system's CAs; `insecure` leaves the host name unchecked."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """How to connect. The broker publishes `will` if the connection breaks.

    Attributes:
        session_expiry_s: How long what is published meanwhile waits for the next connection. MQTT 3.1.1 knows
            no such time, so that we do not read what has waited for longer.
        queue: How many messages may wait for the broker.
        max_packet_bytes: The largest packet that we take.
        packet_bytes: The largest packet that the broker takes, where that is known; it may name less itself.
        receive_maximum: How many messages at QoS 1 we take before we have acknowledged some (MQTT 5); None:
            as many as the broker sends.
        takes_stale: Whether what the session kept is taken however old it is. Else, in MQTT 3.1.1, what came
            while we may have been away for longer than `session_expiry_s` is thrown away.
        ordered_acknowledgements: Whether messages are acknowledged in the order in which they came (MQTT 5,
            section 4.6), or each when its fate is safe. Brokers take both.
    """

    host: str
    port: int
    client_id: str
    protocol: Literal["5", "3.1.1"] = "5"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    keepalive_s: int = 30
    session_expiry_s: int = 0
    reconnect_max_s: float = 60.0
    queue: int = 1000
    max_packet_bytes: int = 1 << 20
    packet_bytes: int | None = None
    receive_maximum: int | None = None
    takes_stale: bool = False
    ordered_acknowledgements: bool = True
    tls: Tls | None = None
    will: Outbound | None = None

    @property
    def address(self) -> str:
        """Host and port, for a person."""
        return f"{self.host}:{self.port}"


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Return a TLS context that reads its files for every connection, so that renewed ones are taken up.

    Raises:
        ConfigurationError: A file can't be used; the message names its setting. `wrap_socket` raises it too,
            when that happens later.
    """
    _read(tls)
    context = _FreshContext(ssl.PROTOCOL_TLS_CLIENT)
    context.files = tls
    context.check_hostname = not tls.insecure
    return context


def _read(tls: Tls) -> ssl.SSLContext:
    setting = f"mqtt.tls_ca: {tls.ca}"
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        setting = f"mqtt.tls_cert and mqtt.tls_key: {tls.certificate} and {tls.key}"
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key, password=_no_passphrase)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{setting} can't be used: {_why(error)}") from None
    if tls.ca is not None:
        # Python 3.13 refuses CAs that lack extensions of RFC 5280, as most home-made ones do. A CA that
        # somebody named is trusted as it is, by every version of Python alike.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = not tls.insecure
    context.sslsocket_class = _Socket
    return context


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError) and error.reason == "NO_CERTIFICATE_OR_CRL_FOUND":
        return "it must be a PEM file, which is text and begins with -----BEGIN CERTIFICATE-----"
    return str(error.strerror or error) if isinstance(error, OSError) else str(error)


class _FreshContext(ssl.SSLContext):
    """Gives each connection a context of its own."""

    files: Tls

    def wrap_socket(self, sock: socket.socket, *args: Any, **options: Any) -> ssl.SSLSocket:
        try:
            return _read(self.files).wrap_socket(sock, *args, **options)
        except BaseException:
            sock.close()  # paho drops it without closing it
            raise


class _Socket(ssl.SSLSocket):
    """Closes itself if the TLS handshake fails; paho drops the socket without closing it."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - as in the base class
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def _no_passphrase() -> str:
    raise ValueError("the key needs a passphrase, and a daemon can't ask for one")
