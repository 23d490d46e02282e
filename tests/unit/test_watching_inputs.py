import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.watching.inputs import MAX_BYTES, MAX_PAYLOAD_BYTES, MAX_TOPICS, Input
from edgeassist.watching.options import MAX_KEEP, InputOptions
from edgeassist.watching.picking import MAX_PATH_CHARACTERS, Pick


def input_of(topic_filter: str = "t", **options: Any) -> Input:
    return Input(InputOptions(topic_filter, **options))


def heard(payloads: Iterable[bytes | str], **options: Any) -> object:
    """Return what counts of messages on one topic."""
    listening = input_of(**options)
    for payload in payloads:
        listening.take("t", payload.encode() if isinstance(payload, str) else payload, 0.0)
    text, _, _ = listening.values(-1.0)
    return None if text is None else json.loads(text)


NESTED = "[1," * 50 + "1" + "]" * 50


@pytest.mark.parametrize(
    ("path", "payload"),
    [
        ("$..*..*..*", NESTED),
        ("$..*", "[" * 50 + json.dumps("x" * 1000) + "]" * 50),
        ("$[*,*,*,*]", json.dumps(["x" * 1000] * 7)),
    ],
)
def test_what_is_found_many_times_over_counts_no_more_than_a_message_that_is_too_large(
    path: str, payload: str
) -> None:
    assert len(payload) < MAX_PAYLOAD_BYTES
    assert heard([payload], json_path=path) is None


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        ("21.5", 21.5),
        ("ON", "ON"),
        ("true", True),
        (" closed \n\0", "closed"),
        ('{"a": [1, "é"]}', {"a": [1, "é"]}),
        ("NaN", "NaN"),
        ("1e999", "1e999"),
        ('{"a": 1', '{"a": 1'),
        (b"\xff\xfe", "\ufffd\ufffd"),
        ('"\\ud800"', '"\\ud800"'),
        ("[" * 5000, "[" * 5000),
        ("[" * 100 + "]" * 100, "[" * 100 + "]" * 100),
        ("1" * 5000, "1" * 5000),
        ("   ", None),
    ],
)
def test_a_message_counts_as_json_or_as_text(payload: bytes | str, value: object) -> None:
    assert heard([payload]) == value


def test_of_a_topic_the_latest_message_counts_or_its_last_ones_oldest_first() -> None:
    assert heard(["1", "2", "3"]) == 3
    assert heard(map(str, range(30)), keep=3) == [27, 28, 29]
    assert heard(["1"], keep=3) == [1]


@pytest.mark.parametrize(
    ("path", "document", "value"),
    [
        ("$.power", {"power": 3.5}, 3.5),
        ("$['switch:0'].apower", {"switch:0": {"apower": 7}}, 7),
        ("$.list[-1]", {"list": [1, 2]}, 2),
        ("$.list[*].v", {"list": [{"v": 1}, {"v": 2}]}, [1, 2]),
        ("$.list[*].v", {"list": [{"v": 1}]}, [1]),
        (
            "$.sensors[?@.type=='power'].w",
            {"sensors": [{"type": "power", "w": 5}, {"type": "x", "w": 6}]},
            [5],
        ),
        ("$.gone", {"power": 3.5}, None),
        ("$.list[*]", {"list": []}, None),
        ("$.power", 5, None),
        ("$", {"a": 1}, {"a": 1}),
    ],
)
def test_a_path_picks_what_counts(path: str, document: object, value: object) -> None:
    assert heard([json.dumps(document)], json_path=path) == value


@pytest.mark.parametrize("keep", [1, 3])
def test_a_message_without_what_is_picked_changes_nothing_however_many_come(keep: int) -> None:
    messages = ['{"w": 1}', *['{"other": 2}', "no JSON", "{"] * 40]
    assert heard(messages, json_path="$.w", keep=keep) == (1 if keep == 1 else [1])


@given(
    st.lists(st.none() | st.integers(0, 99), max_size=80),
    st.integers(1, 5),
    st.sets(st.integers(0, 79)),
)
def test_what_counts_does_not_depend_on_when_somebody_looks(
    values: list[int | None], keep: int, looks: set[int]
) -> None:
    listening = input_of(json_path="$.v", keep=keep)
    for at, value in enumerate(values):
        listening.take("t", b"{}" if value is None else b'{"v": %d}' % value, float(at))
        if at in looks:
            listening.values(-1.0)
    text, _, _ = listening.values(-1.0)
    found = [value for value in values if value is not None][-keep:]
    expected = None if not found else json.dumps(found if keep > 1 else found[-1], separators=(",", ":"))
    assert text == expected


def test_a_filter_with_wildcards_gives_an_object_of_what_they_stand_for_in_an_order_of_its_own() -> None:
    for order in (("kitchen", "bath"), ("bath", "kitchen")):
        listening = input_of("home/+/motion")
        for room in order:
            listening.take(f"home/{room}/motion", b"on", 0.0)
        assert listening.values(-1.0)[0] == '{"bath":"on","kitchen":"on"}'
    deep = input_of("home/#")
    deep.take("home/a/b", b"1", 0.0)
    deep.take("home", b"2", 0.0)
    assert json.loads(deep.values(-1.0)[0] or "") == {"a/b": 1, "": 2}


def test_what_is_too_old_counts_no_more_and_its_age_is_told() -> None:
    listening = input_of(keep=3)
    for at in (1.0, 2.0, 3.0):
        listening.take("t", str(at).encode(), at)
    assert listening.values(0.0) == ("[1.0,2.0,3.0]", 1.0, 3.0)
    assert listening.values(2.0) == ("[3.0]", 3.0, 3.0)
    assert listening.values(3.0)[0] is None


