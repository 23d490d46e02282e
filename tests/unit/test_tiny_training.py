"""Training: within its budget, on from where it was interrupted, towards what the engines compute.

Needs torch, which the extra `train` brings and development does not.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (the extra `train`)")

from edgeassist.engine.messages import ChatMessage  # noqa: E402 - after what may skip all of it
from edgeassist.trial_models.synthetic import Shape, tensors  # noqa: E402 - as above
from scripts.train_tiny import training  # noqa: E402 - as above
from scripts.train_tiny.answering import MAX_TOKENS, answer_in_torch  # noqa: E402 - as above
from scripts.train_tiny.batches import (  # noqa: E402 - as above
    PADDING,
    Position,
    encode_judgement,
    training_batches,
)
from scripts.train_tiny.beginning import begin  # noqa: E402 - as above
from scripts.train_tiny.dialogues.deciding.generator import make_judgement  # noqa: E402 - as above
from scripts.train_tiny.dialogues.generator import training_texts  # noqa: E402 - as above
from scripts.train_tiny.dialogues.split import Split  # noqa: E402 - as above
from scripts.train_tiny.export import Storage, export_gguf, export_onnx  # noqa: E402 - as above
from scripts.train_tiny.judging import option_scores  # noqa: E402 - as above
from scripts.train_tiny.model import Cache, Decoder  # noqa: E402 - as above
from scripts.train_tiny.questions import questions  # noqa: E402 - as above
from scripts.train_tiny.restore import read_merges, read_weights  # noqa: E402 - as above
from scripts.train_tiny.shape import tiny_shape  # noqa: E402 - as above
from scripts.train_tiny.tokenizer import Encoder, learn_merges, save_merges  # noqa: E402 - as above
from scripts.train_tiny.training import Plan, Probed, Progress, Said, rate_at, train  # noqa: E402 - as above
from tests.integration.driver import Engine  # noqa: E402 - as above

MERGES = learn_merges(training_texts(300), 600)
ENCODER = Encoder(MERGES)
SMALL = Shape(
    name="small",
    layers=2,
    width=64,
    ffn=128,
    heads=4,
    kv_heads=2,
    vocabulary=ENCODER.vocabulary.size,
    context=1024,
    rope_base=1e4,
)
PLAN = Plan(minutes=60, tokens=60_000, batch=1024, rate=5e-3, threads=1)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that ended."""
    folder = tmp_path_factory.mktemp("run")
    save_merges(folder / training.MERGES, MERGES)
    told: list[object] = []
    train(folder, ENCODER, SMALL, PLAN, told.append)
    assert {type(each) for each in told} == {Said, Probed}
    return folder


def test_training_stops_at_its_budget_of_tokens_and_has_learned(run: Path) -> None:
    first = torch.load(run / training.CHECKPOINT, weights_only=True)["progress"]
    assert 60_000 <= first["tokens"] < 61_100
    assert "answer_loss" in (run / training.LOG).read_text()


def test_an_interrupted_run_ends_as_one_that_was_not(run: Path, tmp_path: Path) -> None:
    def interrupt(told: object) -> None:
        if isinstance(told, Said):
            raise KeyboardInterrupt

    often = replace(PLAN, save_every_s=0)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, ENCODER, SMALL, often, interrupt)
    resumed = train(tmp_path, ENCODER, SMALL, PLAN, lambda _: None)
    whole = torch.load(run / training.CHECKPOINT, weights_only=True)["weights"]
    for name, values in resumed.state_dict().items():
        assert torch.equal(values, whole[name]), name


def test_a_batch_follows_where_another_ended() -> None:
    batches = training_batches(ENCODER, 2048, 0, Position())
    first, second = next(batches), next(batches)
    again = next(training_batches(ENCODER, 2048, 0, first.after))
    assert torch.equal(again.tokens, second.tokens)
    assert first.tokens.numel() <= 2048
    assert first.size == int((first.tokens != PADDING).sum())
    assert not (first.spoken & (first.tokens == PADDING)).any()


def test_of_decisions_only_answers_are_learned_and_where_options_part_most() -> None:
    batch = next(training_batches(ENCODER, 2048, 0, Position(), longest=400, decisions=1.0))
    assert batch.branches is not None
    assert not batch.read.any()
    assert batch.forks.any()
    assert not (batch.forks & ~batch.spoken).any()
    assert batch.weights[batch.forks].min() > batch.weights[batch.spoken & ~batch.forks].max()


def longest_of(chunk: int) -> int:
    batches = training_batches(ENCODER, 2048, 0, Position(chunk))
    until_then = takewhile(lambda each: each.after.chunk == chunk, batches)
    return max(int(batch.tokens.shape[1]) for batch in until_then)


def test_short_dialogues_come_first() -> None:
    assert longest_of(0) <= 120 < longest_of(10) <= 280 < longest_of(40)


def test_a_model_copies_before_it_has_learned_anything() -> None:
    torch.manual_seed(0)
    decoder = Decoder(tiny_shape())
    begin(decoder)
    row = torch.randperm(2000)[:100].repeat(2)
    with torch.inference_mode():
        likeliest = decoder.logits(decoder(row[None]))[0].argmax(-1)
    assert (likeliest[100:-1] == row[101:]).float().mean() > 0.6


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [rate_at(share, PLAN) for share in (0.0, 0.02, 0.5, 1.0)]
    assert rates[0] < rates[1] > rates[2] > rates[3] > 0
    assert rates[1] == PLAN.rate


