"""Training: from random weights, within a budget of time or tokens, and on from where it was interrupted."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from edgeassist.models.synthetic import Shape
from scripts.train_tiny.batches import PADDING, Batch, Position, training_batches
from scripts.train_tiny.model import Decoder
from scripts.train_tiny.tokenizer import Encoder, load_merges

MERGES = "merges.txt"
CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"

_SAVE_EVERY_S = 300
_SAY_EVERY = 50
_WARM_UP = 0.02
_LAST_RATE = 0.02
_DECAY = 0.1
_BETAS = (0.9, 0.98)
_CLIP = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train.

    Attributes:
        minutes: The most time to take; what an interrupted run took counts.
        tokens: The most tokens to read; None for as many as time allows. With it, the same plan gives the
            same model on the same machine; without it, the learning rate follows the clock.
        batch: Tokens of a step.
        rate: The highest learning rate.
        prompt_weight: What a token that is not the assistant's counts in the loss.
        threads: Of torch.
        seed: Of the weights and the dialogues.
    """

    minutes: float
    tokens: int | None = None
    batch: int = 3072
    rate: float = 2e-3
    prompt_weight: float = 0.1
    threads: int = 2
    seed: int = 0


@dataclass(slots=True)
class Progress:
    """How far training is."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    chunk: int = 0
    batch: int = 0

    def share(self, plan: Plan) -> float:
        """Return how much of the budget is used, 0 to 1."""
        read = self.tokens / plan.tokens if plan.tokens else 0.0
        return min(1.0, max(self.seconds / (60 * plan.minutes), read))


@dataclass(frozen=True, slots=True)
class Said:
    """What the log has of a step; losses (of the assistant's tokens, of others) are means since the last."""

    step: int
    tokens: int
    seconds: float
    share: float
    rate: float
    answer_loss: float
    prompt_loss: float
    tokens_per_s: float


def rate_at(share: float, plan: Plan) -> float:
    """Return the learning rate: a short rise, then half a cosine down to almost nothing.

    With a token budget, the rise and fall follow the tokens; otherwise time.
    """
    if share < _WARM_UP:
        return plan.rate * max(share / _WARM_UP, 0.01)
    fall = (share - _WARM_UP) / (1 - _WARM_UP)
    return plan.rate * (_LAST_RATE + (1 - _LAST_RATE) * (1 + math.cos(math.pi * fall)) / 2)


def train(
    folder: Path, encoder: Encoder, shape: Shape, plan: Plan, on_step: Callable[[Said], None]
) -> Decoder:
    """Train until the budget is used; goes on with the checkpoint that the folder has.

    Args:
        folder: Gets checkpoint and log.
        encoder: Makes tokens of the dialogues.
        shape: Of a new model.
        plan: How.
        on_step: Told now and then.
    """
    torch.manual_seed(plan.seed)
    torch.set_num_threads(plan.threads)
    decoder = Decoder(shape)
    optimizer = _optimizer(decoder, plan)
    progress = _resume(folder / CHECKPOINT, decoder, optimizer)
    batches = training_batches(encoder, plan.batch, plan.seed, Position(progress.chunk, progress.batch))
    begin, taken = time.monotonic() - progress.seconds, progress.seconds
    saved, losses, read = progress.seconds, [], progress.tokens
    while progress.share(plan) < 1:
        batch = next(batches)
        rate = rate_at(progress.share(plan), plan)
        for group in optimizer.param_groups:
            group["lr"] = rate
        losses.append(_step(decoder, optimizer, batch, plan))
        progress.step += 1
        progress.tokens += batch.size
        progress.seconds = time.monotonic() - begin
        progress.chunk, progress.batch = batch.after.chunk, batch.after.batch
        if progress.step % _SAY_EVERY == 0:
            answer, prompt = (sum(each) / len(each) for each in zip(*losses, strict=True))
            speed = (progress.tokens - read) / (progress.seconds - taken)
            said = Said(
                step=progress.step,
                tokens=progress.tokens,
                seconds=round(progress.seconds, 1),
                share=round(progress.share(plan), 4),
                rate=rate,
                answer_loss=round(answer, 4),
                prompt_loss=round(prompt, 4),
                tokens_per_s=round(speed),
            )
            with (folder / LOG).open("a") as log:
                log.write(json.dumps(asdict(said)) + "\n")
            on_step(said)
            losses, read, taken = [], progress.tokens, progress.seconds
        if progress.seconds - saved > _SAVE_EVERY_S:
            _save(folder / CHECKPOINT, decoder, optimizer, progress)
            saved = progress.seconds
    _save(folder / CHECKPOINT, decoder, optimizer, progress)
    return decoder


def load_trained(folder: Path) -> tuple[Decoder, Encoder]:
    """Return a trained model and what makes its tokens.

    Raises:
        FileNotFoundError: Nothing was trained there.
    """
    state = torch.load(folder / CHECKPOINT, weights_only=True)
    decoder = Decoder(Shape(**state["shape"]))
    decoder.load_state_dict(state["weights"])
    return decoder.eval(), Encoder(load_merges(folder / MERGES))


def _optimizer(decoder: Decoder, plan: Plan) -> torch.optim.Optimizer:
    matrices = [
        each for name, each in decoder.named_parameters() if each.dim() > 1 and "embedding" not in name
    ]
    others = [each for name, each in decoder.named_parameters() if each.dim() <= 1 or "embedding" in name]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": _DECAY},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=plan.rate, betas=_BETAS, fused=True)


def _step(
    decoder: Decoder, optimizer: torch.optim.Optimizer, batch: Batch, plan: Plan
) -> tuple[float, float]:
    """Learn from one batch; return the losses of the assistant's tokens and of the others."""
    targets, spoken = batch.tokens[:, 1:], batch.spoken[:, 1:]
    told = (targets != PADDING) & ~spoken
    hidden = decoder(batch.tokens[:, :-1])
    answer = _loss(decoder, hidden[spoken], targets[spoken])
    prompt = _loss(decoder, hidden[told], targets[told])
    optimizer.zero_grad()
    (answer + plan.prompt_weight * prompt).backward()
    torch.nn.utils.clip_grad_norm_(decoder.parameters(), _CLIP)
    optimizer.step()
    return answer.item(), prompt.item()


def _loss(decoder: Decoder, hidden: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(decoder.logits(hidden), targets)


def _save(path: Path, decoder: Decoder, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    state = {
        "shape": asdict(decoder.shape),
        "weights": decoder.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": asdict(progress),
    }
    unfinished = path.with_suffix(".unfinished")
    torch.save(state, unfinished)
    unfinished.replace(path)


def _resume(path: Path, decoder: Decoder, optimizer: torch.optim.Optimizer) -> Progress:
    if not path.exists():
        return Progress()
    state = torch.load(path, weights_only=True)
    decoder.load_state_dict(state["weights"])
    optimizer.load_state_dict(state["optimizer"])
    return Progress(**state["progress"])
