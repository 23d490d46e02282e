"""One answer to whether a model fits: the engine, check-config, doctor, recommend and llama.cpp itself."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import llama_cpp
import msgspec
import pytest

from edgeassist.cli.check import check_model as check_configured
from edgeassist.doctor.checks.model import check_model
from edgeassist.doctor.probes.model import Wanted, probe_model
from edgeassist.doctor.probes.permissions import this_user
from edgeassist.engine.messages import Ready, Unusable
from edgeassist.errors import MemoryShortError, ModelError
from edgeassist.loads import load_of
from edgeassist.models.catalogue import Basis, Entry, Reuse, Thinking, Variant
from edgeassist.models.choice import choose_model
from edgeassist.models.files.reading import read_model
from edgeassist.models.fit import Memory
from edgeassist.models.recommend import CONTEXT_TOKENS, MEMORY_SHARE, Board, Need, recommend
from edgeassist.protocol.findings import Severity
from edgeassist.settings import Settings
from edgeassist.settings.schema import EngineSettings, ModelSettings
from edgeassist.trial_models.onnx_graph import OnnxPrecision
from edgeassist.trial_models.synthetic import SHAPES, write_gguf
from edgeassist.trial_models.synthetic_onnx import write_onnx
from edgeassist.wiring import demand_of
from tests.integration.driver import Engine

MIB = 1 << 20
# 4 layers with 2 key/value heads of 64 values: 2 KiB of KV cache per token in f16, 4 KiB with ONNX.
SHAPE = replace(SHAPES["trial"], layers=4, width=256, heads=4, kv_heads=2)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same shape in both formats."""
    folder = tmp_path_factory.mktemp("models")
    write_gguf(folder / "box.gguf", SHAPE)
    write_onnx(folder / "box-onnx", SHAPE, precision=OnnxPrecision.F32)
    return {"llama": folder / "box.gguf", "onnx": folder / "box-onnx"}


@dataclass(frozen=True)
class Verdict:
    """Why it does not fit, empty where it does; and whether it may later."""

    message: str = ""
    passing: bool = False


def verdict_of_engine(settings: Settings, memory: Memory) -> Verdict:
    choice = choose_model(settings.model.path, settings.model.backend)
    load = load_of(settings, choice, threads=1)
    load = msgspec.structs.replace(load, memory_bytes=memory.free or 0, total_memory_bytes=memory.total or 0)
    with Engine() as engine:
        engine.send(load)
        said = engine.until(lambda event: isinstance(event, Ready | Unusable))
    return Verdict(said.message, said.for_now) if isinstance(said, Unusable) else Verdict()


def verdict_of_check_config(settings: Settings, memory: Memory) -> Verdict:
    try:
        check_configured(settings, memory)
    except ModelError as error:
        return Verdict(error.message, isinstance(error, MemoryShortError))
    return Verdict()


def verdict_of_doctor(settings: Settings, memory: Memory) -> Verdict:
    wanted = Wanted(settings.model.path, settings.model.backend, demand_of(settings))
    snapshot = probe_model(wanted, this_user(), memory_max_bytes=None, engine_bytes=None)
    found = check_model(replace(snapshot, memory=memory))
    problems = [each for each in found if each.severity is Severity.PROBLEM]
    if not problems:
        return Verdict()
    (problem,) = problems
    return Verdict(f"{problem.text}: {problem.remedy}", "at the moment" in problem.text)


@dataclass(frozen=True)
class Case:
    """A configuration on a device, and what must be said of it; nothing where the model fits.

    `free` and `total` are MiB of memory beside the weights, daemon and engine.
    """

    context: int
    free: int | None
    said: str
    backend: str = "llama"
    total: int | None = None
    engine: dict[str, object] = field(default_factory=dict)


