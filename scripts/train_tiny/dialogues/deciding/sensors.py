"""Lists of sensors in any layout, and questions that compare and count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from scripts.train_tiny.dialogues.deciding.judgement import Asked, Draw, Judgement
from scripts.train_tiny.dialogues.language import words_of
from scripts.train_tiny.dialogues.layouts import draw_layout
from scripts.train_tiny.dialogues.lists import Entry, write_list
from scripts.train_tiny.dialogues.numbers import split_reading
from scripts.train_tiny.dialogues.split import Part, Split
from scripts.train_tiny.dialogues.syntaxes import TABLES, write_table

Sensor = tuple[str, str]
_MOST_ROOMS = 6
_FEW_ROOMS = 3
_MOST_SENSORS = 10
_MOST_ASKED = 7
_MOST_ALIKE = 2
_LAYOUT_SHARE = 0.75
_BY_ROOM_SHARE = 0.12
_EXTRAS_SHARE = 0.15
# Plausible readings: least, largest, decimals, unit.
RANGES = {
    "temperature": (4, 34, 1, "°C"),
    "humidity": (18, 95, 0, "%"),
    "co2": (400, 2400, 0, "ppm"),
    "brightness": (0, 1500, 0, "lx"),
    "power": (0, 2600, 0, "W"),
    "battery": (0, 100, 0, "%"),
    "pressure": (965, 1045, 0, "hPa"),
    "noise": (20, 95, 0, "dB"),
    "dust": (0, 250, 0, "µg/m³"),
}
_STATES = ("window", "door", "light", "heating", "motion", "washing_machine")


@dataclass(frozen=True, slots=True)
class Readings:
    """What a list says: a text for each sensor, by room and quantity."""

    values: dict[Sensor, str]

    def of(self, quantity: str) -> dict[str, str]:
        """Return the values of a quantity by room."""
        return {room: value for (room, each), value in self.values.items() if each == quantity}

    @property
    def rooms(self) -> list[str]:
        """Return the rooms."""
        return list(dict.fromkeys(room for room, _ in self.values))

    @property
    def quantities(self) -> list[str]:
        """Return the quantities."""
        return list(dict.fromkeys(quantity for _, quantity in self.values))


def draw_sensors(draw: Draw) -> Judgement:
    """Return a list of sensors with questions about it."""
    random = draw.random
    quantities = random.sample((*RANGES, *_STATES), 1 if draw.simple else random.choice((1, 1, 2, 2, 3)))
    rooms = draw.rooms(random.randint(2, _FEW_ROOMS if draw.simple else _MOST_ROOMS))
    sensors = [(room, quantity) for quantity in quantities for room in rooms]
    sensors = [each for each in sensors if each[1] == quantities[0] or draw.chance(0.7)][:_MOST_SENSORS]
    random.shuffle(sensors)
    decimals = random.choice((0, 1, 1))
    # A home's states are mostly alike, so that often one stands out.
    usual = {
        quantity: random.choice(_states(draw, quantity)) for quantity in quantities if quantity in _STATES
    }
    readings = Readings({each: _value(draw, each[1], decimals, usual) for each in sensors})
    asked: list[Asked] = []
    met: Counter[tuple[object, str]] = Counter()
    for _ in range(_MOST_ASKED):
        quantity = random.choice(readings.quantities)
        about = _ABOUT_STATES if quantity in _STATES else _ABOUT_NUMBERS
        if draw.simple:
            about = {each: weight for each, weight in about.items() if each in _SIMPLE}
        ask = random.choices(tuple(about), tuple(about.values()))[0]
        question = ask(draw, readings, quantity) if met[ask, quantity] < _MOST_ALIKE else None
        if question is not None:
            met[ask, quantity] += 1
            asked.append(question)
    state = _written(draw, readings)
    if draw.chance(_EXTRAS_SHARE):
        # What nobody asks for.
        lines = [state, draw.phrasing(draw.words.told["extra"], draw.place(draw.room()))]
        random.shuffle(lines)
        state = "\n".join(lines)
    return draw.judge(state, asked)


def number_of(value: str) -> float:
    """Return the number of a reading."""
    return float(split_reading(value)[0])


def reading(random: Random, quantity: str, decimals: int) -> str:
    """Return a plausible number."""
    least, largest, most, _ = RANGES[quantity]
    decimals = min(decimals, most)
    if quantity == "brightness" and random.random() < 1 / 2:
        largest = 120
    if quantity == "power" and random.random() < 1 / 2:
        largest = 90
    return f"{random.randint(least * 10**decimals, largest * 10**decimals) / 10**decimals:.{decimals}f}"


def _value(draw: Draw, quantity: str, decimals: int, usual: dict[str, str]) -> str:
    if quantity in _STATES:
        return usual[quantity] if draw.chance(0.6) else draw.random.choice(_states(draw, quantity))
    unit = RANGES[quantity][3]
    return f"{reading(draw.random, quantity, decimals)} {unit}"


def _states(draw: Draw, quantity: str) -> tuple[str, ...]:
    return words_of(draw.language).quantities[quantity].states


def _written(draw: Draw, readings: Readings) -> str:
    words = words_of(draw.language)
    layout = draw.layout
    if layout is None and (draw.split is not Split.TRAIN or draw.chance(_LAYOUT_SHARE)):
        layout = draw_layout(draw.language, draw.random, held_out=draw.split.holds_out(Part.LAYOUT))
    entries = [
        Entry(room, words.quantities[quantity].name, value)
        for (room, quantity), value in readings.values.items()
    ]
    if draw.layout is None and draw.chance(_BY_ROOM_SHARE):
        return _by_room(draw, readings)
    if layout is not None:
        return write_list(layout, entries, draw.language)
    space = "" if draw.language == "zh" else " "
    return "\n".join(
        [words.heading, *(f"{each.room}{space}{each.quantity}: {each.value}" for each in entries)]
    )


def _by_room(draw: Draw, readings: Readings) -> str:
    """Return a row of values for each room: a table with a column for each quantity, or bare values."""
    words = words_of(draw.language).quantities
    rows = []
    for room in readings.rooms:
        values = {words[each].name: readings.values.get((room, each), "") for each in readings.quantities}
        rows.append({("房间" if draw.language == "zh" else "room"): room, **values})
    if draw.chance(1 / 2):
        return write_table(draw.one(TABLES[0]), rows)
    between, inside = draw.random.choice((("\n", " "), (", ", " "), ("; ", ", "), ("\n", ", "), (" | ", " ")))
    after = draw.one((" ", ": ", " - "))
    lines = []
    for room, *texts in (row.values() for row in rows):
        told = [
            text if text[:1].isdigit() else f"{words[each].name} {text}"
            for each, text in zip(readings.quantities, texts, strict=True)
            if text
        ]
        lines.append(f"{room}{after}{inside.join(told)}")
    return between.join(lines)


def _slots(draw: Draw, room: str, quantity: str, **more: str) -> dict[str, str]:
    return {**draw.place(room), "quantity": words_of(draw.language).quantities[quantity].name, **more}


def _either(draw: Draw, group: str, quantity: str) -> str:
    """Return the quantity's own group of phrasings, or the one for any."""
    own = f"{group}_{quantity}"
    return own if own in draw.words.asked and draw.chance(0.6) else f"{group}_any"


