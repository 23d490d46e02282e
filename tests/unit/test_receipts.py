from collections.abc import Callable

import pytest

from edgeassist.broker.receipts import Receipts
from edgeassist.broker.subscriptions import Route, Routes
from edgeassist.protocol.packets import Inbound, Subscription


class Desk:
    """Receipts that note what is acknowledged."""

    def __init__(self, *, ordered: bool = True) -> None:
        self.sent: list[int] = []
        self.receipts = Receipts(lambda packet, _qos: self.sent.append(packet), ordered)


def test_acknowledgements_go_out_in_the_order_in_which_the_messages_came() -> None:
    desk = Desk()
    first, second, third = (desk.receipts.arrived(packet, 1) for packet in (7, 5, 9))
    second.let_go()
    third.let_go()
    assert (desk.sent, len(desk.receipts)) == ([], 3)
    first.let_go()
    assert (desk.sent, len(desk.receipts)) == ([7, 5, 9], 0)


def test_without_order_each_goes_out_when_it_is_due() -> None:
    desk = Desk(ordered=False)
    first, second = desk.receipts.arrived(7, 1), desk.receipts.arrived(5, 1)
    second.let_go()
    assert desk.sent == [5]
    first.let_go()
    assert (desk.sent, len(desk.receipts)) == ([5, 7], 0)


@pytest.mark.parametrize("ordered", [True, False])
def test_what_is_held_by_several_waits_for_all_of_them_however_often_one_lets_go(*, ordered: bool) -> None:
    desk = Desk(ordered=ordered)
    receipt = desk.receipts.arrived(7, 1)
    one, other = receipt.hold(), receipt.hold()
    receipt.let_go()
    one()
    one()
    assert desk.sent == []
    other()
    other()
    assert desk.sent == [7]


@pytest.mark.parametrize("ordered", [True, False])
def test_after_the_end_of_the_connection_nothing_is_sent_and_nothing_kept(*, ordered: bool) -> None:
    desk = Desk(ordered=ordered)
    receipts = [desk.receipts.arrived(packet, 1) for packet in range(3)]
    desk.receipts.ended()
    assert len(desk.receipts) == 0
    for each in receipts:
        each.let_go()
    assert (desk.sent, len(desk.receipts)) == ([], 0)


def test_only_held_subscriptions_hold_a_message_and_one_whose_handler_raises_does_not() -> None:
    desk, routes = Desk(), Routes()
    heard: list[Inbound] = []

    def add(topic_filter: str, handler: Callable[[Inbound], None], *, held: bool) -> None:
        routes.add(Route(Subscription(topic_filter, 1, held=held), handler, lambda _route: None))

    def fail(_message: Inbound) -> None:
        raise RuntimeError("a fault of a handler")

    add("t/held", heard.append, held=True)
    add("t/+", lambda _message: None, held=False)
    add("t/bad", fail, held=True)
    for packet, topic in enumerate(("t/held", "t/bad", "t/plain", "nobody/hears")):
        routes.deliver(Inbound(topic, b"", qos=1), desk.receipts.arrived(packet, 1))
    assert desk.sent == []
    heard[0].acknowledge()
    assert desk.sent == [0, 1, 2, 3]