CASES = {
    "f16 fits": Case(8192, 17, ""),
    "f16 does not fit": Case(8192, 15, "engine.kv_type to q8_0"),
    # What `scripts/install.sh` refused when check-config took every KV cache for one in f16.
    "q4_0 fits where f16 does not": Case(8192, 15, "", engine={"kv_type": "q4_0"}),
    "q8_0 fits where f16 does not": Case(8192, 9, "", engine={"kv_type": "q8_0"}),
    "q8_0 does not fit": Case(8192, 8, "engine.kv_type to q4_0", engine={"kv_type": "q8_0"}),
    "q4_0 does not fit": Case(8192, 4, "set model.context to", engine={"kv_type": "q4_0"}),
    "short for now": Case(8192, 15, "at the moment: end other programs", total=64),
    "a large pool": Case(1024, 15, "engine.kv_tokens to", engine={"kv_tokens": 8192}),
    "a pool below one context": Case(8192, 64, "lower the other", engine={"kv_tokens": 1024}),
    "slots share one context": Case(2048, 5, "", engine={"slots": 4}),
    "the trained context caps the configured one": Case(1_000_000, 17, ""),
    "memory unknown": Case(8192, None, ""),
    "the weights do not fit": Case(64, -1, "choose a smaller model"),
    "ONNX fits": Case(8192, 33, "", "onnx"),
    "ONNX does not fit": Case(8192, 31, "set model.context to", "onnx"),
    "ONNX has no kv_type": Case(8192, 31, "set model.context to", "onnx", engine={"kv_type": "q4_0"}),
    "ONNX has no pool": Case(2048, 9, "", "onnx", engine={"kv_tokens": 1024, "slots": 4}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_engine_check_config_and_doctor_say_the_same(models: dict[str, Path], case: Case) -> None:
    path = models[case.backend]
    model = read_model(path, case.backend)
    fixed = model.size_bytes + model.overhead_bytes
    memory = Memory(*(None if each is None else fixed + each * MIB for each in (case.free, case.total)))
    settings = Settings(
        model=ModelSettings(path=path, context=case.context),
        engine=EngineSettings.model_validate({**case.engine, "state_mb": 0}),
    )
    verdict = verdict_of_check_config(settings, memory)
    assert verdict_of_doctor(settings, memory) == verdict
    assert verdict_of_engine(settings, memory) == verdict
    assert case.said in verdict.message
    assert bool(verdict.message) == bool(case.said)


@pytest.mark.parametrize("backend", ["llama", "onnx"])
@pytest.mark.parametrize("room", [3, 5, 7, 9])
def test_recommend_says_the_same_of_a_conversation_of_its_length(
    models: dict[str, Path], backend: str, room: int
) -> None:
    model = read_model(models[backend], backend)
    free = model.size_bytes + model.overhead_bytes + room * MIB
    settings = Settings(model=ModelSettings(path=models[backend], context=CONTEXT_TOKENS))
    variant = Variant("F16", model.format, model.size_bytes, Basis.MEASURED)
    entry = Entry(
        name="box",
        shape="trial",
        parameters=1,
        active=1,
        context=8192,
        kv_heads=model.kv_heads,
        head_size=model.key_size,
        vocabulary=model.vocabulary,
        languages=("en",),
        licence="MIT",
        thinking=Thinking.NONE,
        tools="",
        reuse=Reuse.EXACT,
        caveat="",
        pi5=None,
        source="https://x",
        variants=(variant,),
    )
    (option,) = recommend(Board(int(free / MEMORY_SHARE) + 1, 1e12), Need.ENGLISH, {}, [entry])
    refused = bool(verdict_of_check_config(settings, Memory(free, free)).message)
    assert bool(option.objections) == refused == (room < {"llama": 4, "onnx": 8}[backend])


@pytest.fixture
def log() -> Iterator[list[str]]:
    """What llama.cpp logs meanwhile."""
    lines: list[str] = []

    def take(_level: int, text: bytes, _data: object) -> None:
        lines.append(text.decode())

    callback = llama_cpp.llama_log_callback(take)
    llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    yield lines
    llama_cpp.llama_log_set(llama_cpp.llama_log_callback(), ctypes.c_void_p(0))


@pytest.mark.parametrize("tokens", [64, 300, 8192])
@pytest.mark.parametrize("kv_type", ["f16", "q8_0", "q4_0"])
def test_llama_cpp_allocates_as_much_kv_cache_as_is_counted(
    models: dict[str, Path], log: list[str], tokens: int, kv_type: str
) -> None:
    path = models["llama"]
    handle = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
    params = llama_cpp.llama_context_default_params()
    params.n_ctx, params.n_seq_max, params.kv_unified, params.swa_full = tokens, 4, True, True
    params.type_k = params.type_v = getattr(llama_cpp, f"GGML_TYPE_{kv_type.upper()}")
    params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
    context = llama_cpp.llama_init_from_model(handle, params)
    try:
        (allocated,) = (
            float(size) for line in log for size in re.findall(r"KV buffer size = +([\d.]+) MiB", line)
        )
    finally:
        llama_cpp.llama_free(context)
        llama_cpp.llama_model_free(handle)
    counted = read_model(path, "llama").kv_bytes(tokens, kv_type) / MIB
    assert allocated == pytest.approx(counted, abs=0.005)
