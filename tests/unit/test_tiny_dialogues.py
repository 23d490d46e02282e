"""The dialogues that EdgeAssist Tiny learns from and is measured with."""

from __future__ import annotations

import json
from importlib.resources import files
from random import Random

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from scripts.train_tiny.__main__ import app
from scripts.train_tiny.dialogues.commands import COMMANDS
from scripts.train_tiny.dialogues.generator import (
    Dialogue,
    Task,
    make_dialogue,
    make_question,
    tasks_of,
)
from scripts.train_tiny.dialogues.grammar import choose_alternatives, slots_of
from scripts.train_tiny.dialogues.language import Language, Phrasings, words_of
from scripts.train_tiny.dialogues.numbers import Kind, draw_number, draw_reading, say
from scripts.train_tiny.dialogues.places import draw_room
from scripts.train_tiny.dialogues.split import Part, Split, is_held_out
from scripts.train_tiny.questions import Question, is_valid_action, judge, tally

SCHEMA = json.loads(files("edgeassist").joinpath("assets/tiny/action.schema.json").read_text())
SLOTS = {
    "commands": {"thing", "value", "by", "color"},
    "questions": {"room", "the_room", "quantity"},
    "chat": {"a", "b", "name"},
}


def groups(language: Language, table: str) -> dict[str, Phrasings]:
    return dict(getattr(words_of(language), table))


def drawn(count: int = 600) -> list[Dialogue]:
    return [make_dialogue(number) for number in range(count)]


def test_the_same_number_gives_the_same_dialogue_and_another_one_does_not() -> None:
    assert make_dialogue(7) == make_dialogue(7)
    assert make_dialogue(7) != make_dialogue(8)
    assert make_dialogue(7) != make_dialogue(7, seed=1)


def test_training_speaks_both_languages_and_does_every_task() -> None:
    dialogues = drawn()
    assert {each.language for each in dialogues} == set(Language)
    assert {turn.task for each in dialogues for turn in each.turns} == set(Task)


def test_every_action_is_one_of_the_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    validator = Draft202012Validator(SCHEMA)
    actions = [turn.reply for each in drawn() for turn in each.turns if turn.task is Task.ACTION]
    assert len(actions) > 300
    for action in actions:
        validator.validate(json.loads(action))
        assert json.dumps(json.loads(action), ensure_ascii=False, separators=(",", ":")) == action


def test_training_repeats_the_most_usual_words_of_a_command() -> None:
    commands = [
        (turn.user.lower(), json.loads(turn.reply))
        for dialogue in map(make_dialogue, range(1500))
        for turn in dialogue.turns
        if turn.task is Task.ACTION and dialogue.language is Language.ENGLISH
    ]
    on = [user for user, action in commands if action["action"] == "turn_on"]
    usual = [user for user in on if "turn on " in user or "switch on " in user]
    assert len(on) > 200
    assert len(usual) > len(on) / 8


def test_a_room_that_is_meant_is_said_as_it_stands_in_the_action() -> None:
    for each in drawn():
        for turn in each.turns:
            room = json.loads(turn.reply).get("room", "all") if turn.task is Task.ACTION else "all"
            assert room == "all" or room in turn.user.lower()


def test_the_schema_knows_the_devices_and_colors_that_are_talked_about() -> None:
    assert set(SCHEMA["$defs"]["device"]["enum"]) == set(COMMANDS)
    colors = SCHEMA["oneOf"][2]["properties"]["value"]["enum"]
    for language in Language:
        assert set(words_of(language).devices) == set(COMMANDS)
        assert list(words_of(language).colors) == colors


def test_a_known_reading_is_answered_with_what_the_system_prompt_says() -> None:
    for number in range(100):
        for language in Language:
            dialogue = make_question(Task.READING, language, Split.SEEN, number)
            _, *lines = dialogue.system.partition(words_of(language).heading)[2].split("\n")
            named = {name.lower(): value for name, value in (line.split(": ") for line in lines)}
            reply = dialogue.turns[0].reply
            (answered,) = [
                name for name in named if reply.startswith((f"The {name} is ", f"{name}是", f"{name}现在"))
            ]
            assert named[answered] in reply


def test_what_is_not_listed_is_not_known() -> None:
    for number in range(100):
        for language in Language:
            dialogue = make_question(Task.UNKNOWN, language, Split.SEEN, number)
            reply = dialogue.turns[0].reply
            before, _, after = words_of(language).replies["unknown"].partition("{name}")
            name = reply.removeprefix(before).removesuffix(after)
            assert not any(line.startswith(f"{name}:") for line in dialogue.system.lower().split("\n"))


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("table", SLOTS)
def test_every_meaning_has_phrasings_to_learn_and_no_phrasing_is_on_both_sides(
    language: Language, table: str
) -> None:
    train: set[str] = set()
    held_out: set[str] = set()
    for name, phrasings in groups(language, table).items():
        assert len(phrasings.train) >= 2, name
        train.update(phrasings.train)
        held_out.update(phrasings.held_out)
        for line in phrasings.train + phrasings.held_out:
            assert slots_of(choose_alternatives(line, Random(0))) <= SLOTS[table], line
    assert held_out
    assert not train & held_out


