"""Bounds behind a thought: marks that are one control token, and marks that are spelled in ordinary ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.engine.backends.base import Bound
from edgeassist.engine.constraints import make_compiler
from edgeassist.engine.deferred import Deferred
from edgeassist.engine.messages import Constraint, ConstraintKind, DeltaKind
from edgeassist.engine.prompting.marking import Marking
from edgeassist.engine.prompting.parser import TextParser, ThoughtParser
from edgeassist.engine.prompting.shield import Segment
from edgeassist.engine.prompting.thoughts import Marks
from edgeassist.engine.step import Token

TAGS = Marks("<think>", "</think>", ("\n", "\n\n"))
WRAPPED = Marks("<think>", "</think>", begins=("<response>",), ends=("</response>",))
CHARACTERS = [bytes([number]) for number in range(32, 127)]
WORDS = [
    b"\n",
    b"\n\n",
    b"think",
    b"</",
    b"</think",
    b">\n",
    b">\n\n",
    b">{",
    b'>"',
    b'{"',
    b" Hm",
    b"yes",
    b"no",
]
END = b"<|end|>"


@dataclass(frozen=True)
class Vocabulary:
    """Fulfils `Tokenizer`, with the longest pieces."""

    pieces: tuple[bytes, ...]
    control: tuple[bytes, ...] = ()

    @property
    def of_text(self) -> list[bytes]:
        return [b"" if piece in (*self.control, END) else piece for piece in self.pieces]

    def id(self, piece: bytes) -> int:
        return self.pieces.index(piece)

    def token(self, id_: int) -> Token:
        ends = self.pieces[id_] == END
        return Token(id_, b"" if ends else self.pieces[id_], ends)

    def ids(self, text: bytes, *, control: bool = True) -> list[int]:
        ids: list[int] = []
        known = self.pieces if control else self.of_text
        while text:
            piece = max((each for each in known if each and text.startswith(each)), key=len)
            ids.append(self.pieces.index(piece))
            text = text[len(piece) :]
        return ids

    def tokenize(self, segments: Sequence[Segment], *, begins: bool) -> list[int]:
        del begins
        return [id_ for each in segments for id_ in self.ids(each.text.encode(), control=each.trusted)]


def vocabulary(*control: bytes) -> Vocabulary:
    return Vocabulary((*CHARACTERS, *WORDS, *control, END), control)


CONTROL = vocabulary(b"<think>", b"</think>")
SPELLED = vocabulary()
BOTH = pytest.mark.parametrize("words", [CONTROL, SPELLED], ids=["control", "spelled"])


def choice(words: Vocabulary, *texts: str) -> Bound:
    of_text = words.of_text
    made = make_compiler(
        lambda: of_text, len(of_text), [words.id(END)], lambda text: words.ids(text.encode(), control=False)
    )
    assert made is not None
    return made.bound(Constraint(ConstraintKind.CHOICE, json.dumps(texts)))


def deferred(words: Vocabulary, *texts: str, marks: Marks = TAGS, thinks: bool = True) -> Deferred:
    marking = Marking(marks, words.token, words)
    marking.see(words.of_text)
    return Deferred(choice(words, *(texts or ("yes", "no"))), marking, thinks=thinks)


def allowed(bound: Bound, words: Vocabulary) -> set[bytes]:
    """What `limit` leaves; it must be what is allowed token by token, or at least some of it."""
    logits = np.zeros(len(words.pieces), np.float32)
    bound.limit(logits)
    left = np.flatnonzero(np.isfinite(logits)).tolist()
    assert left
    assert all(bound.allows(id_) for id_ in left)
    return {words.pieces[id_] for id_ in left}


def say(bound: Bound, words: Vocabulary, *pieces: bytes) -> None:
    for piece in pieces:
        assert bound.allows(words.id(piece)), piece
        bound.accept(words.id(piece))


def text_of(tokens: Sequence[Token]) -> bytes:
    return b"".join(END if token.ends else token.piece for token in tokens)


@BOTH
def test_a_thought_may_be_anything(words: Vocabulary) -> None:
    bound = deferred(words)
    assert bound.forced() == []
    assert allowed(bound, words) == set(words.pieces)
    say(bound, words, b" Hm", b"{", b"<", b"\n")
    assert bound.forced() == []
    assert allowed(bound, words) == set(words.pieces)
    assert bound.problem is None


@BOTH
def test_behind_the_mark_come_its_white_space_and_then_the_answer_in_its_bounds(words: Vocabulary) -> None:
    bound = deferred(words)
    say(bound, words, b" Hm")
    for id_ in words.ids(b"</think>"):
        bound.accept(id_)
    assert allowed(bound, words) == {b"\n\n"}
    assert not bound.allows(words.id(END))
    assert text_of(bound.forced()) == b"\n\n"
    assert allowed(bound, words) == {b"yes", b"no", b"y", b"n"}
    say(bound, words, b"n")
    assert text_of(bound.forced()) == b"o" + END


@pytest.mark.parametrize(
    ("last", "missing"), [(b">", b"\n\n"), (b">\n", b"\n"), (b">\n\n", b"")], ids=["none", "one", "all"]
)
def test_white_space_in_the_token_that_ends_the_mark_is_not_written_twice(
    last: bytes, missing: bytes
) -> None:
    bound = deferred(SPELLED, "yes")
    say(bound, SPELLED, b"</", b"think", last)
    assert text_of(bound.forced()) == missing + b"yes" + END


def test_a_token_that_goes_on_behind_the_mark_is_not_allowed() -> None:
    bound = deferred(SPELLED, '"x"', "{")
    say(bound, SPELLED, b"</", b"think")
    assert not bound.allows(SPELLED.id(b">{"))
    assert not bound.allows(SPELLED.id(b'>"'))
    assert allowed(bound, SPELLED) == {*SPELLED.pieces} - {b">{", b'>"'}
    say(bound, SPELLED, b"x", b">{", b"<", b"</think")
    assert allowed(bound, SPELLED) == {*SPELLED.pieces} - {b">{", b'>"'}


@BOTH
def test_a_turn_that_would_end_within_the_thought_is_none_of_it(words: Vocabulary) -> None:
    bound = deferred(words)
    say(bound, words, b" Hm", END)
    for id_ in words.ids(TAGS.cut.encode()):
        bound.accept(id_)
    assert allowed(bound, words) == {b"yes", b"no", b"y", b"n"}


@BOTH
def test_a_model_that_opens_no_thought_is_bound_from_its_first_token(words: Vocabulary) -> None:
    bound = deferred(words, thinks=False)
    assert bound.forced() == []
    opening = words.pieces[words.ids(b"<think>")[0]]
    assert allowed(bound, words) == {b"yes", b"no", b"y", b"n", opening}
    assert not bound.allows(words.id(b" Hm"))
    assert not bound.allows(words.id(END))
    say(bound, words, b"y")
    assert text_of(bound.forced()) == b"es" + END


@BOTH
@pytest.mark.parametrize("before", [(), (b"\n",), (b" ", b"\n\n")])
def test_a_model_that_opens_one_may_think_first(words: Vocabulary, before: tuple[bytes, ...]) -> None:
    bound = deferred(words, thinks=False)
    say(bound, words, *before)
    for id_ in words.ids(b"<think>"):
        assert bound.allows(id_)
        bound.accept(id_)
        assert bound.forced() == []
    assert allowed(bound, words) == set(words.pieces)


def test_a_mark_that_is_begun_is_completed() -> None:
    bound = deferred(SPELLED, thinks=False)
    say(bound, SPELLED, b"<", b"t")
    assert allowed(bound, SPELLED) == {b"h"}
    assert not bound.allows(SPELLED.id(b"y"))
    assert bound.allows(SPELLED.id(b"h"))


def test_white_space_before_a_mark_has_an_end() -> None:
    bound = deferred(SPELLED, thinks=False)
    say(bound, SPELLED, *[b"\n\n"] * 4)
    assert not bound.allows(SPELLED.id(b"\n"))
    assert allowed(bound, SPELLED) == {b"<"}


def test_an_answer_that_begins_like_a_mark_is_one_or_the_other() -> None:
    texts = ("<b>", "<thin>", "<")
    bound = deferred(SPELLED, *texts, thinks=False)
    say(bound, SPELLED, b"<")
    assert bound.forced() == []
    assert allowed(bound, SPELLED) >= {b"b", b"t", END, b"think"}
    say(bound, SPELLED, b"t", b"h", b"i", b"n")
    assert bound.forced() == []
    assert allowed(bound, SPELLED) == {b">", b"k"}
    bound.accept(SPELLED.id(b">"))
    assert text_of(bound.forced()) == END
    bound.rewind(1)
    say(bound, SPELLED, b"k", b">", b" Hm", b"</think", b">")
    assert text_of(bound.forced()) == b"\n\n<"
    assert allowed(bound, SPELLED) == {b"b", b"t", b"th", END} & set(SPELLED.pieces)


def test_an_answer_that_is_complete_where_a_mark_could_go_on_ends() -> None:
    bound = deferred(SPELLED, "<t", thinks=False)
    say(bound, SPELLED, b"<")
    assert bound.forced() == []
    say(bound, SPELLED, b"t")
    assert text_of(bound.forced()) == END


@BOTH
def test_what_a_family_writes_before_its_answers_is_written_before_a_bound_one(words: Vocabulary) -> None:
    bound = deferred(words, "yes", marks=WRAPPED)
    for id_ in words.ids(b"</think>"):
        bound.accept(id_)
    assert text_of(bound.forced()) == b"<response>yes" + END


def test_a_tokenizer_that_changes_a_mark_opens_no_thought() -> None:
    class Spaced(Vocabulary):
        def tokenize(self, segments: Sequence[Segment], *, begins: bool) -> list[int]:
            return [self.id(b" "), *super().tokenize(segments, begins=begins)]

    words = Spaced(SPELLED.pieces)
    bound = deferred(words, "yes", thinks=False)
    assert text_of(bound.forced()) == b"yes" + END
    bound = deferred(words, "yes", thinks=True)
    say(bound, words, b"</think", b">")
    assert text_of(bound.forced()) == b"yes" + END


@BOTH
@given(
    moves=st.lists(st.integers(-4, -1) | st.integers(0, 5) | st.integers(0, 120), max_size=50),
    thinks=st.booleans(),
    wrapped=st.booleans(),
)
def test_whatever_is_picked_of_what_is_allowed_the_text_is_in_its_bounds(
    *, words: Vocabulary, moves: list[int], thinks: bool, wrapped: bool
) -> None:
    texts = ("yes", "no", "<b>", "</think>", "</b", ">x", " yes", "\n\nno", "<response>")
    marks = WRAPPED if wrapped else TAGS
    bound = deferred(words, *texts, marks=marks, thinks=thinks)
    lead = Marking(marks, words.token, words).lead_length
    mark = [words.pieces[id_] for each in (b"<think>", b"</think>") for id_ in words.ids(each)]
    said: list[Token] = []

    def read() -> tuple[str, bool]:
        """Return the text so far, and whether a thought is open."""
        parser = ThoughtParser(marks, TextParser(()), thinks=thinks, lead=lead)
        parts = [part for token in said for part in parser.push(token.piece)]
        thinking = parser.thinks_after(b"")
        parts += parser.finish() if said and said[-1].ends else ()
        return "".join(part.text for part in parts if part.kind is DeltaKind.TEXT), thinking

    for move in moves:
        if move < 0:
            count = min(-move, len(said))
            bound.rewind(count)
            del said[len(said) - count :]
            continue
        # Marks are picked more often than others.
        pieces = sorted(allowed(bound, words), key=lambda piece: (piece not in mark, piece))
        token = words.token(words.id(pieces[move % len(pieces)]))
        bound.accept(token.id)
        if token.ends and read()[1]:
            continue  # it gives way to what closes the thought
        said.append(token)
        if not token.ends:
            said += bound.forced()
        assert bound.problem is None
        if said[-1].ends:
            break
    text, _ = read()
    if said and said[-1].ends:
        assert text in texts
    else:
        assert any(each.startswith(text) for each in texts)
