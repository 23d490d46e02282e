"""`edgeassist decide`: questions about a state, answered with probabilities."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeassist import harmless
from edgeassist.cli.ask import BUSY_S
from edgeassist.cli.bars import lines_of
from edgeassist.cli.connect import check_online, connect
from edgeassist.cli.evaluation import Choices, run_evaluation
from edgeassist.cli.files import read_json, read_text
from edgeassist.cli.questions import questions_of
from edgeassist.cli.whom import AsksFleet, GroupName, topics_of_whom
from edgeassist.errors import BrokerError, ExitStatus, InvalidRequestError
from edgeassist.protocol.events import Done, Failed
from edgeassist.protocol.topics import FleetTopics
from edgeassist.settings import Settings, load_settings


def decide(
    context: typer.Context,
    state: Annotated[
        str | None,
        typer.Argument(help="What is judged; - reads it from standard input.", show_default=False),
    ] = None,
    choice: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]A,B[: TEXT]",
            help="One of these: `kitchen,bath`, or `room=kitchen,bath: Which room is meant?`",
            show_default=False,
        ),
    ] = None,
    yes_no: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]TEXT", help="Yes or no: `Does somebody have to act today?`", show_default=False
        ),
    ] = None,
    score: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]LOW..HIGH[:STEP][: TEXT]",
            help="A number: `0..10:2`, or levels: `load=idle,light,heavy: How heavy is the load?`",
            show_default=False,
        ),
    ] = None,
    state_file: Annotated[
        Path | None,
        typer.Option(
            help="Read the state from this file; it is sent as JSON if it is .json.", show_default=False
        ),
    ] = None,
    instructions: Annotated[
        str | None, typer.Option(help="What to know for all questions.", show_default=False)
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Be sure only if the first two are so far apart, 0 to 1.", show_default=False),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds, waiting included.", show_default=False)
    ] = None,
    cases: Annotated[
        str | None,
        typer.Option(
            "--eval",
            metavar="FILE.jsonl|builtin",
            help="Ask the cases of this file, and say how often the answers are right and how honest.",
            show_default=False,
        ),
    ] = None,
    fit: Annotated[
        bool,
        typer.Option(
            "--fit", help="With --eval: fit temperatures and a threshold to a half of them, print settings."
        ),
    ] = False,
    wanted: Annotated[
        float | None,
        typer.Option(
            min=0.5,
            max=1.0,
            help="With --fit: the share that is right from the threshold on; 0.9.",
            show_default=False,
        ),
    ] = None,
    robust: Annotated[
        bool,
        typer.Option("--robust", help="With --eval: ask them in other words too, and compare the picks."),
    ] = False,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="json", help="With --eval: compare with the same model writing JSON.", show_default=False
        ),
    ] = None,
    fleet: AsksFleet = False,
    group: GroupName = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Have questions about a state answered with probabilities, without any text that is written.

    The options that ask may come several times; an answer has its question's name. The exit status tells how
    it ended: 0 all answers are sure, 1 one abstains (its margin is under the threshold), 2 the request was
    wrong, 69 no broker, device or model, 75 worth trying again. Of a fleet, standard error tells which box
    has answered.

    Example: `edgeassist decide "The lamp over the stove is broken" --choice kitchen,bath,hall`

    Example: `tail -n 20 app.log | edgeassist decide - --yes-no "Is somebody needed?" --score 0..10`

    Example: `edgeassist decide --eval builtin --fit`
    """
    loaded = load_settings(context.obj)
    choices = Choices(fit=fit, wanted=wanted, robust=robust, against=against)
    if cases is None and choices != Choices():
        raise InvalidRequestError("--fit, --wanted, --robust and --against go with --eval")
    if cases is not None:
        asked = (
            state,
            state_file,
            choice,
            yes_no,
            score,
            instructions,
            threshold,
            timeout,
            group,
            fleet or None,
        )
        if any(each is not None for each in asked):
            raise InvalidRequestError("--eval: its cases say what is asked; leave all else out")
        run_evaluation(loaded.settings, cases, choices, as_json=as_json)
        return
    questions = questions_of(choice or (), yes_no or (), score or ())
    fields: dict[str, Any] = {
        "state": _state(state, state_file),
        "questions": questions,
        "instructions": instructions,
        "threshold": threshold,
        "timeout_s": timeout,
    }
    given = {key: value for key, value in fields.items() if value is not None}
    try:
        asking = _ask(loaded.settings, given, group, fleet=fleet, as_json=as_json)
        answers = asyncio.run(asking).answers or {}
    except KeyboardInterrupt:
        raise typer.Exit(ExitStatus.FAILURE) from None
    if not as_json:
        width = shutil.get_terminal_size().columns
        for line in lines_of(questions, answers, width=width, blocks=_shows_blocks()):
            print(harmless.line(line))
    if any(answer.abstain for answer in answers.values()):
        raise typer.Exit(ExitStatus.FAILURE)


async def _ask(
    settings: Settings, fields: dict[str, Any], group: str | None, *, fleet: bool, as_json: bool
) -> Done:
    topics = await topics_of_whom(settings, group, fleet=fleet)
    async with connect(settings, topics) as client:
        await check_online(client, settings)
        async for event in client.decide(busy_s=fields.get("timeout_s", BUSY_S), **fields):
            if as_json:
                print(harmless.in_json(event.model_dump_json(exclude_none=True)), flush=True)
            if isinstance(event, Failed):
                raise event.error()
            if isinstance(event, Done):
                if isinstance(topics, FleetTopics) and not as_json:
                    print(f"{harmless.line(event.device)} has answered", file=sys.stderr)
                return event
    raise BrokerError("the answer has no terminal event")


def _state(state: str | None, file: Path | None) -> Any:
    if (state is None) == (file is None):
        raise InvalidRequestError(
            "give what is to be judged: as the argument (- reads standard input), or with --state-file"
        )
    if file is not None:
        return (read_json if file.suffix == ".json" else read_text)("--state-file", file)
    return sys.stdin.read() if state == "-" else state


def _shows_blocks() -> bool:
    try:
        "█▏".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
