"""Training within a budget of time or tokens, with checkpoints to resume from."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from edgeassist.engine.messages import QuestionKind
from edgeassist.trial_models.synthetic import Shape
from scripts.train_tiny.batches import DECISIONS, LONGEST_AT_FIRST, Batch, Position, encode, training_batches
from scripts.train_tiny.beginning import begin
from scripts.train_tiny.dialogues.generator import Task
from scripts.train_tiny.dialogues.split import Split
from scripts.train_tiny.judging import judgements, tally
from scripts.train_tiny.model import Decoder
from scripts.train_tiny.questions import questions
from scripts.train_tiny.tokenizer import Encoder, load_merges

MERGES = "merges.txt"
CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"

_LOG_EVERY = 50
# Questions per task and language when probing a checkpoint.
_PROBED = 25
_WARM_UP = 0.02
_LAST_RATE = 0.02
_DECAY = 0.1
# Learning rate of everything but the layers' matrices, relative to theirs: embeddings start ten times larger.
_EMBEDDING_RATE = 5
_BETAS = (0.9, 0.98)
_CLIP = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train.

    Attributes:
        minutes: Time budget, including the time before a resume.
        tokens: Token budget; None for no limit but time. With it, the same plan gives the same model on the
            same machine; without it, the learning rate follows the clock.
        batch: Tokens per step.
        rate: Peak learning rate of the layers' matrices.
        prompt_weight: Loss weight of tokens that are not the assistant's.
        threads: Torch's threads.
        seed: Seed of weights and dialogues.
        longest: Length limit of the first dialogues, in tokens.
        decisions: How many of the dialogues are decisions, 0 to 1.
        save_every_s: Seconds between checkpoints.
    """

    minutes: float
    tokens: int | None = None
    batch: int = 2048
    rate: float = 2e-3
    prompt_weight: float = 0.1
    threads: int = 2
    seed: int = 0
    longest: int = LONGEST_AT_FIRST
    decisions: float = DECISIONS
    save_every_s: float = 600


