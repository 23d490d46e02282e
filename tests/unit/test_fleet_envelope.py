from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.errors import InvalidRequestError
from edgeassist.fleet.envelope import Envelope, FollowingCancel, cancel_of, open_envelope
from edgeassist.fleet.routing import MOST_HOPS, Search
from edgeassist.protocol.packets import Inbound
from edgeassist.protocol.values import NAME_PATTERN

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


messages = st.builds(
    Inbound,
    topic=st.text("aé/_-", min_size=1, max_size=30),
    payload=st.binary(max_size=200),
    response_topic=st.none() | texts,
    correlation=st.none() | st.binary(max_size=30),
)
seconds = st.floats(0, 1e6).map(lambda value: round(value, 3))
envelopes = st.builds(
    Envelope,
    texts,
    messages,
    st.integers(1, MOST_HOPS),
    st.none() | seconds,
    st.sampled_from(Search),
    st.none() | st.from_regex(NAME_PATTERN, fullmatch=True),
)


@given(envelopes)
def test_a_request_comes_out_of_its_envelope_as_it_went_in(envelope: Envelope) -> None:
    assert open_envelope(envelope.encode()) == envelope


names = st.from_regex(NAME_PATTERN, fullmatch=True)


@given(names, names | st.just(""), st.none() | names, st.none() | names, st.none() | st.binary(max_size=99))
def test_a_cancel_that_follows_a_request_keeps_what_its_answer_needs(
    request: str, client: str, command: str | None, asker: str | None, correlation: bytes | None
) -> None:
    encoded = None if correlation is None else b64encode(correlation)
    cancel = FollowingCancel(request=request, client=client, id=command, asker=asker, correlation=encoded)
    assert cancel_of(cancel.encode()) == cancel
    assert cancel.correlation == correlation


@pytest.mark.parametrize(
    "payload",
    [
        b'{"request":"a","client":"k"}',
        b'cancel {"request":"a"}',
        b'cancel {"request":"a","client":"k","asker":"#"}',
        b"cancel",
    ],
)
def test_what_is_no_such_cancel_is_none(payload: bytes) -> None:
    assert cancel_of(payload) is None


def test_time_that_is_over_is_none_left() -> None:
    envelope = Envelope("box", Inbound("t", b""), 1, left_s=-3)
    assert open_envelope(envelope.encode()).left_s == 0


@given(st.binary(max_size=200))
def test_anything_else_is_refused(payload: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        open_envelope(payload)


@pytest.mark.parametrize(
    "head",
    [
        b'{"v":2,"sender":"a","topic":"t","hops":1}',
        b'{"sender":"a","topic":"t","hops":0}',
        b'{"sender":"a","topic":"t","hops":1,"correlation":"%"}',
        b'{"sender":"a","topic":"t","hops":1,"left_s":-1}',
        b'{"sender":"a","topic":"t","hops":1,"id":"a/b"}',
        b'{"sender":"a","topic":"t/#","hops":1}',
        b'{"sender":"a","topic":"","hops":1}',
        b'{"sender":"a","topic":"t","hops":1,"correlation":"%s"}' % (b"AAAA" * 22_000),
        b'{"sender":"a","topic":"t","hops":100}',
        b"[]",
    ],
)
def test_a_head_that_says_what_can_t_be_is_refused(head: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        open_envelope(head + b"\npayload")


def test_a_later_version_may_say_more_in_it() -> None:
    assert open_envelope(b'{"sender":"a","topic":"t","hops":1,"more":1}\nx').message.payload == b"x"
