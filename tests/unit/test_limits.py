from edgeassist.broker.limits import Limits
from edgeassist.protocol.packets import Outbound

MESSAGE = Outbound("t", b"x", 1, retain=True, shorter=Outbound("t", b""))


def test_a_broker_without_limits_gets_messages_as_they_are() -> None:
    assert Limits().fitted(MESSAGE) is MESSAGE
    assert list(Limits().words()) == []


def test_a_message_is_made_to_fit_what_the_broker_takes() -> None:
    fitted = Limits(qos=0).fitted(MESSAGE)
    assert (fitted.qos, fitted.retain, fitted.payload) == (0, True, b"x")
    fitted = Limits(retain=False).fitted(MESSAGE)
    assert (fitted.qos, fitted.retain) == (1, False)


def test_what_is_missing_is_said() -> None:
    assert len(list(Limits(qos=0, retain=False, wildcards=False).words())) == 3