def _extreme(draw: Draw, readings: Readings, quantity: str) -> Asked | None:
    values = {room: number_of(value) for room, value in readings.of(quantity).items()}
    end, best = draw.random.choice((("most", max), ("least", min)))
    room = best(values, key=lambda each: values[each])
    if list(values.values()).count(values[room]) > 1:
        return None
    return draw.choice(_either(draw, end, quantity), room, values, _slots(draw, room, quantity))


def _read(draw: Draw, readings: Readings, quantity: str) -> Asked | None:
    """Ask for a reading."""
    values = readings.of(quantity)
    room = draw.one(tuple(values))
    right = values[room]
    if quantity in _STATES:
        return draw.choice("is_any", right, _states(draw, quantity), _slots(draw, room, quantity))
    bare = draw.chance(1 / 2)
    decimals = len(split_reading(right)[0].partition(".")[2])
    others = [*readings.values.values()]
    others += [f"{reading(draw.random, quantity, decimals)} {RANGES[quantity][3]}" for _ in range(3)]
    others = [each for each in others if each[:1].isdigit()]
    texts = [split_reading(each)[0] if bare else each for each in (right, *others)]
    return draw.choice("is_any", texts[0], texts[1:], _slots(draw, room, quantity))


def _over(draw: Draw, readings: Readings, quantity: str) -> Asked | None:
    values = readings.of(quantity)
    room = draw.one(tuple(values))
    n = _threshold(draw, quantity, number_of(values[room]))
    if n == number_of(values[room]):
        return None
    over = draw.chance(1 / 2)
    yes = (number_of(values[room]) > n) == over
    group = _either(draw, "over" if over else "under", quantity)
    return draw.yes_no(group, _slots(draw, room, quantity, n=_with_unit(draw, n, quantity)), yes=yes)


