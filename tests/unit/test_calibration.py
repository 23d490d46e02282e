"""Which calibration a model has, by whatever its file is called."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest

from edgeassist.evaluation.evaluate import load_cases
from edgeassist.evaluation.source import BUILTIN
from edgeassist.models.calibration import calibration_for, key_of, read_table
from edgeassist.protocol.calibration import THRESHOLD, Calibration

SHIPPED = json.loads((files("edgeassist") / "assets/decisions/calibration.json").read_text())["models"]
FITTED = {"temperatures": {"choice": 2.5, "score": 1.5, "yes_no": 0.5}, "threshold": 0.3}


def table(*entries: dict[str, Any]) -> dict[str, Calibration]:
    return read_table({"models": list(entries)})


@pytest.mark.parametrize(
    "names",
    [
        (
            "Qwen2.5 Coder 0.5B Instruct",
            "Qwen2.5-Coder-0.5B-Instruct",
            "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            "Qwen2.5-Coder-0.5B-Instruct-IQ4_XS-00001-of-00002.gguf",
            "qwen2.5-coder-0.5b-instruct-onnx-cpu-int4",
        ),
        ("SmolLM2 135M Instruct", "SmolLM2-135M-Instruct-Q4_1.gguf", "smollm2_135m_instruct_f16"),
        ("EdgeAssist Tiny", "edgeassist-tiny.gguf", "edgeassist-tiny-onnx"),
    ],
)
def test_files_of_one_model_have_one_key(names: tuple[str, ...]) -> None:
    assert len({key_of(name) for name in names}) == 1


def test_different_models_have_different_keys() -> None:
    names = (
        "Qwen2.5 0.5B",
        "Qwen2.5 0.5B Instruct",
        "Qwen2.5 Coder 0.5B Instruct",
        "Qwen2.5 5B",
        "Qwen25 5B",
        "Qwen3 0.6B",
        "Gemma 3 270M it",
        "Gemma 3 27B it",
        "模型甲",
        "模型乙",
    )
    assert len({key_of(name) for name in names}) == len(names)


def test_an_entry_has_its_temperatures_and_is_known() -> None:
    found = table({"model": "Some Model", **FITTED})[key_of("some-model-q8_0.gguf")]
    assert found == Calibration(choice=2.5, score=1.5, yes_no=0.5, threshold=0.3)


def test_what_publishers_call_a_model_is_one_of_its_names_too() -> None:
    found = table({"model": "Some Model", "also": ["mix1 ep2"], **FITTED})
    assert found[key_of("mix1-ep2-q4_0.gguf")] == found[key_of("Some Model")]


def test_where_no_margin_is_enough_it_always_abstains_but_when_certain() -> None:
    (found,) = table({"model": "Some Model", **FITTED, "threshold": None}).values()
    assert found.threshold == 1.0


def test_an_unknown_model_is_told_as_one() -> None:
    assert calibration_for("no such model") == Calibration(1.0, 1.0, 1.0, THRESHOLD)
    assert calibration_for("") == Calibration()


def test_a_model_that_is_there_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="some-model-f16 is there twice"):
        table({"model": "Some Model", **FITTED}, {"model": "some-model-f16", **FITTED})


@pytest.mark.parametrize("entry", SHIPPED, ids=lambda entry: entry["model"])
def test_what_is_shipped_was_fitted_to_the_cases_that_are_shipped(entry: dict[str, Any]) -> None:
    assert calibration_for(entry["model"]) != Calibration()
    assert entry["fitted"]["cases"] == load_cases(BUILTIN)[1]
