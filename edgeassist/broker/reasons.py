"""Why there is no connection, in words that name the setting to look at. Pure."""

from __future__ import annotations

import socket
import ssl

from edgeassist.broker.options import BrokerOptions


def explain(error: OSError | UnicodeError, options: BrokerOptions) -> str:
    """Return why no connection came about, and which setting to look at."""
    address = options.address
    match error:
        case UnicodeError():
            reason = f"the host {options.host!r} can't be a name: check mqtt.host"
        case socket.gaierror():
            reason = f"the host {options.host!r} is unknown: check mqtt.host and the name server"
        case ssl.SSLCertVerificationError():
            reason = (
                f"the certificate of {address} is not accepted: {error.verify_message}: check "
                "mqtt.tls_ca, mqtt.host, the certificate's dates and this device's clock"
            )
        case ssl.SSLError():
            reason = (
                f"no TLS connection to {address}: {error.reason}: check mqtt.port, mqtt.tls and, if "
                "the broker asks for a certificate, mqtt.tls_cert"
            )
        case ConnectionRefusedError():
            reason = (
                f"nothing listens on {address}: check mqtt.host and mqtt.port, and whether the broker runs"
            )
        case ConnectionResetError():
            reason = explain_silence(options)
        case TimeoutError():
            reason = f"no answer from {address}: check mqtt.host, mqtt.port and the network"
        case _:
            reason = f"no connection to {address}: {error.strerror or error}"
    return reason


def explain_silence(options: BrokerOptions) -> str:
    """Return why a connection may have ended before the broker had said a word."""
    return (
        f"{options.address} ended the connection without a word: check mqtt.port, mqtt.tls and, if the "
        "broker asks for a certificate, mqtt.tls_cert"
    )


def explain_muteness(options: BrokerOptions) -> str:
    """Return why somebody may take a connection and never say a word of MQTT."""
    return (
        f"{options.address} takes the connection and never answers: check mqtt.port, mqtt.tls, and whether a "
        "broker listens there"
    )


def explain_refusal(reason: str, options: BrokerOptions) -> str:
    """Return why the broker does not want us, and which setting to look at."""
    ways_out = {
        "Bad user name or password": "check mqtt.username and mqtt.password",
        "Not authorized": "check mqtt.username, mqtt.password and the broker's access control list",
        "Client identifier not valid": "check mqtt.client_id",
        "Unsupported protocol version": 'set mqtt.protocol to "3.1.1"',
        "Session taken over": f"another client is {options.client_id!r} too: give each its mqtt.client_id",
    }
    way_out = ways_out.get(reason)
    return f"the broker at {options.address} says: {reason}" + (f": {way_out}" if way_out else "")
