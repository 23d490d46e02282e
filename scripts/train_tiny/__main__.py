"""Makes and measures the model: `python -m scripts.train_tiny --help`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from scripts.train_tiny.dialogues.deciding.generator import make_judgement
from scripts.train_tiny.dialogues.generator import make_dialogue, training_texts
from scripts.train_tiny.dialogues.split import Split

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)

# Dialogues that the tokenizer is trained on.
_TOKENIZER_DIALOGUES = 20_000

Run = Annotated[Path, typer.Option(help="The folder of the run: merges, checkpoint, log.")]
Threads = Annotated[int, typer.Option(help="Compute threads.")]
_RUN = Path("build/tiny")


@app.command()
def show(
    count: Annotated[int, typer.Option(help="How many.")] = 5,
    first: Annotated[int, typer.Option(help="The number of the first.")] = 0,
) -> None:
    """Print training dialogues and decisions."""
    for number in range(first, first + count):
        dialogue = make_dialogue(number)
        print(f"--- {number} ({dialogue.language})\n{dialogue.system}")
        for turn in dialogue.turns:
            print(f"> {turn.user}\n< {turn.reply}")
        judgement = make_judgement(number)
        print(f"=== {number} ({judgement.language})\n{judgement.instructions}")
        for messages, asked in zip(judgement.prompts(), judgement.asked, strict=True):
            print(f"> {messages[-1].content}\n< {asked.options[asked.right]}")


@app.command()
def train(
    run: Run = _RUN,
    minutes: Annotated[float, typer.Option(help="Time budget; includes the time before a resume.")] = 85,
    tokens: Annotated[int | None, typer.Option(help="Token budget; makes a run repeatable.")] = None,
    threads: Threads = 2,
    batch: Annotated[int, typer.Option(help="Tokens per step.")] = 2048,
    rate: Annotated[float, typer.Option(help="The highest learning rate.")] = 2e-3,
    seed: Annotated[int, typer.Option(help="Seed of weights and dialogues.")] = 0,
    longest: Annotated[int, typer.Option(help="Length limit of the first dialogues, in tokens.")] = 120,
    start: Annotated[
        Path | None, typer.Option(help="An exported GGUF file whose tokenizer and weights to start with.")
    ] = None,
    decisions: Annotated[float, typer.Option(help="How many of the dialogues are decisions, 0 to 1.")] = 0,
) -> None:
    """Train the tokenizer, unless the run has one, then the model; resumes an interrupted run."""
    from scripts.train_tiny import training  # noqa: PLC0415 - torch takes seconds to import
    from scripts.train_tiny.restore import read_merges, read_weights  # noqa: PLC0415 - as above
    from scripts.train_tiny.shape import VOCABULARY, tiny_shape  # noqa: PLC0415 - as above
    from scripts.train_tiny.tokenizer import Encoder, learn_merges, load_merges, save_merges  # noqa: PLC0415

    run.mkdir(parents=True, exist_ok=True)
    if not (run / training.MERGES).exists():
        texts = training_texts(_TOKENIZER_DIALOGUES)
        save_merges(run / training.MERGES, read_merges(start) if start else learn_merges(texts, VOCABULARY))
    encoder = Encoder(load_merges(run / training.MERGES))
    plan = training.Plan(
        minutes,
        tokens=tokens,
        batch=batch,
        rate=rate,
        threads=threads,
        seed=seed,
        longest=longest,
        decisions=decisions,
    )
    training.train(
        run,
        encoder,
        tiny_shape(encoder.vocabulary.size),
        plan,
        lambda said: print(said, flush=True),
        read_weights(start) if start else None,
    )


@app.command()
def average(
    start: Annotated[Path, typer.Option(help="An exported GGUF file: the other weights.")],
    run: Run = _RUN,
    share: Annotated[float, typer.Option(min=0, max=1, help="How much of the run's weights.")] = 0.5,
) -> None:
    """Replace the run's weights by a mixture with others, usually those that it started with."""
    from scripts.train_tiny import training  # noqa: PLC0415 - torch takes seconds to import
    from scripts.train_tiny.restore import read_weights  # noqa: PLC0415 - as above

    training.average(run, read_weights(start), share)


@app.command()
def export(
    run: Run = _RUN,
    to: Annotated[Path, typer.Option(help="The folder for both models.")] = Path("build/tiny/export"),
    storage: Annotated[str, typer.Option(help="`eight-bits` or `single` precision.")] = "eight-bits",
) -> None:
    """Write the trained model as a GGUF file and as an ONNX Runtime GenAI folder."""
    from scripts.train_tiny.export import Storage, export_gguf, export_onnx  # noqa: PLC0415 - as above
    from scripts.train_tiny.shape import NAME  # noqa: PLC0415 - as above
    from scripts.train_tiny.training import load_trained  # noqa: PLC0415 - as above

    decoder, encoder = load_trained(run)
    paths = to / f"{NAME}.gguf", to / f"{NAME}-onnx"
    if paths[1].exists():
        shutil.rmtree(paths[1])
    for write, path in zip((export_gguf, export_onnx), paths, strict=True):
        write(path, decoder.shape, decoder.weights(), encoder.vocabulary, Storage(storage))
        files = [path] if path.is_file() else list(path.iterdir())
        print(f"{path}: {sum(file.stat().st_size for file in files) / 1e6:.2f} MB")


@app.command()
def evaluate(
    run: Run = _RUN,
    model: Annotated[
        list[Path] | None,
        typer.Option(help="Exported models to ask through the daemon; without one, the weights in torch."),
    ] = None,
    count: Annotated[int, typer.Option(help="Questions of each kind, language and split.")] = 100,
    split: Annotated[list[Split] | None, typer.Option(help="Only these splits.")] = None,
    failures: Annotated[int, typer.Option(help="How many of each kind to print.")] = 3,
    decisions: Annotated[int, typer.Option(help="Decisions of each language and split, in torch.")] = 0,
    prior: Annotated[
        float, typer.Option(help="How much of a decision about nothing is taken off the others.")
    ] = 1.0,
    threads: Threads = 2,
) -> None:
    """Measure accuracy on questions of each kind, in both languages, with new phrasings, rooms and values."""
    import torch  # noqa: PLC0415 - as above

    from scripts.train_tiny import answering, judging, questions  # noqa: PLC0415 - as above
    from scripts.train_tiny.training import load_trained  # noqa: PLC0415 - as above

    asked = list(questions.questions(count, split or questions.MEASURED))
    given: dict[str, list[str]] = {}
    if model:
        for path in model:
            given[path.name] = answering.answer_over_mqtt(path, asked, threads=threads)
    else:
        torch.set_num_threads(threads)
        given["torch"] = answering.answer_in_torch(*load_trained(run), asked)
    for name, answers in given.items():
        scores = questions.tally(zip(asked, answers, strict=True), failures=failures)
        print(f"\n## {name}\n\n{questions.table(scores)}")
        print(f"\nFields of actions that were wrong: {dict(questions.wrong_fields(scores))}\n")
        for key, score in scores.items():
            for user, right, answer in score.failures:
                print(f"- {' '.join(key)}: {user!r} is {right!r}, answered {answer!r}")
    if decisions and not model:
        judged = judging.judgements(decisions, split or judging.MEASURED)
        print(f"\n{judging.table(judging.tally(*load_trained(run), judged, prior=prior))}")
    first, *others = given.values()
    for name, answers in zip(list(given)[1:], others, strict=True):
        same = sum(map(str.__eq__, first, answers))
        print(f"\n{name} says the same as {next(iter(given))}: {100 * same / len(asked):.2f} %")


if __name__ == "__main__":
    app()
