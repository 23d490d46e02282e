"""Readings over time: an appliance's power, a trend, a limit, a target."""

from __future__ import annotations

from random import Random

from scripts.train_tiny.dialogues.deciding.judgement import Asked, Draw, Judgement
from scripts.train_tiny.dialogues.deciding.sensors import RANGES, reading
from scripts.train_tiny.dialogues.deciding.utterances import drawn
from scripts.train_tiny.dialogues.language import words_of

_MOST_ASKED = 5
_SEPARATORS = (", ", ", ", " ", ",", " → ", " / ", "\n")
_PHASES = ("running", "finished", "idle")
_BUSY = 1000
_RESTING = 20


def draw_series(draw: Draw) -> Judgement:
    """Return readings over time with questions about them."""
    shares = (1, 0, 0) if draw.simple else (50, 25, 25)
    return draw.random.choices((_appliance, _trend, _limit), shares)[0](draw)


def _appliance(draw: Draw) -> Judgement:
    words, random = draw.words.other["series"], draw.random
    device = draw.one(words["devices"])
    phase = draw.one(_PHASES if draw.chance(0.4) else _PHASES[:2])
    watts = _power(phase, random)
    slots = {"device": device}
    asked: list[Asked | None] = [
        draw.yes_no("finished", slots, yes=phase == "finished"),
        draw.yes_no("running", slots, yes=phase == "running"),
        draw.choice(
            "phase",
            draw.one(words[phase]),
            [draw.one(words[each]) for each in _PHASES if each != phase],
            slots,
        ),
        _last(draw, watts, slots),
    ]
    now = watts[-1]
    right = 0 if now < _RESTING else 2 if now > _BUSY else 1
    asked.append(draw.score("load", draw.random.choice(words["loads"]), right, slots))
    n = random.choice((5, 10, 50, 100, 500, 1000, 1500))
    if abs(n - now) > 2:  # noqa: PLR2004 - not a matter of decimals
        asked.append(draw.yes_no("last_over", {"n": f"{n} W" if draw.chance(1 / 2) else str(n)}, yes=now > n))
    return draw.judge(
        _line(draw, "power", watts, slots), drawn(draw, [each for each in asked if each], _MOST_ASKED)
    )


def _power(phase: str, random: Random) -> list[float]:
    """Return watts, oldest first."""
    rest = random.choice((0.0, 0.4, 1.0, 1.8, 2.1, 3.0, 4.0, 0.0))
    decimals = random.choice((0, 1))

    def resting(count: int) -> list[float]:
        return [round(max(0, rest + random.choice((0, 0, 0.1, -0.1, 0.2))), decimals) for _ in range(count)]

    def working(count: int) -> list[float]:
        level = random.choice((2000, 2000, 1500, 400, 250, 150, 800, 60))
        values = []
        for _ in range(count):
            if random.random() < 0.25:  # noqa: PLR2004 - another part of the programme
                level = random.choice((2000, 400, 250, 150, 80))
            values.append(
                round(max(30, level * random.uniform(0.92, 1.08)), decimals if level < _BUSY else 0)
            )
        return values

    if phase == "idle":
        return resting(random.randint(5, 11))
    before = resting(random.choice((0, 0, 1, 2, 4)))
    if phase == "running":
        return [*before, *working(random.randint(3, 9))]
    return [*before, *working(random.randint(2, 7)), *resting(random.randint(2, 6))]


def _trend(draw: Draw) -> Judgement:
    words, random = draw.words.other["series"], draw.random
    quantity = draw.one(tuple(RANGES))
    least, largest, decimals, unit = RANGES[quantity]
    span = largest - least
    way = random.choice((-1, 0, 1))
    count = random.randint(4, 9)
    step = span * random.uniform(0.02, 0.08)
    at = random.uniform(least + 0.3 * span, largest - 0.3 * span)
    shown = random.choice((decimals, 0)) if span > _SMALL_SPAN else decimals
    values: list[float] = []
    for _ in range(count):
        values.append(round(max(0, at), shown))
        at += way * step * random.uniform(0.6, 1.5) + (0 if way else step * random.uniform(-0.06, 0.06))
    room = draw.room()
    name = words_of(draw.language).quantities[quantity].name
    slots = {**draw.place(room), "quantity": name, "unit": unit, "device": name}
    rising, falling, steady = (draw.one(words[each]) for each in ("rising", "falling", "steady"))
    options = [steady, rising, falling]
    right = options[way]
    asked: list[Asked | None] = [
        draw.choice("trend", right, options, slots),
        draw.yes_no("rising", slots, yes=way > 0),
        draw.yes_no("falling", slots, yes=way < 0),
        _last(draw, values, slots),
    ]
    n = round(values[-1] + random.choice((-3, -2, -1, 1, 2, 3)) * step)
    if n != values[-1] and n > 0:
        asked.append(
            draw.yes_no(
                "last_over", {"n": f"{n} {unit}" if draw.chance(1 / 2) else str(n)}, yes=values[-1] > n
            )
        )
    return draw.judge(
        _line(draw, "trend", values, slots), drawn(draw, [each for each in asked if each], _MOST_ASKED)
    )


_SMALL_SPAN = 50


def _limit(draw: Draw) -> Judgement:
    """Return values with a limit or a target."""
    words, random = draw.words, draw.random
    quantity = draw.one(tuple(RANGES))
    limited = draw.chance(1 / 2)
    name = words_of(draw.language).quantities[quantity].name
    lines: list[str] = []
    asked: list[Asked | None] = []
    count = random.choice((1, 1, 1, 2, 3, 4))
    frame = draw.one(words.other["series"]["limit" if limited else "target"])
    over: dict[str, bool] = {}
    for room in draw.rooms(count):
        value, n = reading(random, quantity, 1), reading(random, quantity, 0)
        if draw.chance(1 / 2):
            n = f"{max(1, round(float(value) * random.uniform(0.7, 1.3)))}"
        if float(n) == float(value):
            n = f"{float(n) + 1:g}"
        space = " " if draw.language == "en" else ""
        label = draw.one((f"{room}{space}{name}", name if count == 1 else room))
        lines.append(frame.format(name=label, value=value, n=n))
        over[room] = float(value) > float(n)
    if count == 1:
        (is_over,) = over.values()
        asked.append(draw.yes_no("over_limit" if limited else "below_target", {}, yes=is_over == limited))
    else:
        hits = [room for room, is_over in over.items() if is_over == limited]
        if len(hits) == 1:
            asked.append(draw.choice(f"which_{'over' if limited else 'below'}", hits[0], over, {}))
    separator = draw.one(("\n", "\n", "; "))
    return draw.judge(separator.join(lines), asked)


def _last(draw: Draw, values: list[float], slots: dict[str, str]) -> Asked | None:
    texts = [f"{each:g}" for each in values]
    return draw.choice("last", texts[-1], texts[:-1], slots)


def _line(draw: Draw, group: str, values: list[float], slots: dict[str, str]) -> str:
    frame = draw.one(draw.words.other["series"][group])
    separator = draw.one(_SEPARATORS)
    if frame.startswith("{{"):
        separator = ","
    elif draw.language == "zh" and draw.chance(1 / 2):
        separator = "、"
    return frame.format(values=separator.join(f"{each:g}" for each in values), **slots)
