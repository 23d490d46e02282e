"""What the bench measures with, and where: models, processor time, the machine."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from edgeassist.bench.machine import read_machine
from edgeassist.bench.meter import CpuMeter, Watch, family_s
from edgeassist.bench.models import synthetic_models
from edgeassist.cli.instrument import random_models
from edgeassist.errors import ConfigurationError, ModelError


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


def test_a_child_counts_as_ours_while_it_runs_and_after_its_end() -> None:
    before = family_s()
    program = "import sys, time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\nsys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert family_s() - before >= 0.25
    assert family_s() - before >= 0.25


def test_others_have_a_share_of_the_machine() -> None:
    watch = Watch()
    _work(0.1)
    assert 0 <= watch.others() <= 1


def _work(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


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


def test_without_the_package_that_writes_them_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ModelError, match=r"gguf.* is not installed: pip install 'edgeassist\[bench\]'"):
        random_models("trial", ["q4_0"], 1, lambda *_: None)


def test_a_cached_model_is_not_made_again(tmp_path: Path) -> None:
    # With the number of weights: a shape that is corrected later has other files.
    path = tmp_path / "trial-139k-endless-q4_0.gguf"
    path.touch()
    assert synthetic_models(tmp_path, "trial", ["q4_0"], threads=1, on_step=pytest.fail) == [path]


@pytest.mark.llama
def test_only_the_quantizations_asked_for_stay(tmp_path: Path) -> None:
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
    assert read_machine(library="1", root=tmp_path).cpu == cpu


def test_an_unknown_machine_has_the_name_of_its_architecture(tmp_path: Path) -> None:
    assert read_machine(library="1", root=tmp_path).cpu
