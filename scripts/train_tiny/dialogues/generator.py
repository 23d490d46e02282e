"""Generates dialogues; the same number gives the same dialogue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from scripts.train_tiny.dialogues.commands import draw_command
from scripts.train_tiny.dialogues.grammar import choose_alternatives, fill
from scripts.train_tiny.dialogues.language import Language, words_of
from scripts.train_tiny.dialogues.layouts import UNSEEN, Layout, unseen_layouts
from scripts.train_tiny.dialogues.noise import mistyped, written
from scripts.train_tiny.dialogues.places import draw_room
from scripts.train_tiny.dialogues.readings import (
    Home,
    draw_home,
    draw_listed,
    draw_missing,
    draw_question,
    listed,
    reply_to,
)
from scripts.train_tiny.dialogues.split import Part, Split

_MOST_TURNS = 8
# English has four ways to capitalize a list, Chinese none.
_ENGLISH_SHARE = 0.6
# How often a system prompt lists sensors, in questions and in training, and how often it has a preamble.
_LIST_SHARE = 0.8
_TRAINED_LIST_SHARE = 0.7
_PREAMBLE_SHARE = 0.6
# How often the preamble follows a list in another layout than the documented one.
_LIST_FIRST_SHARE = 0.15
# How often a command names a room from the sensor list.
_OWN_ROOM_SHARE = 0.4
_LARGEST_SUM = 99


class Task(StrEnum):
    """What a turn is about."""

    ACTION = "action"
    READING = "reading"
    UNKNOWN = "unknown"
    GREETING = "greeting"
    GOODBYE = "goodbye"
    THANKS = "thanks"
    IDENTITY = "identity"
    ABILITIES = "abilities"
    REFUSAL = "refusal"
    UNCLEAR = "unclear"


# Relative frequencies.
_WEIGHTS = {
    Task.ACTION: 30,
    Task.READING: 40,
    Task.UNKNOWN: 24,
    Task.GREETING: 2,
    Task.GOODBYE: 1,
    Task.THANKS: 1,
    Task.IDENTITY: 2,
    Task.ABILITIES: 2,
    Task.REFUSAL: 6,
    Task.UNCLEAR: 2,
}
# Without a list every sensor is unknown, so most turns are commands.
_WEIGHTS_UNLISTED = _WEIGHTS | {Task.ACTION: 66, Task.READING: 4}
# The tasks that rooms, layouts and values occur in.
_ABOUT_ROOMS = (Task.ACTION, Task.READING, Task.UNKNOWN)
_ABOUT_LISTS = (Task.READING, Task.UNKNOWN)
_ABOUT_VALUES = (Task.ACTION, Task.READING)


@dataclass(frozen=True, slots=True)
class Turn:
    """An utterance and its right answer."""

    task: Task
    user: str
    reply: str


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A system prompt, which may be empty, and turns that are independent of each other."""

    language: Language
    system: str
    turns: tuple[Turn, ...]


def make_dialogue(number: int, *, seed: int = 0) -> Dialogue:
    """Return a training dialogue of one to eight turns."""
    random = Random(f"{seed} {number}")
    language = Language.ENGLISH if random.random() < _ENGLISH_SHARE else Language.CHINESE
    home, system = _system(language, Split.TRAIN, random)
    weights = _WEIGHTS if home.rooms else _WEIGHTS_UNLISTED
    tasks = random.choices(tuple(weights), tuple(weights.values()), k=random.randint(1, _MOST_TURNS))
    turns = tuple(_turn(task, home, language, Split.TRAIN, random) for task in tasks)
    return Dialogue(language, system, turns)


def make_question(task: Task, language: Language, split: Split, number: int) -> Dialogue:
    """Return an evaluation dialogue of one turn.

    Raises:
        ValueError: The split holds out a part that this task lacks.
    """
    if task not in tasks_of(split):
        raise ValueError(f"{task} has no {split} to hold out")
    random = Random(f"{split} {task} {language} {number}")
    layout = unseen_layouts(language)[number % UNSEEN] if split.holds_out(Part.LAYOUT) else None
    while True:
        home, system = _system(language, split, random, layout)
        turn = _turn(task, home, language, split, random)
        if turn.task is task:
            return Dialogue(language, system, (turn,))


def tasks_of(split: Split) -> tuple[Task, ...]:
    """Return the tasks that have the parts the split holds out."""
    if split.holds_out(Part.VALUE):
        return _ABOUT_VALUES
    if split.holds_out(Part.LAYOUT):
        return _ABOUT_LISTS
    return _ABOUT_ROOMS if split.holds_out(Part.ROOM) else tuple(Task)


def training_texts(count: int, *, seed: int = 0) -> Iterator[str]:
    """Yield the texts of `count` training dialogues, to train a tokenizer on."""
    for number in range(count):
        dialogue = make_dialogue(number, seed=seed)
        yield dialogue.system
        for turn in dialogue.turns:
            yield turn.user
            yield turn.reply


def _system(
    language: Language, split: Split, random: Random, layout: Layout | None = None
) -> tuple[Home, str]:
    preamble = random.choice(words_of(language).preambles) if random.random() < _PREAMBLE_SHARE else ""
    share = _TRAINED_LIST_SHARE if split is Split.TRAIN else _LIST_SHARE
    if random.random() >= share and layout is None:
        return Home((), {}), preamble
    home = draw_home(language, split, random, layout)
    texts = [preamble, listed(home, language)]
    if home.layout and random.random() < _LIST_FIRST_SHARE:
        texts.reverse()
    return home, "\n".join(filter(None, texts))


def _turn(task: Task, home: Home, language: Language, split: Split, random: Random) -> Turn:
    """Return a turn; a reading becomes an unknown sensor if the home has no sensor to read."""
    if task is Task.ACTION:
        room = (
            random.choice(home.rooms)
            if home.rooms and random.random() < _OWN_ROOM_SHARE
            else draw_room(language, random, held_out=split.holds_out(Part.ROOM))
        )
        user, action = draw_command(language, split, room, random)
        return Turn(task, user, action.to_json())
    if task in {Task.READING, Task.UNKNOWN}:
        sensor = draw_listed(home, language, split, random) if task is Task.READING else None
        if sensor is None:
            task, sensor = Task.UNKNOWN, draw_missing(home, language, split, random)
        return Turn(task, draw_question(sensor, language, split, random), reply_to(home, sensor, language))
    return Turn(task, _chat(task, language, split, random), words_of(language).replies[task])


def _chat(task: Task, language: Language, split: Split, random: Random) -> str:
    words = words_of(language)
    lines = words.chat[task]
    chosen = lines.held_out if split.holds_out(Part.PHRASING) and lines.held_out else lines.train
    line = mistyped(choose_alternatives(random.choice(chosen), random), language, random)
    slots = {
        "a": str(random.randint(1, _LARGEST_SUM)),
        "b": str(random.randint(1, _LARGEST_SUM)),
        "name": random.choice(words.rooms.owners),
    }
    return written(fill(line, slots), language, random)
