"""Prompts of a known length that nobody has seen before."""

from __future__ import annotations

import pytest

from edgeassist.bench.texts import Ruler, Texts
from edgeassist.trial_models.words import WORDS

RULER = Ruler.of([(16, 36), (80, 100)])


@pytest.mark.parametrize(
    ("target", "measured", "words"),
    [
        (500, [(16, 36), (80, 100)], 475),  # a token a word, 20 for the template, one per cent less
        (500, [(16, 52), (80, 180)], 237),
        (20, [(16, 36), (80, 100)], 1),
        (100, [(16, 36), (80, 36)], 645),  # a tokenizer that takes words for nothing
    ],
)
def test_a_prompt_gets_the_words_that_make_its_tokens(
    target: int, measured: list[tuple[int, int]], words: int
) -> None:
    ruler = Ruler.of(measured)
    assert ruler.words(target, overhead=ruler.overhead) == words


def test_a_system_prompt_has_its_tokens_without_those_of_the_template() -> None:
    words = Texts("a", RULER).system(400).rstrip(".").split()
    assert len(words) == 396
    assert set(words) <= set(WORDS)


def test_all_sides_get_the_same_texts_and_every_run_gets_others() -> None:
    texts = [Texts(seed, RULER) for seed in ("single/0", "single/0", "single/1")]
    one, same, other = [[each.question(60), each.question(60), each.name()] for each in texts]
    assert one == same
    assert not set(one) & set(other)
    assert one[0] != one[1]
