"""Generates decisions; the same number gives the same one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from scripts.train_tiny.dialogues.deciding.judgement import Draw, Judgement, unanswerable
from scripts.train_tiny.dialogues.deciding.notices import draw_notice, draw_presence
from scripts.train_tiny.dialogues.deciding.records import draw_entities, draw_records
from scripts.train_tiny.dialogues.deciding.sensors import draw_sensors
from scripts.train_tiny.dialogues.deciding.series import draw_series
from scripts.train_tiny.dialogues.deciding.utterances import draw_utterance
from scripts.train_tiny.dialogues.language import Language
from scripts.train_tiny.dialogues.layouts import UNSEEN, unseen_layouts
from scripts.train_tiny.dialogues.split import Part, Split

_ENGLISH_SHARE = 0.55
_INSTRUCTIONS_SHARE = 0.12
_SHOTS_SHARE = 0.05
# How often nothing is known: the engine takes what the model answers then for its prejudice.
_NOTHING_SHARE = 0.05
_DRAWS = {
    draw_sensors: 38,
    draw_utterance: 24,
    draw_series: 13,
    draw_notice: 11,
    draw_presence: 4,
    draw_records: 9,
    draw_entities: 5,
}
_SIMPLE_DRAWS = {
    draw_sensors: 30,
    draw_utterance: 32,
    draw_series: 10,
    draw_notice: 8,
    draw_presence: 5,
    draw_records: 15,
}


def make_judgement(number: int, *, seed: int = 0, simple: bool = False) -> Judgement:
    """Return a training decision, with at least one question."""
    random = Random(f"decision {seed} {number}")
    language = Language.ENGLISH if random.random() < _ENGLISH_SHARE else Language.CHINESE
    judgement = _drawn(Draw(language, Split.TRAIN, random, simple=simple))
    if simple:
        return judgement
    if random.random() < _NOTHING_SHARE:
        judgement = unanswerable(judgement, random)
    if random.random() < _SHOTS_SHARE:
        others = [_drawn(Draw(language, Split.TRAIN, random)) for _ in range(random.randint(1, 2))]
        judgement = replace(judgement, shots=tuple((each.state, each.asked[0]) for each in others))
    if random.random() < _INSTRUCTIONS_SHARE:
        draw = Draw(language, Split.TRAIN, random)
        judgement = replace(judgement, instructions=draw.one(draw.words.other["instructions"]))
    return judgement


def make_measured(language: Language, split: Split, number: int) -> Judgement:
    """Return a decision for an evaluation."""
    random = Random(f"decision {split} {language} {number}")
    layouts = split.holds_out(Part.LAYOUT)
    layout = unseen_layouts(language)[number % UNSEEN] if layouts else None
    draw = Draw(language, split, random, layout)
    return _with_questions(draw, draw_sensors) if layouts else _drawn(draw)


def _drawn(draw: Draw) -> Judgement:
    draws = _SIMPLE_DRAWS if draw.simple else _DRAWS
    return _with_questions(draw, draw.random.choices(tuple(draws), tuple(draws.values()))[0])


def _with_questions(draw: Draw, make: Callable[[Draw], Judgement]) -> Judgement:
    while True:
        judgement = make(draw)
        if judgement.asked:
            return judgement
