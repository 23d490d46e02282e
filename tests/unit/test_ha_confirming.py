"""What a command has done is said in a sentence, and only where that is a whole answer to it."""

from __future__ import annotations

import time
from collections.abc import Collection
from copy import deepcopy
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest

from custom_components.edgeassist.confirming import ActsOnQuestionError, Turn, Voice
from custom_components.edgeassist.done import _SENTENCES, Act, Target, act_of, language_of, sentence
from custom_components.edgeassist.failures import Why
from custom_components.edgeassist.invented import InventedCallError
from custom_components.edgeassist.plain import means_more, only_asks, parts

AREA = Target("area", "Kitchen", "kitchen")
NO_TOOL = InventedCallError()


def entity(entity_id: str, name: str) -> Target:
    return Target("entity", name, entity_id)


KITCHEN = entity("light.kitchen", "Kitchen light")
SCRIPT = entity("script.good_night", "Good night")
LIGHTS = [entity(f"light.{number}", f"Spot {number}") for number in range(5)]


@pytest.mark.parametrize(
    ("act", "english", "german", "chinese"),
    [
        (
            Act("HassTurnOff", {}, [KITCHEN]),
            "Turned off the Kitchen light.",
            "Kitchen light ausgeschaltet.",
            "已关闭Kitchen light。",
        ),
        (
            Act("HassTurnOff", {}, [AREA, *LIGHTS]),
            "Turned off 5 lights in Kitchen.",
            "5 Lichter (Kitchen) ausgeschaltet.",
            "已关闭Kitchen的5盏灯。",
        ),
        (
            Act("HassTurnOn", {}, [entity("cover.g", "Garage door"), entity("vacuum.r", "Robot")]),
            "Opening the Garage door. Turned on Robot.",
            "Ich öffne: Garage door. Robot eingeschaltet.",
            "正在打开Garage door。已打开Robot。",
        ),
        (
            Act("HassTurnOff", {}, [entity("lock.f", "Max's door")]),
            "Unlocked Max's door.",
            "Max's door aufgeschlossen.",
            "已解锁Max's door。",
        ),
        (
            Act("HassLightSet", {"brightness": 40, "color": "red"}, [KITCHEN]),
            "Set the Kitchen light to 40 % and red.",
            "Kitchen light auf 40 % und Rot gestellt.",
            "已把Kitchen light调到40 %、红色。",
        ),
        (
            Act("HassLightSet", {"temperature": 2700}, [KITCHEN]),
            "Set the Kitchen light to 2700 K.",
            "Kitchen light auf 2700 K gestellt.",
            "已把Kitchen light调到2700 K。",
        ),
        (
            Act("HassClimateSetTemperature", {"temperature": 21.5}, [entity("climate.a", "Bath")]),
            "Set Bath to 21.5 °C.",
            "Bath auf 21,5 °C gestellt.",
            "已把Bath调到21.5 °C。",
        ),
        (
            Act("HassSetVolumeRelative", {"volume_step": "down"}, [entity("media_player.a", "Radio")]),
            "Turned down the Radio.",
            "Radio leiser gestellt.",
            "已调低Radio的音量。",
        ),
        (
            Act("HassStartTimer", {"hours": 1, "minutes": 5, "seconds": 1, "name": "pizza"}),
            "Timer pizza set for 1 hour, 5 minutes and 1 second.",
            "Timer pizza auf 1 Stunde, 5 Minuten und 1 Sekunde gestellt.",
            "已设置1小时5分钟1秒的计时器pizza。",
        ),
        (
            Act("HassListAddItem", {"item": "milk"}, [entity("todo.a", "Shopping list")]),
            "Added milk to the Shopping list.",
            "Milk hinzugefügt: Shopping list.",
            "已把milk加到Shopping list。",
        ),
        (
            Act("HassTurnOn", {}, [entity("script.a", "Good night")]),
            "Started Good night.",
            "Good night gestartet.",
            "已运行Good night。",
        ),
    ],
    ids=lambda value: value.intent if isinstance(value, Act) else None,
)
def test_what_was_done_is_said_in_three_languages(act: Act, english: str, german: str, chinese: str) -> None:
    assert [sentence([act], language, "°C") for language in ("en", "de", "zh")] == [english, german, chinese]


