"""What becomes of what is said at home, with answers as EdgeAssist Tiny gives them, or might."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_components.edgeassist.tiny import said
from custom_components.edgeassist.tiny.hearing import Heard, Why, hear
from custom_components.edgeassist.tiny.home import Area, Floor, Home, Thing
from custom_components.edgeassist.tiny.intents import MOST_CALLS, Call, Lacks, Missing, Plan
from custom_components.edgeassist.tiny.judging import ACTIONS, PROPERTIES, Talk
from custom_components.edgeassist.tiny.turn import Outcome, Told, begin, end
from custom_components.edgeassist.tiny.words import DEVICES
from edgeassist.models.builtin import action_schema
from tests.tiny_at_home import cases, home

MILL, HUTONG = home("mill"), home("hutong")


def heard(text: str, where: Home = MILL, language: str = "en") -> Heard:
    return hear(text, language, where)


def comes_of(text: str, answer: object, where: Home = MILL, here: str | None = None) -> Outcome:
    """What comes of a sentence if the model answers so."""
    [question] = begin(text, "en", where, here)
    assert question.heard.why is None, question.heard.why
    said_by_model = answer if isinstance(answer, str) else json.dumps(answer)
    return end(question, said_by_model, where, here)


def action(name: str, device: str, **more: object) -> dict[str, object]:
    return {"action": name, "device": device, **more}


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("Turn on the lights in Grandpa's Snug!", "turn on the lights"),
        ("turn on the lights in grandpas snug", "turn on the lights"),
        ("please dim the reading lamp to twenty percent", "please dim the light to 20 percent"),
        ("turn off the island pendant in the kitchen", "turn off the light"),
        ("make the kitchen brighter", "make the light brighter"),
        ("heat the master bedroom to 19", "set the heating to 19 degrees"),
        ("how warm is it in our room?", "how warm is it in kitchen"),
        ("how warm is it", "how warm is it in the kitchen"),
        ("is the chandelier on?", "is the kitchen light on"),
        ("打开客厅的灯", "打开灯"),
        ("打開客廳的燈", "打开灯"),
        ("主卧的窗帘拉上", "窗帘拉上"),
    ],
)
def test_names_become_words_that_the_model_knows(text: str, asked: str) -> None:
    assert heard(text).text == asked


def test_a_name_that_is_cut_by_a_places_name_is_not_meant() -> None:
    # "Bedroom Curtains" stands in it, too.
    understood = heard("close the master bedroom curtains")
    assert (understood.place and understood.place.name, understood.things) == ("Master Bedroom", ())


def test_several_places_in_a_row_are_one() -> None:
    place = heard("turn off the lights in the kitchen, the lounge and the larder").place
    assert place is not None
    assert place.ids == {"kitchen", "living", "larder"}


@pytest.mark.parametrize(
    ("text", "language", "why"),
    [
        ("Mach das Licht an", "de", Why.LANGUAGE),
        ("", "en", Why.LANGUAGE),
        ("turn off the lights in ten minutes", "en", Why.OTHER),
        ("don't turn on the lights", "en", Why.OTHER),
        ("不要开灯", "zh-CN", Why.OTHER),
        ("x" * 300, "en", Why.OTHER),
        ("unlock the front door", "en", Why.EXACT),
        ("open the garage door", "en", Why.EXACT),
        ("activate movie night", "en", Why.EXACT),
        ("turn the chandelier and the unicorn on", "en", Why.SEVERAL),
    ],
)
def test_what_the_model_is_not_for_is_not_asked(text: str, language: str, why: Why) -> None:
    assert heard(text, language=language).why is why


def test_chinese_is_understood_in_a_german_conversation() -> None:
    assert heard("打开客厅的灯", language="de").why is None


def test_a_sentence_of_two_commands_is_asked_in_two() -> None:
    questions = begin(
        "turn on the lights in the kitchen and close the blinds in the lounge", "en", MILL, None
    )
    assert [question.heard.text for question in questions] == ["turn on the lights", "close the blinds"]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("turn the volume up", action("set", "speaker", property="volume", value=10)),
        ("turn on the light", action("turn_off", "light")),
        ("turn off the fan", action("turn_off", "light")),
        ("turn on the light", action("turn_on", "light", room="all")),
        ("turn on the disco ball light", action("turn_on", "light")),
        ("set the light to 30 percent", action("increase", "light", property="brightness")),
        ("make the light red", action("set", "light", property="color", value="blue")),
        ("let some light in, open the curtains", action("turn_on", "light")),
        ("is the light on", action("turn_on", "light")),
        ("turn on the light", '{"action":"turn_on","dev'),
        ("turn on the light", '{"action":["turn_on"]}'),
        ("turn on the light", action("turn_on", "oven")),
        ("turn on the light", {"action": "turn_on", "device": ["light"]}),
        ("set the light", action("set", "light", property="brightness")),
        ("set the light", action("set", "light", property="brightness", value="red")),
        ("turn on the light", "Hello! What can I do for you?"),
    ],
)
def test_an_answer_that_the_words_do_not_bear_out_is_not_acted_on(text: str, answer: object) -> None:
    assert comes_of(text, answer, here="kitchen") is Why.UNSURE


SCHEMA = action_schema()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
NAMED = st.sampled_from([*SCHEMA["$defs"]["device"]["enum"], *SCHEMA["$defs"]["measured"]["enum"], "color"])
ANSWERS = st.dictionaries(
    st.sampled_from(["action", "device", "room", "property", "value"]),
    VALUES | NAMED | st.sampled_from(["set", "turn_on", "increase", "all", "red", "open"]),
)
SAID = st.sampled_from([case.said for case in cases("cases.jsonl")]) | st.text(max_size=40)


@given(
    text=SAID, answer=ANSWERS.map(json.dumps) | st.text(max_size=60), here=st.sampled_from([None, "kitchen"])
)
def test_whatever_is_said_and_answered_something_comes_of_it(
    text: str, answer: str, here: str | None
) -> None:
    for where in (MILL, HUTONG):
        for question in begin(text, "en", where, here):
            assert isinstance(end(question, answer, where, here), Plan | Missing | Told | Talk | Why)


def test_the_schemas_actions_are_all_known() -> None:
    names = {
        name
        for kind in SCHEMA["oneOf"]
        for name in kind["properties"]["action"].get("enum", [kind["properties"]["action"].get("const")])
    }
    assert names == set(ACTIONS)
    assert set(SCHEMA["$defs"]["device"]["enum"]) == set(DEVICES)
    assert set(SCHEMA["$defs"]["measured"]["enum"]) | {None, "color"} == set(PROPERTIES)


@pytest.mark.parametrize("name", ["lock", "unlock", "open", "close", "turn_on"])
def test_no_answer_moves_a_door_a_lock_or_an_alarm(name: str) -> None:
    for device, word in (("door", "door"), ("window", "window"), ("alarm", "alarm")):
        text = f"{name.replace('_', ' ')} the {word}"
        [question] = begin(text, "en", MILL, "garage")
        assert isinstance(end(question, json.dumps(action(name, device)), MILL, "garage"), Why)


def test_a_room_is_opened_by_its_only_door() -> None:
    door = Thing("cover.door", ("Roller door",), "garage", "garage")
    blind = Thing("cover.blind", ("Blind",), "garage", "blind")
    garage = (Area("garage", "Garage"),)

    def settled(text: str, *things: Thing) -> object:
        [question] = begin(text, "en", Home(garage, (), things), None)
        return question.settled and question.settled.calls

    light = Thing("light.garage", ("Garage light",), "garage")
    assert settled("open the garage", door, light) == (Call("HassTurnOn", {"name": "cover.door"}),)
    assert settled("close the garage", door) == (Call("HassTurnOff", {"name": "cover.door"}),)
    assert settled("open the garage", door, blind) is None
    assert settled("open the garage", blind) is None
    assert settled("turn on the garage", door) is None


def test_where_nothing_is_said_it_is_where_somebody_is() -> None:
    done = comes_of("lights off", action("turn_off", "light"), here="kitchen")
    assert isinstance(done, Plan)
    assert done.calls == (Call("HassTurnOff", {"area": "kitchen", "domain": ["light"]}),)


def test_where_that_is_not_known_it_is_asked() -> None:
    assert comes_of("lights off", action("turn_off", "light")) == Missing(
        Lacks.PLACE, "light", None, tuple(thing for thing in MILL.things if thing.domain == "light")
    )


def test_a_name_that_two_things_share_is_the_one_of_the_place() -> None:
    lamps = Home(
        (Area("a", "Attic"), Area("b", "Barn")),
        (),
        (Thing("light.a", ("Old Lantern",), "a"), Thing("light.b", ("Old Lantern",), "b")),
    )
    answer = action("turn_on", "light")
    assert isinstance(comes_of("old lantern on", answer, lamps), Missing)
    for place in ("a", "b"):
        done = comes_of("old lantern on", answer, lamps, here=place)
        assert isinstance(done, Plan)
        assert done.calls == (Call("HassTurnOn", {"name": f"light.{place}"}),)
    elsewhere = comes_of("old lantern in the barn on", answer, lamps, here="a")
    assert isinstance(elsewhere, Plan)
    assert elsewhere.things[0].entity_id == "light.b"


def test_sockets_are_never_switched_together() -> None:
    off = comes_of("turn off all sockets", action("turn_off", "socket", room="all"))
    assert isinstance(off, Missing)
    assert off.lacks is Lacks.WHICH


@pytest.mark.parametrize("degrees", [2, 75])
def test_a_temperature_that_nobody_means_is_not_set(degrees: int) -> None:
    answer = action("set", "heating", property="temperature", value=degrees)
    cold = comes_of(f"set the heating in the living room to {degrees} degrees", answer)
    assert isinstance(cold, Missing)
    assert cold.lacks is Lacks.ABILITY


def test_who_can_not_be_set_so_is_left_out() -> None:
    lamps = Home(
        (Area("a", "Attic"),),
        (),
        (
            Thing("light.plain", ("Plain",), "a", attributes={"supported_color_modes": ["onoff"]}),
            Thing("light.white", ("White",), "a", attributes={"supported_color_modes": ["color_temp"]}),
            Thing("cover.old", ("Old Blind",), "a", "blind", "open", {"supported_features": 3}),
        ),
    )
    dimmed = comes_of(
        "lights in the attic to 30 percent", action("set", "light", property="brightness", value=30), lamps
    )
    assert isinstance(dimmed, Plan)
    assert dimmed.calls == (Call("HassLightSet", {"name": "light.white", "brightness": 30}),)
    for text, answer in (
        ("make the lights in the attic red", action("set", "light", property="color", value="red")),
        ("old blind to 30 percent", action("set", "blinds", property="position", value=30)),
    ):
        refused = comes_of(text, answer, lamps)
        assert isinstance(refused, Missing)
        assert refused.lacks is Lacks.ABILITY


def test_darker_never_switches_off_nor_wakes_a_lamp() -> None:
    lamps = Home(
        (Area("a", "Attic"),),
        (),
        (
            Thing("light.low", ("Low",), "a", state="on", attributes={"brightness": 20}),
            Thing("light.off", ("Off",), "a", state="off"),
        ),
    )
    done = comes_of("darker in the attic", action("decrease", "light", property="brightness"), lamps)
    assert isinstance(done, Plan)
    assert done.calls == (Call("HassLightSet", {"name": "light.low", "brightness": 1}),)


def test_a_reading_is_the_sensors_not_the_models() -> None:
    told = comes_of("how warm is it in the larder", "The kitchen temperature is 99 °C.")
    assert isinstance(told, Told)
    assert said.told(told, "en") == "The temperature in Larder is 11.8 °C."


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("locked", "Front door lock is locked."),
        ("unlocked", "Front door lock is unlocked."),
        ("unlocking", "Front door lock is unlocked."),
        ("jammed", "Front door lock is jammed."),
        ("open", "Front door lock is open."),
    ],
)
def test_a_lock_is_told_as_it_is_and_to_the_model_in_its_words(state: str, sentence: str) -> None:
    where = Home((), (), (Thing("lock.front", ("Front door lock",), state=state),))
    [question] = begin("is the front door lock locked", "en", where, None)
    known = question.request["system"].removeprefix("Sensors:\nkitchen door: ")
    assert known in {"locked", "closed", "open"}
    told = end(question, "The kitchen door is closed.", where, None)
    assert isinstance(told, Told)
    assert said.told(told, "en") == sentence


def test_a_quantity_that_was_not_asked_for_is_not_told() -> None:
    assert comes_of("how warm is it in the kitchen", "The kitchen light is on.") is Why.OTHER


def test_the_list_is_of_the_place_alone_and_has_each_quantity_once() -> None:
    [question] = begin("how warm is it in the kitchen", "en", MILL, None)
    assert question.request["system"] == (
        "Sensors:\nkitchen humidity: 51 %\nkitchen temperature: 22.4 °C\nkitchen light: off"
    )


def test_small_talk_is_said_as_it_is() -> None:
    assert comes_of("hello", "Hello! What can I do for you?") == Talk("Hello! What can I do for you?")


@pytest.mark.parametrize(
    ("text", "language", "answer", "sentence"),
    [
        (
            "turn on the lights in the kitchen",
            "en",
            action("turn_on", "light"),
            "Turned on the lights in Kitchen.",
        ),
        ("close the roof shade", "en", action("close", "blinds"), "Closing the Roof Shade."),
        ("start rosie", "en", action("turn_on", "vacuum"), "Started Rosie."),
        ("rosie back to the dock", "en", action("turn_off", "vacuum"), "Rosie returns to its base."),
        (
            "make the unicorn warm white",
            "en",
            action("set", "light", property="color", value="warm_white"),
            "Set Unicorn to warm white.",
        ),
        (
            "把客厅的灯调到40%",
            "zh",
            action("set", "light", property="brightness", value=40),
            "已把Living Room的灯调到40 %。",
        ),
        ("关闭所有的灯", "zh", action("turn_off", "light", room="all"), "已关闭所有的灯。"),
    ],
)
def test_what_was_done_is_a_sentence(text: str, language: str, answer: object, sentence: str) -> None:
    done = comes_of(text, answer)
    assert isinstance(done, Plan)
    assert said.done(done, "zh" if language == "zh" else "en") == sentence


def test_what_lacks_is_a_sentence() -> None:
    fan = comes_of("turn on the fan in the larder", action("turn_on", "fan"))
    assert isinstance(fan, Missing)
    assert said.missing(fan, "en") == "I know of no fans in Larder."
    assert said.missing(fan, "zh") == "Larder没有我能控制的风扇。"
    humid = comes_of("what is the humidity in the larder", "The kitchen humidity? I don't know.")
    assert isinstance(humid, Told)
    assert said.told(humid, "en") == "I know of no sensor for the humidity in Larder."


@pytest.mark.parametrize("why", list(Why))
def test_every_reason_has_words_in_both_languages(why: Why) -> None:
    assert said.not_understood(why, "en").endswith(".")
    assert said.not_understood(why, "zh").endswith("。")


def test_an_area_keeps_its_name_against_anothers_translation() -> None:
    both = Home((Area("a", "Kitchen"), Area("b", "厨房")), (Floor("f", "Upstairs"),))
    assert [place.areas[0].id for name, place in both.places() if name in ("kitchen", "厨房")] == ["b"]


def test_cases_name_only_what_is_in_their_home() -> None:
    for name in ("cases.jsonl", "held_out.jsonl"):
        for case in cases(name):
            where = home(case.home)
            known = {"all", *(thing.entity_id for thing in where.things)}
            for expected in case.expect:
                named = [part.removeprefix("name=") for part in expected.split() if part.startswith("name=")]
                assert set(named) <= known, case
            assert case.here is None or where.area(case.here), case


@pytest.mark.parametrize("count", [MOST_CALLS, MOST_CALLS + 1])
def test_all_of_them_are_set_or_none_is(count: int) -> None:
    lamps = tuple(
        Thing(f"light.l{number}", (f"L{number}",), "a", attributes={"supported_color_modes": ["brightness"]})
        for number in range(count)
    )
    hall = Home((Area("a", "Attic"),), (), lamps)
    answer = action("set", "light", property="brightness", value=30)
    dimmed = comes_of("lights in the attic to 30 percent", answer, hall)
    if count > MOST_CALLS:
        assert isinstance(dimmed, Missing)
        assert dimmed.lacks is Lacks.WHICH
    else:
        assert isinstance(dimmed, Plan)
        assert {call.slots["name"] for call in dimmed.calls} == {lamp.entity_id for lamp in lamps}
