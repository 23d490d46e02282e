from edgeassist.gateways.fleet.lobby import Lobby
from edgeassist.protocol.packets import Inbound


def test_what_waits_is_heard_once_in_the_order_in_which_it_came() -> None:
    lobby, heard = Lobby(8), list[bytes]()
    for name in (b"a", b"b"):
        lobby.wait(lambda message: heard.append(message.payload), Inbound("t", name, qos=1))
    lobby.release()
    lobby.release()
    assert (heard, len(lobby)) == ([b"a", b"b"], 0)


def test_what_the_broker_keeps_no_count_of_is_dropped_where_too_much_waits() -> None:
    lobby, heard = Lobby(2), list[bytes]()
    for number, qos in enumerate((0, 1, 0, 1, 0)):
        lobby.wait(lambda message: heard.append(message.payload), Inbound("t", b"%d" % number, qos=qos))
    lobby.release()
    assert heard == [b"0", b"1", b"3"]


def test_what_is_forgotten_is_not_heard() -> None:
    lobby, heard = Lobby(2), list[Inbound]()
    lobby.wait(heard.append, Inbound("t", b""))
    lobby.clear()
    lobby.release()
    assert not heard
