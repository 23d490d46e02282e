"""Lists of sensors, and questions about their readings."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from scripts.train_tiny.dialogues.grammar import choose_alternatives, fill
from scripts.train_tiny.dialogues.language import Language, words_of
from scripts.train_tiny.dialogues.layouts import Layout, draw_layout
from scripts.train_tiny.dialogues.lists import Entry, write_list
from scripts.train_tiny.dialogues.noise import mistyped, polite, written
from scripts.train_tiny.dialogues.numbers import draw_reading
from scripts.train_tiny.dialogues.places import as_said, draw_room, with_article
from scripts.train_tiny.dialogues.split import Part, Split

_MOST_ROOMS = 4
_MOST_QUANTITIES = 4
_MOST_READINGS = 10
# Some homes are large.
_LARGE_SHARE = 0.06
_LARGE_ROOMS = 8
_LARGE_READINGS = 24
# How often a list is in another layout than the documented one, in training.
_LAYOUT_SHARE = 0.75
# How often the lines of a list in the documented layout begin with a capital.
_CAPITAL_SHARE = 0.15
# Weights of questions about unlisted sensors: (the room is listed, the quantity is listed). Both can be
# listed, for different sensors.
_MISSING = {(True, True): 30, (False, True): 35, (True, False): 25, (False, False): 10}
# Share of questions whose phrasing fits any quantity.
_ANY_SHARE = 0.4

Sensor = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Home:
    """The home in a system prompt.

    Attributes:
        rooms: Its rooms.
        readings: What each sensor (room, quantity) reads, as an answer repeats it.
        capitals: Whether the lines of the documented layout begin with a capital.
        layout: How the list is written; None for the documented layout.
        listed: The values as they are written.
    """

    rooms: tuple[str, ...]
    readings: dict[Sensor, str]
    capitals: bool = False
    layout: Layout | None = None
    listed: dict[Sensor, str] = field(default_factory=dict)


def draw_home(language: Language, split: Split, random: Random, layout: Layout | None = None) -> Home:
    """Return a home with some rooms and up to 24 sensors, in any order.

    Args:
        language: Its language.
        split: What is held out.
        random: Where it comes from.
        layout: How its list is written; in training, one may be drawn instead.
    """
    words = words_of(language)
    new_room, new_value = split.holds_out(Part.ROOM), split.holds_out(Part.VALUE)
    most, least = _MOST_READINGS, 1
    count = random.randint(1, _MOST_ROOMS)
    if random.random() < _LARGE_SHARE:
        most, least, count = _LARGE_READINGS, _MOST_READINGS, random.randint(_MOST_ROOMS, _LARGE_ROOMS)
    rooms = [draw_room(language, random, held_out=new_room) for _ in range(count)]
    rooms = list(dict.fromkeys(rooms))
    quantities = random.sample(tuple(words.quantities), random.randint(1, _MOST_QUANTITIES))
    sensors = [(room, quantity) for room in rooms for quantity in quantities]
    random.shuffle(sensors)
    readings = {}
    for room, quantity in sensors[: random.randint(least, most)]:
        kind = words.quantities[quantity]
        readings[room, quantity] = (
            draw_reading(kind.values, random, held_out=new_value)
            if kind.values
            else random.choice(kind.states)
        )
    capitals = language is Language.ENGLISH and random.random() < _CAPITAL_SHARE
    if split is Split.TRAIN and random.random() < _LAYOUT_SHARE:
        layout = draw_layout(language, random, held_out=False)
    if layout is None:
        return Home(tuple(rooms), readings, capitals)
    written = dict(tuple(readings.items())[:_MOST_READINGS])
    shown = {sensor: layout.shown(value) for sensor, value in written.items()}
    return Home(tuple(rooms), shown, layout=layout, listed=written)


def listed(home: Home, language: Language) -> str:
    """Return the sensor list for a system prompt."""
    if home.layout:
        quantities = words_of(language).quantities
        entries = [
            Entry(room, quantities[quantity].name, value) for (room, quantity), value in home.listed.items()
        ]
        return write_list(home.layout, entries, language)
    lines = [f"{sensor_name(each, language)}: {value}" for each, value in home.readings.items()]
    if home.capitals:
        lines = [line[0].upper() + line[1:] for line in lines]
    return "\n".join([words_of(language).heading, *lines])


def sensor_name(sensor: Sensor, language: Language) -> str:
    """Return a sensor's name: `kitchen temperature`, `厨房温度`."""
    room, quantity = sensor
    return (
        f"{room}{' ' if language is Language.ENGLISH else ''}{words_of(language).quantities[quantity].name}"
    )


def draw_listed(home: Home, language: Language, split: Split, random: Random) -> Sensor | None:
    """Return one of the home's sensors; None if the split needs a numeric one and there is none."""
    quantities = words_of(language).quantities
    fitting = [
        each for each in home.readings if quantities[each[1]].values or not split.holds_out(Part.VALUE)
    ]
    return random.choice(fitting) if fitting else None


def draw_missing(home: Home, language: Language, split: Split, random: Random) -> Sensor:
    """Return a sensor that the home lacks, mostly one that resembles a listed one."""
    quantities = tuple(words_of(language).quantities)
    listed_quantities = tuple(quantity for _, quantity in home.readings)
    while True:
        here, listed_kind = random.choices(tuple(_MISSING), tuple(_MISSING.values()))[0]
        room = (
            random.choice(home.rooms)
            if here and home.rooms
            else draw_room(language, random, held_out=split.holds_out(Part.ROOM))
        )
        missing = room, random.choice(listed_quantities if listed_kind and home.readings else quantities)
        if missing not in home.readings:
            return missing


def draw_question(sensor: Sensor, language: Language, split: Split, random: Random) -> str:
    """Return a question for a sensor's reading."""
    words, held_out = words_of(language), split.holds_out(Part.PHRASING)
    room, quantity = sensor
    groups = [words.questions["any"], words.questions[quantity]]
    own = groups[1].held_out if held_out else groups[1].train
    general = groups[0].held_out if held_out else groups[0].train
    lines = general if not own or random.random() < _ANY_SHARE else own
    said = as_said(room, random)
    there = with_article(said) if language is Language.ENGLISH else said
    slots = {"room": said, "the_room": there, "quantity": words.quantities[quantity].name}
    line = polite(choose_alternatives(random.choice(lines), random), words.around_question, random)
    return written(fill(mistyped(line, language, random), slots), language, random, question=True)


def reply_to(home: Home, sensor: Sensor, language: Language) -> str:
    """Return the right answer: the listed reading, or that there is none."""
    words = words_of(language)
    reading = home.readings.get(sensor)
    known = "reading" if words.quantities[sensor[1]].values else "state"
    form = known if reading is not None else "unknown"
    return words.replies[form].format(name=sensor_name(sensor, language), value=reading)