@pytest.mark.parametrize(
    ("payload", "step", "value"),
    [
        ("20.01", 0.1, 20),
        ("20.06", 0.1, 20.1),
        ("-0.04", 0.1, 0),
        ("1234", 50, 1250),
        ("0.30000000000000004", 0.1, 0.3),
        ("12", 1e9, 0),
        ('{"t": 20.01, "on": true}', 0.5, {"t": 20, "on": True}),
        ('[1.26, "1.26", null]', 0.5, [1.5, "1.26", None]),
        ("1e308", 0.001, 1e308),
        ("2e-320", 1e-9, 0),
        ("9" * 400, 10, int("9" * 400)),
        ("open", 0.1, "open"),
    ],
)
def test_numbers_are_rounded_to_the_step_and_nothing_else_is(
    payload: str, step: float, value: object
) -> None:
    found = heard([payload], step=step)
    assert json.dumps(found) == json.dumps(value)


def test_a_retained_message_that_comes_again_is_no_news_and_does_not_get_younger() -> None:
    listening = input_of(keep=3)
    assert listening.take("t", b"1", 1.0, retained=True)
    assert not listening.take("t", b"1", 5.0, retained=True)
    assert listening.values(0.0) == ("[1]", 1.0, 1.0)
    assert listening.values(3.0)[0] is None
    assert not listening.take("t", b"1", 6.0, retained=True)
    assert listening.values(3.0)[0] is None
    assert listening.take("t", b"2", 7.0, retained=True)
    assert listening.take("t", b"2", 8.0)
    assert listening.values(3.0)[0] == "[2,2]"


def test_a_topic_that_is_cleared_has_no_value_any_more() -> None:
    listening = input_of(keep=3)
    assert not listening.take("t", b"", 0.0)
    for payload in (b"1", b"2", b""):
        assert listening.take("t", payload, 0.0)
    assert listening.values(-1.0)[0] is None
    listening.take("t", b"3", 0.0)
    assert listening.values(-1.0)[0] == "[3]"


def test_a_message_or_topic_that_is_too_large_is_passed_over() -> None:
    listening = input_of("#")
    assert not listening.take("t", b"x" * (MAX_PAYLOAD_BYTES + 1), 0.0)
    assert not listening.take("t" * 2000, b"x", 0.0)
    assert (listening.too_large, listening.heard) == (True, False)
    assert listening.take("t", b"x" * MAX_PAYLOAD_BYTES, 0.0)


def test_of_more_topics_than_are_kept_the_one_that_was_heard_longest_ago_is_forgotten() -> None:
    listening = input_of("+")
    for number in range(MAX_TOPICS):
        listening.take(f"{number:03}", b"1", 0.0)
    listening.take("000", b"2", 1.0)
    crowded = [listening.crowded]
    listening.take("new", b"1", 1.0)
    found = json.loads(listening.values(-1.0)[0] or "")
    assert [*crowded, listening.crowded] == [False, True]
    assert (len(found), found["000"], found["new"], "001" in found) == (MAX_TOPICS, 2, 1, False)


@pytest.mark.parametrize("path", [None, "$"])
@pytest.mark.parametrize("topics", [1, 20, 1000])
@pytest.mark.parametrize("size", [1, 100, MAX_PAYLOAD_BYTES])
def test_a_flood_is_kept_within_bounds_and_the_newest_stays(path: str | None, topics: int, size: int) -> None:
    listening = input_of("+", json_path=path, keep=MAX_KEEP)
    for at in range(3000):
        listening.take(f"{at % topics}", b"1" + b" " * (size - 1), float(at))
        if at % 500 == 0:
            listening.values(-1.0)
        assert listening._bytes <= MAX_BYTES
    kept = sum(known.size + len(topic) for topic, known in listening._topics.items())
    assert listening._bytes == kept
    assert len(listening._topics) <= MAX_TOPICS
    assert listening.values(-1.0)[2] == 2999.0


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", "begins with [$]"),
        ("power", "begins with [$], such as"),
        ("$.a[", "unexpected end of query"),
        ("$.a b", "at character 5"),
        ("$.a[?nothing(@.b)]", "nothing"),
        ("$.a[99999999999999999999]", "range"),
        ("$" + "[?(@.a" * 40, "is no JSONPath"),
        ("$." + "a" * MAX_PATH_CHARACTERS, "is limited to 256 characters"),
        ("$.a[?@.b=~/x/]", "is no JSONPath"),
        ("$.a | $.b", "is no JSONPath"),
    ],
)
def test_what_is_no_json_path_is_refused_with_the_place(expression: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Pick(expression)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)
PATHS = [
    "$..a",
    "$.a[0]",
    "$[*]",
    "$[?@.a > 1]",
    "$[?@.a == @.b && @.c]",
    "$[?match(@.a, '[a-z]+')].b",
    "$[?search(@.a, '.')]",
    "$[?length(@.a) > 1]",
    "$[?count(@.*) > 1]",
    "$[?value(@..a) < 'x']",
    "$.a[-1:0:-1]",
    "$['a', 'b']",
]


@given(st.sampled_from(PATHS), JSON)
def test_whatever_comes_a_path_finds_something_or_nothing(path: str, document: object) -> None:
    found = heard([json.dumps(document)], json_path=path)
    assert found is None or json.dumps(found, allow_nan=False)
