from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from edgeassist.broker.subscriptions import MOST_STRAYS, MOST_UNSUBSCRIBED, UNANSWERED, Route, Routes, Verdict
from edgeassist.protocol.filters import check_filter, filters_of, levels_of, matches
from edgeassist.protocol.packets import Inbound, Subscription


class Board:
    """Routes that note what each handler hears, by its name."""

    def __init__(self) -> None:
        self.routes = Routes()
        self.heard: list[str] = []
        self.gone: list[str] = []

    def add(
        self,
        topic_filter: str,
        name: str = "",
        *,
        qos: int = 0,
        optional: bool = False,
        passive: bool = False,
    ) -> Route:
        subscription = Subscription(topic_filter, qos, optional, passive=passive)
        route = Route(subscription, lambda _: self.heard.append(name or topic_filter), self._close)
        self.routes.add(route)
        return route

    def say(self, topic: str) -> list[str]:
        """Deliver a message, and return who heard it."""
        self.heard.clear()
        self.routes.deliver(Inbound(topic, b""))
        return list(self.heard)

    def _close(self, route: Route) -> None:
        if self.routes.remove(route):
            self.gone.append(route.subscription.filter)


@pytest.mark.parametrize(
    ("topic_filter", "topic"),
    [
        ("a/b", "a/b"),
        ("a/+", "a/b"),
        ("a/+", "a/"),
        ("+", "a"),
        ("+/+", "/a"),
        ("a/+/c", "a//c"),
        ("#", "a/b/c"),
        ("a/#", "a"),
        ("a/#", "a/b/c"),
        ("$SYS/#", "$SYS/x"),
        ("$SYS/+", "$SYS/x"),
        ("a/#", "a/$b"),
        ("$share/g/a/+", "a/b"),
        ("$share/g/#", "a"),
        ("$share/g//a", "/a"),
    ],
)
def test_a_filter_matches_as_mqtt_says(topic_filter: str, topic: str) -> None:
    board = Board()
    board.add(topic_filter)
    assert board.say(topic) == [topic_filter]


@pytest.mark.parametrize(
    ("topic_filter", "topic"),
    [
        ("a/b", "a/B"),
        ("a/b", "a"),
        ("a", "a/b"),
        ("a/+", "a"),
        ("a/+", "a/b/c"),
        ("+", "/a"),
        ("a/#", "ab"),
        ("#", "$SYS/x"),
        ("+/x", "$SYS/x"),
        ("$share/g/a/+", "g/a/b"),
        ("$share/g/#", "$SYS/x"),
    ],
)
def test_a_filter_does_not_match_more_than_mqtt_says(topic_filter: str, topic: str) -> None:
    board = Board()
    board.add(topic_filter)
    assert board.say(topic) == []


LEVELS = st.sampled_from(["a", "b", "", "$a", "ab"])


@given(
    levels=st.lists(LEVELS | st.just("+"), min_size=1, max_size=4),
    rest=st.sampled_from([[], ["#"]]),
    topic=st.lists(LEVELS, min_size=1, max_size=4).map("/".join).filter(bool),
)
def test_a_filter_matches_as_in_paho(levels: list[str], rest: list[str], topic: str) -> None:
    topic_filter = "/".join([*levels, *rest])
    if topic_filter:
        board = Board()
        board.add(topic_filter)
        assert bool(board.say(topic)) == topic_matches_sub(topic_filter, topic)


@pytest.mark.parametrize(
    "topic_filter",
    ["a", "/", "a//b", "+", "#", "a/+/b/#", "$SYS/#", "$share/g/a", "$share/g/#", "a" * 65_535],
)
def test_a_filter_of_mqtt_is_taken(topic_filter: str) -> None:
    check_filter(topic_filter)


@pytest.mark.parametrize(
    "topic_filter",
    [
        "",
        "a#",
        "#/a",
        "a/#/b",
        "a+/b",
        "++",
        "$share",
        "$share/g",
        "$share//a",
        "$share/g/",
        "$share/#/a",
        "a" * 65_536,
    ],
)
def test_what_is_no_filter_is_refused(topic_filter: str) -> None:
    with pytest.raises(ValueError, match="filter"):
        check_filter(topic_filter)


def test_every_route_that_matches_hears_in_the_order_of_its_making() -> None:
    board = Board()
    for name, topic_filter in (("one", "a/#"), ("two", "b"), ("three", "a/+"), ("four", "a/#")):
        board.add(topic_filter, name)
    assert board.say("a/1") == ["one", "three", "four"]


def test_a_filter_is_gone_with_its_last_route() -> None:
    board = Board()
    one, two = board.add("a", "one"), board.add("a", "two")
    one.close()
    one.close()
    assert (board.gone, board.say("a")) == ([], ["two"])
    two.close()
    assert (board.gone, board.say("a")) == (["a"], [])


def test_a_handler_may_close_and_make_routes() -> None:
    board = Board()
    other = board.add("b", "other")

    def change(_: Inbound) -> None:
        board.heard.append("changer")
        other.close()
        last.close()
        board.add("a", "new")

    board.routes.add(Route(Subscription("a", 0), change, lambda _: None))
    last = board.add("a", "last")
    assert board.say("a") == ["changer"]
    assert board.say("b") == []
    assert "new" in board.say("a")


