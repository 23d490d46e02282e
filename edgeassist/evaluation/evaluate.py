"""Asks a device cases, a few at once, and makes a report of what it answers."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from edgeassist.errors import Code, EdgeAssistError, InvalidRequestError
from edgeassist.evaluation.cases import Case, digest_of, read_cases, splits_of
from edgeassist.evaluation.generation import json_request, picks_of
from edgeassist.evaluation.report import (
    Asked,
    Decided,
    FitReport,
    Report,
    Told,
    changed_share,
    figures_of,
    fit_report,
    written_shares,
)
from edgeassist.evaluation.source import text_of
from edgeassist.evaluation.variants import Variation, vary

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
    text = text_of(name, "decisions/cases.jsonl", "--eval")
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
