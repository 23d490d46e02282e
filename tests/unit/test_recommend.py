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
from edgeassist.models.catalogue import Entry, catalogue
from edgeassist.models.recommend import LEAST_RATE, MEMORY_SHARE, Board, Need, Option, recommend

GB = 10**9
PI4 = 4.0 * GB
PI5 = 10.0 * GB


def options(need: Need, memory_gb: float, bandwidth: float = PI5, **measured: float) -> dict[str, Option]:
    return {each.name: each for each in recommend(Board(int(memory_gb * GB), bandwidth), need, measured)}


def best(need: Need, memory_gb: float, bandwidth: float = PI5) -> Option:
    return recommend(Board(int(memory_gb * GB), bandwidth), need, {})[0]


@pytest.mark.parametrize("memory_gb", [1, 2])
def test_phi_3_mini_does_not_fit_a_small_board(memory_gb: int) -> None:
    for name, option in options(Need.ENGLISH, memory_gb).items():
        if name.startswith("Phi"):
            assert any("GB, and" in each for each in option.objections)
    expected = {1: "Qwen2.5-0.5B-Instruct", 2: "Granite-4.0-H-1B"}
    assert best(Need.ENGLISH, memory_gb).entry.name == expected[memory_gb]


def test_where_nothing_suits_the_nearest_and_the_built_in_one_are_named() -> None:
    nearest = best(Need.ENGLISH, 0.25)
    assert nearest.objections
    arguments = ["recommend", "english", "--memory-gb", "0.25", "--bandwidth-gb", "10"]
    said = " ".join(CliRunner().invoke(app, arguments).output.split())
    assert "no known model suits this device" in said
    assert f"the nearest is {nearest.name}" in said
    assert "builtin:tiny, which comes along" in said


def test_four_gigabytes_hold_phi_3_mini_but_a_pi_reads_it_too_slowly() -> None:
    phi = options(Need.ENGLISH, 8, PI5)["Phi-3-mini-4k-instruct Q4_K_M"]
    assert not any("GB, and" in each for each in phi.objections)
    assert any("slower than a person reads" in each for each in phi.objections)
    assert phi.tokens_per_s < LEAST_RATE


def test_a_board_with_memory_and_bandwidth_writes_english_with_the_larger_model() -> None:
    found = best(Need.ENGLISH, 16, 40.0 * GB)
    assert found.entry.parameters == max(entry.parameters for entry in catalogue())


def test_chinese_is_for_a_model_that_was_taught_it() -> None:
    found = best(Need.CHINESE, 16, 40.0 * GB)
    assert "zh" in found.entry.languages
    phi = options(Need.CHINESE, 16, 40.0 * GB)["Phi-3-mini-4k-instruct int4"]
    assert "was not trained to answer in Chinese" in phi.objections


def test_least_memory_takes_the_smallest_and_prototyping_the_fastest() -> None:
    assert best(Need.MEMORY, 8).name == best(Need.PROTOTYPE, 8).name == "LFM2.5-230M Q4_0"


def test_a_model_that_is_for_trials_only_is_never_recommended() -> None:
    for need in Need:
        for option in options(need, 64, 100.0 * GB).values():
            assert bool(option.entry.caveat) <= bool(option.objections)
    assert "mostly wrong" in options(Need.ENGLISH, 8)["SmolLM2-135M-Instruct Q4_1"].objections[0]


@pytest.mark.parametrize("entry", [each for each in catalogue() if each.pi5], ids=lambda entry: entry.name)
def test_the_estimate_for_a_pi_5_is_near_what_publishers_say(entry: Entry) -> None:
    assert entry.pi5 is not None
    smallest = options(Need.ENGLISH, 16, PI5)[f"{entry.name} {entry.variants[0].name}"]
    assert 0.65 * entry.pi5[0] < smallest.tokens_per_s < 1.5 * entry.pi5[1]


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
        assert len(ranked) == sum(len(entry.variants) for entry in catalogue())
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
    name = best(Need.ENGLISH, 4, 10.0 * GB)
    assert f"{name.name}, the largest that fits" in ended.stdout
    assert f"get it with: edgeassist models pull {name.pull_name}" in ended.stdout
    assert "served by the backend llama" in ended.stdout
    assert "3.82 B" in ended.stdout
    assert "slower than a person reads" in " ".join(ended.stdout.split())


def test_what_the_bench_measured_goes_before_the_estimate(tmp_path: Path) -> None:
    sides = {"qwen2.5-0.5b:q4_0": {"median": 44.5, "low": 40, "high": 46}}
    measured = tmp_path / "measured.json"
    measured.write_text(json.dumps({"comparisons": [{"figure": {"name": "decode"}, "sides": sides}]}))
    arguments = ["recommend", "prototype", "--memory-gb", "4", "--bandwidth-gb", "10", "--json"]
    ended = CliRunner().invoke(app, [*arguments, "--measured", str(measured)], catch_exceptions=False)
    options = {(each["model"], each["variant"]): each for each in json.loads(ended.stdout)["options"]}
    qwen = options["Qwen2.5-0.5B-Instruct", "Q4_0"]
    assert (qwen["tokens_per_s"], qwen["measured"], qwen["suits"]) == (44.5, True, True)
    assert not options["Qwen2.5-0.5B-Instruct", "Q8_0"]["measured"]


@pytest.mark.parametrize("content", ["", "{}", '{"comparisons": [{"figure": {"name": "load"}}]}'])
def test_what_the_bench_did_not_print_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "file.json").write_text(content)
    ended = CliRunner().invoke(app, ["recommend", "--measured", str(tmp_path / "file.json")])
    assert isinstance(ended.exception, ConfigurationError)
    assert "bench --compare --json" in ended.exception.message


def test_this_machine_moves_memory() -> None:
    assert 1e8 < measure_bandwidth(1) < 1e13