def test_what_was_done_alike_is_said_once() -> None:
    acts = [
        Act("HassTurnOn", {"name": "a"}, [KITCHEN]),
        Act("HassTurnOff", {"name": "b"}, [LIGHTS[0]]),
        Act("HassTurnOn", {"name": "c"}, [LIGHTS[1]]),
        Act("HassTurnOn", {"name": "c"}, [LIGHTS[1]]),
    ]
    assert sentence(acts, "en", "°C") == "Turned on the Kitchen light and Spot 1. Turned off Spot 0."


@pytest.mark.parametrize(
    "act",
    [
        Act("HassTurnOn", {}),
        Act("HassLightSet", {"color": "peru"}, [KITCHEN]),
        Act("HassStartTimer", {}),
        Act("HassStartTimer", {"minutes": 5, "conversation_command": "light on"}),
    ],
)
def test_what_can_not_be_said_is_left_to_the_model(act: Act) -> None:
    assert sentence([act], "de", "°C") is None


def test_every_sentence_is_there_in_every_language() -> None:
    assert {frozenset(texts) for texts in _SENTENCES.values()} == {frozenset(("en", "de", "zh"))}


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("en", "en"),
        ("en-GB", "en"),
        ("de_CH", "de"),
        ("zh-CN", "zh"),
        ("zh-Hans", "zh"),
        ("zh-Hant", None),
        ("zh-TW", None),
        ("fr", None),
        ("", None),
    ],
)
def test_languages_are_those_of_pipelines(tag: str, language: str | None) -> None:
    assert language_of(tag) == language


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("Turn on the light", 1),
        ("Please turn on the light, thank you.", 1),
        ("Can you turn on the light?", 1),
        ("Könntest du bitte das Licht ausmachen?", 1),
        ("Set it to 21.5 degrees", 1),
        ("turn on the kitchen and hall lights", 2),
        ("Schalte das Licht ein und dann die Heizung aus", 2),
        ("打开厨房的灯，然后关掉客厅的灯", 2),
        ("请打开灯", 1),
        ("turn on the light and tell me the time", None),
        ("turn on the light if it is dark", None),
        ("is the light on", None),
        ("Can you turn on the light when I come home?", None),
        ("schalte das Licht ein, wenn es dunkel ist", None),
        ("灯开着吗", None),
    ],
)
def test_how_much_is_wanted_is_told_by_the_words(said: str, number: int | None) -> None:
    assert parts(said) == number


@pytest.mark.parametrize(
    ("said", "names", "more"),
    [
        ("turn off all lights", ["Kitchen light", "Hall light"], True),
        ("turn off all lights", [], False),
        ("turn off the lights", ["Kitchen light"], True),
        ("turn off the lights", ["Kitchen light", "Hall light"], False),
        ("turn off the kitchen lights", ["Kitchen lights"], False),
        ("turn off the kitchen light", ["Kitchen light"], False),
        ("alle Lampen aus", ["Lampe"], True),
    ],
)
def test_one_that_was_named_is_not_all_of_them(said: str, names: list[str], *, more: bool) -> None:
    assert means_more(said, names) is more


def result(*targets: Target, failed: tuple[Target, ...] = (), **more: Any) -> dict[str, Any]:
    """What Home Assistant returns of an intent."""
    shown = [
        [{"type": each.kind, "name": each.name, "id": each.id} for each in some] for some in (targets, failed)
    ]
    return {"response_type": "action_done", "data": {"success": shown[0], "failed": shown[1]}, **more}


@pytest.mark.parametrize(
    ("called", "returned"),
    [
        ("HassTurnOn", result(KITCHEN, failed=(LIGHTS[0],))),
        ("HassTurnOn", {"error": "MatchFailedError", "error_text": "no such light"}),
        ("HassGetState", result(KITCHEN)),
        ("HassTurnOn", {"response_type": "query_answer", "data": {"success": [], "failed": []}}),
        (SCRIPT, {"success": True, "result": {"much": "data"}}),
        (SCRIPT, {"error": "it broke"}),
        (None, {"success": True, "result": "Live context"}),
        ("HassTurnOn", None),
        ("HassTurnOn", "done"),
    ],
)
def test_what_failed_or_returned_data_is_no_act(called: str | Target | None, returned: Any) -> None:
    assert act_of(called, {}, returned) is None


