"""What llama.cpp loads, or logs, that is no language model on this device: told before READY."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgeassist.engine.messages import Level, LoadMode, Log, Unusable
from edgeassist.errors import ExitStatus
from tests.integration.driver import Engine
from tests.other_models import retype, rewrite, write_bert

# What `load_backend` does after it has read the file.
LOAD = """
import sys
from pathlib import Path
from edgeassist.engine.backends.llama.context import make_context
from edgeassist.engine.backends.llama.layout import Layout
from edgeassist.engine.backends.llama.log import LlamaLog
from edgeassist.engine.backends.llama.model import Model
from edgeassist.engine.backends.llama.weights import load_weights
from edgeassist.engine.messages import Load, LoadMode
from edgeassist.errors import ModelError

log = LlamaLog()
log.install()
try:
    model = Model(load_weights(Path(sys.argv[1]), LoadMode.READ, log))
    options = Load("llama", sys.argv[1], context=128, threads=1, step_tokens=64)
    make_context(model, options, kv_tokens=128, layout=Layout(1, 0, 0, None), llama_log=log)
    print("loaded")
except ModelError as error:
    print(error)
"""
# Loads to be locked in memory, and prints how much is.
LOCK = """
import logging, sys
from pathlib import Path
from edgeassist.engine.backends.loading import load_backend
from edgeassist.engine.messages import Load, LoadMode

logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="%(levelname)s %(message)s")
options = Load("llama", sys.argv[1], context=64, threads=1, step_tokens=64, load_mode=LoadMode.LOCK)
load_backend(options, lambda _: None)
print(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmLck")))
"""
LOG = """
import logging, sys
from edgeassist.engine.backends.llama.log import LlamaLog

logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format="%(levelname)s %(message)s")
log = LlamaLog()
DEBUG, INFO, WARN, ERROR, CONT = range(1, 6)
for level, text in [
    (DEBUG, "graph"),
    (CONT, " of nodes\\n"),
    (INFO, "loading"),
    (CONT, "...\\n"),
    (CONT, "\\n"),
    (WARN, "warning: failed to lock\\nTry more\\n"),
    (WARN, "n_ctx_seq (9) possible training context overflow\\n"),
    (ERROR, "type 31 (REMOVED, use Q4_0)\\n"),
    (CONT, "of this file\\n"),
    *((ERROR, f"{word}\\n") for word in "bcd"),
]:
    log.take(level, text.encode())
print(log.errors)
"""


def run(program: str, *arguments: Path | str, before: tuple[str, ...] = ()) -> list[str]:
    command = [*before, sys.executable, "-c", program, *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return ended.stdout.splitlines()


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert(tmp_path_factory.mktemp("models") / "bert.gguf")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"qwen2.pooling_type": 3}, "an embedding model"),
        ({"qwen2.attention.causal": False}, "its attention is not causal"),
        ({"general.type": "adapter"}, "an adapter (LoRA)"),
    ],
)
def test_a_file_that_writes_no_text_ends_the_engine_with_what_it_is(
    fresh: Engine, trial_model: Path, tmp_path: Path, fields: dict[str, Any], words: str
) -> None:
    path = rewrite(trial_model, tmp_path / "other.gguf", fields)
    assert words in refused(fresh, path)


def test_an_encoder_ends_the_engine_before_it_is_ready(fresh: Engine, bert: Path) -> None:
    message = refused(fresh, bert)
    assert "model.path" in message
    assert "an embedding model" in message


def test_a_removed_type_ends_the_engine_with_the_one_to_take(
    fresh: Engine, trial_model: Path, tmp_path: Path
) -> None:
    path = retype(trial_model, tmp_path / "arm.gguf", 31)
    assert "take the Q4_0 file" in refused(fresh, path)
    # llama.cpp says it too, as the first of its errors.
    (said,) = run(LOAD, path)
    assert "REMOVED, use Q4_0 with runtime repacking" in said


def refused(engine: Engine, path: Path) -> str:
    with pytest.raises(AssertionError, match="ended"):
        engine.load("llama", path)
    (event,) = [event for event in engine.events if isinstance(event, Unusable)]
    assert engine.ends()[0] == ExitStatus.CONFIGURATION
    return event.message


def test_what_our_reader_does_not_know_llama_cpp_is_asked_after_the_load(
    bert: Path, trial_model: Path, tmp_path: Path
) -> None:
    pooled = rewrite(trial_model, tmp_path / "pooled.gguf", {"qwen2.pooling_type": 1})
    sighted = rewrite(trial_model, tmp_path / "sighted.gguf", {"qwen2.attention.causal": False})
    for path in (bert, pooled, sighted):
        (said,) = run(LOAD, path)
        assert f"model.path: {path} is no model that writes text token by token" in said
    assert run(LOAD, trial_model) == ["loaded"]


def test_llama_cpps_levels_are_ours_and_its_first_errors_are_kept() -> None:
    *logged, errors = run(LOG)
    assert logged == [
        "DEBUG loading",
        "DEBUG ...",
        "WARNING warning: failed to lock",
        "WARNING Try more",
        "DEBUG n_ctx_seq (9) possible training context overflow",
        "ERROR type 31 (REMOVED, use Q4_0)",
        "ERROR of this file",
        "ERROR b",
        "ERROR c",
        "ERROR d",
    ]
    assert errors == "type 31 (REMOVED, use Q4_0); of this file; b; c"


def test_a_warning_of_llama_cpp_reaches_the_daemon_as_one(
    fresh: Engine, trial_model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(trial_model.read_bytes().replace(b"tokenizer.ggml.pre", b"tokenizer.ggml.prx"))
    fresh.load("llama", path)
    told = [event for event in fresh.events if isinstance(event, Log) and "pre-tokenizer" in event.message]
    assert [event.level for event in told] == [Level.WARNING]


@pytest.mark.skipif(not shutil.which("setpriv"), reason="no setpriv here")
def test_a_model_that_may_not_be_locked_in_memory_is_told_with_what_to_do(trial_model: Path) -> None:
    unprivileged = ("setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock")
    warned, locked = run(LOCK, trial_model, before=(*unprivileged, "prlimit", "--memlock=65536"))
    assert warned.startswith("WARNING engine.load_mode: the model could not be locked in memory (")
    assert "LimitMEMLOCK=infinity" in warned
    assert locked.split()[1] == "0"


def test_all_weights_are_locked_in_memory_where_that_is_allowed(trial_model: Path) -> None:
    *warned, locked = run(LOCK, trial_model)
    if warned:
        pytest.skip("this user may not lock memory")
    assert int(locked.split()[1]) * 1024 > trial_model.stat().st_size


def test_a_locked_model_answers_like_another(llama: Engine, fresh: Engine, trial_model: Path) -> None:
    fresh.load("llama", trial_model, load_mode=LoadMode.LOCK)
    assert fresh.answer("tell me more").text == llama.answer("tell me more").text


def test_an_architecture_that_nobody_knows_yet_is_told_to_be_newer(
    fresh: Engine, trial_model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "next.gguf"
    path.write_bytes(trial_model.read_bytes().replace(b"qwen2", b"qwen9"))
    with pytest.raises(AssertionError, match="ended"):
        fresh.load("llama", path)
    (said,) = (event.message for event in fresh.events if isinstance(event, Unusable))
    assert "unknown model architecture: 'qwen9'" in said
    assert "newer than this llama.cpp: update EdgeAssist, or choose another model" in said
    warned = [event.message for event in fresh.events if isinstance(event, Log)]
    assert any(
        "architecture qwen9 is not known here: its KV cache is counted as the most" in each for each in warned
    )
