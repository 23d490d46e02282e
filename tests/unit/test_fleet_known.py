from edgeassist.fleet import known
from edgeassist.fleet.known import KEEP_S, Known


def told(known_there: Known, here: Known, now: float = 0) -> None:
    here.hear(known_there.tell("there"), "there", now)


def test_a_request_that_another_box_began_is_known_by_caller_and_id() -> None:
    there, here = Known(), Known()
    there.begun("fleet/k", "a")
    told(there, here)
    assert not there.untold
    assert here.find("fleet/k", "a", 1) == "there"
    assert here.find("fleet/h", "a", 1) is None
    assert here.find("fleet/k", "b", 1) is None
    assert there.find("fleet/k", "a", 1) is None


def test_who_began_it_last_has_it() -> None:
    there, here = Known(), Known()
    there.begun("c", "a")
    told(there, here)
    here.begun("c", "a")
    assert here.find("c", "a", 1) is None


def test_it_is_forgotten_after_a_while_and_where_there_are_too_many() -> None:
    there, here = Known(), Known()
    there.begun("c", "old")
    told(there, here)
    there.begun("c", "new")
    told(there, here, KEEP_S / 2)
    assert here.find("c", "old", KEEP_S) is None
    assert here.find("c", "new", KEEP_S) == "there"
    for number in range(known.MOST_TOLD + 10):
        there.begun("c", str(number))
    told(there, here, KEEP_S)
    assert here.find("c", "0", KEEP_S) is None
    assert here.find("c", "11", KEEP_S) == "there"


def test_anything_else_is_ignored() -> None:
    here = Known()
    for payload in (b"", b"{}", b"\xff", b"[" * 9999, b'{"device":"x","keys":["0011223344556677"]}'):
        here.hear(payload, "there", 0)
    here.hear(b'{"device":"there","keys":[1,"short",null,{}]}', "there", 0)
    assert here.find("c", "a", 0) is None