def test_kinds_of_targets_are_read_as_older_releases_have_them() -> None:
    class Kind(Enum):
        ENTITY = "entity"

    document = result(KITCHEN)
    document["data"]["success"][0]["type"] = Kind.ENTITY
    assert act_of("HassTurnOn", {}, document) == Act("HassTurnOn", {}, [KITCHEN])


@pytest.mark.parametrize("returned", [{"success": True, "result": None}, {"result": {}}])
def test_a_script_that_returns_nothing_was_run(returned: dict[str, Any]) -> None:
    assert act_of(SCRIPT, {"to": "all"}, returned) == Act("HassTurnOn", {}, (SCRIPT,))


def round_of(*calls: tuple[str, dict[str, Any], Any]) -> list[Any]:
    """What a round adds to a chat log."""
    made = [
        SimpleNamespace(id=str(number), tool_name=name, tool_args=arguments)
        for number, (name, arguments, _) in enumerate(calls)
    ]
    results = [
        SimpleNamespace(role="tool_result", tool_call_id=str(number), tool_result=returned)
        for number, (_, _, returned) in enumerate(calls)
    ]
    return [SimpleNamespace(role="assistant", tool_calls=made), *results]


def turn(
    said: str,
    *,
    confirms: bool = True,
    knows: bool = False,
    unavailable: Collection[str] = (),
    replies: bool = False,
) -> Turn:
    intents = {"on": "HassTurnOn", "context": None, "state": "HassGetState", "script": SCRIPT}
    voice = Voice(said, "en", confirms, "°C", replies=replies)
    return Turn(voice, intents.get, knows=knows, unavailable=lambda: frozenset(unavailable))


ON = ("on", {"name": "Kitchen light"}, result(KITCHEN))
HALL = ("on", {"name": "Hall light"}, result(entity("light.hall", "Hall light")))
FAILED = ("on", {"name": "attic"}, {"error": "MatchFailedError"})
CONTEXT: tuple[str, dict[str, Any], Any] = ("context", {}, {"success": True, "result": "all of it"})


@pytest.mark.parametrize(
    ("said", "rounds", "confirmed"),
    [
        ("light on", [[ON]], "Turned on the Kitchen light."),
        ("light on", [[FAILED], [ON]], "Turned on the Kitchen light."),
        ("light on", [[CONTEXT], [ON]], "Turned on the Kitchen light."),
        ("kitchen and hall on", [[ON], [HALL]], "Turned on the Kitchen light and the Hall light."),
        ("kitchen and hall on", [[ON]], None),
        ("light on", [[FAILED]], None),
        ("light on", [[ON, FAILED]], None),
        ("light on", [[ON, CONTEXT]], None),
        ("is the light on", [[ON]], None),
        ("all lights on", [[ON]], None),
    ],
)
def test_a_command_is_confirmed_when_all_of_it_is_done(
    said: str, rounds: list[list[Any]], confirmed: str | None
) -> None:
    came = turn(said)
    for calls in rounds:
        came.note(round_of(*calls))
    assert came.confirmation == confirmed


def test_nothing_is_confirmed_where_the_model_is_to_say_it() -> None:
    came = turn("light on", confirms=False)
    came.note(round_of(ON))
    assert came.confirmation is None
    assert came.sentence == "Turned on the Kitchen light."


def test_a_call_that_is_only_text_is_called_once_at_the_most() -> None:
    came = turn("light on")
    assert came.second_try(InventedCallError("on")) == {
        "type": "function",
        "function": {"name": "on"},
    }
    assert came.second_try(InventedCallError("on")) is None
    assert came.failure.why is Why.NOT_WORDS
    assert turn("light on").second_try(NO_TOOL) is None


def test_behind_a_call_such_text_is_what_the_model_thinks_that_came_of_it() -> None:
    done, failed = turn("light on", confirms=False), turn("light on")
    done.note(round_of(ON))
    failed.note(round_of(FAILED))
    assert done.second_try(InventedCallError("on")) is None
    assert done.sentence == "Turned on the Kitchen light."
    assert failed.second_try(NO_TOOL) is None
    assert failed.second_try(InventedCallError("on")) is not None
    assert (failed.sentence, failed.failed) == (None, True)
    assert failed.failure.why is Why.NOT_FOUND