def _any_over(draw: Draw, readings: Readings, quantity: str) -> Asked | None:
    numbers = [number_of(each) for each in readings.of(quantity).values()]
    over = draw.chance(1 / 2)
    n = _threshold(draw, quantity, max(numbers) if over else min(numbers))
    if n in numbers:
        return None
    yes = any(each > n if over else each < n for each in numbers)
    slots = _slots(draw, readings.rooms[0], quantity, n=_with_unit(draw, n, quantity))
    return draw.yes_no("any_over" if over else "any_under", slots, yes=yes)


def _compare(draw: Draw, readings: Readings, quantity: str) -> Asked | None:
    values = readings.of(quantity)
    if len(values) < 2:  # noqa: PLR2004 - a pair
        return None
    room, other = draw.random.sample(tuple(values), 2)
    here, there = number_of(values[room]), number_of(values[other])
    if here == there:
        return None
    own = quantity == "temperature" and draw.chance(0.7)
    slots = _slots(draw, room, quantity, other=draw.place(other)["the_room"])
    return draw.yes_no("warmer" if own else "more_any", slots, yes=here > there)


def _level(draw: Draw, readings: Readings, quantity: str) -> Asked | None:
    if quantity not in draw.words.levels:
        return None
    values = readings.of(quantity)
    room = draw.one(tuple(values))
    levels = draw.random.choice(draw.words.levels[quantity])
    names = draw.random.choice(levels.names)
    number, cuts = number_of(values[room]), list(levels.cuts)
    note = ""
    if draw.chance(0.3):
        # Cuts that are told may be anywhere.
        cuts = sorted({int(cut * draw.random.uniform(0.8, 1.2)) for cut in cuts})
        note = told_levels(draw, names, cuts) if len(cuts) == len(names) - 1 else ""
        cuts = cuts if note else list(levels.cuts)
    if any(abs(number - cut) <= (0 if note else cut * 0.04) for cut in cuts):
        return None
    right = sum(number > cut for cut in cuts)
    return draw.score(_either(draw, "level", quantity), names, right, _slots(draw, room, quantity), note=note)


def told_levels(draw: Draw, names: Sequence[str], cuts: Sequence[float]) -> str:
    """Return a note that says which numbers the levels mean."""
    words = draw.words.other["urgencies"]
    parts = [words["under"].format(level=names[0], n=f"{cuts[0]:g}")]
    parts += [
        words["between"].format(level=name, n=f"{cut:g}")
        for name, cut in zip(names[1:-1], cuts[1:], strict=True)
    ]
    parts.append(words["over"].format(level=names[-1]))
    return f" ({', '.join(parts)})" if draw.language == "en" else f"（{'，'.join(parts)}）"


def _nearest(draw: Draw, readings: Readings, quantity: str) -> Asked | None:
    values = readings.of(quantity)
    room = draw.one(tuple(values))
    number = number_of(values[room])
    step = draw.random.choice(
        {"temperature": (0.5, 1, 5), "co2": (100,), "power": (100,)}.get(quantity, (5, 10))
    )
    count = draw.random.randint(4, 12)
    least = -count if quantity == "temperature" else 0
    at = min(draw.random.randrange(count), round(number / step) - least)
    if (number / step) % 1 == 0.5:  # noqa: PLR2004 - between two
        return None
    low = (round(number / step) - at) * step
    options = [f"{low + step * each:g}" for each in range(count)]
    return draw.score("nearest", options, at, _slots(draw, room, quantity))


def _count_over(draw: Draw, readings: Readings, quantity: str) -> Asked | None:
    numbers = [number_of(each) for each in readings.of(quantity).values()]
    n = _threshold(draw, quantity, draw.random.choice(numbers))
    if n in numbers:
        return None
    slots = _slots(draw, readings.rooms[0], quantity, n=_with_unit(draw, n, quantity))
    return _counted(draw, "count_over", sum(each > n for each in numbers), slots)


