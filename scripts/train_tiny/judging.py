"""Scores the options of decisions with the weights in torch, as the engine does, and counts what is right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from edgeassist.engine.deciding.tree import branches_of, forks_of, scores_of
from scripts.train_tiny.dialogues.deciding.generator import make_measured
from scripts.train_tiny.dialogues.deciding.judgement import Conversation, Judgement
from scripts.train_tiny.dialogues.language import Language
from scripts.train_tiny.dialogues.split import Split
from scripts.train_tiny.model import Decoder
from scripts.train_tiny.tokenizer import Encoder, shared_length

MEASURED = (Split.SEEN, Split.PHRASINGS, Split.ROOMS, Split.LAYOUTS, Split.ALL)
Scores = list[float]


@dataclass(slots=True)
class Counted:
    """Counts of one kind of question.

    Attributes:
        asked: How many there were.
        right: How many had the right option first.
        chance: How many would have been right by chance.
    """

    asked: int = 0
    right: int = 0
    chance: float = 0.0


def judgements(count: int, splits: Sequence[Split] = MEASURED) -> Iterator[tuple[Split, Judgement]]:
    """Yield `count` decisions of each language and split."""
    for split in splits:
        for language in Language:
            for number in range(count):
                yield split, make_measured(language, split, number)


def option_scores(decoder: Decoder, encoder: Encoder, judgement: Judgement, prior: float) -> list[Scores]:
    """Return the scores of each question's options.

    Args:
        decoder: The weights.
        encoder: Their tokenizer.
        judgement: The decision.
        prior: How much of what is answered about nothing is taken off.
    """
    options = judgement.options()
    known = _scores(decoder, encoder, judgement.prompts(), options)
    if not prior:
        return known
    neutral = {at: prompt for at, prompt in enumerate(judgement.neutral_prompts()) if prompt is not None}
    if neutral:
        unknown = _scores(decoder, encoder, list(neutral.values()), [options[at] for at in neutral])
        for at, biases in zip(neutral, unknown, strict=True):
            known[at] = [score - prior * bias for score, bias in zip(known[at], biases, strict=True)]
    return known


def tally(
    decoder: Decoder, encoder: Encoder, judged: Iterable[tuple[Split, Judgement]], *, prior: float
) -> dict[tuple[str, ...], Counted]:
    """Return the counts by split, language and kind, and by split, language and what is asked."""
    counts: dict[tuple[str, ...], Counted] = defaultdict(Counted)
    for split, judgement in judged:
        scores = option_scores(decoder, encoder, judgement, prior)
        for asked, each in zip(judgement.asked, scores, strict=True):
            for name in (asked.kind, f"({asked.about})"):
                counted = counts[split, judgement.language, name]
                counted.asked += 1
                counted.right += each.index(max(each)) == asked.right
                counted.chance += 1 / len(each)
    return counts


def table(counts: Mapping[tuple[str, ...], Counted]) -> str:
    """Return the counts as a Markdown table, in percent."""
    lines = [
        "| split | language | decision | asked | right | by chance |",
        "| --- | --- | --- | --: | --: | --: |",
    ]
    for (split, language, name), each in sorted(counts.items()):
        shares = f"{100 * each.right / each.asked:.1f} | {100 * each.chance / each.asked:.1f}"
        lines.append(f"| {split} | {language} | {name} | {each.asked} | {shares} |")
    return "\n".join(lines)


def _scores(
    decoder: Decoder,
    encoder: Encoder,
    conversations: Sequence[Conversation],
    options: Sequence[Sequence[str]],
) -> list[Scores]:
    prompts = [encoder.conversation(each) for each in conversations]
    forks = [forks_of([tuple(encoder.encode(each)) for each in some], [encoder.end]) for some in options]
    shared = shared_length(prompts)
    tokens, branches = prompts[0][:shared], [0] * shared
    # Where each question's forks are read: (question, fork, position).
    reads: list[tuple[int, int, int]] = []
    for question, prompt in enumerate(prompts):
        for numbers in branches_of(forks[question]):
            path = forks[question][numbers[-1]].path
            start = len(tokens) + len(prompt) - shared - 1
            reads += [(question, number, start + len(forks[question][number].path)) for number in numbers]
            branch = [*prompt[shared:], *path]
            branches += [max(branches, default=0) + 1] * len(branch)
            tokens += branch
    with torch.inference_mode():
        hidden = decoder(torch.tensor([tokens]), branches=torch.tensor([branches]))[0]
        logits = decoder.logits(hidden[[position for _, _, position in reads]])
    found: list[dict[int, list[float]]] = [{} for _ in conversations]
    for (question, number, _), row in zip(reads, logits, strict=True):
        found[question][number] = row[list(forks[question][number].candidates)].tolist()
    return [
        scores_of(len(some), forks[at], [found[at][number] for number in range(len(forks[at]))])
        for at, some in enumerate(options)
    ]
