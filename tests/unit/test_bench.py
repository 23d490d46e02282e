"""The bench's arithmetic: rates, ratios pair by pair, and what is honest about both."""

from __future__ import annotations

import math
import time
from pathlib import Path

import psutil
import pytest

from edgeassist.bench.figures import (
    Pair,
    Sample,
    compare,
    decode_steps,
    quietest,
    share_of_others,
    spread,
    words_for,
)
from edgeassist.bench.machine import read_machine
from edgeassist.bench.meter import CpuMeter
from edgeassist.bench.models import synthetic_models
from edgeassist.bench.run import Plan
from edgeassist.errors import ConfigurationError, ModelError


def pair(mqtt: Sample, bare: Sample) -> Pair:
    return Pair(prompt_tokens=512, cached_tokens=0, mqtt=mqtt, bare=bare)


def plan(**changes: float) -> Plan:
    values = {"prompt_tokens": 512, "max_tokens": 128, "runs": 5, "threads": 2, "idle_s": 0, **changes}
    return Plan(**values)


def test_the_rate_is_that_of_the_tokens_after_the_first() -> None:
    assert Sample(ttft_s=9.0, decode_s=2.0, steps=100).decode_rate == 50


@pytest.mark.parametrize(
    ("values", "expected"),
    [([3.0], (3, 3, 3)), ([5.0, 1.0, 2.0], (2, 1, 5)), ([4.0, 1.0, 2.0, 9.0], (3, 1, 9))],
)
def test_a_spread_is_the_median_and_the_range(values: list[float], expected: tuple[float, ...]) -> None:
    found = spread(values)
    assert (found.median, found.low, found.high) == expected


def test_nothing_has_no_median() -> None:
    with pytest.raises(ValueError, match="no median"):
        spread([])


def test_ratios_are_taken_pair_by_pair_so_that_a_machine_that_slows_down_does_not_count() -> None:
    pairs = [pair(Sample(1.0, 1.0, steps=rate - 1), Sample(1.0, 1.0, steps=rate)) for rate in (100, 50, 25)]
    figures = compare(pairs, lambda sample: sample.decode_rate)
    assert (figures.mqtt.median, figures.bare.median) == (49, 50)
    assert figures.ratio.low == 24 / 25
    assert figures.ratio.median == 49 / 50
    assert figures.ratio.high == 99 / 100


def test_a_slower_first_token_is_a_ratio_above_one() -> None:
    figures = compare([pair(Sample(1.1, 1, 1), Sample(1.0, 1, 1))], lambda sample: sample.ttft_s)
    assert math.isclose(figures.ratio.median, 1.1)


def test_the_pairs_that_others_disturbed_least_count_whatever_they_measured() -> None:
    shares = [0.2, 0.01, 0.3, 0.0, 0.02]
    pairs = [Pair(512, 0, Sample(1, 1, at), Sample(1, 1, 1), share) for at, share in enumerate(shares)]
    assert [pair.mqtt.steps for pair in quietest(pairs, 3)] == [1, 3, 4]
    assert quietest(pairs, 9) == pairs


@pytest.mark.parametrize(
    ("tokens", "reason", "steps"),
    [(128, "length", 127), (1, "length", 0), (100, "stop", 100), (0, "stop", 1), (0, "length", 0)],
)
def test_a_token_that_ends_the_turn_was_computed_too(tokens: int, reason: str, steps: int) -> None:
    assert decode_steps(tokens, reason) == steps


@pytest.mark.parametrize(
    ("target", "measured", "words"),
    [
        (500, [(16, 36), (80, 100)], 475),  # a token a word, 20 for the template, one per cent less
        (500, [(16, 52), (80, 180)], 237),
        (20, [(16, 36), (80, 100)], 1),
        (100, [(16, 36), (80, 36)], 646),  # a tokenizer that takes words for nothing
    ],
)
def test_a_prompt_gets_the_words_that_make_its_tokens(
    target: int, measured: list[tuple[int, int]], words: int
) -> None:
    assert words_for(target, measured) == words


@pytest.mark.parametrize(
    ("busy", "ours", "capacity", "share"),
    [(10, 8, 20, 0.1), (10, 11, 20, 0), (10, 0, 0, 0), (99, 0, 20, 1)],
)
def test_others_have_what_the_machine_worked_and_we_did_not(
    busy: float, ours: float, capacity: float, share: float
) -> None:
    assert share_of_others(busy, ours, capacity) == share


def test_the_meter_counts_between_start_and_stop_only() -> None:
    meter = CpuMeter({"me": psutil.Process()})
    _work(0.1)
    meter.stop()
    assert meter.percent == {}
    meter.start()
    _work(0.2)
    meter.stop()
    first = meter.used_s["me"]
    assert 0.1 < first < 0.4
    _work(0.1)
    meter.start()
    _work(0.2)
    meter.stop()
    assert 0.1 < meter.used_s["me"] - first < 0.4
    assert 0 <= meter.others <= 1


def _work(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_the_context_is_the_daemons_own_unless_the_prompt_needs_more() -> None:
    assert plan().context == 4096
    assert plan(prompt_tokens=8000).context > 8128


def test_progress_counts_every_run_on_both_sides() -> None:
    assert plan(runs=5).steps == 12
    assert plan(runs=5, idle_s=3).steps == 13


@pytest.mark.parametrize(
    ("shape", "quantization", "told"),
    [("qwen9", "q4_0", "--synthetic: 'qwen9' is none of: qwen2.5-0.5b"), ("trial", "q4", "--quant: 'q4'")],
)
def test_an_unknown_name_is_told_with_the_known_ones(
    tmp_path: Path, shape: str, quantization: str, told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told):
        synthetic_models(tmp_path, shape, [quantization], threads=1, on_step=lambda _: None)
    assert not list(tmp_path.iterdir())


def test_a_cached_model_is_not_made_again(tmp_path: Path) -> None:
    path = tmp_path / "trial-q4_0.gguf"
    path.touch()
    assert synthetic_models(tmp_path, "trial", ["q4_0"], threads=1, on_step=pytest.fail) == [path]


def test_only_the_quantizations_asked_for_stay(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    steps: list[str] = []
    paths = synthetic_models(tmp_path, "trial", ["q8_0", "q4_0"], threads=1, on_step=steps.append)
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert paths[0].stat().st_size > paths[1].stat().st_size
    assert [step.split()[0] for step in steps] == ["writing", "quantizing", "quantizing"]


def test_a_folder_that_can_not_be_written_is_told_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="XDG_CACHE_HOME"):
        synthetic_models(tmp_path / "file" / "models", "trial", ["f16"], threads=1, on_step=lambda _: None)


@pytest.mark.parametrize(
    ("files", "cpu"),
    [
        ({"proc/device-tree/model": "Raspberry Pi 5 Model B\0"}, "Raspberry Pi 5 Model B"),
        ({"proc/cpuinfo": "processor\t: 0\nmodel name\t: Some CPU\n"}, "Some CPU"),
    ],
)
def test_the_machine_is_named_by_its_board_or_processor(
    tmp_path: Path, files: dict[str, str], cpu: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert read_machine(binding="1", system="AVX", root=tmp_path).cpu == cpu


def test_an_unknown_machine_has_the_name_of_its_architecture(tmp_path: Path) -> None:
    assert read_machine(binding="1", system="AVX", root=tmp_path).cpu
