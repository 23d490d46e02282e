import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edgeassist.engine.prompting.text import TextStream


def outputs(pieces: list[bytes], stop: tuple[str, ...] = ()) -> list[str]:
    """Return what comes out piece by piece, what `finish` gives last."""
    stream = TextStream(stop)
    return [*(stream.push(piece) for piece in pieces), stream.finish()]


def whole(data: bytes, stop: tuple[str, ...]) -> str:
    """Return what must come out, from the whole text at once."""
    text = data.decode(errors="replace")
    ends = [text.find(each) for each in stop if each in text]
    return text[: min(ends, default=len(text))]


def cut(data: bytes, at: list[int]) -> list[bytes]:
    marks = [0, *sorted(place % (len(data) + 1) for place in at), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(marks)]


CUTS = st.lists(st.integers(0, 200), max_size=40)
# Few letters, so that stop texts are met, begun and broken off often; three and four bytes among them.
LETTERS = st.text("ab你😀", max_size=40)
STOP = st.text("ab你😀", min_size=1, max_size=5)


@given(text=LETTERS, stop=STOP, at=CUTS)
def test_however_the_bytes_are_cut_a_stop_text_ends_the_text_before_it(
    text: str, stop: str, at: list[int]
) -> None:
    data = text.encode()
    assert "".join(outputs(cut(data, at), (stop,))) == whole(data, (stop,))


@given(text=LETTERS, stop=st.lists(STOP, max_size=4), at=CUTS)
def test_however_the_bytes_are_cut_the_first_of_several_stop_texts_ends_the_text(
    text: str, stop: list[str], at: list[int]
) -> None:
    assume(not any(inner in outer[1:-1] for outer in stop for inner in stop))
    data = text.encode()
    assert "".join(outputs(cut(data, at), tuple(stop))) == whole(data, tuple(stop))


@given(text=st.text(max_size=60), at=CUTS)
def test_without_stop_texts_any_text_comes_out_as_it_went_in(text: str, at: list[int]) -> None:
    assert "".join(outputs(cut(text.encode(), at))) == text


@given(data=st.binary(max_size=60), stop=st.lists(STOP, max_size=1), at=CUTS)
def test_bytes_that_are_no_utf8_become_replacement_characters_wherever_they_are_cut(
    data: bytes, stop: list[str], at: list[int]
) -> None:
    assert "".join(outputs(cut(data, at), tuple(stop))) == whole(data, tuple(stop))


@given(text=LETTERS, stop=STOP)
def test_no_more_is_held_back_than_could_begin_the_stop_text(text: str, stop: str) -> None:
    stream = TextStream((stop,))
    out = ""
    for index, character in enumerate(text):
        out += stream.push(character.encode())
        if stream.stopped:
            break
        held = text[len(out) : index + 1]
        assert stop.startswith(held)
        assert len(held) < len(stop)


def test_a_character_comes_out_with_its_last_byte() -> None:
    first, second, third = (bytes([byte]) for byte in "你".encode())
    assert outputs([first, second, third, b"!"]) == ["", "", "你", "!", ""]


def test_an_emoji_made_of_several_characters_comes_out_character_by_character() -> None:
    family = "👩‍👧"
    assert outputs([family.encode()[:5], family.encode()[5:]]) == ["👩", "‍👧", ""]


def test_a_character_that_never_gets_its_last_byte_becomes_a_replacement_character() -> None:
    assert outputs(["好".encode()[:2]]) == ["", "�"]


def test_text_that_could_begin_a_stop_text_waits_and_comes_out_when_it_does_not() -> None:
    assert outputs([b"one <", b"|en", b"ough"], ("<|end|>",)) == ["one ", "", "<|enough", ""]


def test_a_stop_text_spread_over_tokens_never_comes_out_nor_does_what_follows() -> None:
    stream = TextStream(("<|end|>",))
    stopped = [stream.stopped]
    assert stream.push(b"one <|e") == "one "
    stopped.append(stream.stopped)
    assert stream.push(b"nd|> two") == ""
    stopped.append(stream.stopped)
    assert stopped == [False, False, True]
    assert stream.push(b"three") == ""
    assert stream.finish() == ""


def test_text_held_back_at_the_end_comes_out_with_finish() -> None:
    assert outputs([b"to be ##"], ("###",)) == ["to be ", "##"]


def test_a_stop_text_inside_of_characters_is_found_across_token_borders() -> None:
    data = "答案。\n问".encode()
    assert outputs([data[:4], data[4:10], data[10:]], ("。\n",)) == ["答", "案", "", ""]


def test_a_stop_text_that_the_replaced_end_completes_still_ends_the_text() -> None:
    stream = TextStream(("�",))
    assert stream.push(b"ok" + "你".encode()[:1]) == "ok"
    assert stream.finish() == ""
    assert stream.stopped


@pytest.mark.parametrize("stop", [("b", "bcd"), ("bcd", "b")])
def test_of_two_stop_texts_at_one_place_the_order_does_not_matter(stop: tuple[str, ...]) -> None:
    assert outputs([b"abcd"], stop) == ["a", ""]
