"""Answers the questions, with the weights in torch or with an exported model through the daemon."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch

from edgeassist.broker import BrokerOptions
from edgeassist.client.requester import Requester
from edgeassist.errors import ModelError
from edgeassist.protocol.events import Failed
from edgeassist.protocol.topics import Topics
from edgeassist.sandbox import HOST, PrivateBroker, PrivateDaemon
from scripts.train_tiny.model import Cache, Decoder
from scripts.train_tiny.questions import Question
from scripts.train_tiny.tokenizer import Encoder

MAX_TOKENS = 80
_TOGETHER = 64
_READY_S = 60.0
_TOPICS = Topics("edgeassist", "tiny")


def answer_in_torch(decoder: Decoder, encoder: Encoder, questions: Sequence[Question]) -> list[str]:
    """Return the greedy answers; prompts of equal length are batched."""
    prompts = [encoder.prompt(each.dialogue.system, each.dialogue.turns[0].user) for each in questions]
    same_length: dict[int, list[int]] = defaultdict(list)
    for number, prompt in enumerate(prompts):
        same_length[len(prompt)].append(number)
    answers = [""] * len(questions)
    for numbers in same_length.values():
        for start in range(0, len(numbers), _TOGETHER):
            some = numbers[start : start + _TOGETHER]
            with torch.inference_mode():
                said = _generate(decoder, torch.tensor([prompts[number] for number in some]), encoder.end)
            for number, tokens in zip(some, said, strict=True):
                answers[number] = encoder.decode(tokens)
    return answers


def _generate(decoder: Decoder, prompts: torch.Tensor, end: int) -> list[list[int]]:
    cache, tokens = Cache(), prompts
    said: list[list[int]] = [[] for _ in prompts]
    ended = [False] * len(said)
    for _ in range(MAX_TOKENS):
        following = decoder.logits(decoder(tokens, cache)[:, -1]).argmax(dim=-1)
        for row, token in enumerate(following.tolist()):
            ended[row] |= token == end
            if not ended[row]:
                said[row].append(token)
        if all(ended):
            break
        tokens = following[:, None]
    return said


def answer_over_mqtt(model: Path, questions: Sequence[Question], *, threads: int) -> list[str]:
    """Return an exported model's greedy answers, asked through a private daemon.

    Args:
        model: A GGUF file or a model folder.
        questions: The questions.
        threads: Compute threads.

    Raises:
        ModelError: The model can't be loaded.
    """
    with tempfile.TemporaryDirectory(prefix="train-tiny-") as name:
        folder = Path(name)
        with PrivateBroker(folder) as broker:
            environ = {
                "EDGEASSIST_DEVICE__NAME": _TOPICS.device,
                "EDGEASSIST_MQTT__HOST": HOST,
                "EDGEASSIST_MQTT__PORT": str(broker.port),
                "EDGEASSIST_MODEL__PATH": str(model.resolve()),
                "EDGEASSIST_ENGINE__THREADS": str(threads),
            }
            with PrivateDaemon(folder, environ) as daemon:
                options = BrokerOptions(host=HOST, port=broker.port, client_id=f"train-tiny-{os.getpid()}")
                answers = asyncio.run(_ask(options, questions))
                if answers is None:
                    raise ModelError(
                        f"{model} was not ready in {_READY_S:g} s:\n{daemon.log.read_text()[-2000:]}"
                    )
                return answers


async def _ask(options: BrokerOptions, questions: Sequence[Question]) -> list[str] | None:
    async with Requester(options, _TOPICS, name="evaluate") as client:
        if await client.wait_health(frozenset({"ready"}), _READY_S) is None:
            return None
        answers = []
        for question in questions:
            system = {"system": question.dialogue.system} if question.dialogue.system else {}
            ending = await client.answer(
                question.dialogue.turns[0].user, stream=False, temperature=0, max_tokens=MAX_TOKENS, **system
            )
            answers.append(ending.message if isinstance(ending, Failed) else ending.text)
        return answers