def test_one_subscription_stands_for_all_routes_of_a_filter() -> None:
    board = Board()
    board.add("a", qos=0, optional=True)
    board.add("b", qos=1, optional=True)
    needed = board.add("a", qos=1)
    assert board.routes.wanted() == (Subscription("a", 1), Subscription("b", 1, optional=True))
    needed.close()
    assert board.routes.merged("a") == Subscription("a", 0, optional=True)


def test_a_refusal_counts_by_what_its_routes_need_when_it_comes() -> None:
    board = Board()
    needed, _, closed = board.add("needed"), board.add("spared", optional=True), board.add("closed")
    board.routes.asked(1, board.routes.wanted(), first=True)
    closed.close()
    verdict = board.routes.answered(1, ["no", "no", "no"])
    assert verdict == Verdict(refused=("needed (no)",), spared=("spared (no)",), first=True)
    board.routes.asked(2, board.routes.wanted())
    needed.close()
    board.add("needed", optional=True)
    assert board.routes.answered(2, ["no", None]) == Verdict(spared=("needed (no)",))


def test_an_answer_to_nothing_that_was_asked_means_nothing() -> None:
    board = Board()
    board.add("a")
    board.routes.asked(1, board.routes.wanted(), first=True)
    board.routes.connected()
    assert board.routes.answered(1, ["no"]) == Verdict()


def test_what_is_optional_is_left_out_if_connections_end_over_it_and_asked_for_again_if_that_is_no_cure() -> (
    None
):
    routes = Routes()
    for topic, optional in (("a", False), ("b", True)):
        routes.add(Route(Subscription(topic, 0, optional), lambda _message: None, lambda _route: None))

    def wanted() -> list[str]:
        return [each.filter for each in routes.wanted()]

    assert routes.ended(answered=False) == ()
    assert routes.ended(answered=True) == ()  # not in a row
    assert routes.ended(answered=False) == ()
    assert wanted() == ["a", "b"]
    assert routes.ended(answered=False) == ("b",)
    assert wanted() == ["a"]
    assert routes.ended(answered=True) == ()
    assert wanted() == ["a"]
    for _ in range(UNANSWERED):
        assert routes.ended(answered=False) == ()
    assert wanted() == ["a", "b"]


def test_a_filter_that_may_hold_secrets_is_called_by_its_alias_wherever_it_is_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_message: Inbound) -> None:
        raise RuntimeError

    routes = Routes()
    wish = Subscription("secret/+", 0, optional=True, alias="a topic of the watch 'x'")
    routes.add(Route(wish, fail, lambda _route: None))
    routes.asked(1, routes.wanted(), first=True)
    routes.deliver(Inbound("secret/a", b""))
    assert routes.answered(1, ["no"]).spared == ("a topic of the watch 'x' (no)",)
    told = [routes.ended(answered=False) for _ in range(UNANSWERED)]
    assert told[-1] == ("a topic of the watch 'x'",)
    assert "secret" not in caplog.text.replace("test_", "")
    assert "a topic of the watch 'x'" in caplog.text


def test_a_passive_route_hears_what_comes_and_is_not_asked_for() -> None:
    board = Board()
    route = board.add("a", passive=True)
    assert board.routes.wanted() == ()
    assert board.routes.left == ()
    assert board.say("a") == ["a"]
    route.close()
    assert (board.gone, board.say("a")) == ([], [])


def test_a_route_that_is_left_hears_on_and_is_unsubscribed_from() -> None:
    board = Board()
    route = board.add("a")
    route.leave()
    assert (board.routes.wanted(), board.routes.left) == ((), ("a",))
    assert board.say("a") == ["a"]
    again = board.add("a", "again")
    assert ([each.filter for each in board.routes.wanted()], board.routes.left) == (["a"], ())
    route.close()
    assert board.gone == []
    again.close()
    assert board.gone == ["a"]


@pytest.mark.parametrize("topic", ["a", "a/b/c", "/a//b", "$SYS/a"])
def test_all_filters_of_a_topic_match_it_and_none_is_left_out(topic: str) -> None:
    parts = topic.split("/")
    found = list(filters_of(topic, 1000))
    levels = {*parts, "+"}
    every = {
        "/".join((*head, *end))
        for length in range(len(parts) + 1)
        for head in product(levels, repeat=length)
        for end in ((), ("#",))
        if head or end
    }
    assert set(found) == {each for each in every - {""} if matches(levels_of(each), parts)}
    assert len(found) == len(set(found))
    assert list(filters_of(topic, 2)) == found[:2] == [topic, f"{topic}/#"]


def test_what_comes_without_a_route_is_looked_into_once_for_each_topic_of_a_connection() -> None:
    board = Board()
    board.add("t/#")
    assert board.routes.stray("t/a") == ()
    packets = board.routes.stray("s/a")
    assert {each for packet in packets for each in packet} == set(filters_of("s/a", 100))
    assert max(len(packet) for packet in packets) == MOST_UNSUBSCRIBED
    assert board.routes.stray("s/a") == ()
    assert sum(board.routes.stray(f"s/{number}") != () for number in range(MOST_STRAYS)) == MOST_STRAYS - 1
    board.routes.connected()
    assert board.routes.stray("s/a") == packets
