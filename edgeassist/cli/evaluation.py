"""`edgeassist decide --eval`: how right decisions are on cases with known answers, and what fits them."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol, TypeVar

import typer

from edgeassist.cli.ask import BUSY_S
from edgeassist.cli.connect import connect
from edgeassist.client.requester import Requester
from edgeassist.errors import (
    BrokerError,
    Code,
    ConfigurationError,
    EdgeAssistError,
    ExitStatus,
    InvalidRequestError,
    ModelLoadingError,
    TooLargeError,
    UnsupportedError,
)
from edgeassist.evaluation.cases import Case, digest_of, read_cases, splits_of
from edgeassist.evaluation.generation import json_request, picks_of
from edgeassist.evaluation.lines import lines_of
from edgeassist.evaluation.report import (
    Asked,
    Decided,
    FitReport,
    Report,
    Told,
    changed_share,
    entry_of,
    figures_of,
    fit_report,
    written_shares,
)
from edgeassist.evaluation.variants import Variation, vary
from edgeassist.protocol.decisions import Kind
from edgeassist.protocol.events import Done, Failed
from edgeassist.protocol.state import Availability
from edgeassist.settings import Settings

BUILTIN = "builtin"
# Asked at once: enough that the engine never waits for us, and few of a client's quota.
IN_FLIGHT = 4
# The share of answers from the threshold on that is right, unless another is wanted.
WANTED = 0.9
# A case that the device does not take is told, and costs the others nothing.
_OF_ONE_CASE = frozenset({Code.CONTEXT_OVERFLOW, Code.TOO_LARGE, Code.INVALID_REQUEST})
Value = TypeVar("Value")


class Device(Protocol):
    """What is asked."""

    async def asked(self) -> Asked:
        """Return the model, and how its scores become probabilities."""

    async def decide(self, fields: dict[str, Any]) -> Mapping[str, Told]:
        """Return the answers to a decision, by the questions' names."""

    async def write(self, fields: dict[str, Any]) -> str:
        """Return the text of an answer to a prompt."""


def load_cases(name: str) -> tuple[list[Case], str]:
    """Return the cases of a file, or those that come with the package (`builtin`), and their digest.

    Raises:
        ConfigurationError: There is no such file.
        InvalidRequestError: It holds none, or a line that is none.
    """
    place = files("edgeassist") / "assets" / "decisions" / "cases.jsonl" if name == BUILTIN else Path(name)
    try:
        text = place.read_text("utf-8")
    except OSError as error:
        raise ConfigurationError(f"--eval: can't read {name}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{name}: is not UTF-8: byte {error.start} can't be read") from None
    return read_cases(text, name=name), digest_of(text)


