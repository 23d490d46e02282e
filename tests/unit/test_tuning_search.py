"""What is tried, in which order, until when: by figures that a test writes, and a clock that answers move."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from edgeassist.errors import ModelError
from edgeassist.tuning.options import (
    Figure,
    Sample,
    Stage,
    Variant,
    files_stage,
    kv_stage,
    load_stage,
    steps_stage,
    threads_stage,
)
from edgeassist.tuning.report import as_toml, other_file, proposed, rate_of, remarks_of, rows_of, verdict_of
from edgeassist.tuning.search import MORE_ROUNDS, ROUNDS, TRIES, Budget, Search

BASE = Variant("a.gguf", 4, 4, 512, "read", "f16")
EVEN = Sample(prefill_rate=100, decode_rate=10, memory_bytes=500_000_000)
ANSWER_S = 5.0


@dataclass
class Bench:
    """Measures what a function says; an answer takes `ANSWER_S`."""

    says: Callable[[Variant], Sample]
    now: float = 0.0
    asked: list[Variant] = field(default_factory=list)
    prompts: list[int | None] = field(default_factory=list)

    async def measure(self, variant: Variant, prompt_tokens: int | None, *, starts: bool) -> Sample:
        self.asked.append(variant)
        self.prompts.append(prompt_tokens)
        self.now += ANSWER_S
        sample = self.says(variant)
        return replace(sample, start_s=sample.start_s or 2.0) if starts else sample

    async def search(self, *stages: Stage | None, seconds: float = 10_000) -> Search:
        search = Search(BASE, self.measure, Budget(lambda: self.now, seconds), lambda _, __: None)
        await search.run([stage for stage in stages if stage is not None])
        return search


def threads(most: int = 4) -> Stage:
    stage = threads_stage(most, adjusts=True)
    assert stage is not None
    return stage


def steps() -> Stage:
    stage = steps_stage(512, prefill_rate=1000, step_s=2, context=4096)
    assert stage is not None
    return stage


async def test_where_all_are_alike_the_defaults_stay() -> None:
    bench = Bench(lambda _: EVEN)
    search = await bench.search(threads(), steps(), load_stage(), kv_stage("q8_0", wanted=False))
    assert proposed(search.tried, kv_short=False) == {}
    assert search.base == BASE
    assert all(each.unfinished == "" for each in search.tried)
    assert len(bench.asked) == ROUNDS * sum(len(each.stage.options) for each in search.tried)


async def test_options_take_turns_and_the_order_alternates() -> None:
    bench = Bench(lambda _: EVEN)
    await bench.search(threads(2))
    assert [variant.threads for variant in bench.asked] == [2, 1, 1, 2, 2, 1]


async def test_fewer_threads_are_proposed_to_write_and_to_read_each_by_its_own_figure() -> None:
    rates = {4: 10.0, 3: 14.0, 2: 13.0, 1: 8.0}
    reads = {4: 100.0, 3: 80.0, 2: 60.0, 1: 30.0}
    bench = Bench(
        lambda tried: replace(
            EVEN, decode_rate=rates[tried.threads], prefill_rate=reads[tried.prefill_threads]
        )
    )
    search = await bench.search(threads())
    assert proposed(search.tried, kv_short=False) == {"engine.threads_max": 3}
    assert search.base == replace(BASE, threads=3)
    assert rate_of(search.tried) == 14.0


async def test_what_is_found_is_the_ground_of_the_next_stage() -> None:
    bench = Bench(lambda tried: replace(EVEN, decode_rate=20.0 if tried.threads == 2 else 10.0))
    await bench.search(threads(), load_stage())
    assert {tried.threads for tried in bench.asked[-6:]} == {2}
    assert {tried.prefill_threads for tried in bench.asked[-6:]} == {4}


async def test_what_looks_better_is_tried_again_and_fails_if_it_was_chance() -> None:
    """The second of two is better in the first rounds, and then as good."""
    seen = dict.fromkeys((1, 2), 0)

    def says(tried: Variant) -> Sample:
        seen[tried.threads] += 1
        lucky = tried.threads == 1 and seen[1] <= ROUNDS
        return replace(EVEN, decode_rate=12.0 if lucky else 10.0)

    bench = Bench(says)
    search = await bench.search(threads(2))
    assert seen == {1: ROUNDS + MORE_ROUNDS, 2: ROUNDS + MORE_ROUNDS}
    assert proposed(search.tried, kv_short=False) == {}


async def test_only_what_looks_better_is_tried_again() -> None:
    bench = Bench(lambda tried: replace(EVEN, decode_rate=20.0 if tried.threads == 3 else 10.0))
    await bench.search(threads())
    again = bench.asked[ROUNDS * 4 :]
    assert [tried.threads for tried in again] == [4, 3, 3, 4, 4, 3]


@pytest.mark.parametrize(
    ("read", "proposes"),
    [
        (replace(EVEN, start_s=1.0), True),
        (replace(EVEN, start_s=1.95), False),
        # It starts sooner, and costs memory or speed.
        (replace(EVEN, start_s=1.0, memory_bytes=900_000_000), False),
        (replace(EVEN, start_s=1.0, decode_rate=8.0), False),
        (replace(EVEN, start_s=3.0, memory_bytes=300_000_000), False),
    ],
)
async def test_weights_are_read_where_that_starts_sooner_and_costs_nothing(
    read: Sample, *, proposes: bool
) -> None:
    bench = Bench(lambda tried: read if tried.load_mode == "read" else replace(EVEN, start_s=2.0))
    search = await bench.search(load_stage())
    assert proposed(search.tried, kv_short=False) == ({"engine.load_mode": "read"} if proposes else {})


async def test_a_smaller_kv_cache_is_proposed_for_memory_and_never_for_speed() -> None:
    fast = Bench(lambda tried: replace(EVEN, decode_rate=99.0) if tried.kv_type == "q8_0" else EVEN)
    search = await fast.search(kv_stage("q8_0", wanted=False))
    assert proposed(search.tried, kv_short=False) == {}
    assert "answers change a little" in remarks_of(search.tried)[0]
    slow = Bench(lambda tried: replace(EVEN, decode_rate=8.0) if tried.kv_type == "q8_0" else EVEN)
    search = await slow.search(kv_stage("q8_0", wanted=True))
    assert proposed(search.tried, kv_short=True) == {"engine.kv_type": "q8_0"}


async def test_another_file_is_told_and_is_no_setting_of_the_device() -> None:
    bench = Bench(lambda tried: replace(EVEN, decode_rate=15.0) if tried.path == "b.gguf" else EVEN)
    search = await bench.search(files_stage([("Q8_0", "a.gguf"), ("Q4_0", "b.gguf")]), load_stage())
    assert other_file(search.tried) == ("b.gguf", "Q4_0: decode +50 %")
    assert proposed(search.tried, kv_short=False) == {}
    # The other stages stay with the file that is configured.
    assert {tried.path for tried in bench.asked[-6:]} == {"a.gguf"}


async def test_the_time_is_kept_and_what_was_not_tried_is_told() -> None:
    bench = Bench(lambda _: EVEN)
    search = await bench.search(threads(), load_stage(), seconds=65)
    assert len(bench.asked) == 12
    assert bench.now <= 65
    first, second = search.tried
    assert first.unfinished == ""
    assert second.unfinished == "not tried: it takes about 30 s, and 5 s are left"
    assert "load_mode: not tried" in remarks_of(search.tried)[0]


async def test_a_stage_that_time_ends_proposes_nothing() -> None:
    bench = Bench(lambda tried: replace(EVEN, decode_rate=20.0 if tried.threads == 1 else 10.0))
    search = await bench.search(threads(), seconds=52)
    assert len(bench.asked) == 10
    assert proposed(search.tried, kv_short=False) == {}
    assert "not tried to the end" in search.tried[0].unfinished
    # The figures are there all the same.
    assert {row.option: row.rounds for row in rows_of(search.tried)} == {
        "4 of 4": 3, "3 of 4": 3, "2 of 4": 2, "1 of 4": 2,
    }  # fmt: skip


async def test_a_disturbed_answer_is_measured_again() -> None:
    disturbed = iter([True, False, True, False])

    def says(_: Variant) -> Sample:
        return replace(
            EVEN, disturbed="the firmware throttled the processor" if next(disturbed, False) else ""
        )

    bench = Bench(says)
    search = await bench.search(threads(2))
    assert len(bench.asked) == 2 * ROUNDS + 2
    assert not search.tried[0].disturbed


async def test_answers_that_stay_disturbed_do_not_count_and_that_is_told() -> None:
    def says(tried: Variant) -> Sample:
        rate = 20.0 if tried.threads == 1 else 10.0
        return replace(EVEN, decode_rate=rate, disturbed="other programs used the processor")

    bench = Bench(says)
    search = await bench.search(threads(2))
    # Two answers three times each; the others once, since it does not pass.
    assert len(bench.asked) == 2 * TRIES + 2 * ROUNDS - 2
    assert proposed(search.tried, kv_short=False) == {}
    assert "threads: disturbed answers do not count: other programs used the processor" in remarks_of(
        search.tried
    )
    assert rows_of(search.tried)[1].decode_rate == 20.0


async def test_an_option_that_cannot_be_loaded_is_left_out_and_told() -> None:
    def says(tried: Variant) -> Sample:
        if tried.step_tokens == 1024:
            raise ModelError("it does not fit")
        return replace(EVEN, prefill_rate=120.0 if tried.step_tokens == 128 else 100.0)

    search = await Bench(says).search(steps())
    (tried,) = search.tried
    assert tried.unable == {"1024": "it does not fit"}
    assert proposed(search.tried, kv_short=False) == {"engine.step_tokens": 128}
    assert verdict_of(tried, tried.stage.options[-1]) == "it does not fit"


async def test_a_default_that_cannot_be_loaded_is_an_error() -> None:
    def says(_: Variant) -> Sample:
        raise ModelError("it does not fit")

    with pytest.raises(ModelError, match="does not fit"):
        await Bench(says).search(steps())


async def test_what_was_measured_before_an_interruption_is_there_after_it() -> None:
    def says(_: Variant) -> Sample:
        if len(bench.asked) > 14:
            raise asyncio.CancelledError
        return EVEN

    bench = Bench(says)
    search = Search(BASE, bench.measure, Budget(lambda: bench.now, 1000), lambda _, __: None)
    with pytest.raises(asyncio.CancelledError):
        await search.run([threads(), load_stage()])
    assert search.tried[0].unfinished == ""
    assert "not tried to the end" in search.tried[1].unfinished
    assert sum(row.rounds for row in rows_of(search.tried)) == 14


# --- a device with noise -----------------------------------------------------------------------------------


async def tune_noisily(seed: int, *, noise: float, gain: float) -> dict[str, int | str]:
    """Return what is proposed for a device that drifts, where three threads write faster by so much."""
    chance = random.Random(seed)  # noqa: S311 - noise
    level = 1.0

    def rate(mean: float) -> float:
        return mean * level * (1 + chance.gauss(0, noise))

    def says(tried: Variant) -> Sample:
        nonlocal level
        level *= 1 + chance.gauss(0, 0.02)
        writes = rate(10 * (1 + gain * (tried.threads == 3)))
        return Sample(rate(100), writes, 500_000_000, start_s=1 / rate(0.5))

    search = await Bench(says).search(threads(), steps(), load_stage())
    return proposed(search.tried, kv_short=False)


@pytest.mark.parametrize("noise", [0.01, 0.03, 0.06, 0.12])
async def test_noise_alone_hardly_ever_changes_a_setting(noise: float) -> None:
    proposals = [await tune_noisily(seed, noise=noise, gain=0) for seed in range(100)]
    assert sum(map(bool, proposals)) <= 6


@pytest.mark.parametrize(("noise", "gain", "least"), [(0.01, 0.1, 95), (0.03, 0.2, 95), (0.06, 0.3, 85)])
async def test_what_is_clearly_faster_is_found_in_spite_of_noise(
    noise: float, gain: float, least: int
) -> None:
    proposals = [await tune_noisily(seed, noise=noise, gain=gain) for seed in range(100)]
    assert sum(each.get("engine.threads_max") == 3 for each in proposals) >= least


# --- what is tried -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("most", "numbers"),
    [(2, [2, 1]), (4, [4, 3, 2, 1]), (6, [6, 5, 4, 3, 1]), (8, [8, 7, 6, 4, 2]), (16, [16, 15, 12, 8, 4])],
)
def test_all_that_the_device_gives_are_the_first_of_few_numbers_of_threads(
    most: int, numbers: list[int]
) -> None:
    assert [option.value for option in threads(most).options] == numbers


def test_one_core_leaves_no_threads_to_try() -> None:
    assert threads_stage(1, adjusts=True) is None


def test_threads_that_stay_as_they_were_loaded_are_one_number_by_the_whole_answer() -> None:
    stage = threads_stage(4, adjusts=False)
    assert stage is not None
    assert [(rule.key, rule.figure) for rule in stage.rules] == [("engine.threads_max", Figure.ANSWER)]
    assert EVEN.value(Figure.ANSWER) == pytest.approx(320 / (2.56 + 6.4))


def test_steps_that_a_slow_device_never_fills_are_not_tried() -> None:
    # 40 tokens a second are 80 in the two seconds that a lone prompt's step may take.
    slow = steps_stage(512, prefill_rate=40, step_s=2, context=4096)
    assert slow is not None
    assert [option.value for option in slow.options] == [512, 64]
    assert steps_stage(512, prefill_rate=30, step_s=2, context=4096) is None
    fast = steps_stage(512, prefill_rate=400, step_s=2, context=4096)
    assert fast is not None
    assert [option.value for option in fast.options] == [512, 64, 128, 256]
    assert fast.prompt_tokens == 512


def test_what_is_proposed_is_toml() -> None:
    lines = as_toml({"engine.threads_max": 3, "engine.load_mode": "mmap", "mqtt.host": "elsewhere"})
    assert lines == ["[engine]", "threads_max = 3", 'load_mode = "mmap"']
