"""`edgeassist decide --eval`: how right decisions are on cases with known answers, and what fits them."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import typer
from pydantic import TypeAdapter, ValidationError

from edgeassist.cli.ask import BUSY_S
from edgeassist.cli.connect import check_online, connect
from edgeassist.client.reading import read_document
from edgeassist.client.requester import Requester
from edgeassist.errors import (
    BrokerError,
    ExitStatus,
    InvalidRequestError,
    ModelLoadingError,
    TooLargeError,
    UnsupportedError,
)
from edgeassist.evaluation.evaluate import WANTED, evaluate
from edgeassist.evaluation.lines import lines_of
from edgeassist.evaluation.report import Asked, Report, Told, entry_of
from edgeassist.protocol.calibration import Calibration
from edgeassist.protocol.decisions import Kind
from edgeassist.protocol.events import Done, Failed
from edgeassist.settings import Settings

AGAINST_JSON = "json"
# How long to wait before looking again whether the model is loaded.
_LOOK_S = 0.2


def show(report: Report, *, as_json: bool) -> None:
    """Print a report; exit with a failure if a case could not be asked."""
    if as_json:
        print(to_json(report))
    else:
        for line in lines_of(report):
            print(line)
    if report.refused:
        raise typer.Exit(ExitStatus.FAILURE)


def to_json(report: Report) -> str:
    """Return a report as JSON, with the line of the shipped table where there is a fit."""
    date = datetime.now(UTC).date().isoformat()
    return json.dumps({**dataclasses.asdict(report), "entry": entry_of(report, date=date)}, indent=2)


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person wants beside the figures, as the command's options say it."""

    fit: bool = False
    wanted: float | None = None
    robust: bool = False
    against: str | None = None


def run_evaluation(settings: Settings, name: str, choices: Choices, *, as_json: bool) -> None:
    """Evaluate the device of the settings (`evaluate`), and print the report.

    Raises:
        EdgeAssistError: There is no report.
        typer.Exit: A case could not be asked.
    """
    if choices.against not in {None, AGAINST_JSON}:
        raise InvalidRequestError(f"--against: {choices.against!r} is not {AGAINST_JSON!r}")
    if choices.wanted is not None and not choices.fit:
        raise InvalidRequestError("--wanted goes with --fit")

    async def run() -> Report:
        async with connect(settings) as client:
            await check_online(client, settings)
            return await evaluate(
                DeviceAtBroker(client),
                name,
                fit=choices.fit,
                wanted=choices.wanted or WANTED,
                robust=choices.robust,
                against_json=choices.against == AGAINST_JSON,
                on_step=_on_terminal,
            )

    try:
        report = asyncio.run(run())
    except KeyboardInterrupt:
        raise typer.Exit(ExitStatus.FAILURE) from None
    finally:
        _on_terminal("")
    show(report, as_json=as_json)


class DeviceAtBroker:
    """The device of a client."""

    def __init__(self, client: Requester) -> None:
        self._client = client

    async def asked(self) -> Asked:
        """Return the model, and how its scores become probabilities.

        Raises:
            ModelLoadingError: It has no model after `BUSY_S`.
            UnsupportedError: Its model makes no decisions.
        """
        root = self._client.topics.root
        until = asyncio.get_running_loop().time() + BUSY_S
        while (model := await self._model()) is None:
            if asyncio.get_running_loop().time() >= until:
                raise ModelLoadingError(f"{root} has no model yet: `edgeassist status` says how far it is")
            await asyncio.sleep(_LOOK_S)
        name, calibration = str(model.get("name")), model.get("calibration")
        if calibration is None:
            raise UnsupportedError(f"{name}, on {root}, makes no decisions")
        try:
            known = TypeAdapter(Calibration).validate_python(calibration)
        except ValidationError:
            raise BrokerError(
                f"{root}/info does not say how {name} is calibrated: is the device of another version?"
            ) from None
        temperatures = {kind: known.temperature(kind) for kind in Kind}
        return Asked(name, temperatures, known.threshold, known.prior)

    async def decide(self, fields: dict[str, Any]) -> Mapping[str, Told]:
        """Return the answers to a decision, by the questions' names.

        Raises:
            TooLargeError: The broker does not take all of their probabilities.
        """
        async for event in self._client.decide(busy_s=BUSY_S, priority="low", **fields):
            if isinstance(event, Failed):
                raise event.error()
            if isinstance(event, Done) and event.answers is not None:
                answers = {name: answer.probabilities or {} for name, answer in event.answers.items()}
                if all(answers.values()):
                    return answers
                raise TooLargeError("the probabilities are more than the broker takes: ask less at once")
        raise BrokerError("the answer has no decision")

    async def _model(self) -> dict[str, Any] | None:
        info = read_document(await self._client.state(self._client.topics.info))
        model = info.get("model")
        return model if isinstance(model, dict) else None

    async def write(self, fields: dict[str, Any]) -> str:
        """Return the text of an answer to a prompt."""
        end = await self._client.answer(busy_s=BUSY_S, stream=False, priority="low", **fields)
        if isinstance(end, Failed):
            raise end.error()
        return end.text


def _on_terminal(what: str) -> None:
    """Show how far it is, where standard error is a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)
