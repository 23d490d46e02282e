"""Commands, and the actions they mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from scripts.train_tiny.dialogues.grammar import choose_alternatives, fill, slots_of
from scripts.train_tiny.dialogues.language import Language, Phrasings, words_of
from scripts.train_tiny.dialogues.noise import mistyped, polite, written
from scripts.train_tiny.dialogues.numbers import Kind, Number, draw_number, say
from scripts.train_tiny.dialogues.places import as_said, with_article
from scripts.train_tiny.dialogues.split import Part, Split

_SWITCH = ("turn_on", "turn_off")
_MOVE = ("open", "close")
# The commands of each kind of device.
COMMANDS: dict[str, tuple[str, ...]] = {
    "light": (*_SWITCH, "set_brightness", "set_color", "increase_brightness", "decrease_brightness"),
    "fan": (*_SWITCH, "set_speed", "increase_speed", "decrease_speed"),
    "heating": (*_SWITCH, "set_temperature", "increase_temperature", "decrease_temperature"),
    "air_conditioner": (*_SWITCH, "set_temperature", "increase_temperature", "decrease_temperature"),
    "blinds": (*_MOVE, "set_position"),
    "curtains": (*_MOVE, "set_position"),
    "window": (*_MOVE, "set_position"),
    "door": (*_MOVE, "lock", "unlock"),
    "socket": _SWITCH,
    "tv": (*_SWITCH, "set_volume", "increase_volume", "decrease_volume"),
    "speaker": (*_SWITCH, "set_volume", "increase_volume", "decrease_volume"),
    "vacuum": _SWITCH,
    "humidifier": (*_SWITCH, "set_humidity"),
    "dehumidifier": (*_SWITCH, "set_humidity"),
    "air_purifier": (*_SWITCH, "set_speed", "increase_speed", "decrease_speed"),
    "kettle": _SWITCH,
    "coffee_machine": _SWITCH,
    "washing_machine": _SWITCH,
    "sprinkler": _SWITCH,
    "alarm": _SWITCH,
}
EVERYWHERE = "all"
# How often a training command is in the most usual words: the first line of its group.
_USUAL_SHARE = 0.25


class Place(StrEnum):
    """Where the room occurs in a command."""

    INSIDE = "inside"
    FRONT = "front"
    END = "end"
    UNSAID = "unsaid"
    EVERYWHERE = "everywhere"


_PLACES = {Place.INSIDE: 70, Place.FRONT: 8, Place.END: 7, Place.UNSAID: 10, Place.EVERYWHERE: 5}
_ROOM_SAID = {
    place: weight for place, weight in _PLACES.items() if place not in {Place.UNSAID, Place.EVERYWHERE}
}


@dataclass(frozen=True, slots=True)
class Action:
    """The meaning of a command; its JSON follows the package's `action.schema.json`."""

    action: str
    device: str
    room: str | None = None
    property: str | None = None
    value: Number | str | None = None

    def to_json(self) -> str:
        """Return the model's answer: compact JSON, keys in the order of the fields, None left out."""
        fields = {key: getattr(self, key) for key in ("action", "device", "room", "property", "value")}
        said = {key: value for key, value in fields.items() if value is not None}
        return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


def draw_command(language: Language, split: Split, room: str, random: Random) -> tuple[str, Action]:
    """Return an utterance and the action it means; the utterance may leave out the room."""
    words = words_of(language)
    device, command, line = _draw_line(words.commands, split, random)
    action, _, quality = (command, "", "") if command in _SWITCH else command.partition("_")
    places = _ROOM_SAID if split.holds_out(Part.ROOM) else _PLACES
    place = random.choices(tuple(places), tuple(places.values()))[0]
    name = random.choice(words.devices[device])
    said = as_said(room, random)
    line, thing = _placed(polite(line, words.around_command, random), name, said, place, language, random)
    slots = {"thing": thing, "place": with_article(said) if language is Language.ENGLISH else said}
    value: Number | str | None = None
    if "color" in slots_of(line):
        value = random.choice(tuple(words.colors))
        slots["color"] = random.choice(words.colors[value])
    elif slots_of(line) & {"value", "by"}:
        value, slots["value"], slots["by"] = _value(line, quality, language, split, random)
    line = mistyped(line, language, random)
    return written(fill(line, slots), language, random), Action(
        action=action,
        device=device,
        room={Place.UNSAID: None, Place.EVERYWHERE: EVERYWHERE}.get(place, room),
        property=quality or None,
        value=value,
    )


def _draw_line(commands: Mapping[str, Phrasings], split: Split, random: Random) -> tuple[str, str, str]:
    """Return a kind of device, one of its commands, and a phrasing of it."""
    while True:
        device = random.choice(tuple(COMMANDS))
        command = random.choice(COMMANDS[device])
        sets_number = command.startswith("set_") and command != "set_color"
        groups = [commands[command], *([commands["set"]] if sets_number else [])]
        held_out = split.holds_out(Part.PHRASING)
        lines = [line for group in groups for line in (group.held_out if held_out else group.train)]
        # If values are held out, every command needs one.
        if lines and (sets_number or not split.holds_out(Part.VALUE)):
            usual = split is Split.TRAIN and random.random() < _USUAL_SHARE
            line = random.choice(groups).train[0] if usual else random.choice(lines)
            return device, command, choose_alternatives(line, random)


def _value(
    line: str, quality: str, language: Language, split: Split, random: Random
) -> tuple[Number | None, str, str]:
    """Return a number, its wording, and its wording with "by"; None and empty texts for an unsaid step."""
    step, degrees = "by" in slots_of(line), quality == "temperature"
    if step and random.random() < 1 / 2:
        return None, "", ""
    kinds = (Kind.DEGREE_STEP, Kind.DEGREES) if degrees else (Kind.PERCENT_STEP, Kind.PERCENT)
    kind = kinds[0] if step else kinds[1]
    number = draw_number(kind, random, held_out=split.holds_out(Part.VALUE))
    said = say(number, kind, language, random)
    return number, said, f" by {said}" if language is Language.ENGLISH else said


def _placed(
    line: str, name: str, room: str, place: Place, language: Language, random: Random
) -> tuple[str, str]:
    """Return the line and the device's wording; the line gets a `{place}` slot if the room stands apart."""
    if language is Language.CHINESE:
        inside = random.choice((f"{room}的{name}", f"{room}的{name}", f"{room}{name}", f"{room}里的{name}"))
        everywhere = random.choice(("所有的", "所有", "全部", "家里所有的", "每个房间的")) + name
        forms = {
            Place.INSIDE: (line, inside),
            Place.FRONT: (f"{{place}}里，{line}", name),
            Place.END: (f"{line}，{{place}}的", name),
            Place.UNSAID: (line, name),
            Place.EVERYWHERE: (line, everywhere),
        }
    else:
        there = with_article(room)
        inside = random.choice(
            (
                f"{there} {name}",
                f"{there} {name}",
                f"{room} {name}",
                f"the {name} in {there}",
                f"my {room} {name}",
            )
        )
        everywhere = random.choice(
            (f"all the {name}", f"all {name}", f"every {name}", f"the {name} everywhere")
        )
        forms = {
            Place.INSIDE: (line, inside),
            Place.FRONT: (f"in {{place}}, {line}", f"the {name}"),
            Place.END: (f"{line} in {{place}}", f"the {name}"),
            Place.UNSAID: (line, random.choice((f"the {name}", name, f"my {name}"))),
            Place.EVERYWHERE: (line, everywhere),
        }
    return forms[place]
