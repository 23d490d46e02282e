import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.gateways.homeassistant.topics import answer_topic, discovery_topic, marker_topic, object_id
from edgeassist.protocol.topics import Topics
from tests.unit.conftest import TOPICS
from tests.unit.test_topics import LEVEL


@given(roots=st.lists(st.tuples(LEVEL, LEVEL), min_size=2, max_size=2, unique_by="/".join))
def test_no_two_devices_have_the_same_object_id(roots: list[tuple[str, str]]) -> None:
    one, other = (object_id(Topics(*root)) for root in roots)
    assert one != other
    assert re.fullmatch(r"[A-Za-z0-9_-]+", one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a/b", "c"), ("a", "b-c")),
        (("a", "b_c"), ("a/b", "c")),
        (("a", "b__c"), ("a/b", "c")),
        (("a", "ü"), ("a", "_c3_bc")),
        (("a", "B"), ("a", "b")),
    ],
)
def test_an_object_id_tells_look_alikes_apart(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert object_id(Topics(*one)) != object_id(Topics(*other))


def test_discovery_stands_below_the_prefix_and_its_marker_below_the_root() -> None:
    assert discovery_topic(TOPICS, "homeassistant") == "homeassistant/device/edgeassist__box/config"
    assert marker_topic(TOPICS) == "edgeassist/box/discovery"
    assert answer_topic(TOPICS) == "edgeassist/box/event/homeassistant"
    assert [TOPICS.parse(topic) for topic in (marker_topic(TOPICS), answer_topic(TOPICS))] == [None, None]
