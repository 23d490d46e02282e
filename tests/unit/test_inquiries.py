"""What a decision reads, as tokens."""

from __future__ import annotations

from itertools import product

import pytest

from edgeassist.engine.backends.loading import load_backend
from edgeassist.engine.deciding.branches import MOST_TOKENS, Asked, Inquiries, Inquiry
from edgeassist.engine.deciding.tree import branches_of, forks_of
from edgeassist.engine.deciding.wording import askings, neutral
from edgeassist.engine.kv.world import PLAIN
from edgeassist.engine.messages import Decide, Load, Question, QuestionKind, Right, Shot
from edgeassist.errors import InvalidRequestError

STATE = tuple(range(100, 500))
ROOMS = ("bath", "kitchen", "hall")
# Each two of them part somewhere else.
MANY = [tuple(path) for path in product((1, 2), repeat=5)]


def asked(question: int, options: list[tuple[int, ...]] = MANY, state: tuple[int, ...] = STATE) -> Asked:
    return Asked((*state, question, 7), PLAIN, len(options), tuple(forks_of(options, (0,))))


def distinct(*questions: Asked) -> int:
    """How many beginnings all prompts have."""
    tokens = [each.branch(numbers).tokens for each in questions for numbers in branches_of(each.forks)]
    return len({prompt[:end] for prompt in tokens for end in range(1, len(prompt) + 1)})


def test_what_questions_and_options_begin_alike_with_counts_once() -> None:
    for questions in (
        (asked(1),),
        (asked(1), asked(1)),
        (asked(1), asked(2), asked(3, [(1,), (2,)])),
        (asked(1), asked(1, state=STATE[:5]), asked(9, [(1,), (1, 2), (1, 3)])),
    ):
        assert Inquiry(questions, (), 0.0).prompt_tokens == distinct(*questions)


def test_more_to_read_beside_the_state_than_a_limit_is_refused_with_the_figure_and_what_to_do() -> None:
    # The scripted backend's tokens are bytes.
    loaded = load_backend(
        Load("scripted", "", context=8192, slots=1, threads=1, step_tokens=64), lambda _: None
    )
    options = tuple(f"a room with a name of this length {number:02}" for number in range(32))

    def prepare(count: int) -> Inquiry:
        questions = (Question(QuestionKind.CHOICE, f"Which, for {at:02}?", options) for at in range(count))
        return Inquiries(loaded).prepare(Decide("d", "x" * 4000, tuple(questions), prior=0.0))

    one = prepare(2).prompt_tokens - prepare(1).prompt_tokens
    fit = MOST_TOKENS // one
    assert prepare(fit).asked
    with pytest.raises(InvalidRequestError, match=rf"1\d{{4}} tokens .*{MOST_TOKENS} .* fewer"):
        prepare(fit + 2)


def test_examples_are_worded_once_for_all_questions() -> None:
    questions = tuple(Question(QuestionKind.YES_NO, f"Is it {number}?", ("yes", "no")) for number in range(3))
    shots = (Shot("a state", tuple(Right(place, "no") for place in range(3))),)
    first, *others = askings(Decide("d", "x", questions, shots=shots))
    for other in others:
        assert all(one is same for one, same in zip(first.messages[:-1], other.messages[:-1], strict=True))


def said(question: Question, state: str = "x") -> str:
    """Return what is said last before the answer."""
    (asking,) = askings(Decide("d", state, (question,)))
    return asking.messages[-1].content


def answers(question: Question) -> tuple[str, ...]:
    (asking,) = askings(Decide("d", "x", (question,)))
    return asking.options


def test_the_options_of_a_choice_are_listed_in_an_order_of_their_own() -> None:
    given = Question(QuestionKind.CHOICE, "Which room?", ("kitchen", "bath"), ("", "wet"))
    turned = Question(QuestionKind.CHOICE, "Which room?", ("bath", "kitchen"), ("wet", ""))
    assert said(given) == said(turned) == "x\n\nWhich room?\nOptions: bath (wet), kitchen"
    assert answers(given) == ("kitchen", "bath")


def test_yes_and_no_are_listed_only_where_they_mean_something() -> None:
    plain = Question(QuestionKind.YES_NO, "门开着吗？", ("yes", "no"))
    assert (said(plain), answers(plain)) == ("x\n\n门开着吗？", ("是", "否"))
    noted = Question(QuestionKind.YES_NO, "Is it dark?", ("yes", "no"), ("no lamp is lit", ""))
    assert said(noted) == "x\n\nIs it dark?\nOptions: Yes (no lamp is lit), No"


def test_levels_are_answered_by_their_places_and_numbers_by_themselves() -> None:
    levels = Question(QuestionKind.SCORE, "How heavy?", ("light", "fair", "heavy"), ("", "10 kg", ""))
    assert said(levels) == "x\n\nHow heavy?\n1. light\n2. fair (10 kg)\n3. heavy"
    assert answers(levels) == ("1", "2", "3")
    numbers = Question(QuestionKind.SCORE, "How risky?", ("-1", "0", "0.5"))
    assert said(numbers) == "x\n\nHow risky?\nOptions: -1, 0, 0.5"
    assert answers(numbers) == numbers.options


def test_an_example_is_answered_as_its_question_is() -> None:
    levels = Question(QuestionKind.SCORE, "How heavy?", ("light", "heavy"))
    (asking,) = askings(Decide("d", "x", (levels,), shots=(Shot("a stone", (Right(0, "heavy"),)),)))
    assert [each.content for each in asking.messages[:2]] == [
        "a stone\n\nHow heavy?\n1. light\n2. heavy",
        "2",
    ]


def test_choices_between_the_same_options_have_in_common_what_is_picked_about_nothing() -> None:
    texts = ("Which room is dark?", "Where is a window open?")
    questions = tuple(Question(QuestionKind.CHOICE, text, ROOMS) for text in texts)
    dark, window = neutral(Decide("d", "x", questions, instructions="Judge this home."))
    assert dark is not None
    assert dark == window
    assert [each.content for each in dark.messages] == [
        "Judge this home.",
        "N/A\n\nOptions: bath, hall, kitchen",
    ]


def test_of_other_kinds_nothing_is_asked_about_nothing() -> None:
    questions = (
        Question(QuestionKind.YES_NO, "Is it dark?", ("yes", "no")),
        Question(QuestionKind.SCORE, "How dark?", ("a little", "very")),
    )
    assert neutral(Decide("d", "x", questions)) == [None, None]
