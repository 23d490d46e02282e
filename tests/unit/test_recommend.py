"""Which model suits which board: the numbers that speak for it, and what speaks against the others."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgeassist.cli.main import app
from edgeassist.device.bandwidth import measure_bandwidth
from edgeassist.errors import ConfigurationError
from edgeassist.models.catalogue import CATALOGUE, Entry
from edgeassist.models.recommend import LEAST_RATE, MEMORY_SHARE, Board, Need, Option, recommend
from edgeassist.trial_models.synthetic import SHAPES

GB = 10**9
PI4 = 4.0 * GB
PI5 = 10.0 * GB


def options(need: Need, memory_gb: float, bandwidth: float = PI5, **measured: float) -> dict[str, Option]:
    return {each.name: each for each in recommend(Board(int(memory_gb * GB), bandwidth), need, measured)}


def best(need: Need, memory_gb: float, bandwidth: float = PI5) -> Option:
    return recommend(Board(int(memory_gb * GB), bandwidth), need, {})[0]


def test_the_catalogue_knows_how_many_parameters_there_are() -> None:
    by_name = {entry.name: entry.parameters for entry in CATALOGUE}
    assert by_name["Qwen2.5-0.5B-Instruct"] == SHAPES["qwen2.5-0.5b"].parameters
    assert by_name["Phi-3-mini-4k-instruct"] == SHAPES["phi-3-mini"].parameters == 3_821_079_552


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
def test_files_are_listed_smallest_first_and_hold_all_parameters(entry: Entry) -> None:
    sizes = [variant.size_bytes for variant in entry.variants]
    assert sizes == sorted(sizes)
    assert all(4.0 < 8 * size / entry.parameters < 9.5 for size in sizes)
    assert entry.source.startswith("https://")


@pytest.mark.parametrize("memory_gb", [1, 2])
def test_phi_3_mini_does_not_fit_a_small_board(memory_gb: float) -> None:
    for name, option in options(Need.ENGLISH, memory_gb).items():
        if name.startswith("Phi"):
            assert any("GB, and" in each for each in option.objections)
    assert best(Need.ENGLISH, memory_gb).entry.name == "Qwen2.5-0.5B-Instruct"


def test_where_nothing_suits_the_smallest_is_the_nearest_and_the_built_in_one_is_named() -> None:
    assert best(Need.ENGLISH, 0.3).name == "Qwen2.5-0.5B-Instruct Q4_0"
    said = " ".join(CliRunner().invoke(app, ["recommend", "english", "--memory-gb", "0.3"]).output.split())
    assert "the nearest is Qwen2.5-0.5B-Instruct Q4_0" in said
    assert "builtin:tiny, which comes along" in said


def test_four_gigabytes_hold_phi_3_mini_but_a_pi_reads_it_too_slowly() -> None:
    phi = options(Need.ENGLISH, 8, PI5)["Phi-3-mini-4k-instruct Q4_0"]
    assert not any("GB, and" in each for each in phi.objections)
    assert any("slower than a person reads" in each for each in phi.objections)
    assert phi.tokens_per_s < LEAST_RATE


def test_a_board_with_memory_and_bandwidth_writes_english_with_the_larger_model() -> None:
    assert best(Need.ENGLISH, 16, 40.0 * GB).entry.name == "Phi-3-mini-4k-instruct"


def test_chinese_is_for_a_model_that_was_taught_it() -> None:
    found = best(Need.CHINESE, 16, 40.0 * GB)
    assert "zh" in found.entry.languages
    phi = options(Need.CHINESE, 16, 40.0 * GB)["Phi-3-mini-4k-instruct int4"]
    assert "was not trained to answer in Chinese" in phi.objections


def test_least_memory_takes_the_smallest_and_prototyping_the_fastest() -> None:
    assert best(Need.MEMORY, 8).name == "Qwen2.5-0.5B-Instruct Q4_0"
    assert best(Need.PROTOTYPE, 8).name == "Qwen2.5-0.5B-Instruct Q4_0"


def test_a_server_needs_a_backend_that_serves_several() -> None:
    found = options(Need.SERVER, 64, 100.0 * GB)
    assert any("one client at a time" in each for each in found["Phi-3-mini-4k-instruct int4"].objections)
    assert best(Need.SERVER, 64, 100.0 * GB).variant.backend == "llama"


def test_the_rate_is_bandwidth_over_bytes_unless_it_was_measured() -> None:
    estimate = options(Need.ENGLISH, 8, PI5)["Qwen2.5-0.5B-Instruct Q4_0"]
    # A Pi 5 was measured at 25.8 tokens/s with Q4_K_M.
    assert 20 < options(Need.ENGLISH, 8, PI5)["Qwen2.5-0.5B-Instruct Q4_K_M"].tokens_per_s < 28
    assert not estimate.measured
    board = Board(8 * GB, PI5)
    known = recommend(board, Need.ENGLISH, {"qwen2.5-0.5b:q4_0": 31.0})
    measured = next(each for each in known if each.name == "Qwen2.5-0.5B-Instruct Q4_0")
    assert (measured.tokens_per_s, measured.measured) == (31.0, True)


@pytest.mark.parametrize("need", list(Need))
def test_what_suits_comes_first_and_fits(need: Need) -> None:
    for memory_gb in (0.5, 1, 2, 4, 8, 64):
        ranked = recommend(Board(int(memory_gb * GB), PI4), need, {})
        assert len(ranked) == sum(len(entry.variants) for entry in CATALOGUE)
        for earlier, later in pairwise(ranked):
            assert not (earlier.objections and not later.objections)
        for each in ranked:
            if not each.objections:
                assert each.memory_bytes <= MEMORY_SHARE * memory_gb * GB
                assert each.tokens_per_s >= LEAST_RATE


def test_the_command_names_a_model_and_its_numbers() -> None:
    arguments = ["recommend", "english", "--memory-gb", "4", "--bandwidth-gb", "10"]
    ended = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert ended.exit_code == 0
    assert "Qwen2.5-0.5B-Instruct Q8_0, the largest that fits" in ended.stdout
    assert "served by the backend llama" in ended.stdout
    assert "3.82 B" in ended.stdout
    assert "slower than a person reads" in " ".join(ended.stdout.split())


def test_the_command_says_where_nothing_fits() -> None:
    ended = CliRunner().invoke(app, ["recommend", "--memory-gb", "0.5", "--bandwidth-gb", "4"])
    assert "no known model suits this device" in ended.stdout


def test_what_the_bench_measured_goes_before_the_estimate(tmp_path: Path) -> None:
    sides = {"qwen2.5-0.5b:q4_0": {"median": 44.5, "low": 40, "high": 46}}
    measured = tmp_path / "measured.json"
    measured.write_text(json.dumps({"comparisons": [{"figure": {"name": "decode"}, "sides": sides}]}))
    arguments = ["recommend", "prototype", "--memory-gb", "4", "--bandwidth-gb", "10", "--json"]
    ended = CliRunner().invoke(app, [*arguments, "--measured", str(measured)], catch_exceptions=False)
    first, *_ = json.loads(ended.stdout)["options"]
    assert (first["model"], first["variant"]) == ("Qwen2.5-0.5B-Instruct", "Q4_0")
    assert (first["tokens_per_s"], first["measured"], first["suits"]) == (44.5, True, True)


@pytest.mark.parametrize("content", ["", "{}", '{"comparisons": [{"figure": {"name": "load"}}]}'])
def test_what_the_bench_did_not_print_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "file.json").write_text(content)
    ended = CliRunner().invoke(app, ["recommend", "--measured", str(tmp_path / "file.json")])
    assert isinstance(ended.exception, ConfigurationError)
    assert "bench --compare --json" in ended.exception.message


def test_this_machine_moves_memory() -> None:
    assert 1e8 < measure_bandwidth(1) < 1e13
