"""What a home reports: notices and logs, and who is at home."""

from __future__ import annotations

from scripts.train_tiny.dialogues.deciding.judgement import Asked, Draw, Judgement
from scripts.train_tiny.dialogues.deciding.utterances import drawn

# How urgent each event is, 0 to 3.
_URGENCY = {
    "delivery": 1,
    "leak": 3,
    "fire": 3,
    "battery": 1,
    "left_open": 2,
    "done": 1,
    "offline": 1,
    "intruder": 3,
    "outage": 2,
    "fine": 0,
    "update": 0,
    "visitor": 2,
    "frost": 2,
}
_DANGER = 3
_MOST_ASKED = 5
_MOST_PEOPLE = 5
_LEVELS_SHARE = 0.7


def draw_notice(draw: Draw) -> Judgement:
    """Return a notice, with questions about what it tells."""
    words = draw.words
    event = draw.one(tuple(_URGENCY))
    place = draw.place(draw.room())
    told = draw.phrasing(words.told[event], place)
    text = told[:1].upper() + told[1:]
    hour, minute = draw.random.randrange(24), draw.random.randrange(60)
    frame = draw.one(
        (
            "{text}",
            "{text}",
            "{time} {text}",
            "{time}: {text}",
            "[{time}] {text}",
            "{text} ({time})",
            "{text}.",
        )
    )
    state = frame.format(text=text, time=f"{hour:02}:{minute:02}")
    others = [draw.label(words.labels[each]) for each in _URGENCY if each != event]
    label, right = draw.label(words.labels[event]), draw.chance(1 / 2)
    urgency = _URGENCY[event]
    asked: list[Asked | None] = [
        draw.choice("what", label, others, place),
        draw.choice("what", draw.label(words.labels[event]), others, place),
        draw.yes_no("is_event", {"label": label if right else draw.one(others)}, yes=right),
        draw.yes_no("act", {}, yes=urgency > 0),
        draw.yes_no("danger", {}, yes=urgency == _DANGER),
    ]
    if draw.chance(_LEVELS_SHARE):
        asked.append(
            draw.score("urgency", draw.random.choice(words.other["urgencies"]["levels"]), urgency, {})
        )
    else:
        told_levels = words.other["urgencies"]["told"]
        note = f" ({told_levels})" if draw.language == "en" else f"（{told_levels}）"
        asked.append(draw.score("urgency", ("0", "1", "2", "3"), urgency, {}, note=note))
    return draw.judge(state, drawn(draw, [each for each in asked if each], _MOST_ASKED))


def draw_presence(draw: Draw) -> Judgement:
    """Return who is at home, with questions about it."""
    random, words = draw.random, draw.words.other
    names = list(dict.fromkeys(draw.name() for _ in range(random.randint(1, _MOST_PEOPLE))))
    usual = draw.chance(1 / 2)
    at_home = {name: usual if draw.chance(0.65) else not usual for name in names}
    home, away = draw.one(words["home"]), draw.one(words["away"])
    frame = draw.one(words["presence"]["lines"])
    lines = [frame.format(name=name, state=home if here else away) for name, here in at_home.items()]
    heading = draw.one(words["presence"]["empty"])
    separator = draw.one(("\n", "\n", ", ", "; "))
    state = "\n".join(filter(None, [heading, separator.join(lines)]))
    inside = [name for name, here in at_home.items() if here]
    outside = [name for name in names if name not in inside]
    person = draw.one(names)
    asked: list[Asked | None] = [
        draw.yes_no("anybody", {}, yes=bool(inside)),
        draw.yes_no("nobody", {}, yes=not inside),
        draw.yes_no("person", {"name": person}, yes=person in inside),
        draw.score("people", [str(each) for each in range(len(names) + 1)], len(inside), {}),
        draw.choice("who", inside[0], outside, {}) if len(inside) == 1 else None,
        draw.choice("who_away", outside[0], inside, {}) if len(outside) == 1 else None,
    ]
    return draw.judge(state, drawn(draw, [each for each in asked if each], _MOST_ASKED))
