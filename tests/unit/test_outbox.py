from edgeassist.broker.outbox import HEADER_BYTES, HIGH_WATER_BYTES, HIGH_WATER_MESSAGES, Outbox
from edgeassist.protocol.packets import Outbound


class Message:
    """Something that is sent when a test says so."""

    sent = False

    def is_sent(self) -> bool:
        return self.sent


def test_what_is_sent_waits_and_congests_no_longer() -> None:
    outbox = Outbox()
    messages = [Message(), Message()]
    for message in messages:
        outbox.sending(message.is_sent, HIGH_WATER_BYTES)
    assert (outbox.waiting, outbox.congested) == (2, True)
    messages[0].sent = True
    assert (outbox.waiting, outbox.congested) == (1, False)
    outbox.sending(Message().is_sent, 1)
    assert outbox.congested
    messages[1].sent = True
    assert (outbox.waiting, outbox.congested) == (1, False)


def test_what_is_queued_waits_until_it_is_acknowledged_and_a_few_do_not_congest() -> None:
    outbox = Outbox()
    outbox.queued(1)
    outbox.queued(2)
    assert (outbox.waiting, outbox.congested) == (2, False)
    assert outbox.acknowledged(1)
    assert outbox.acknowledged(7)
    assert not outbox.acknowledged(2)
    assert outbox.waiting == 0


def test_many_messages_congest_however_small_they_are_with_a_connection_and_without() -> None:
    sending, queued = Outbox(), Outbox()
    messages = [Message() for _ in range(HIGH_WATER_MESSAGES + 1)]
    congested = []
    for packet, message in enumerate(messages):
        sending.sending(message.is_sent, 1)
        queued.queued(packet)
        congested.append((sending.congested, queued.congested))
    assert congested == [(False, False)] * HIGH_WATER_MESSAGES + [(True, True)]
    messages[0].sent = True
    queued.acknowledged(0)
    assert (sending.congested, queued.congested) == (False, False)


def test_nothing_waits_after_it_was_given_up() -> None:
    outbox = Outbox()
    outbox.sending(Message().is_sent, HIGH_WATER_BYTES + 1)
    outbox.queued(1)
    outbox.clear()
    assert (outbox.waiting, outbox.congested) == (0, False)


def test_a_message_beyond_the_brokers_limit_is_not_taken() -> None:
    message = Outbound("tö", b"12345", correlation=b"678")
    outbox = Outbox()
    assert outbox.takes(message)
    outbox.packet_limit = HEADER_BYTES + 3 + 5 + 3
    assert outbox.takes(message)
    outbox.packet_limit -= 1
    assert not outbox.takes(message)
