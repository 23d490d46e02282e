"""KV memory is counted as llama.cpp allocates it, for every architecture that it knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeassist.models.files.gguf_container import read_fields
from edgeassist.models.files.gguf_kv import kept_by
from edgeassist.models.files.gguf_metadata import Metadata
from edgeassist.models.kv import Block, Manner
from tests.architectures import Value, metadata_of, write_metadata
from tests.integration.allocation import allocations, case_of

TOKENS = 3000
F16 = Block(1, 2)
MIB = 1 << 20


def names(text: str) -> list[str]:
    return text.split()


PLAIN = names(
    "llama deci falcon grok gpt2 gptneox mpt baichuan starcoder refact bloom stablelm qwen qwen2 qwen2moe "
    "qwen2vl qwen3 qwen3moe qwen3vl qwen3vlmoe phi2 phi3 phimoe plamo codeshell orion internlm2 minicpm "
    "minicpm3 gemma starcoder2 xverse command-r dbrx olmo olmoe openelm arctic deepseek deepseek2 "
    "deepseek2-ocr chatglm glm4 glm4moe bitnet jais jais2 nemotron exaone exaone4 granite granitemoe "
    "graniteswitch chameleon bailingmoe bailingmoe2 dots1 arcee ernie4_5 ernie4_5-moe hunyuan-moe "
    "hunyuan-dense hunyuan_vl hy_v3 smollm3 seed_oss grovemoe apertus hrm_text minimax-m2 cogvlm "
    "pangu-embedded mistral3 mistral4 paddleocr maincoder talkie nanbeige"
)
WINDOWED = names(
    "afmoe cohere2 cohere2moe exaone-moe gemma2 gemma3 gemma3n gemma4 gpt-oss granite_swa laguna lfm2 "
    "llama4 maple mellum mimo2 muse-glimmer olmo2 plamo3 smallthinker spark2_5 step35"
)
RECURRENT = names(
    "mamba mamba2 rwkv6 rwkv7 arwkv7 jamba granitehybrid lfm2moe plamo2 kimi-linear kimi-k3 bailingmoe3 "
    "nemotron_h nemotron_h_moe qwen3next qwen35 qwen35moe minimax-01 falcon-h1"
)
# Architectures, or variants of them, with more than their name in the metadata.
VARIANTS: dict[str, tuple[str, dict[str, Value]]] = {
    "keys wider than values": (
        "minicpm3",
        {"attention__key_length": 192, "attention__value_length": 128, "rope__dimension_count": 64},
    ),
    "keys wider than values, with a window": (
        "mimo2",
        {"attention__key_length": 192, "attention__value_length": 128, "rope__dimension_count": 64},
    ),
    "no window where the file has none": ("gemma3", {"attention__sliding_window": 0}),
    "a window that is listed": ("gemma3", {"attention__sliding_window_pattern": [1, 0, 0, 0]}),
    "a window in every layer": ("gpt-oss", {"attention__sliding_window_pattern": 0}),
    "a window that is not used": ("qwen2", {"attention__sliding_window": 1024}),
    "a recurrent model that lists its layers": ("qwen35", {"attention__recurrent_layers": [1, 1, 1, 0]}),
}
# Layers that differ in the width of their values.
UNEQUAL = names("llama deci openelm gemma4 deepseek2 jamba lfm2")


# Of which we only know the most that they take.
BOUNDED = names("deepseek32 glm-dsa minimax-m3")
WHOLE, SMALL, NO_FLASH = (
    Manner(sequences=3, rows=128, whole_windows=whole, flash=flash)
    for whole, flash in ((True, True), (False, True), (True, False))
)
CASES: dict[str, tuple[str, dict[str, Value], Manner]] = {
    **{name: (name, {}, WHOLE) for name in (*PLAIN, *WINDOWED, *RECURRENT)},
    **{f"{name}, small windows": (name, {}, SMALL) for name in WINDOWED},
    **{f"{name}, no flash attention": (name, {}, NO_FLASH) for name in UNEQUAL},
    **{name: (name, {}, SMALL) for name in BOUNDED},
    **{name: (architecture, changes, SMALL) for name, (architecture, changes) in VARIANTS.items()},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The metadata of each case."""
    folder = tmp_path_factory.mktemp("architectures")
    paths = {name: folder / f"{at}.gguf" for at, name in enumerate(CASES)}
    for name, (architecture, changes, _) in CASES.items():
        write_metadata(paths[name], architecture, metadata_of(architecture, **changes))
    return paths


@pytest.fixture(scope="module")
def allocated(files: dict[str, Path]) -> dict[str, float | None]:
    """The MiB that llama.cpp says it allocates for KV cache and recurrent states."""
    cases = [case_of(files[name], TOKENS, manner) for name, (_, _, manner) in CASES.items()]
    return dict(zip(CASES, allocations(cases), strict=True))


@pytest.mark.parametrize("name", [name for name in CASES if name not in BOUNDED])
def test_llama_cpp_allocates_what_is_counted(
    files: dict[str, Path], allocated: dict[str, float | None], name: str
) -> None:
    kept = kept_by(Metadata(files[name], read_fields(files[name])))
    assert kept.exact
    # Each buffer is said with two digits.
    assert allocated[name] == pytest.approx(kept.bytes(TOKENS, F16, CASES[name][2]) / MIB, abs=0.015)


@pytest.mark.parametrize("name", BOUNDED)
def test_what_is_not_known_exactly_is_never_counted_too_low(
    files: dict[str, Path], allocated: dict[str, float | None], name: str
) -> None:
    kept = kept_by(Metadata(files[name], read_fields(files[name])))
    took = allocated[name]
    assert not kept.exact
    assert took is not None
    assert took <= kept.bytes(TOKENS, F16, CASES[name][2]) / MIB


def test_an_architecture_that_nobody_knows_is_counted_as_if_every_layer_kept_all(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    for architecture in ("next-year", "llama"):
        write_metadata(path, architecture, metadata_of(architecture, attention__head_count_kv=[0, 4, 0, 2]))
        kept = kept_by(Metadata(path, read_fields(path)))
        heads = sum(each.count * each.heads for each in kept.layers)
        assert (kept.exact, heads) == {"next-year": (False, 16), "llama": (True, 6)}[architecture]