def _counted(draw: Draw, group: str, count: int, slots: dict[str, str]) -> Asked:
    most = max(count, draw.random.randint(3, 7))
    return draw.score(group, [str(each) for each in range(most + 1)], count, slots)


def _listed(draw: Draw, readings: Readings, quantity: str) -> Asked | None:
    yes = draw.chance(1 / 2)
    room = draw.one(readings.rooms) if yes else draw.room()
    if draw.chance(1 / 2):
        return draw.yes_no("listed", _slots(draw, room, quantity), yes=room in readings.rooms)
    if not yes and draw.chance(0.6):
        room = draw.one(readings.rooms)
        quantity = draw.one(tuple(words_of(draw.language).quantities))
    return draw.yes_no("sensor", _slots(draw, room, quantity), yes=(room, quantity) in readings.values)


def _count_rooms(draw: Draw, readings: Readings, quantity: str) -> Asked | None:
    return _counted(draw, "count_rooms", len(readings.rooms), _slots(draw, readings.rooms[0], quantity))


def _which(draw: Draw, readings: Readings, quantity: str) -> Asked | None:
    values = readings.of(quantity)
    state = _states(draw, quantity)[0]
    rooms = [room for room, value in values.items() if value == state]
    if len(rooms) != 1:
        return None
    return draw.choice(f"which_{quantity}", rooms[0], readings.rooms, _slots(draw, rooms[0], quantity))


def _is_state(draw: Draw, readings: Readings, quantity: str) -> Asked | None:
    values = readings.of(quantity)
    room = draw.one(tuple(values))
    states = _states(draw, quantity)
    state = values[room] if draw.chance(0.45) else draw.one(states)
    if quantity == "motion" and draw.chance(0.6):
        return draw.yes_no("someone", _slots(draw, room, quantity), yes=values[room] == states[0])
    return draw.yes_no(f"is_{quantity}", _slots(draw, room, quantity, state=state), yes=values[room] == state)


def _any_state(draw: Draw, readings: Readings, quantity: str) -> Asked | None:
    values = readings.of(quantity).values()
    state = draw.one(_states(draw, quantity))
    slots = _slots(draw, readings.rooms[0], quantity, state=state)
    if draw.chance(1 / 2):
        return draw.yes_no("any_state", slots, yes=state in values)
    return draw.yes_no("all_state", slots, yes=set(values) == {state})


def _count_state(draw: Draw, readings: Readings, quantity: str) -> Asked | None:
    states = _states(draw, quantity)
    state = draw.one(states)
    own = f"count_{quantity}"
    group = own if own in draw.words.asked and state == states[0] and draw.chance(0.7) else "count_state"
    count = Counter(readings.of(quantity).values())[state]
    return _counted(draw, group, count, _slots(draw, readings.rooms[0], quantity, state=state))


def _threshold(draw: Draw, quantity: str, near: float) -> float:
    """Return a round number, not far from another one."""
    step = {"temperature": 1, "co2": 100, "power": 50, "brightness": 50}.get(quantity, 5)
    away = draw.random.choice((-4, -3, -2, -1, 0, 1, 2, 3, 4))
    return max(0, round(near / step) + away) * step


def _with_unit(draw: Draw, n: float, quantity: str) -> str:
    unit = RANGES[quantity][3]
    return draw.one((f"{n:g}", f"{n:g} {unit}", f"{n:g}{unit}"))


Ask = Callable[[Draw, Readings, str], Asked | None]
_ABOUT_NUMBERS: dict[Ask, int] = {
    _extreme: 30,
    _read: 12,
    _over: 16,
    _any_over: 8,
    _compare: 10,
    _level: 16,
    _nearest: 7,
    _count_over: 6,
    _listed: 8,
    _count_rooms: 1,
}
_ABOUT_STATES: dict[Ask, int] = {
    _which: 28,
    _is_state: 20,
    _any_state: 12,
    _count_state: 14,
    _read: 8,
    _listed: 8,
    _count_rooms: 1,
}
_SIMPLE = (_which, _is_state, _read, _listed, _over, _extreme)
