from edgeassist.broker.outbox import HIGH_WATER_BYTES, HIGH_WATER_MESSAGES, Letter, Outbox
from edgeassist.protocol.packets import Outbound


class Fate:
    """Whether something is sent, as a test says."""

    sent = False

    def is_sent(self) -> bool:
        return self.sent


def letter(size: int = 1, qos: int = 1) -> Letter:
    return Letter(Outbound("t", bytes(size), qos))


def test_what_is_sent_waits_and_congests_no_longer() -> None:
    outbox = Outbox()
    fates = [Fate(), Fate()]
    for packet, fate in enumerate(fates):
        outbox.sending(letter(HIGH_WATER_BYTES), packet, fate.is_sent)
    assert (outbox.waiting, outbox.congested) == (2, True)
    fates[0].sent = True
    assert (outbox.waiting, outbox.congested) == (1, False)
    outbox.sending(letter(), 3, Fate().is_sent)
    assert outbox.congested
    fates[1].sent = True
    assert (outbox.waiting, outbox.congested) == (1, False)


def test_what_is_queued_waits_and_no_more_of_it_than_may() -> None:
    outbox = Outbox(2)
    assert [outbox.queue(letter(HIGH_WATER_BYTES)) for _ in range(3)] == [True, True, False]
    assert (outbox.waiting, outbox.queued) == (2, True)
    outbox.take_first()
    outbox.take_first()
    assert (outbox.waiting, outbox.first()) == (0, None)


def test_what_a_connection_did_not_bring_to_the_broker_is_taken_back_and_goes_first() -> None:
    outbox = Outbox(1)
    here, there, later = letter(), letter(), letter()
    brought = Fate()
    outbox.sending(here, 1, Fate().is_sent)
    outbox.sending(letter(), 2, brought.is_sent)
    outbox.sending(there, 3, Fate().is_sent)
    outbox.queue(later)
    brought.sent = True
    assert outbox.find(3) is there
    lost = outbox.take_back()
    assert (lost, outbox.under_way, outbox.find(3)) == ([here, there], 0, None)
    outbox.queue_first(*lost)
    assert [outbox.take_first() for _ in range(3)] == [here, there, later]


def test_what_is_unwanted_is_forgotten() -> None:
    outbox = Outbox()
    for qos in (0, 1, 0):
        outbox.queue(letter(qos=qos))
    assert [each.message.qos for each in outbox.discard(lambda each: each.message.qos == 0)] == [0, 0]
    assert outbox.waiting == 1


def test_many_messages_congest_however_small_they_are_with_a_connection_and_without() -> None:
    sending, queued = Outbox(), Outbox()
    fates = [Fate() for _ in range(HIGH_WATER_MESSAGES + 1)]
    congested = []
    for packet, fate in enumerate(fates):
        sending.sending(letter(1), packet, fate.is_sent)
        queued.queue(letter(1))
        congested.append((sending.congested, queued.congested))
    assert congested == [(False, False)] * HIGH_WATER_MESSAGES + [(True, True)]
    fates[0].sent = True
    queued.take_first()
    assert (sending.congested, queued.congested) == (False, False)


def test_the_largest_payload_that_the_broker_acknowledged_is_known() -> None:
    outbox = Outbox()
    for size, qos in ((7, 1), (3, 1), (9, 0)):
        fate = Fate()
        outbox.sending(letter(size, qos), size, fate.is_sent)
        fate.sent = True
    outbox.sending(letter(20), 4, Fate().is_sent)
    assert outbox.under_way == 1
    assert outbox.taken_bytes == 7