@dataclass(slots=True)
class Progress:
    """Training progress."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    chunk: int = 0
    batch: int = 0

    def share(self, plan: Plan) -> float:
        """Return the used share of the budget, 0 to 1."""
        read = self.tokens / plan.tokens if plan.tokens else 0.0
        return min(1.0, max(self.seconds / (60 * plan.minutes), read))


@dataclass(frozen=True, slots=True)
class Said:
    """A log entry; losses (assistant's tokens, other tokens) are means since the last entry.

    So is `decided`, the share of forks between options where the right token was the likeliest.
    """

    step: int
    tokens: int
    seconds: float
    share: float
    rate: float
    answer_loss: float
    prompt_loss: float
    decided: float
    tokens_per_s: float


@dataclass(frozen=True, slots=True)
class Probed:
    """A log entry per checkpoint: the share of questions answered exactly.

    Attributes:
        step: Steps until then.
        tokens: Tokens until then.
        action: With new phrasings, commands.
        reading: With new phrasings, questions about listed sensors.
        unknown: With new phrasings, questions about others.
        layouts: With new layouts, questions about listed sensors.
        decisions: With new phrasings, decisions of all kinds.
    """

    step: int
    tokens: int
    action: float
    reading: float
    unknown: float
    layouts: float
    decisions: float


def rate_at(share: float, plan: Plan) -> float:
    """Return the learning rate: linear warm-up, then cosine decay."""
    if share < _WARM_UP:
        return plan.rate * max(share / _WARM_UP, 0.01)
    fall = (share - _WARM_UP) / (1 - _WARM_UP)
    return plan.rate * (_LAST_RATE + (1 - _LAST_RATE) * (1 + math.cos(math.pi * fall)) / 2)


def train(
    folder: Path,
    encoder: Encoder,
    shape: Shape,
    plan: Plan,
    on_step: Callable[[Said | Probed], None],
    weights: Mapping[str, NDArray[np.float32]] | None = None,
) -> Decoder:
    """Train until the budget is used, resuming from the folder's checkpoint if there is one.

    Args:
        folder: For checkpoint and log.
        encoder: Tokenizes the dialogues.
        shape: The model's dimensions.
        plan: How to train.
        on_step: Called with each log entry.
        weights: Weights to start with, by GGUF's names; None for new ones.
    """
    torch.manual_seed(plan.seed)
    torch.set_num_threads(plan.threads)
    decoder = Decoder(shape)
    if weights is None:
        begin(decoder)
    else:
        decoder.load_weights(weights)
    run = _Run(folder, encoder, decoder, _optimizer(decoder, plan), plan)
    run.resume()
    start = Position(run.progress.chunk, run.progress.batch)
    for batch in training_batches(encoder, plan.batch, plan.seed, start, plan.longest, plan.decisions):
        if run.progress.share(plan) >= 1:
            break
        run.learn(batch)
        if run.progress.step % _LOG_EVERY == 0:
            on_step(run.say())
        if run.progress.seconds - run.saved_s >= plan.save_every_s:
            run.save()
            on_step(run.probe())
    run.save()
    on_step(run.probe())
    return decoder


class _Run:
    """A training run: model, optimizer, progress and folder."""

    def __init__(
        self,
        folder: Path,
        encoder: Encoder,
        decoder: Decoder,
        optimizer: torch.optim.Optimizer,
        plan: Plan,
    ) -> None:
        self.progress = Progress()
        self.saved_s = 0.0
        self._folder, self._encoder, self._plan = folder, encoder, plan
        self._decoder, self._optimizer = decoder, optimizer
        self._begin = time.monotonic()
        self._losses: list[tuple[float, float, float]] = []
        self._said = (0, 0.0)

    def resume(self) -> None:
        """Load the folder's checkpoint, if it has one."""
        path = self._folder / CHECKPOINT
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        self._decoder.load_state_dict(state["weights"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress(**state["progress"])
        self.saved_s = self.progress.seconds
        self._said = self.progress.tokens, self.progress.seconds
        self._begin -= self.progress.seconds

    def learn(self, batch: Batch) -> None:
        """Train on one batch."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate_at(self.progress.share(self._plan), self._plan) * group["faster"]
        self._losses.append(_step(self._decoder, self._optimizer, batch, self._plan))
        progress = self.progress
        progress.step += 1
        progress.tokens += batch.size
        progress.seconds = time.monotonic() - self._begin
        progress.chunk, progress.batch = batch.after.chunk, batch.after.batch

    def say(self) -> Said:
        """Log losses and speed since the last entry."""
        progress, (tokens, seconds) = self.progress, self._said
        answer, prompt, decided = (sum(each) / len(each) for each in zip(*self._losses, strict=True))
        share = progress.share(self._plan)
        said = Said(
            step=progress.step,
            tokens=progress.tokens,
            seconds=round(progress.seconds, 1),
            share=round(share, 4),
            rate=rate_at(share, self._plan),
            answer_loss=round(answer, 4),
            prompt_loss=round(prompt, 4),
            decided=round(decided, 4),
            tokens_per_s=round((progress.tokens - tokens) / (progress.seconds - seconds)),
        )
        self._losses, self._said = [], (progress.tokens, progress.seconds)
        self._log(said)
        return said

    def probe(self) -> Probed:
        """Log the accuracy on new phrasings and layouts."""
        new = Split.PHRASINGS
        asked = (new, Task.ACTION), (new, Task.READING), (new, Task.UNKNOWN), (Split.LAYOUTS, Task.READING)
        shares = [round(_exact_share(self._decoder, self._encoder, *each), 3) for each in asked]
        shares.append(round(_right_share(self._decoder, self._encoder), 3))
        probed = Probed(self.progress.step, self.progress.tokens, *shares)
        self._log(probed)
        return probed

    def save(self) -> None:
        """Write a checkpoint atomically."""
        state = {
            "shape": asdict(self._decoder.shape),
            "weights": self._decoder.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "progress": asdict(self.progress),
        }
        path = self._folder / CHECKPOINT
        unfinished = path.with_suffix(".unfinished")
        torch.save(state, unfinished)
        unfinished.replace(path)
        self.saved_s = self.progress.seconds

    def _log(self, entry: Said | Probed) -> None:
        with (self._folder / LOG).open("a") as log:
            log.write(json.dumps(asdict(entry)) + "\n")


def _exact_share(decoder: Decoder, encoder: Encoder, split: Split, task: Task) -> float:
    """Return the share of exact answers: every right token is the likeliest one, given those before it."""
    asked = list(questions(_PROBED, [split], [task]))
    exact = 0
    for question in asked:
        encoded = encode(encoder, question.dialogue)
        tokens, spoken = torch.tensor([encoded.tokens]), torch.tensor([encoded.spoken])[:, 1:]
        with torch.inference_mode():
            likeliest = decoder.logits(decoder(tokens[:, :-1])[spoken]).argmax(-1)
        exact += bool((likeliest == tokens[:, 1:][spoken]).all())
    return exact / len(asked)


def _right_share(decoder: Decoder, encoder: Encoder) -> float:
    counts = tally(decoder, encoder, judgements(_PROBED, (Split.PHRASINGS,)), prior=0)
    kinds = [each for (_, _, name), each in counts.items() if name in set(QuestionKind)]
    return sum(each.right for each in kinds) / sum(each.asked for each in kinds)


def load_trained(folder: Path) -> tuple[Decoder, Encoder]:
    """Return a trained model and its encoder.

    Raises:
        FileNotFoundError: The folder has no checkpoint.
    """
    state = torch.load(folder / CHECKPOINT, weights_only=True)
    decoder = Decoder(Shape(**state["shape"]))
    decoder.load_state_dict(state["weights"])
    return decoder.eval(), Encoder(load_merges(folder / MERGES))


def average(folder: Path, weights: Mapping[str, NDArray[np.float32]], share: float) -> None:
    """Replace a run's weights by `share` of them and the rest of others.

    The middle of two runs of the same start is often better than either, and forgets less of what only one
    knows.

    Args:
        folder: The run, which has a checkpoint.
        weights: The others, by GGUF's names.
        share: From 0 to 1.
    """
    path = folder / CHECKPOINT
    state = torch.load(path, weights_only=True)
    other = Decoder(Shape(**state["shape"]))
    other.load_weights(weights)
    theirs = other.state_dict()
    state["weights"] = {
        name: share * ours + (1 - share) * theirs[name] for name, ours in state["weights"].items()
    }
    torch.save(state, path)


def _optimizer(decoder: Decoder, plan: Plan) -> torch.optim.Optimizer:
    matrices = [
        each for name, each in decoder.named_parameters() if each.dim() > 1 and "embedding" not in name
    ]
    others = [each for name, each in decoder.named_parameters() if each.dim() <= 1 or "embedding" in name]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": _DECAY, "faster": 1},
        {"params": others, "weight_decay": 0.0, "faster": _EMBEDDING_RATE},
    ]
    return torch.optim.AdamW(groups, lr=plan.rate, betas=_BETAS, fused=True)


def _step(
    decoder: Decoder, optimizer: torch.optim.Optimizer, batch: Batch, plan: Plan
) -> tuple[float, float, float]:
    """Train on one batch; return both losses, and the share of forks whose right token was the likeliest."""
    targets, spoken = batch.tokens[:, 1:], batch.spoken[:, 1:]
    others = batch.read[:, 1:] & ~spoken
    branches = None if batch.branches is None else batch.branches[:, :-1]
    hidden = decoder(batch.tokens[:, :-1], branches=branches)
    logits = decoder.logits(hidden[spoken])
    each = functional.cross_entropy(logits, targets[spoken], reduction="none")
    forks = batch.forks[:, 1:][spoken]
    right = (logits[forks].argmax(-1) == targets[spoken][forks]).float().mean().item() if forks.any() else 0.0
    weights = batch.weights[:, 1:][spoken]
    answer = (each * weights).sum() / weights.sum()
    prompt = _loss(decoder, hidden[others], targets[others]) if others.any() else torch.zeros(())
    optimizer.zero_grad()
    (answer + plan.prompt_weight * prompt).backward()
    torch.nn.utils.clip_grad_norm_(decoder.parameters(), _CLIP)
    optimizer.step()
    return answer.item(), prompt.item(), right


def _loss(decoder: Decoder, hidden: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(decoder.logits(hidden), targets)
