"""Models side by side, end to end, on tiny ones of both kinds. Their speed says nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edgeassist.bench import device, run, turns
from edgeassist.bench.comparison import CPU, FIGURES, Candidate, compare_models, forget
from edgeassist.bench.figures import DEVICE, Comparison, Spread
from edgeassist.bench.machine import read_machine
from edgeassist.bench.models import synthetic_models
from edgeassist.bench.plan import Plan
from edgeassist.bench.run import BARE, measure
from edgeassist.bench.scenarios import Name
from edgeassist.bench.table import comparison_rows, markdown, rows_table
from edgeassist.cli.main import app
from tests.preloaded import PrivateDaemon

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A GGUF file and an ONNX folder of the trial shape, which don't end their answers."""
    folder = tmp_path_factory.mktemp("models")
    return synthetic_models(folder, "trial", ["q8_0", "int4"], threads=1, on_step=lambda _: None)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PAUSE_S", 0.05)
    monkeypatch.setattr(run, "OTHERS_LIMIT", 1.0)
    monkeypatch.setattr(device, "PrivateDaemon", PrivateDaemon)


def plan(**changes: Any) -> Plan:
    values = {"prompt_tokens": 64, "max_tokens": 16, "runs": 2, "threads": 1}
    return Plan(scenarios=(Name.SINGLE,), **{**values, **changes})


async def test_each_model_has_each_figure(models: list[Path]) -> None:
    steps: list[int] = []
    candidates = [Candidate(path.name, path) for path in models]
    compared = await compare_models(candidates, plan(), lambda _, done: steps.append(done))
    names = [path.name for path in models]
    assert steps == [0, 1, 2, 3]
    assert [row.figure for row in compared.comparisons] == list(FIGURES)
    for row in compared.comparisons:
        assert list(row.sides) == names
        # An answer of milliseconds may fall between two ticks of the kernel's clock.
        least = 0 if row.figure == CPU else 1e-9
        assert all(least <= spread.low <= spread.median <= spread.high for spread in row.sides.values())
    assert compared.libraries[names[0]].startswith("llama-cpp-python ")
    assert compared.libraries[names[1]].startswith("onnxruntime-genai ")
    assert [[out for _, out in compared.tokens[name]] for name in names] == [[16, 16], [16, 16]]
    rows = comparison_rows(compared.comparisons, names)
    assert rows[0] == ["", *names]
    assert rows_table(rows, "").row_count == len(FIGURES)
    assert markdown(rows).count("\n") == len(FIGURES) + 1


async def test_a_bare_loop_measures_itself_against_an_onnx_model(models: list[Path]) -> None:
    result = await measure(models[1], plan(runs=1), lambda _what, _done: None)
    decode, first, overhead, *_ = result.scenarios[0].comparisons
    assert 0 < overhead.sides[DEVICE].median < 100
    for row in (decode, first):
        assert set(row.sides) == {DEVICE, BARE}
        assert row.ratios[BARE].median > 0
    assert result.machine.library.startswith("onnxruntime-genai ")


def test_the_command_prints_json_and_draws(models: list[Path], tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    tokens = ("--prompt-tokens", "64", "--max-tokens", "8", "--runs", "1", "--threads", "1")
    arguments = ["bench", "--compare", *map(str, models), *tokens, "--json", "--picture", str(picture)]
    ended = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert ended.exit_code == 0
    document = json.loads(ended.stdout)
    assert {row["figure"]["name"] for row in document["comparisons"]} == {each.name for each in FIGURES}
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_figure_that_is_zero_on_all_sides_is_drawn(tmp_path: Path) -> None:
    # Loading matplotlib here spares every process that collects these tests half a second.
    picture = pytest.importorskip("edgeassist.bench.picture")
    panel = picture.Panel("zero", [("processors", Comparison(CPU, {"a": Spread(0.0, 0.0, 0.0)}))])
    picture.draw_panels([panel], read_machine(library="none"), plan(runs=1), tmp_path / "zero.png")
    assert (tmp_path / "zero.png").read_bytes().startswith(b"\x89PNG")


def test_a_model_is_told_to_be_named_twice_or_missing(models: list[Path]) -> None:
    twice = CliRunner().invoke(app, ["bench", "--compare", str(models[0]), str(models[0])])
    assert "is named twice" in str(twice.exception)
    missing = CliRunner().invoke(app, ["bench", "--compare", "nothing.gguf"])
    assert "there is no nothing.gguf" in str(missing.exception)


def test_what_was_forgotten_was_on_disk(models: list[Path], tmp_path: Path) -> None:
    assert all(forget(path) for path in models)
    assert not forget(tmp_path / "nothing")
