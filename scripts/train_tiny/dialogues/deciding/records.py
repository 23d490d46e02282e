"""Names and values of any kind, in any writing, and what Home Assistant's entities say."""

from __future__ import annotations

import json
from collections.abc import Callable

from edgeassist.trial_models.words import WORDS
from scripts.train_tiny.dialogues.deciding.judgement import Asked, Draw, Judgement
from scripts.train_tiny.dialogues.deciding.utterances import drawn
from scripts.train_tiny.dialogues.syntaxes import MAPPINGS, write_mapping

_MOST = 7
_FEW = 3
_MOST_ASKED = 5
_UNITS = ("", " %", " W", " °C", " kWh", " l", " h", " km", " min")
_FRAMES = (
    "{key}: {value}",
    "{key} {value}",
    "{key}={value}",
    "{key} = {value}",
    "- {key}: {value}",
    "{key} is {value}",
    "{key} ({value})",
)
_DOMAINS = {
    "light": ("light", "on", "off"),
    "window": ("binary_sensor", "on", "off"),
    "door": ("binary_sensor", "on", "off"),
    "motion": ("binary_sensor", "on", "off"),
}


def draw_records(draw: Draw) -> Judgement:
    """Return names and values with questions about them."""
    random, words = draw.random, draw.words.other["records"]
    most = _FEW if draw.simple else _MOST
    if draw.chance(0.65):
        group = random.choice(words["groups"])
        keys = random.sample(group, random.randint(2, min(most, len(group))))
    elif draw.chance(1 / 2):
        keys = draw.rooms(random.randint(2, most))
    else:
        keys = random.sample(WORDS, random.randint(2, most))
    numeric = draw.chance(0.55)
    if numeric:
        largest = random.choice((10, 100, 100, 3000))
        decimals = random.choice((0, 0, 1))
        unit = random.choice(_UNITS)
        values = [
            f"{random.randint(0, largest * 10**decimals) / 10**decimals:.{decimals}f}{unit}" for _ in keys
        ]
    else:
        states = random.choice(words["states"])
        usual = random.choice(states)
        values = [usual if draw.chance(0.6) else random.choice(states) for _ in keys]
    record = dict(zip(keys, values, strict=True))
    ask = _about_numbers if numeric else _about_states
    key = draw.one(keys)
    absent = draw.one(random.choice(words["groups"]))
    asked = [
        draw.choice("look_up", record[key], values if numeric else states, {"key": key}),
        draw.yes_no("key_listed", {"key": key if draw.chance(1 / 2) else absent}, yes=True),
        *ask(draw, record, values if numeric else states),
    ]
    # The second of them asks for a key that may be missing.
    listed = draw.chance(1 / 2)
    named = key if listed else absent
    asked[1] = draw.yes_no("key_listed", {"key": named}, yes=named in record)
    return draw.judge(_written(draw, record), drawn(draw, [each for each in asked if each], _MOST_ASKED))


def _about_numbers(draw: Draw, record: dict[str, str], values: list[str]) -> list[Asked | None]:
    del values
    numbers = {key: float(value.split(" ")[0]) for key, value in record.items()}
    key = draw.one(tuple(record))
    n = round(numbers[key] * draw.random.uniform(0.4, 1.7))
    best, group = draw.random.choice(((max, "key_most"), (min, "key_least")))
    extreme = best(numbers, key=lambda each: numbers[each])
    unique = list(numbers.values()).count(numbers[extreme]) == 1
    asked: list[Asked | None] = [draw.choice(group, extreme, record, {})] * unique
    if n != numbers[key]:
        asked.append(draw.yes_no("key_over", {"key": key, "n": str(n)}, yes=numbers[key] > n))
        asked.append(draw.yes_no("key_under", {"key": key, "n": str(n)}, yes=numbers[key] < n))
    if list(record.values()).count(record[key]) == 1:
        asked.append(draw.choice("which_key", key, record, {"value": record[key]}))
    return asked


