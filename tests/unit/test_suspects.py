from edgeassist.broker.suspects import (
    MOST_DOUBTED,
    MOST_SHUNNED,
    REMEMBERED_S,
    SIBLINGS,
    SMALL_BYTES,
    Suspects,
)


def test_a_topic_is_in_doubt_until_the_broker_takes_a_message_there() -> None:
    suspects = Suspects()
    suspects.doubt("a")
    assert suspects.doubts("a")
    assert not suspects.doubts("a/b")
    suspects.clear("a")
    suspects.clear("never seen")
    assert not suspects.doubts("a")


def test_a_topic_is_shunned_for_a_while_and_no_other() -> None:
    suspects = Suspects()
    assert not suspects.active
    assert suspects.shun("reply/a", 10, 5.0) == "reply/a"
    assert suspects.shuns("reply/a", 1, 5.0)
    for topic, shunned in (("reply/a", True), ("reply/b", False), ("reply", False), ("reply/a/b", False)):
        assert suspects.shuns(topic, 1, 6.0) is shunned
    assert not suspects.shuns("reply/a", 1, 5.0 + REMEMBERED_S)


def test_after_some_siblings_the_parent_is_shunned_with_all_below_it() -> None:
    suspects = Suspects()
    names = [suspects.shun(f"reply/x/{number}", 10, 0.0) for number in range(SIBLINGS)]
    assert names[-1] == "reply/x/#"
    assert suspects.shuns("reply/x/other/deep", 1, 1.0)
    assert not suspects.shuns("reply/y", 1, 1.0)
    assert not suspects.shuns("reply/x", 1, 1.0)


def test_what_this_device_says_of_itself_tells_nothing_of_the_topics_beside_it() -> None:
    suspects = Suspects()
    for name in ("status", "health", "info", "telemetry"):
        suspects.shun(f"base/box/{name}", 10, 0.0, alone=True)
    assert not suspects.shuns("base/box/reply/a", 10, 1.0)


def test_a_large_message_is_shunned_by_its_size_and_a_second_one_by_its_topic() -> None:
    suspects = Suspects()
    assert "5000 bytes" in suspects.shun("t", 5000, 0.0)
    assert suspects.shuns("t", 5000, 1.0)
    assert not suspects.shuns("t", 4999, 1.0)
    assert suspects.doubts("t")
    suspects.shun("t", SMALL_BYTES + 1, 1.0)
    assert suspects.shuns("t", 1, 2.0)
    assert not suspects.doubts("t")


def test_the_smallest_size_that_was_refused_counts_for_a_while() -> None:
    suspects = Suspects()
    assert suspects.takes(1 << 30, 0.0)
    suspects.refused(1000, 0.0)
    suspects.refused(2000, 1.0)
    assert suspects.takes(999, 2.0)
    assert not suspects.takes(1000, 2.0)
    assert suspects.takes(1000, 1.0 + REMEMBERED_S)
    suspects.refused(1000, 5000.0)
    suspects.forget_limit()
    assert suspects.takes(1000, 5000.0)


def test_however_many_topics_there_are_memory_is_bounded() -> None:
    suspects = Suspects()
    for number in range(2 * MOST_DOUBTED):
        suspects.doubt(f"d/{number}")
        suspects.shun(f"p{number}/t", 10, 0.0, alone=True)
        suspects.shun(f"q{number}/t", 5000, 0.0, alone=True)
    assert sum(suspects.doubts(f"d/{number}") for number in range(2 * MOST_DOUBTED)) <= MOST_DOUBTED
    assert len(suspects._shunned) <= MOST_SHUNNED


def test_topics_that_are_used_no_more_leave_room_for_doubt_in_others() -> None:
    suspects = Suspects()
    for number in range(MOST_DOUBTED + 1):
        suspects.doubt(f"reply/{number}")
    assert not suspects.doubts("reply/0")
    assert suspects.doubts(f"reply/{MOST_DOUBTED}")