LAMPS = ("on", {"area": "Kitchen"}, result(AREA, KITCHEN, LIGHTS[0]))


@pytest.mark.parametrize(
    ("calls", "unavailable", "said"),
    [
        ([ON], ["light.kitchen"], "I can't reach the Kitchen light."),
        ([ON], ["light.hall"], "Turned on the Kitchen light."),
        ([ON, HALL], ["light.hall"], "Turned on the Kitchen light. I can't reach the Hall light."),
        ([LAMPS], ["light.kitchen"], "Turned on Spot 0. I can't reach the Kitchen light."),
        ([LAMPS], ["light.kitchen", "light.0"], "I can't reach the Kitchen light and Spot 0."),
        ([FAILED], ["light.kitchen"], None),
    ],
)
def test_what_is_unavailable_was_not_done(calls: list[Any], unavailable: list[str], said: str | None) -> None:
    came = turn("kitchen and hall on" if len(calls) > 1 else "light on", unavailable=unavailable)
    came.check(["on"])
    came.note(round_of(*deepcopy(calls)))
    assert came.confirmation == said


def test_the_model_is_told_what_was_unavailable_when_it_called_and_not_what_its_call_made_so() -> None:
    unavailable = ["light.kitchen"]
    came = turn("light on", unavailable=unavailable)
    came.check(["on"])
    unavailable.append("light.hall")
    made = round_of(*deepcopy([ON, HALL]))
    came.note(made)
    kitchen, hall = (each.tool_result["data"] for each in made if each.role == "tool_result")
    assert (kitchen["success"], [each["state"] for each in kitchen["failed"]]) == ([], ["unavailable"])
    assert ([each["id"] for each in hall["success"]], hall["failed"]) == (["light.hall"], [])


def test_thanks_want_words_unless_they_answer_something() -> None:
    assert turn("Thank you, that is all.").chats
    assert turn("Thank you, that is all.").wants_words
    assert not turn("That is all, thanks.", replies=True).chats
    assert not turn("light on").wants_words
    assert turn("Who was Ada Lovelace?").wants_words
    done = turn("Is it dark?")
    done.note(round_of(ON))
    assert not done.wants_words


def test_nothing_is_done_for_a_question_that_the_readings_answer() -> None:
    for name in ("context", "state", "script", "none"):
        turn("is the door open", knows=True).check([name])
    for calls in (["on"], ["context", "on"]):
        asked = turn("is the door open", knows=True)
        with pytest.raises(ActsOnQuestionError) as mistake:
            asked.check(calls)
        assert asked.second_try(mistake.value) is None
        turn("is the door open").check(calls)
        turn("open the door", knows=True).check(calls)


@pytest.mark.parametrize(
    ("question", "command"),
    [
        ("Is the garage door closed?", "Close the garage door"),
        ("ok, which lights are on", "Lights on"),
        ("What is the temperature in the kitchen?", "What about turning the heating up?"),
        ("How warm is it?", "How about some light?"),
        ("Has the mail come?", "Is it dark? Then turn on the light."),
        ("did the alarm go off?", "Could you open the blinds?"),
        ("who is at home", "If the window is open, close it"),
        ("Ist das Fenster offen?", "Mach das Fenster zu, ist das klar?"),
        ("Wie warm ist es im Bad?", "Kannst du das Licht ausmachen?"),
        ("Welche Lampen brennen?", "Was ist, wenn du die Lampe einschaltest?"),
        ("厨房的灯亮着吗？", "把厨房的灯打开好吗"),
        ("客厅现在几度", "能不能关灯"),
        ("门是什么时候锁的", "帮我看看门锁了吗"),
    ],
)
def test_a_question_is_told_from_a_command(question: str, command: str) -> None:
    assert only_asks(question)
    assert not only_asks(command)


@pytest.mark.parametrize(
    "said",
    [
        "can you" + " " * 20_000 + "open it",
        "吗" + "?" * 20_000 + "x",
        "please " * 5000 + "x",
        " " * 20_000 + "x",
    ],
)
def test_nothing_that_is_said_holds_up_the_house(said: str) -> None:
    begin = time.process_time()
    parts(said)
    only_asks(said)
    assert time.process_time() - begin < 1
