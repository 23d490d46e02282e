"""Where the broker is, how to speak to it, and how each proves who it is. Plain values."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edgeassist.errors import ConfigurationError
from edgeassist.protocol.packets import Outbound


@dataclass(frozen=True, slots=True)
class Tls:
    """How the broker proves who it is, and how we do. None: the system's CAs; no certificate of ours."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """Where the broker is and how to speak to it; `will` is published by the broker when we vanish."""

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
    tls: Tls | None = None
    will: Outbound | None = None

    @property
    def address(self) -> str:
        """Host and port, for a person."""
        return f"{self.host}:{self.port}"


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Return what makes TLS connections; a ConfigurationError names the file that can't be used."""
    setting = "mqtt.tls_ca"
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        setting = "mqtt.tls_cert and mqtt.tls_key"
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key, password=_no_passphrase)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{setting}: can't be used: {error}") from None
    context.check_hostname = not tls.insecure
    context.sslsocket_class = _Socket
    return context


class _Socket(ssl.SSLSocket):
    """Closes itself where hands could not be shaken: paho forgets it then, and has not closed it."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - as in the base class
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def _no_passphrase() -> str:
    raise ValueError("the key asks for a passphrase, and nobody is there to type it")