@pytest.mark.parametrize(
    ("tokens", "seconds", "share"), [(0, 0, 0), (30_000, 0, 0.5), (0, 1800, 0.5), (90_000, 9, 1)]
)
def test_the_share_of_the_budget_is_that_of_what_is_scarcer(
    tokens: int, seconds: float, share: float
) -> None:
    assert Progress(tokens=tokens, seconds=seconds).share(PLAN) == share


def test_tokens_one_by_one_give_what_they_give_together() -> None:
    decoder = Decoder(SMALL).eval()
    tokens = torch.randint(SMALL.vocabulary, (2, 12))
    with torch.inference_mode():
        together, cache = decoder(tokens), Cache()
        parts = [decoder(tokens[:, :7], cache)]
        parts += [decoder(tokens[:, at : at + 1], cache) for at in range(7, 12)]
    assert torch.allclose(torch.cat(parts, 1), together, atol=1e-5)


def test_the_weights_have_the_names_and_shapes_of_an_export() -> None:
    weights = Decoder(SMALL).weights()
    assert {name: each.shape for name, each in weights.items()} == {
        each.name: each.dimensions for each in tensors(SMALL)
    }
    assert all(each.dtype == np.float32 for each in weights.values())


@pytest.mark.parametrize("backend", ["llama", "onnx"])
def test_the_engine_answers_as_torch_does(run: Path, tmp_path: Path, backend: str) -> None:
    decoder, encoder = training.load_trained(run)
    asked = list(questions(1, [Split.SEEN, Split.ALL]))
    export = {"llama": export_gguf, "onnx": export_onnx}[backend]
    export(tmp_path / "model", decoder.shape, decoder.weights(), encoder.vocabulary, Storage.SINGLE)
    told = []
    with Engine() as engine:
        engine.load(backend, tmp_path / "model", context=1024)
        for each in asked:
            system = (ChatMessage("system", each.dialogue.system),) if each.dialogue.system else ()
            messages = (*system, ChatMessage("user", each.dialogue.turns[0].user))
            told.append(engine.answer("", messages=messages, max_tokens=MAX_TOKENS).text)
    expected = answer_in_torch(decoder, encoder, asked)
    whole = [pair for pair in zip(told, expected, strict=True) if "\ufffd" not in pair[1]]
    assert len(whole) > len(asked) / 2
    # A model that has hardly learned is often undecided, and the engines round otherwise than torch.
    assert sum(text == right for text, right in whole) >= 0.9 * len(whole)


@pytest.mark.parametrize("backend", ["llama", "onnx"])
def test_the_engine_scores_options_as_torch_does(run: Path, tmp_path: Path, backend: str) -> None:
    decoder, encoder = training.load_trained(run)
    export = {"llama": export_gguf, "onnx": export_onnx}[backend]
    export(tmp_path / "model", decoder.shape, decoder.weights(), encoder.vocabulary, Storage.SINGLE)
    with Engine() as engine:
        engine.load(backend, tmp_path / "model", context=1024)
        for number in range(6):
            judgement = make_judgement(number)
            told = engine.decide(
                judgement.state,
                *(each.to_engine() for each in judgement.asked),
                instructions=judgement.instructions,
                prior=1.0,
            )
            for scores, expected in zip(
                told.scores, option_scores(decoder, encoder, judgement, 1.0), strict=True
            ):
                assert scores == pytest.approx(expected, abs=0.1)


def test_questions_that_share_a_state_learn_what_each_alone_would(run: Path) -> None:
    decoder, encoder = training.load_trained(run)
    judgement = make_judgement(3)
    together = encode_judgement(encoder, judgement)
    assert together.branches is not None
    with torch.inference_mode():
        hidden = decoder(torch.tensor([together.tokens]), branches=torch.tensor([together.branches]))[0]
        for number, messages in enumerate(judgement.prompts(), 1):
            alone = decoder(torch.tensor([encoder.conversation(messages)]))[0, -1]
            asked = [at for at, branch in enumerate(together.branches) if branch == number]
            last = next(at for at in asked if together.spoken[at]) - 1
            assert torch.allclose(hidden[last], alone, atol=1e-4)


def test_training_goes_on_from_the_weights_and_the_tokenizer_of_an_export(run: Path, tmp_path: Path) -> None:
    decoder, encoder = training.load_trained(run)
    export_gguf(tmp_path / "tiny.gguf", SMALL, decoder.weights(), encoder.vocabulary, Storage.SINGLE)
    assert read_merges(tmp_path / "tiny.gguf") == MERGES
    weights = read_weights(tmp_path / "tiny.gguf")
    at_once = replace(PLAN, tokens=1)
    further = train(tmp_path, ENCODER, SMALL, replace(at_once, rate=0.0), lambda _: None, weights)
    for name, values in further.state_dict().items():
        assert torch.equal(values, decoder.state_dict()[name]), name


def test_eight_bits_are_read_back_as_the_engines_read_them(run: Path, tmp_path: Path) -> None:
    decoder, encoder = training.load_trained(run)
    export_gguf(tmp_path / "tiny.gguf", SMALL, decoder.weights(), encoder.vocabulary, Storage.EIGHT_BITS)
    again = Decoder(SMALL)
    again.load_weights(read_weights(tmp_path / "tiny.gguf"))
    export_gguf(tmp_path / "again.gguf", SMALL, again.weights(), encoder.vocabulary, Storage.EIGHT_BITS)
    assert (tmp_path / "again.gguf").read_bytes() == (tmp_path / "tiny.gguf").read_bytes()


def test_longer_dialogues_can_come_first() -> None:
    batches = training_batches(ENCODER, 2048, 0, Position(), longest=400)
    until_then = takewhile(lambda each: each.after.chunk == 0, batches)
    assert 120 < max(int(batch.tokens.shape[1]) for batch in until_then) <= 400