@pytest.mark.parametrize("language", Language)
def test_rooms_and_values_are_on_the_side_that_was_asked_for(language: Language) -> None:
    random = Random(0)
    for held_out in (False, True):
        for _ in range(200):
            assert is_held_out(Part.ROOM, draw_room(language, random, held_out=held_out)) == held_out
            for kind in Kind:
                number = draw_number(kind, random, held_out=held_out)
                assert is_held_out(Part.VALUE, str(number)) == held_out
            reading = draw_reading("percent", random, held_out=held_out)
            assert is_held_out(Part.VALUE, reading.removesuffix("%").strip()) == held_out


def test_actions_of_a_split_have_what_it_holds_out() -> None:
    for language in Language:
        for number in range(100):
            rooms = json.loads(make_question(Task.ACTION, language, Split.ROOMS, number).turns[0].reply)
            assert is_held_out(Part.ROOM, rooms["room"])
            values = json.loads(make_question(Task.ACTION, language, Split.VALUES, number).turns[0].reply)
            assert is_held_out(Part.VALUE, str(values["value"]))


def test_a_split_is_asked_only_for_tasks_that_it_can_hold_something_out_of() -> None:
    assert tasks_of(Split.PHRASINGS) == tuple(Task)
    assert tasks_of(Split.VALUES) == (Task.ACTION, Task.READING)
    with pytest.raises(ValueError, match="to hold out"):
        make_question(Task.GREETING, Language.ENGLISH, Split.ROOMS, 0)


@pytest.mark.parametrize(
    ("number", "kind", "expected"),
    [
        (30, Kind.PERCENT, {"30 percent", "30%", "30", "thirty percent", "thirty"}),
        (26.5, Kind.DEGREES, {"26.5 degrees", "twenty six point five degrees"}),
        (100, Kind.PERCENT, {"maximum", "a hundred percent"}),
    ],
)
def test_english_numbers_are_said_in_digits_and_words(number: float, kind: Kind, expected: set[str]) -> None:
    random = Random(0)
    assert expected <= {say(number, kind, Language.ENGLISH, random) for _ in range(400)}


@pytest.mark.parametrize(
    ("number", "kind", "expected"),
    [
        (30, Kind.PERCENT, {"百分之三十", "三十", "30%", "30"}),
        (26.5, Kind.DEGREES, {"26.5度", "二十六度半"}),
        (2, Kind.DEGREE_STEP, {"两度", "2度"}),
        (12, Kind.PERCENT_STEP, {"百分之十二"}),
    ],
)
def test_chinese_numbers_are_said_in_digits_and_words(number: float, kind: Kind, expected: set[str]) -> None:
    random = Random(0)
    assert expected <= {say(number, kind, Language.CHINESE, random) for _ in range(400)}


@pytest.mark.parametrize(
    ("answer", "valid"),
    [
        ('{"action":"turn_on","device":"light","room":"kitchen"}', True),
        ('{"action":"set","device":"light","property":"color","value":"red"}', True),
        ('{"action":"set","device":"light","property":"brightness","value":"red"}', False),
        ('{"action":"explode","device":"light"}', False),
        ('{"action":"turn_on","device":"light"', False),
        ("Hello!", False),
    ],
)
def test_only_an_action_of_the_schema_is_valid(answer: str, valid: bool) -> None:  # noqa: FBT001
    assert is_valid_action(answer) == valid


def test_answers_are_judged_and_counted_by_kind() -> None:
    unknown = Question(Split.SEEN, Task.UNKNOWN, make_question(Task.UNKNOWN, Language.ENGLISH, Split.SEEN, 0))
    verdict = judge(unknown, "The cat? I don't know, there is no sensor for it.")
    assert (verdict.exact, verdict.valid, verdict.honest) == (False, None, True)
    scores = tally([(unknown, unknown.right), (unknown, "The cat is 3 °C.")], failures=1)
    score = scores[Split.SEEN, Language.ENGLISH, Task.UNKNOWN]
    assert (score.asked, score.exact, score.honest) == (2, 1, 1)
    assert score.failures == [(unknown.dialogue.turns[0].user, unknown.right, "The cat is 3 °C.")]


def test_dialogues_can_be_looked_at() -> None:
    ended = CliRunner().invoke(app, ["show", "--count", "2", "--first", "7"])
    assert ended.exit_code == 0
    assert [line for line in ended.output.splitlines() if line.startswith("--- ")] == [
        f"--- {number} ({make_dialogue(number).language})" for number in (7, 8)
    ]
    assert make_dialogue(7).turns[0].reply in ended.output
