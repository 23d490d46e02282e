"""An evaluation from cases to lines; what the device answers is scripted."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from edgeassist.cli.evaluation import Choices, run_evaluation, show, to_json
from edgeassist.errors import (
    BrokerError,
    ConfigurationError,
    ContextOverflowError,
    InvalidRequestError,
    UnsupportedError,
)
from edgeassist.evaluation.evaluate import IN_FLIGHT, Device, evaluate
from edgeassist.evaluation.lines import lines_of
from edgeassist.evaluation.report import Asked
from edgeassist.evaluation.variants import Variation
from edgeassist.models.calibration import read_table
from edgeassist.protocol.decisions import DecisionRequest, Kind, Question
from edgeassist.settings import Settings

ROOMS = ("bath", "hall", "attic")


def sure_of(option: str, question: Question, probability: float = 0.8) -> dict[str, float]:
    options = question.options
    rest = (1 - probability) / (len(options) - 1)
    return {each: probability if each == option else rest for each in options}


def named_in_state(state: str, question: Question) -> dict[str, float]:
    """Pick the option that stands first in the state, whatever is before its name."""
    places = {each: state.find(room) for each in question.options for room in ROOMS if room in each}
    return sure_of(min((each for each in places if places[each] >= 0), key=places.__getitem__), question)


class Scripted:
    """Answers questions by a function of state and question; notes how many are asked at once."""

    def __init__(self, answer: Callable[[str, Question], dict[str, float]] = named_in_state) -> None:
        self._answer = answer
        self.running = self.most = 0
        self.written: list[dict[str, Any]] = []

    async def asked(self) -> Asked:
        return Asked("Some Model", dict.fromkeys(Kind, 2.0), 0.3, 0.5)

    async def decide(self, fields: dict[str, Any]) -> dict[str, dict[str, float]]:
        request = DecisionRequest.model_validate_json(json.dumps(fields))
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        return {name: self._answer(str(request.state), each) for name, each in request.questions.items()}

    async def write(self, fields: dict[str, Any]) -> str:
        self.written.append(fields)
        return json.dumps(dict.fromkeys(fields["json_schema"]["properties"], "hall"))


def case(right: str, state: str | None = None, **more: Any) -> dict[str, Any]:
    room = {"type": "choice", "instructions": "Which room?", "criteria": list(ROOMS)}
    return {
        "state": state or f"in the {right}",
        "questions": {"room": room},
        "expected": {"room": right},
        **more,
    }


@pytest.fixture
def cases(tmp_path: Path) -> Callable[..., str]:
    def write(*documents: dict[str, Any]) -> str:
        path = tmp_path / "my.jsonl"
        path.write_text("\n".join(json.dumps(each) for each in documents))
        return str(path)

    return write


def mixed(count: int, **more: Any) -> list[dict[str, Any]]:
    """Cases of which every fifth names another room first."""
    return [
        case(ROOMS[n % 3], f"{ROOMS[(n + 1) % 3]} or {ROOMS[n % 3]}" if n % 5 == 0 else None, **more)
        for n in range(count)
    ]


async def test_the_figures_are_those_of_the_cases(cases: Callable[..., str]) -> None:
    device = Scripted()
    report = await evaluate(device, cases(*mixed(100)))
    assert (report.count, report.figures["all"].count) == (100, 100)
    assert report.figures["all"].accuracy == pytest.approx(0.8)
    assert report.figures["all"].ece == pytest.approx(0.0, abs=0.1)
    assert report.figures["all"].abstains == 0
    assert list(report.figures) == ["all", "choice"]
    assert report.sum_off < 1e-6
    assert device.most == IN_FLIGHT


async def test_what_may_be_guesses_is_told_as_that(cases: Callable[..., str]) -> None:
    first = Scripted(lambda _, question: sure_of(question.options[0], question))
    assert "for all that so few cases tell, guesses: all, choice" in lines_of(
        await evaluate(first, cases(*mixed(30)))
    )
    assert not any("guesses:" in line for line in lines_of(await evaluate(Scripted(), cases(*mixed(30)))))


async def test_domains_and_languages_have_figures_where_there_are_several(cases: Callable[..., str]) -> None:
    home = case("bath", domain="home", language="en")
    report = await evaluate(
        Scripted(), cases(home, case("hall", "attic, hall", domain="logs", language="en"))
    )
    assert {name: each.accuracy for name, each in report.figures.items()} == {
        "all": 0.5,
        "choice": 0.5,
        "home": 1.0,
        "logs": 0.0,
    }


async def test_a_domain_may_be_called_as_a_group_of_ours(cases: Callable[..., str]) -> None:
    report = await evaluate(Scripted(), cases(case("bath", domain="all"), case("hall", domain="choice")))
    assert {name: each.count for name, each in report.figures.items()} == {
        "all": 2,
        "choice": 2,
        "all, as cases say": 1,
        "choice, as cases say": 1,
    }


async def test_without_cases_to_judge_by_a_fit_says_so(cases: Callable[..., str]) -> None:
    def answer(state: str, question: Question) -> dict[str, float]:
        if "long" in state:
            raise ContextOverflowError("too long")
        return named_in_state(state, question)

    ours = cases(*mixed(40, split="fit"), case("hall", "a long hall", split="held-out"))
    with pytest.raises(InvalidRequestError, match="no case of those to judge by could be asked"):
        await evaluate(Scripted(answer), ours, fit=True)


async def test_a_fit_makes_unseen_cases_calibrated_and_prints_its_settings(
    cases: Callable[..., str],
) -> None:
    def too_sure(state: str, question: Question) -> dict[str, float]:
        found = named_in_state(state, question)
        return sure_of(max(found, key=found.__getitem__), question, 0.999)

    said = [{**each, "split": ("fit", "held-out")[n // 5 % 2]} for n, each in enumerate(mixed(400))]
    report = await evaluate(Scripted(too_sure), cases(*said), fit=True, wanted=0.75)
    assert report.fit is not None
    assert report.fit.fitted_to == report.fit.before.count == 200
    assert report.fit.before.ece == pytest.approx(0.199, abs=0.001)
    assert report.fit.after["all"].ece < 0.01
    assert report.fit.by_kind.temperatures[Kind.CHOICE] > 2.0
    lines = list(lines_of(report))
    (fitted,) = tomllib.loads("\n".join(lines[-3:])).values()
    by_kind = report.fit.by_kind.temperatures
    assert fitted["temperature"] == {kind: float(f"{by_kind[kind]:g}") for kind in Kind}
    assert lines[-1].startswith("threshold = 0  #")
    assert max(map(len, lines[1:])) <= 80


async def test_a_fits_json_has_the_models_line_of_the_shipped_table(cases: Callable[..., str]) -> None:
    report = await evaluate(Scripted(), cases(*mixed(100)), fit=True, wanted=0.99)
    entry = json.loads(to_json(report))["entry"]
    (calibration,) = read_table({"models": [entry]}).values()
    assert report.fit is not None
    assert calibration.choice == report.fit.by_kind.temperatures[Kind.CHOICE]
    assert (calibration.threshold, calibration.prior) == (1.0, 0.5)
    assert entry["fitted"]["cases"] == report.digest
    assert entry["fitted"]["held_out"]["all"]["questions"] == 50
    assert any("no margin leaves enough answers" in line for line in lines_of(report))


async def test_without_a_fit_there_is_no_line_of_the_table(cases: Callable[..., str]) -> None:
    assert json.loads(to_json(await evaluate(Scripted(), cases(case("bath")))))["entry"] is None


async def test_a_pick_that_goes_by_order_or_length_is_found_out(cases: Callable[..., str]) -> None:
    ours = cases(*mixed(30))
    steady = await evaluate(Scripted(), ours, robust=True)
    assert steady.changed == dict.fromkeys(Variation, 0.0)
    first = Scripted(lambda _, question: sure_of(question.options[0], question))
    assert (await evaluate(first, ours, robust=True)).changed == {
        Variation.REPEATED: 0.0,
        Variation.REVERSED: 1.0,
        Variation.LENGTHENED: 0.0,
        Variation.PREFIXED: 0.0,
    }
    shortest = Scripted(lambda _, question: sure_of(min(question.options, key=len), question))
    report = await evaluate(shortest, ours, robust=True)
    assert report.changed[Variation.LENGTHENED] == 1.0
    assert "with more words behind every second option's name, 100.0 % of the picks differ" in lines_of(
        report
    )


async def test_the_same_model_writes_json_for_the_same_cases(cases: Callable[..., str]) -> None:
    device = Scripted()
    report = await evaluate(device, cases(case("bath"), case("hall")), against_json=True)
    assert report.written["all"] == report.written["choice"]
    found = report.written["all"]
    assert (found.count, found.decided, found.written, found.without) == (2, 1.0, 0.5, 0)
    assert [each["temperature"] for each in device.written] == [0.0, 0.0]
    assert device.written[0]["json_schema"]["properties"] == {"room": {"enum": list(ROOMS)}}


async def test_a_case_that_does_not_fit_is_told_and_costs_the_others_nothing(
    cases: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(state: str, question: Question) -> dict[str, float]:
        if "long" in state:
            raise ContextOverflowError("5000 tokens, and the context has 4096")
        return named_in_state(state, question)

    report = await evaluate(Scripted(answer), cases(case("bath"), case("hall", "a long hall"), case("hall")))
    assert report.count == 2
    assert report.refused == {2: "5000 tokens, and the context has 4096"}
    with pytest.raises(typer.Exit):
        show(report, as_json=False)
    assert "line 2 could not be asked: 5000 tokens" in capsys.readouterr().out


async def test_where_no_case_fits_the_first_reason_is_told(cases: Callable[..., str]) -> None:
    def refuse(*_: object) -> dict[str, float]:
        raise ContextOverflowError("too long")

    with pytest.raises(InvalidRequestError, match="no case could be asked; line 1: too long"):
        await evaluate(Scripted(refuse), cases(case("bath"), case("hall")))


@pytest.mark.parametrize("error", [UnsupportedError("can't decide"), BrokerError("away")])
async def test_what_concerns_all_cases_ends_the_evaluation(
    cases: Callable[..., str], error: UnsupportedError | BrokerError
) -> None:
    def refuse(*_: object) -> dict[str, float]:
        raise error

    with pytest.raises(type(error)):
        await evaluate(Scripted(refuse), cases(*mixed(20)))


async def test_a_file_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    device: Device = Scripted()
    with pytest.raises(ConfigurationError, match=r"can't read .*no\.jsonl: No such file"):
        await evaluate(device, str(tmp_path / "no.jsonl"))
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    with pytest.raises(InvalidRequestError, match="is not UTF-8: byte 3"):
        await evaluate(device, str(tmp_path / "latin"))


async def test_it_is_told_how_far_it_is(cases: Callable[..., str]) -> None:
    steps: list[str] = []
    await evaluate(Scripted(), cases(*mixed(3)), on_step=steps.append)
    assert steps == [f"decided: {count} of 3 cases" for count in (1, 2, 3)]


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        (Choices(against="yaml"), "--against: 'yaml' is not 'json'"),
        (Choices(wanted=0.8), "--wanted goes with --fit"),
    ],
)
def test_choices_that_mean_nothing_are_told_before_anything_is_asked(choices: Choices, told: str) -> None:
    with pytest.raises(InvalidRequestError, match=told):
        run_evaluation(Settings(), "builtin", choices, as_json=False)
