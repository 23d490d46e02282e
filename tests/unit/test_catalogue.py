"""The catalogue of models: what it says is whole, and agrees with what else is known here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgeassist.engine.prompting.calls import finding
from edgeassist.errors import ModelError
from edgeassist.models.catalogue import Basis, Entry, Reuse, Variant, catalogue, known_sources, sources_of
from edgeassist.models.fit import Format
from edgeassist.trial_models.synthetic import SHAPES, Shape, tensors

VARIANTS = [(entry, variant) for entry in catalogue() for variant in entry.variants]
# Bytes that 32 values take, with a scale for each block. The formats with K have blocks of 256.
BYTES_OF_32 = {"Q4_0": 18, "Q8_0": 34}


def named(name: str) -> Entry:
    return next(entry for entry in catalogue() if entry.name == name)


def of(name: str, variant: str) -> Variant:
    return next(each for each in named(name).variants if each.name == variant)


@pytest.mark.parametrize("entry", catalogue(), ids=lambda entry: entry.name)
def test_what_is_told_of_a_model_is_whole(entry: Entry) -> None:
    sizes = [variant.size_bytes for variant in entry.variants]
    assert sizes == sorted(sizes) != []
    assert all(4.0 < 8 * size / entry.parameters < 11.0 for size in sizes)
    assert 0 < entry.active <= entry.parameters
    assert entry.source.startswith("https://")
    assert entry.languages
    assert all(re.fullmatch("[a-z]{2}", each) for each in entry.languages)
    assert len({variant.name for variant in entry.variants}) == len(entry.variants)


def test_a_name_is_one_models_only() -> None:
    names = [entry.name.casefold() for entry in catalogue()]
    assert len(set(names)) == len(names)
    assert not any(":" in name or "/" in name for name in names)


def test_a_form_of_calls_is_one_that_the_engine_knows() -> None:
    forms = {
        form.name for form in vars(finding).values() if hasattr(form, "grammar") and hasattr(form, "name")
    }
    assert {"hermes", "lfm2"} < forms
    assert {entry.tools for entry in catalogue()} - {""} <= forms


@pytest.mark.parametrize(("entry", "variant"), VARIANTS, ids=lambda each: each.name)
def test_a_source_is_one_that_can_be_pulled(entry: Entry, variant: Variant) -> None:
    assert variant.sources
    for source in variant.sources:
        kind, _, rest = source.partition(":")
        assert kind in {"hf", "ms", "pypi"}
        if kind != "pypi" and variant.format is Format.GGUF:
            assert re.fullmatch(r"[\w.-]+/[\w.-]+/[\w./-]+\.gguf", rest)
    assert variant.basis is not Basis.SHAPE or SHAPES[entry.shape]


def test_a_model_is_named_with_or_without_its_quantization() -> None:
    q4, q8 = (list(of("Qwen3-0.6B", name).sources) for name in ("Q4_0", "Q8_0"))
    assert sources_of("qwen3-0.6b") == sources_of("Qwen3-0.6B:q4_0") == q4
    assert sources_of("qwen3-0.6b:Q8_0") == q8
    assert known_sources("hf:owner/repo/box.gguf") == []


@pytest.mark.parametrize(
    ("name", "said"),
    [("qwen9", "the catalogue has no 'qwen9': it has Qwen2.5"), ("qwen3-0.6b:q2", "knows Q4_0, Q8_0")],
)
def test_what_the_catalogue_lacks_is_told_with_what_it_has(name: str, said: str) -> None:
    with pytest.raises(ModelError) as caught:
        sources_of(name)
    assert said in caught.value.message


def test_the_benchs_qwen_has_the_output_matrix_of_the_published_files() -> None:
    qwen, published = SHAPES["qwen2.5-0.5b"], named("Qwen2.5-0.5B-Instruct")
    assert qwen.parameters == published.parameters == 630_167_424
    # The model itself shares it with the embeddings.
    assert qwen.parameters - qwen.vocabulary * qwen.width == published.active
    assert SHAPES["phi-3-mini"].parameters == named("Phi-3-mini-4k-instruct").parameters == 3_821_079_552


def size_as(shape: Shape, quantization: str) -> int:
    """Return how large llama.cpp's quantizer makes a shape: the output matrix keeps eight bits."""
    size = 0
    for tensor in tensors(shape):
        matrix = len(tensor.dimensions) > 1
        of_32 = BYTES_OF_32["Q8_0" if tensor.name == "output.weight" else quantization] if matrix else 128
        size += tensor.size * of_32 // 32
    return size


@pytest.mark.parametrize("quantization", BYTES_OF_32)
def test_the_published_sizes_are_those_of_the_shape(quantization: str) -> None:
    published = of("Qwen2.5-0.5B-Instruct", quantization).size_bytes
    # The vocabulary of 151,936 tokens is the rest.
    assert 4e6 < published - size_as(SHAPES["qwen2.5-0.5b"], quantization) < 8e6


def test_recurrent_models_and_windows_keep_checkpoints() -> None:
    hybrid = re.compile(r"Qwen3\.5|Gemma|LFM2|Granite-4\.0-H")
    assert {entry.name for entry in catalogue() if entry.reuse is Reuse.CHECKPOINTS} == {
        entry.name for entry in catalogue() if hybrid.search(entry.name)
    }


@pytest.mark.parametrize("name", ["docs/models.md", "edgeassist/models/builtin.py"])
def test_documents_name_models_that_the_catalogue_has(name: str) -> None:
    text = (Path(__file__).parents[2] / name).read_text()
    found = re.findall(r"edgeassist models pull ([a-z][\w.:-]*)(?![\w:/]*[/=])", text)
    assert found
    for each in found:
        assert known_sources(each), each
