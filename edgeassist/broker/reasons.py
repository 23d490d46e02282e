"""Why there is no connection, in words that name the setting to check. Sans-I/O.

Codes are compared, never a library's texts: those change with its versions.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from enum import IntEnum

from edgeassist.broker.options import BrokerOptions


class Reason(IntEnum):
    """Reason codes with which a broker refuses (MQTT 5, section 2.4).

    Paho translates the return codes of 3.1.1's CONNACK to them; 3.1.1's SUBACK knows only `UNSPECIFIED`, and
    its other packets have none.
    """

    UNSPECIFIED = 0x80
    MALFORMED_PACKET = 0x81
    PROTOCOL_ERROR = 0x82
    NOT_ACCEPTED = 0x83
    UNSUPPORTED_PROTOCOL_VERSION = 0x84
    CLIENT_ID_NOT_VALID = 0x85
    BAD_USER_NAME_OR_PASSWORD = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_BUSY = 0x89
    BANNED = 0x8A
    SERVER_SHUTTING_DOWN = 0x8B
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    PACKET_TOO_LARGE = 0x95
    MESSAGE_RATE_TOO_HIGH = 0x96
    QUOTA_EXCEEDED = 0x97
    ADMINISTRATIVE_ACTION = 0x98
    PAYLOAD_FORMAT_INVALID = 0x99
    RETAIN_NOT_SUPPORTED = 0x9A
    QOS_NOT_SUPPORTED = 0x9B
    CONNECTION_RATE_EXCEEDED = 0x9F


_WORDS = {
    Reason.UNSPECIFIED: "refused, without a reason given",
    Reason.MALFORMED_PACKET: "malformed packet",
    Reason.PROTOCOL_ERROR: "protocol error",
    Reason.NOT_ACCEPTED: "not accepted by this broker",
    Reason.UNSUPPORTED_PROTOCOL_VERSION: "unsupported protocol version",
    Reason.CLIENT_ID_NOT_VALID: "client id not valid",
    Reason.BAD_USER_NAME_OR_PASSWORD: "wrong user name or password",
    Reason.NOT_AUTHORIZED: "not authorized",
    Reason.SERVER_UNAVAILABLE: "not available at the moment",
    Reason.SERVER_BUSY: "too busy",
    Reason.BANNED: "this client is banned",
    Reason.SERVER_SHUTTING_DOWN: "shutting down",
    Reason.KEEP_ALIVE_TIMEOUT: "nothing was heard from this client within the keep-alive time",
    Reason.SESSION_TAKEN_OVER: "the session was taken over",
    Reason.TOPIC_FILTER_INVALID: "topic filter not valid",
    Reason.TOPIC_NAME_INVALID: "topic not valid",
    Reason.PACKET_TOO_LARGE: "packet too large",
    Reason.MESSAGE_RATE_TOO_HIGH: "too many messages",
    Reason.QUOTA_EXCEEDED: "quota exceeded",
    Reason.ADMINISTRATIVE_ACTION: "ended by an administrator",
    Reason.PAYLOAD_FORMAT_INVALID: "payload format not valid",
    Reason.RETAIN_NOT_SUPPORTED: "retained messages not supported",
    Reason.QOS_NOT_SUPPORTED: "QoS not supported",
    Reason.CONNECTION_RATE_EXCEEDED: "too many connections",
}

# With these, a broker may end a connection for a message that it got.
FOR_A_MESSAGE = frozenset(
    {
        Reason.UNSPECIFIED,
        Reason.MALFORMED_PACKET,
        Reason.PROTOCOL_ERROR,
        Reason.NOT_ACCEPTED,
        Reason.NOT_AUTHORIZED,
        Reason.TOPIC_NAME_INVALID,
        Reason.PACKET_TOO_LARGE,
        Reason.QUOTA_EXCEEDED,
        Reason.PAYLOAD_FORMAT_INVALID,
    }
)

# OpenSSL's X509_V_ERR_* (x509_vfy.h).
_NOT_YET_VALID, _EXPIRED = 9, 10
_SELF_SIGNED, _SELF_SIGNED_IN_CHAIN, _NO_ISSUER_LOCALLY, _NO_FIRST_SIGNATURE = 18, 19, 20, 21
_OTHER_HOST, _OTHER_ADDRESS = 62, 64
# What X509_V_FLAG_X509_STRICT finds: PATHLEN_INVALID_FOR_NON_CA to EC_KEY_EXPLICIT_PARAMS.
_STRICT = range(80, 95)
_CERTIFICATE_WAYS_OUT = {
    **dict.fromkeys((_NOT_YET_VALID, _EXPIRED), "check the certificate's dates and this device's clock"),
    **dict.fromkeys(
        (_SELF_SIGNED, _SELF_SIGNED_IN_CHAIN, _NO_ISSUER_LOCALLY, _NO_FIRST_SIGNATURE),
        "check mqtt.tls_ca",
    ),
    **dict.fromkeys(
        (_OTHER_HOST, _OTHER_ADDRESS),
        "check mqtt.host, which must be in the certificate as a subjectAltName (a CN does not count)",
    ),
    **dict.fromkeys(
        _STRICT,
        "Python asks this of the system's CAs since 3.13: name the file of this one in mqtt.tls_ca, where "
        "it is not asked for, or make it anew (docs/configuration.md, TLS)",
    ),
}


def words(code: int, name: str) -> str:
    """Return a reason code in words; `name` is the library's, for a code that is not a `Reason`."""
    return _WORDS[Reason(code)] if code in set(Reason) else name


