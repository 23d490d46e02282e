"""`edgeassist decide`: its options become questions, and answers become bars."""

from typing import Any

import pytest

from edgeassist.cli.bars import lines_of
from edgeassist.cli.questions import questions_of
from edgeassist.errors import InvalidRequestError
from edgeassist.protocol.decisions import DecisionAnswer


@pytest.mark.parametrize(
    ("text", "name", "asked"),
    [
        ("a,b", "choice", {"instructions": "Which of these is it?", "criteria": ["a", "b"]}),
        ("room=kitchen, bath", "room", {"criteria": ["kitchen", "bath"]}),
        ("a b,c: Which one?", "choice", {"instructions": "Which one?", "criteria": ["a b", "c"]}),
        ("房间=厨房,浴室：哪个房间？", "房间", {"instructions": "哪个房间？", "criteria": ["厨房", "浴室"]}),
        ("t=12:30,13:00: When?", "t", {"instructions": "When?", "criteria": ["12:30", "13:00"]}),
    ],
)
def test_a_choice_has_options_and_may_have_a_name_and_a_text(
    text: str, name: str, asked: dict[str, Any]
) -> None:
    assert questions_of([text], (), ())[name].items() >= {"type": "choice", **asked}.items()


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        ("0..10", {"minimum": 0, "maximum": 10, "step": 1}),
        ("-1..1:0.5", {"minimum": -1, "maximum": 1, "step": 0.5}),
        ("0..4:2: How much?", {"minimum": 0, "maximum": 4, "step": 2, "instructions": "How much?"}),
        ("idle,light", {"criteria": ["idle", "light"], "instructions": "How much is it?"}),
    ],
)
def test_a_score_has_a_range_or_levels(text: str, scale: dict[str, Any]) -> None:
    (question,) = questions_of((), (), [text]).values()
    assert question.items() >= {"type": "score", **scale}.items()


def test_a_question_of_yes_or_no_is_its_text() -> None:
    assert questions_of((), ["now=Is it urgent?", "Is it: red?"], ()) == {
        "now": {"type": "yes_no", "instructions": "Is it urgent?"},
        "yes_no": {"type": "yes_no", "instructions": "Is it: red?"},
    }


def test_questions_without_a_name_are_counted() -> None:
    assert list(questions_of(["a,b", "choice_2=c,d", "e,f"], (), ["0..1"])) == [
        "choice",
        "choice_2",
        "choice_3",
        "score",
    ]


@pytest.mark.parametrize(
    ("choices", "scores", "said"),
    [
        ([], [], "there is no question: give --choice, --yes-no or --score"),
        (["a;b"], [], "--choice: 'a;b' is one option: put commas between them"),
        ([",".join(map(str, range(33)))], [], "--choice: takes 2 to 32 options, not 33"),
        (["a,a"], [], "--choice: has an option twice"),
        (["a,A"], [], "--choice: two options are equal but for case"),
        ([], ["0-10"], "--score: '0-10' is no scale: write 0..10"),
        (["x=a,b", "x=c,d"], [], "--choice: two questions are called 'x'"),
        ([], ["0..100"], "--score: has 101 steps, and at most 32"),
        ([], ["5..1"], "--score: minimum must be less than maximum"),
        (["a,b"] * 33, [], "questions: takes 1 to 32 questions, not 33"),
    ],
)
def test_what_a_device_would_refuse_is_refused_by_its_option(
    choices: list[str], scores: list[str], said: str
) -> None:
    with pytest.raises(InvalidRequestError, match="^" + said.replace("(", r"\(")):
        questions_of(choices, (), scores)


ROOM = DecisionAnswer(
    type="choice",
    choice="kitchen",
    probabilities={"bath": 0.25, "kitchen": 0.75, "hall": 0.0},
    margin=0.5,
    abstain=False,
)


def shown(answer: DecisionAnswer, *, width: int = 40, blocks: bool = True) -> list[str]:
    return list(lines_of({"q": {"instructions": "Which?"}}, {"q": answer}, width=width, blocks=blocks))


def test_bars_are_as_long_as_the_terminal_lets_them_and_the_pick_has_a_mark() -> None:
    assert shown(ROOM) == [
        "q: Which?",
        "  bath      ████▊                 25.0 %",
        "> kitchen   ██████████████▎       75.0 %",
        "  hall                             0.0 %",
    ]
    assert max(map(len, shown(ROOM))) == 40
    assert len(shown(ROOM, width=400)[1]) < 80


def test_bars_need_no_block_characters() -> None:
    assert shown(ROOM, blocks=False)[2] == "> kitchen   ##############        75.0 %"


@pytest.mark.parametrize("width", [10, 40, 120])
@pytest.mark.parametrize("name", ["x" * 64, "厨" * 40])
def test_long_names_are_cut_and_wide_ones_counted(name: str, width: int) -> None:
    answer = ROOM.model_copy(update={"choice": name, "probabilities": {name: 0.5, "b": 0.5}})
    _, long, short = shown(answer, width=width)
    columns = len(long) + sum(each in "厨" for each in long)
    assert columns == len(short) <= max(width, 36)


def test_a_doubt_and_an_expected_value_are_told_in_words() -> None:
    answer = ROOM.model_copy(update={"type": "score", "score": 2.25, "margin": 0.034, "abstain": True})
    assert shown(answer)[-2:] == ["  expected: 2.25", "  not sure: the first two are only 3.4 % apart"]


def test_several_answers_stand_apart() -> None:
    questions = {"a": {"instructions": "?"}, "b": {"instructions": "!"}}
    lines = list(lines_of(questions, {"a": ROOM, "b": ROOM}, width=60))
    assert (lines[0], lines[4], lines[5]) == ("a: ?", "", "b: !")


def test_answers_without_probabilities_show_their_pick() -> None:
    assert shown(ROOM.model_copy(update={"probabilities": None}))[1].startswith("> kitchen")
