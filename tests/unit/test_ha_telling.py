"""What few readings say is said as it is."""

from __future__ import annotations

import time

import pytest

from custom_components.edgeassist.done import Language
from custom_components.edgeassist.telling import told_plainly

WINDOW = "- Bathroom window: closed"
DEGREES = "- Kitchen temperature: 21.5 °C"
LIGHTS = "\n".join(
    f"- {name}: {state}"
    for name, state in (
        ("Bathroom light", "off"),
        ("Hall light", "on"),
        ("Kitchen light", "off"),
        ("Reading lamp (Living room)", "on"),
        ("Spot", "off"),
    )
)


@pytest.mark.parametrize(
    ("readings", "said", "language", "sentence"),
    [
        (WINDOW, "Is the bathroom window open?", "en", "The Bathroom window is closed."),
        (WINDOW, "Ist das Fenster offen?", "de", "Bathroom window: geschlossen."),
        (WINDOW, "窗户开着吗", "zh", "Bathroom window：关着。"),
        (DEGREES, "How warm is the kitchen?", "en", "Kitchen temperature is 21.5 °C."),
        (DEGREES, "Wie warm ist es?", "de", "Kitchen temperature: 21.5 °C."),
        (
            f"{WINDOW}\n{DEGREES}",
            "How is it?",
            "en",
            "The Bathroom window is closed. Kitchen temperature is 21.5 °C.",
        ),
        (LIGHTS, "Which lights are on?", "en", "The Hall light and the Reading lamp are on."),
        (LIGHTS, "Welche Lampen brennen?", "de", "Hall light und Reading lamp sind ein."),
        ("- A: off\n- B: off", "which lights are on", "en", "None of them is on."),
        ("- A: off\n- B: on", "Which lights are not on?", "en", "A is off. B is on."),
        ("- A: off\n- B: on", "Welche Lampen sind nicht an?", "de", "A: aus. B: ein."),
        (
            "- Heating: heating, now 20 °C, set to 21 °C",
            "Is it on?",
            "en",
            "The Heating is heating, now 20 °C, set to 21 °C.",
        ),
    ],
)
def test_readings_are_said_as_they_are(readings: str, said: str, language: Language, sentence: str) -> None:
    assert told_plainly(readings, said, language) == sentence


@pytest.mark.parametrize(
    ("readings", "said", "language"),
    [
        (LIGHTS, "Is it bright?", "en"),
        (LIGHTS, "哪些灯开着", "zh"),
        ("- Heating: heating, now 20 °C", "Ist sie an?", "de"),
        ("- Washer: rinsing", "Was macht sie?", "de"),
        ("no list", "What?", "en"),
        ("", "What?", "en"),
    ],
)
def test_what_there_are_no_words_for_is_left_to_the_model(
    readings: str, said: str, language: Language
) -> None:
    assert told_plainly(readings, said, language) is None


@pytest.mark.parametrize("said", ["which " * 4000, "what" + " " * 20_000 + "x", "how many " * 3000])
def test_nothing_that_is_said_holds_up_the_house(said: str) -> None:
    begin = time.process_time()
    told_plainly(LIGHTS, said, "en")
    assert time.process_time() - begin < 1