def _about_states(draw: Draw, record: dict[str, str], values: list[str]) -> list[Asked | None]:
    key = draw.one(tuple(record))
    said = draw.one(values)
    asked: list[Asked | None] = [draw.yes_no("key_is", {"key": key, "value": said}, yes=record[key] == said)]
    for value in values:
        holders = [each for each, held in record.items() if held == value]
        if len(holders) == 1:
            asked.append(draw.choice("which_key", holders[0], record, {"value": value}))
    value = draw.one(values)
    count = list(record.values()).count(value)
    options = [str(each) for each in range(max(count, draw.random.randint(3, _MOST)) + 1)]
    asked.append(draw.score("key_count", options, count, {"value": value}))
    return asked


def _written(draw: Draw, record: dict[str, str]) -> str:
    if draw.chance(0.4):
        return write_mapping(draw.one(MAPPINGS[0]), record)
    frame = draw.one(_FRAMES)
    separator = draw.one(("\n", "\n", ", ", "; ", " | "))
    heading = draw.one(draw.words.other["records"]["heads"])
    return "\n".join(
        filter(
            None,
            [heading, separator.join(frame.format(key=key, value=value) for key, value in record.items())],
        )
    )


def draw_entities(draw: Draw) -> Judgement:
    """Return Home Assistant's entities with questions about them."""
    random = draw.random
    kind = draw.one(tuple(_DOMAINS))
    domain, on, off = _DOMAINS[kind]
    rooms = draw.rooms(random.randint(1, 5))
    usual = draw.chance(1 / 2)
    states = {room: usual if draw.chance(0.65) else not usual for room in rooms}
    entities = [_entity(draw, domain, kind, room, on if state else off) for room, state in states.items()]
    write: Callable[[], str] = random.choice(
        (
            lambda: json.dumps(entities, ensure_ascii=False, separators=(",", ":")),
            lambda: json.dumps(entities, ensure_ascii=False),
            lambda: json.dumps(
                {f"{domain}.{_slug(room)}_{kind}": on if state else off for room, state in states.items()},
                ensure_ascii=False,
                separators=(",", ":"),
            ),
            lambda: "\n".join(
                f"{domain}.{_slug(room)}_{kind}: {on if state else off}" for room, state in states.items()
            ),
        )
    )
    room = draw.one(rooms)
    # The words of the question: a window of Home Assistant that is on is open.
    state = {
        "window": ("open", "closed"),
        "door": ("open", "closed"),
        "light": ("on", "off"),
        "motion": ("", ""),
    }[kind]
    if draw.language == "zh":
        state = ("开着", "关着")
    count = sum(states.values())
    asked: list[Asked | None] = []
    holders = [each for each, is_on in states.items() if is_on]
    if len(holders) == 1:
        asked.append(draw.choice(f"which_{kind}", holders[0], rooms, draw.place(room)))
    if kind == "motion":
        asked.append(draw.yes_no("someone", draw.place(room), yes=states[room]))
    else:
        at = random.randrange(2)
        asked.append(
            draw.yes_no(f"is_{kind}", {**draw.place(room), "state": state[at]}, yes=states[room] == (at == 0))
        )
    if kind in {"light", "window"}:
        options = [str(each) for each in range(max(count, random.randint(2, 5)) + 1)]
        asked.append(draw.score(f"count_{kind}", options, count, {}))
    asked.append(
        draw.yes_no("listed", draw.place(room), yes=True)
        if draw.chance(1 / 2)
        else draw.yes_no("listed", draw.place(missing := draw.room()), yes=missing in states)
    )
    return draw.judge(write(), asked)


def _entity(draw: Draw, domain: str, kind: str, room: str, state: str) -> dict[str, object]:
    named = room if draw.language == "zh" else " ".join((room.capitalize(), kind))
    attributes: dict[str, object] = {"friendly_name": named}
    if domain == "binary_sensor":
        attributes["device_class"] = kind
    elif state == "on" and draw.chance(1 / 2):
        attributes["brightness"] = draw.random.randint(1, 255)
    return {"entity_id": f"{domain}.{_slug(room)}_{kind}", "state": state, "attributes": attributes}


def _slug(name: str) -> str:
    return name.replace("'", "").replace(" ", "_")
