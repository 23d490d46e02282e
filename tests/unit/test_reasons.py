import ssl

import pytest
from paho.mqtt.client import convert_connack_rc_to_reason_code
from paho.mqtt.enums import ConnackCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from edgeassist.broker.options import BrokerOptions
from edgeassist.broker.reasons import Reason, explain, explain_refusal, words

OPTIONS = BrokerOptions("b", 1883, "box")


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_has_words_of_our_own(reason: Reason) -> None:
    assert words(reason.value, "the library's") != "the library's"


def test_a_reason_is_a_code_of_mqtt_5() -> None:
    assert {reason.value for reason in Reason} <= {code for code in ReasonCode.names if code >= 0x80}


def test_a_code_without_words_gets_the_librarys_name() -> None:
    moved = ReasonCode(PacketTypes.DISCONNECT, "Server moved")
    assert explain_refusal(moved.value, str(moved), OPTIONS) == "the broker at b:1883 says: Server moved"


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        (ConnackCode.CONNACK_REFUSED_PROTOCOL_VERSION, Reason.UNSUPPORTED_PROTOCOL_VERSION),
        (ConnackCode.CONNACK_REFUSED_IDENTIFIER_REJECTED, Reason.CLIENT_ID_NOT_VALID),
        (ConnackCode.CONNACK_REFUSED_SERVER_UNAVAILABLE, Reason.SERVER_UNAVAILABLE),
        (ConnackCode.CONNACK_REFUSED_BAD_USERNAME_PASSWORD, Reason.BAD_USER_NAME_OR_PASSWORD),
        (ConnackCode.CONNACK_REFUSED_NOT_AUTHORIZED, Reason.NOT_AUTHORIZED),
    ],
)
def test_paho_gives_the_return_codes_of_3_1_1_as_reasons(returned: ConnackCode, reason: Reason) -> None:
    assert convert_connack_rc_to_reason_code(returned).value == reason


@pytest.mark.parametrize(
    ("reason", "way_out"),
    [
        (Reason.BAD_USER_NAME_OR_PASSWORD, "check mqtt.username and mqtt.password"),
        (Reason.NOT_AUTHORIZED, "access control list"),
        (Reason.NOT_AUTHORIZED, "clientid_prefixes"),
        (Reason.CLIENT_ID_NOT_VALID, "check mqtt.client_id, here 'box'"),
        (Reason.RETAIN_NOT_SUPPORTED, "retain_available true"),
        (Reason.QOS_NOT_SUPPORTED, "max_qos 1"),
        (Reason.UNSUPPORTED_PROTOCOL_VERSION, 'set mqtt.protocol to "3.1.1"'),
        (Reason.SESSION_TAKEN_OVER, "another client is 'box' too"),
        (Reason.KEEP_ALIVE_TIMEOUT, "mqtt.keepalive_s"),
    ],
)
def test_a_refusal_names_the_way_out(reason: Reason, way_out: str) -> None:
    assert way_out in explain_refusal(reason.value, "anything", OPTIONS)


def test_a_client_of_3_1_1_that_is_too_old_is_told_the_newer_version() -> None:
    options = BrokerOptions("b", 1883, "box", protocol="3.1.1")
    told = explain_refusal(Reason.UNSUPPORTED_PROTOCOL_VERSION.value, "", options)
    assert told.endswith('set mqtt.protocol to "5"')


@pytest.mark.parametrize(
    ("code", "named", "silent"),
    [
        (10, "clock", "mqtt.tls_ca"),
        (20, "mqtt.tls_ca", "clock"),
        (62, "mqtt.host", "mqtt.tls_ca"),
        (64, "subjectAltName", "mqtt.tls_ca"),
        (85, "name the file of this one in mqtt.tls_ca", "clock"),
        (92, "name the file of this one in mqtt.tls_ca", "clock"),
        (1, "mqtt.tls_ca, mqtt.host", ""),
    ],
)
def test_a_certificate_that_is_not_accepted_is_explained_by_its_code(
    code: int, named: str, silent: str
) -> None:
    error = ssl.SSLCertVerificationError(1, "any text")
    error.verify_code, error.verify_message = code, "any text"
    told = explain(error, OPTIONS)
    assert named in told
    assert not silent or silent not in told