async def evaluate(
    device: Device,
    name: str,
    *,
    fit: bool = False,
    wanted: float = WANTED,
    robust: bool = False,
    against_json: bool = False,
    on_step: Callable[[str], None] = lambda _: None,
) -> Report:
    """Ask a device the cases of a file, and return the figures.

    Args:
        device: Is asked.
        name: The file's, or `builtin`.
        fit: Fit temperatures and a threshold to one part of them, and measure by the other.
        wanted: The share of answers from the threshold on that should be right.
        robust: Ask them otherwise too, and compare the picks.
        against_json: Let the same model write JSON too, and compare.
        on_step: Told how far it is.

    Raises:
        EdgeAssistError: The device can't be asked, or can't decide; the cases can't be read, or fitted to.
    """
    cases, digest = load_cases(name)
    parts = splits_of(cases) if fit else None
    asked = await device.asked()

    async def decide(case: Case) -> Decided:
        return Decided(case, await device.decide(dict(case.fields)))

    async def write(case: Case) -> dict[str, str | None]:
        request = json_request(case.fields, case.questions)
        return picks_of(await device.write({**request, "temperature": 0.0}), case.questions)

    decided, refused = await _ask_all(cases, decide, "decided", on_step)
    if not decided:
        raise InvalidRequestError(f"no case could be asked; line {min(refused)}: {refused[min(refused)]}")
    judged = {line: each.judged() for line, each in decided.items()}
    report = Report(
        asked=asked,
        cases=name,
        digest=digest,
        count=len(decided),
        refused=refused,
        sum_off=max(each.sum_off for each in decided.values()),
        figures=figures_of(_joined(judged.values()), threshold=asked.threshold),
    )
    if parts is not None:
        to, unseen = ([judged[case.line] for case in part if case.line in judged] for part in parts)
        found: FitReport = fit_report(_joined(to), _joined(unseen), asked=asked, wanted=wanted)
        report = dataclasses.replace(report, fit=found)
    if robust:
        changed = {}
        for variation in Variation:
            variants = {each.case.line: each for each in vary(cases, variation)}
            others, _ = await _ask_all(
                [each.case for each in variants.values()], decide, variation.value, on_step
            )
            original = {line: each.original for line, each in variants.items()}
            share = changed_share(decided.values(), others.values(), original)
            if share is not None:
                changed[variation] = share
        report = dataclasses.replace(report, changed=changed)
    if against_json:
        picks, _ = await _ask_all(cases, write, "written", on_step)
        report = dataclasses.replace(report, written=written_shares(decided.values(), picks))
    return report


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


def run_evaluation(
    settings: Settings,
    name: str,
    *,
    fit: bool = False,
    wanted: float = WANTED,
    robust: bool = False,
    against_json: bool = False,
    as_json: bool = False,
) -> None:
    """Evaluate the device of the settings (`evaluate`), and print the report.

    Raises:
        EdgeAssistError: There is no report.
        typer.Exit: A case could not be asked.
    """

    async def run() -> Report:
        async with connect(settings) as client:
            device = DeviceAtBroker(client)
            choices = {"fit": fit, "robust": robust, "against_json": against_json}
            return await evaluate(device, name, wanted=wanted, on_step=_on_terminal, **choices)

    try:
        report = asyncio.run(run())
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
            BrokerError: The device is not online.
            ModelLoadingError: It has no model yet.
            UnsupportedError: Its model makes no decisions.
        """
        root = self._client.topics.root
        if await self._client.availability() is not Availability.ONLINE:
            raise BrokerError(f"the device {root} is not online: is its daemon running? (edgeassist run)")
        info = json.loads(await self._client.state(self._client.topics.info) or b"{}")
        model = info.get("model")
        if model is None:
            raise ModelLoadingError(f"{root} has no model yet: `edgeassist status` says how far it is")
        calibration = model.get("calibration")
        if calibration is None:
            raise UnsupportedError(f"{model['name']} makes no decisions, on {root}")
        return Asked(model["name"], {kind: calibration[kind] for kind in Kind}, calibration["threshold"])

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


async def _ask_all(
    cases: Sequence[Case],
    ask: Callable[[Case], Awaitable[Value]],
    what: str,
    on_step: Callable[[str], None],
) -> tuple[dict[int, Value], dict[int, str]]:
    """Ask `IN_FLIGHT` cases at once; return by line what came, and why some could not."""
    found: dict[int, Value] = {}
    refused: dict[int, str] = {}
    waiting = iter(cases)

    async def work() -> None:
        for case in waiting:
            try:
                found[case.line] = await ask(case)
            except EdgeAssistError as error:
                if error.code not in _OF_ONE_CASE:
                    raise
                refused[case.line] = error.message
            on_step(f"{what}: {len(found) + len(refused)} of {len(cases)} cases")

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(IN_FLIGHT):
                group.create_task(work(), name=f"ask-{number}")
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    order = {case.line: None for case in cases}
    return {line: found[line] for line in order if line in found}, refused


def _joined(parts: Iterable[Sequence[Value]]) -> list[Value]:
    return [each for part in parts for each in part]