def explain(error: OSError | UnicodeError, options: BrokerOptions) -> str:
    """Return why connecting failed, and which setting to check."""
    address = options.address
    match error:
        case UnicodeError():
            reason = f"the host {options.host!r} can't be a name: check mqtt.host"
        case socket.gaierror():
            reason = f"the host {options.host!r} is unknown: check mqtt.host and the name server"
        case ssl.SSLCertVerificationError():
            way_out = _CERTIFICATE_WAYS_OUT.get(
                error.verify_code,
                "check mqtt.tls_ca, mqtt.host, the certificate's dates and this device's clock",
            )
            reason = f"the certificate of {address} is not accepted: {error.verify_message}: {way_out}"
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
    """Return why the other side may have closed the connection before it sent anything."""
    # MQTT 3.1.1 has no words for the refusal of a will.
    will = options.will is not None and options.protocol == "3.1.1"
    return (
        f"{options.address} ended the connection without a word: check mqtt.port, mqtt.tls and, if the "
        "broker asks for a certificate, mqtt.tls_cert"
        + (", and whether it takes retained messages and QoS 1" if will else "")
    )


def explain_muteness(options: BrokerOptions) -> str:
    """Return why the other side may keep a connection open and send nothing."""
    return (
        f"{options.address} takes the connection and never answers: check mqtt.port, mqtt.tls, "
        "mqtt.protocol, and whether a broker listens there"
    )


def explain_garble(options: BrokerOptions) -> str:
    """Return why the other side may answer with something else than a CONNACK of our protocol version."""
    return (
        f"{options.address} does not answer in MQTT {options.protocol}: check mqtt.port, mqtt.protocol, "
        "and whether a broker listens there"
    )


def explain_other_version(options: BrokerOptions) -> str:
    """Return that the broker takes only the version of these options, which is not the one that is set."""
    without = (
        ", which knows no Response Topic and no reasons for refusals" if options.protocol == "3.1.1" else ""
    )
    return (
        f"the broker at {options.address} takes only MQTT {options.protocol}, so that is spoken{without}: "
        f'set mqtt.protocol to "{options.protocol}" to spare the attempts'
    )


def explain_refusal(code: int, name: str, options: BrokerOptions) -> str:
    """Return why the broker refused or ended the connection, and which setting to check.

    Args:
        code: The reason code.
        name: The library's name for it.
        options: How we connected.
    """
    other = "3.1.1" if options.protocol == "5" else "5"
    ways_out: dict[int, str] = {
        Reason.BAD_USER_NAME_OR_PASSWORD: "check mqtt.username and mqtt.password",
        Reason.NOT_AUTHORIZED: (
            "check mqtt.username, mqtt.password, the broker's access control list, and whether it takes the "
            f"client id {options.client_id!r} (mqtt.client_id; Mosquitto: clientid_prefixes)"
        ),
        Reason.CLIENT_ID_NOT_VALID: f"check mqtt.client_id, here {options.client_id!r}",
        Reason.RETAIN_NOT_SUPPORTED: "let it keep retained messages (Mosquitto: retain_available true)",
        Reason.QOS_NOT_SUPPORTED: "let it take QoS 1 (Mosquitto: max_qos 1)",
        Reason.UNSUPPORTED_PROTOCOL_VERSION: f'set mqtt.protocol to "{other}"',
        Reason.SESSION_TAKEN_OVER: (
            f"another client is {options.client_id!r} too: give each its mqtt.client_id"
        ),
        Reason.KEEP_ALIVE_TIMEOUT: "check the network, or raise mqtt.keepalive_s",
    }
    way_out = ways_out.get(code)
    return f"the broker at {options.address} says: {words(code, name)}" + (f": {way_out}" if way_out else "")


def explain_unanswered(seconds: float, options: BrokerOptions) -> str:
    """Return that the broker does not answer subscriptions, and what to check."""
    return (
        f"the broker at {options.address} did not answer the subscriptions within {seconds:g} s: "
        "check that a broker listens there, and its load"
    )


def explain_refused_filters(filters: Sequence[str], options: BrokerOptions) -> str:
    """Return that the broker refuses these subscriptions, and what to change."""
    return (
        f"the broker at {options.address} refuses the subscription to {', '.join(filters)}: "
        "let its access control list allow it"
    )


def explain_fatal_filters(filters: Sequence[str], options: BrokerOptions) -> str:
    """Return that the broker seems to end connections over these subscriptions, and what to change."""
    return (
        f"the broker at {options.address} ends the connection over the subscriptions: those to "
        f"{', '.join(filters)} are left out; let its access control list allow them"
    )
