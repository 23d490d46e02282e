"""The layouts of sensor lists that EdgeAssist Tiny learns from, and those that it is measured with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from random import Random

import pytest

from scripts.train_tiny.dialogues.generator import Task, make_question, tasks_of
from scripts.train_tiny.dialogues.language import Language
from scripts.train_tiny.dialogues.layouts import UNSEEN, Case, Form, Layout, draw_layout, unseen_layouts
from scripts.train_tiny.dialogues.lists import Entry, write_list
from scripts.train_tiny.dialogues.numbers import split_reading
from scripts.train_tiny.dialogues.split import Part, Split, is_held_out
from scripts.train_tiny.dialogues.syntaxes import MAPPINGS, TABLES

HOME = [
    Entry("kitchen", "temperature", "21.5 °C"),
    Entry("anna's room", "dust", "7µg/m³"),
    Entry("kitchen", "door", "closed"),
]
NAMES = {"names": "{room} {quantity}"}


def layout(form: Form, parts: Mapping[str, str], case: Case = Case.LOWER, *, bare: bool = False) -> Layout:
    return Layout(form, parts, case, heading="", in_line=False, around="{list}", bare=bare)


def written(form: Form, parts: Mapping[str, str], case: Case = Case.LOWER, *, bare: bool = False) -> str:
    return write_list(layout(form, parts, case, bare=bare), HOME, Language.ENGLISH)


def drawn(language: Language, count: int = 3000) -> list[Layout]:
    random = Random(0)
    return [draw_layout(language, random, held_out=False) for _ in range(count)]


@pytest.mark.parametrize("language", Language)
def test_no_layout_that_is_measured_is_trained_and_no_two_are_the_same(language: Language) -> None:
    measured = {each.identity for each in unseen_layouts(language)}
    assert len(measured) == UNSEEN
    assert not measured & {each.identity for each in drawn(language)}


@pytest.mark.parametrize("language", Language)
def test_about_half_of_what_is_measured_has_a_part_that_never_trains(language: Language) -> None:
    trained = {part for each in drawn(language) for part in each.parts.items()}
    strange = [sum(part not in trained for part in each.parts.items()) for each in unseen_layouts(language)]
    assert set(strange) == {0, 1}
    assert UNSEEN / 3 < sum(strange) < UNSEEN * 2 / 3


@pytest.mark.parametrize("language", Language)
def test_training_has_every_form_and_syntax(language: Language) -> None:
    layouts = drawn(language)
    assert {each.form for each in layouts} == set(Form)
    for form, syntaxes in ((Form.MAPPING, MAPPINGS), (Form.TABLE, TABLES)):
        assert {each.parts["syntax"] for each in layouts if each.form is form} == set(syntaxes[0])


def test_the_most_usual_layouts_are_never_held_out() -> None:
    identities = {each.identity for each in drawn(Language.ENGLISH)}
    assert "entries|separator=\n|names={room} {quantity}|entries={name}: {value}|bullet=" in identities
    assert "entries|separator=; |names={room} {quantity}|entries={name}: {value}" in identities
    assert "mapping|syntax=json|by=room" in identities


def test_entries_are_written_with_their_parts() -> None:
    parts = NAMES | {"separator": "\n", "bullet": "1. ", "entries": "{name} = {value}"}
    assert written(Form.ENTRIES, parts, Case.TITLE) == (
        "1. Kitchen Temperature = 21.5 °C\n2. Anna's Room Dust = 7µg/m³\n3. Kitchen Door = closed"
    )
    parts = {"names": "sensor.{room_}_{quantity_}", "separator": "; ", "entries": "{name}: {value}"}
    assert written(Form.ENTRIES, parts, bare=True) == (
        "sensor.kitchen_temperature: 21.5; sensor.annas_room_dust: 7; sensor.kitchen_door: closed"
    )


def test_groups_have_their_sensors_below_or_behind_them() -> None:
    parts = {"by": "room", "head": "{group}:", "inner": "{name} {value}", "between": "\n"}
    assert written(Form.GROUPS, parts | {"block": "block"}) == (
        "kitchen:\ntemperature 21.5 °C\ndoor closed\nanna's room:\ndust 7µg/m³"
    )
    assert written(Form.GROUPS, parts | {"block": "in line", "inside": ", "}) == (
        "kitchen: temperature 21.5 °C, door closed\nanna's room: dust 7µg/m³"
    )


@pytest.mark.parametrize("syntax", ["json", "json compact", "json indented"])
def test_json_is_json_with_plain_numbers(syntax: str) -> None:
    assert json.loads(written(Form.MAPPING, {"syntax": syntax, "by": "room"}, bare=True)) == {
        "kitchen": {"temperature": 21.5, "door": "closed"},
        "anna's room": {"dust": 7},
    }
    keys = "room=room quantity=type value=value unit=unit"
    assert json.loads(written(Form.TABLE, {"syntax": syntax, "keys": keys})) == [
        {"room": "kitchen", "type": "temperature", "value": 21.5, "unit": "°C"},
        {"room": "anna's room", "type": "dust", "value": 7, "unit": "µg/m³"},
        {"room": "kitchen", "type": "door", "value": "closed"},
    ]


@pytest.mark.parametrize("syntax", [*TABLES[0], *TABLES[1]])
def test_every_table_has_each_name_and_value(syntax: str) -> None:
    text = written(Form.TABLE, NAMES | {"syntax": syntax, "keys": "name=name value=value"})
    assert all(each in text for each in ("kitchen temperature", "21.5 °C", "kitchen door", "closed"))


@pytest.mark.parametrize("syntax", [*MAPPINGS[0], *MAPPINGS[1]])
def test_every_mapping_has_each_name_and_value(syntax: str) -> None:
    for text in (
        written(Form.MAPPING, NAMES | {"syntax": syntax, "by": "sensor"}),
        written(Form.MAPPING, {"syntax": syntax, "by": "room"}),
    ):
        assert all(each in text for each in ("kitchen", "temperature", "21.5 °C", "door", "closed"))


def test_an_answer_repeats_a_value_as_it_is_listed() -> None:
    table = layout(Form.TABLE, {"keys": "name=name value=value unit=unit"})
    assert table.shown("7µg/m³") == "7 µg/m³"
    assert table.shown("closed") == "closed"
    assert layout(Form.MAPPING, {}).shown("7µg/m³") == "7µg/m³"
    assert layout(Form.MAPPING, {}, bare=True).shown("-7.5 °C") == "-7.5"


@pytest.mark.parametrize(
    ("reading", "parts"),
    [
        ("21.5 °C", ("21.5", "°C")),
        ("-3%", ("-3", "%")),
        ("7µg/m³", ("7", "µg/m³")),
        ("closed", ("closed", "")),
    ],
)
def test_a_reading_is_split_into_number_and_unit(reading: str, parts: tuple[str, str]) -> None:
    assert split_reading(reading) == parts


@pytest.mark.parametrize("language", Language)
def test_questions_about_layouts_have_their_answer_in_the_list(language: Language) -> None:
    assert tasks_of(Split.LAYOUTS) == (Task.READING, Task.UNKNOWN)
    for number in range(UNSEEN):
        dialogue = make_question(Task.READING, language, Split.LAYOUTS, number)
        value = dialogue.turns[0].reply.rstrip("。.").rpartition("是" if language == "zh" else " is ")[2]
        number_of, unit = split_reading(value.rpartition("现在")[2])
        assert number_of in dialogue.system
        assert unit in dialogue.system


def test_layouts_are_held_out_by_their_hash() -> None:
    held_out = sum(is_held_out(Part.LAYOUT, str(number)) for number in range(1000))
    assert 150 < held_out < 250
