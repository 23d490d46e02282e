"""The fuzzer for some seconds, and what it finds in a parser that is full of faults."""

from __future__ import annotations

import random
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.fuzz.__main__ import main, table
from tests.fuzz.child import MOST_KEPT, MOST_KEPT_BYTES, Pool
from tests.fuzz.mutation import mutate, read, write
from tests.fuzz.run import Report, run
from tests.fuzz.target import Parser
from tests.fuzz.targets import all_targets
from tests.fuzz.targets.mqtt import Mqtt
from tests.patience import PATIENCE_S

# Of processor time, in which all targets have their turn, and ten thousand inputs are tried, or more.
CPU_S = 7.0
FIXED_SEED = 20
KINDS = {
    "IndexError": b"raises",
    "FaultError": b"breaks",
    "Slow": b"slow",
    "ended by -11": b"dies",
    "Hang": b"hangs",
}


@pytest.mark.parametrize("seed", [FIXED_SEED, None], ids=["the-same", "a-new-one"])
def test_what_nobody_thought_of_is_taken_or_refused_in_words(
    seed: int | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed
    chosen = [*all_targets()]
    report = run(
        chosen,
        seconds=PATIENCE_S,
        seed=seed,
        folder=tmp_path,
        enough=lambda report: report.cpu_s >= CPU_S,
    )
    with capsys.disabled():
        print(f"\nfuzz: seed {seed}, {report.inputs:,} inputs")  # noqa: T201 - for who runs it again
    assert not report.faults, f"seed {seed}\n" + "\n".join(map(str, report.faults))
    assert {name for name, (tried, _, _) in report.tried.items() if tried} == {*chosen}, table(report)


def test_each_kind_of_fault_is_found_and_kept_with_how_to_run_it_again(tmp_path: Path) -> None:
    said: list[str] = []
    report = run(
        ["faulty"],
        seconds=PATIENCE_S,
        seed=1,
        registry="tests.fuzz.targets.faulty",
        say=said.append,
        folder=tmp_path,
        hang_cpu_s=1.0,
        enough=lambda report: len(report.faults) == len(KINDS),
    )
    found = {fault.kind: fault.file.read_bytes() for fault in report.faults}
    assert found == KINDS
    index = next(fault for fault in report.faults if fault.kind == "IndexError")
    assert any(f"python -m tests.fuzz --replay {index.file}" in each for each in said)
    assert "tests/fuzz/targets/faulty.py" in index.places[-1]


def test_an_input_that_is_kept_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "ha-info-0123456789ab.bin"
    kept.write_bytes(b'{"protocol":1}')
    monkeypatch.setattr("sys.argv", ["fuzz", "--replay", str(kept)])
    assert main() == 0
    assert capsys.readouterr().out.startswith("ha-info: (True, True, True) after ")


def test_the_same_seed_makes_the_same_inputs() -> None:
    data, other = b'{"id":"a","n":[1,2,{"x":null}]}', b'{"stop":["x"],"id":"b"}'
    once, again = random.Random(7), random.Random(7)  # noqa: S311 - what is tested
    inputs = [mutate(once, data, other) for _ in range(500)]
    assert inputs == [mutate(again, data, other) for _ in range(500)]
    assert len({*inputs}) > 250
    assert any(each.count(b'"id"') > 1 for each in inputs)
    assert any(b"\\ud800" in each for each in inputs)


def test_a_document_comes_out_of_its_tree_as_it_went_in() -> None:
    document = b'{"a":1,"a":[{},"\\ud800",1e+100,null,true],"":{"b":-0.5}}'
    assert write(read(document)) == document


def test_the_inputs_that_are_kept_have_a_bound_and_an_outcome_is_new_once() -> None:
    pool = Pool(Parser("any", len, lambda: [b"seed"]), random.Random(7))  # noqa: S311 - as the fuzzer
    pool.begin()
    for number in range(3 * MOST_KEPT):
        pool.keep(bytes(number), number)
        pool.keep(b"like it", number)
    assert pool.found == 3 * MOST_KEPT
    assert len(pool._inputs) <= MOST_KEPT
    assert pool.held == sum(map(sys.getsizeof, pool._inputs)) <= MOST_KEPT_BYTES


def test_growth_is_of_the_child_that_lived_longest_once_its_caches_are_full() -> None:
    steady = [(number * 10, 100 if number >= 20 else number) for number in range(100)]
    report = Report(1, memory=[[(1, 1)] * 50, steady, [(5, 7)] * 9])
    assert report.growth() == ((245, 100), (945, 100))
    assert Report(1, memory=[[(1, 1)] * 9]).growth() is None


def test_a_box_keeps_no_end_that_its_broker_has() -> None:
    with closing(Mqtt()) as target:
        for seed in [*target.seeds()] * 2:
            target.take(seed)
        assert target._box is not None
        unheard = target._box.asking._repeats._unheard
        # Of the last seconds of its own clock.
        assert len(unheard._recent.entries) < 20
