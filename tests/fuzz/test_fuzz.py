"""The fuzzer for some seconds, and what it finds in a parser that is full of faults."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzz.__main__ import main, table
from tests.fuzz.mutation import mutate, read, write
from tests.fuzz.run import run
from tests.fuzz.targets import FAULTY, all_targets
from tests.patience import PATIENCE_S

# All targets have had their seeds by then, and some thousand inputs more.
SECONDS = 8.0
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
    chosen = [name for name in all_targets() if name != FAULTY]
    report = run(chosen, seconds=SECONDS, seed=seed, folder=tmp_path)
    with capsys.disabled():
        print(f"\nfuzz: seed {seed}, {report.inputs:,} inputs")  # noqa: T201 - for who runs it again
    assert not report.faults, f"seed {seed}\n" + "\n".join(map(str, report.faults))
    assert {name for name, (tried, _, _) in report.tried.items() if tried} == {*chosen}, table(report)


def test_each_kind_of_fault_is_found_kept_and_can_be_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    report = run(
        [FAULTY],
        seconds=PATIENCE_S,
        seed=1,
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
    monkeypatch.setattr("sys.argv", ["fuzz", "--replay", str(index.file)])
    with pytest.raises(IndexError):
        main()


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
