"""What somebody says, and what it means."""

from __future__ import annotations

from collections.abc import Iterable

from scripts.train_tiny.dialogues.commands import COMMANDS, EVERYWHERE, draw_command
from scripts.train_tiny.dialogues.deciding.judgement import Asked, Draw, Judgement
from scripts.train_tiny.dialogues.language import words_of
from scripts.train_tiny.dialogues.readings import draw_question

_ACTIONS = ("turn_on", "turn_off", "open", "close", "lock", "unlock", "set", "increase", "decrease")
_TOPICS = ("weather", "timer", "reminder", "shopping", "call", "music", "joke", "sums")
_KINDS = ("command", "question", "talk")
_OTHER_ROOMS = 7


def draw_utterance(draw: Draw) -> Judgement:
    """Return a sentence, with questions about what is meant by it."""
    shares = (60, 25, 15, 0, 0) if draw.simple else (46, 14, 8, 12, 20)
    which = draw.random.choices((_command, _question, _remark, _request, _need), shares)[0]
    return which(draw)


def _command(draw: Draw) -> Judgement:
    words = words_of(draw.language)
    room = draw.room()
    said, action = draw_command(draw.language, draw.split, room, draw.random)
    others = [
        *draw.rooms(_OTHER_ROOMS),
        draw.one(draw.words.other["no_room"]),
        draw.one(draw.words.other["all_rooms"]),
    ]
    if draw.chance(1 / 2):
        others = others[:-2]
    if action.room is None:
        meant, others = draw.one(draw.words.other["no_room"]), [*draw.rooms(_OTHER_ROOMS)]
    elif action.room == EVERYWHERE:
        meant, others = draw.one(draw.words.other["all_rooms"]), [*draw.rooms(_OTHER_ROOMS)]
    else:
        meant = action.room
    place = draw.place(room)
    device = draw.label(words.devices[action.device])
    other_devices = [draw.label(words.devices[each]) for each in COMMANDS if each != action.device]
    asked: list[Asked | None] = [
        draw.choice("room", meant, others, place),
        draw.choice("device", device, other_devices, place),
        draw.choice(
            "action",
            _label(draw, action.action),
            (_label(draw, each) for each in _ACTIONS if each != action.action),
            place,
        ),
        *_kind(draw, "command"),
    ]
    if isinstance(action.value, int | float):
        others = [str(draw.random.randint(1, 100)) for _ in range(6)]
        asked.append(draw.choice("value", f"{action.value}", others, place))
    if action.action in {"turn_on", "turn_off"}:
        asked.append(draw.yes_no("wants_on", place, yes=action.action == "turn_on"))
        asked.append(draw.yes_no("wants_off", place, yes=action.action == "turn_off"))
    if action.room not in {None, EVERYWHERE}:
        right = draw.chance(1 / 2)
        asked.append(draw.yes_no("means_room", place if right else draw.place(draw.room()), yes=right))
    right = draw.chance(1 / 2)
    named = {**place, "device": device if right else draw.one(other_devices)}
    asked.append(draw.yes_no("means_device", named, yes=right))
    return draw.judge(_said(draw, said), _some(draw, asked))


def _question(draw: Draw) -> Judgement:
    quantities = words_of(draw.language).quantities
    room, quantity = draw.room(), draw.one(tuple(quantities))
    said = draw_question((room, quantity), draw.language, draw.split, draw.random)
    place = draw.place(room)
    right = draw.chance(1 / 2)
    asked = [
        draw.choice("room", room, draw.rooms(_OTHER_ROOMS), place),
        draw.choice(
            "quantity",
            quantities[quantity].name,
            (each.name for key, each in quantities.items() if key != quantity),
            place,
        ),
        *_kind(draw, "question"),
        draw.yes_no("means_room", place if right else draw.place(draw.room()), yes=right),
    ]
    return draw.judge(_said(draw, said), _some(draw, asked))


def _remark(draw: Draw) -> Judgement:
    device = draw.one(words_of(draw.language).devices[draw.one(tuple(COMMANDS))])
    place = {**draw.place(draw.room()), "device": device}
    said = draw.phrasing(draw.words.told["remark"], place)
    return draw.judge(
        _said(draw, said), _some(draw, [*_kind(draw, "talk"), draw.yes_no("wants_on", place, yes=False)])
    )


def _request(draw: Draw) -> Judgement:
    """Return something that is not about devices, or is, with the question what about."""
    topic = draw.one((*_TOPICS, "device", "device"))
    place = draw.place(draw.room())
    if topic == "device":
        said, _ = draw_command(draw.language, draw.split, draw.room(), draw.random)
    else:
        said = draw.phrasing(draw.words.told[topic], place)
    others = [_label(draw, each) for each in (*_TOPICS, "device") if each != topic]
    asked = [draw.choice("topic", _label(draw, topic), others, place) for _ in range(2)]
    asked.append(
        draw.yes_no(
            "means_device", {**place, "device": draw.one(words_of(draw.language).devices["light"])}, yes=False
        )
        if topic != "device"
        else None
    )
    right, label = draw.chance(1 / 2), _label(draw, topic)
    asked.append(draw.yes_no("is_event", {"label": label if right else draw.one(others)}, yes=right))
    return draw.judge(_said(draw, said), asked)


def _need(draw: Draw) -> Judgement:
    words = draw.words
    need = draw.one(tuple(words.needs))
    place = draw.place(draw.room())
    said = draw.phrasing(words.needs[need], place)
    wrong = [
        draw.one(words.orders[each]) for each in words.orders if each != need and each not in words.near[need]
    ]
    good, bad = draw.one(words.orders[need]), draw.one(wrong)
    right = draw.chance(1 / 2)
    asked = [
        draw.choice("need", good, wrong, place),
        draw.choice("need", draw.one(words.orders[need]), wrong, place),
        draw.yes_no("helps", {**place, "order": good if right else bad}, yes=right),
    ]
    return draw.judge(_said(draw, said), asked)


def _kind(draw: Draw, kind: str) -> list[Asked | None]:
    others = [_label(draw, each) for each in _KINDS if each != kind]
    return [
        draw.choice("kind", _label(draw, kind), others, {}),
        draw.yes_no("is_command", {}, yes=kind == "command"),
        draw.yes_no("is_question", {}, yes=kind == "question"),
    ]


def _label(draw: Draw, key: str) -> str:
    return draw.label(draw.words.labels[key])


def _said(draw: Draw, said: str) -> str:
    frame = draw.one(draw.words.other["said"])
    return frame.format(said=said.replace('"', "'"), name=draw.name())


def _some(draw: Draw, asked: Iterable[Asked | None]) -> list[Asked]:
    return drawn(draw, [each for each in asked if each], 5)


def drawn(draw: Draw, asked: list[Asked], most: int) -> list[Asked]:
    """Return some of the questions, in any order."""
    return draw.random.sample(asked, min(most, len(asked)))
