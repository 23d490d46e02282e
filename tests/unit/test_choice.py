"""What `model.path` means: a file, a folder, or what comes with the package."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from edgeassist.errors import ModelError
from edgeassist.models.builtin import TINY, builtin_forms
from edgeassist.models.choice import Choice, choose_model

FORMS = builtin_forms(TINY)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The packages that are there: of the machine that the test is about."""
    names: list[str] = []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in names else None)
    return names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as ONNX Runtime GenAI has it, as far as its name goes."""
    (tmp_path / "genai_config.json").write_text("{}")
    return tmp_path


def test_a_file_is_for_llama_cpp_and_a_folder_for_onnx_runtime(folder: Path) -> None:
    file = folder / "box.gguf"
    file.touch()
    assert choose_model(file, "auto") == Choice(file, "llama")
    assert choose_model(folder, "auto") == Choice(folder, "onnx")
    assert choose_model(folder, "llama") == Choice(folder, "llama")


def test_the_scripted_backend_needs_no_model() -> None:
    assert choose_model(Path("/no/such/file"), "scripted") == Choice(None, "scripted")
    assert choose_model(TINY, "scripted") == Choice(None, "scripted")


def test_the_built_in_model_has_a_form_for_each_backend() -> None:
    assert FORMS["llama"].is_file()
    assert (FORMS["onnx"] / "genai_config.json").is_file()
    assert choose_model(TINY, "llama") == Choice(FORMS["llama"], "llama")
    assert choose_model(TINY, "onnx") == Choice(FORMS["onnx"], "onnx")


@pytest.mark.parametrize(
    ("packages", "backend"),
    [
        (["llama_cpp", "onnxruntime_genai"], "llama"),
        (["llama_cpp"], "llama"),
        (["onnxruntime_genai"], "onnx"),
        ([], "llama"),
    ],
)
def test_the_built_in_model_comes_in_the_form_that_is_served_here(
    installed: list[str], packages: list[str], backend: str
) -> None:
    installed += packages
    assert choose_model(TINY, "auto") == Choice(FORMS[backend], backend)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("builtin:large", ("there is no builtin:large", "builtin:tiny")),
        ("/no/such/box.gguf", ("there is no /no/such/box.gguf", "put the model there")),
        ("docs", ("docs holds no model: there is no genai_config.json",)),
    ],
)
def test_what_is_no_model_is_refused_in_words(path: str, words: tuple[str, ...]) -> None:
    with pytest.raises(ModelError) as refused:
        choose_model(Path(path), "auto")
    assert all(each in refused.value.message for each in ("model.path", *words))


@pytest.mark.parametrize(
    ("name", "words"),
    [("a.gguf", "name one of them: a.gguf"), ("model.onnx", "make them with the library's builder")],
)
def test_a_folder_that_is_no_model_is_told_by_what_is_in_it(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(ModelError) as refused:
        choose_model(tmp_path, "auto")
    assert words in refused.value.message


def test_both_forms_together_are_no_burden() -> None:
    files = [FORMS["llama"], *FORMS["onnx"].iterdir()]
    assert sum(file.stat().st_size for file in files) < 16_000_000
