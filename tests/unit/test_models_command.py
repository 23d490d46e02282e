"""`edgeassist models`, as a person types it; tests/integration/test_pulling.py has the servers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edgeassist.cli.main import app
from edgeassist.errors import ModelError, PullError
from edgeassist.models.library import UNFINISHED, Library
from edgeassist.models.records import Record, write_record
from edgeassist.models.selected import FILE


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    """A library and a state directory of the test's own."""
    monkeypatch.setenv("EDGEASSIST_LIBRARY__FOLDER", str(tmp_path / "models"))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    return Library(tmp_path / "models")


@pytest.fixture
def box(library: Library, trial_model: Path) -> Path:
    """A model that was pulled."""
    library.folder.mkdir()
    path = library.folder / "box.gguf"
    path.write_bytes(trial_model.read_bytes())
    write_record(path, Record("hf:owner/repo/box.gguf", "2026-11-28T12:00:00Z", {"box.gguf": "0" * 64}))
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["models", *arguments])


def error_of(result: Result) -> str:
    assert isinstance(result.exception, ModelError | PullError)
    return result.exception.message


def listed() -> dict[str, Any]:
    arguments = ("list", "--json", "--memory-gb", "4", "--bandwidth-gb", "10")
    found: dict[str, Any] = json.loads(run(*arguments).stdout)
    return found


def test_a_list_shows_what_is_here_and_what_suits(box: Path) -> None:
    result = run("list", "--memory-gb", "4", "--bandwidth-gb", "10")
    assert result.exit_code == 0
    assert "box " in result.stdout
    assert "hf:owner/repo/box.gguf" in result.stdout
    assert "served: builtin:tiny" in result.stdout
    assert "qwen2.5-0.5b-instruct:q4_0" in result.stdout
    assert "phi-3-mini" not in result.stdout
    assert "phi-3-mini" in run("list", "--all", "--memory-gb", "4", "--bandwidth-gb", "10").stdout


def test_an_empty_library_is_told_with_its_folder(library: Library) -> None:
    result = run("list", "--memory-gb", "4", "--bandwidth-gb", "10")
    assert "no models in" in result.stdout
    assert "models yet" in " ".join(result.stdout.split())


def test_a_list_as_json_says_whose_figures_they_are(box: Path) -> None:
    found = listed()
    assert found["folder"] == str(box.parent)
    (model,) = found["models"]
    assert (model["name"], model["backend"], model["sha256"], model["served"]) == (
        "box",
        "llama",
        "0" * 64,
        False,
    )
    catalogue = {each["pull"]: each for each in found["catalogue"]}
    qwen = catalogue["qwen2.5-0.5b-instruct:q4_k_m"]
    assert (qwen["size_bytes"], qwen["size_basis"]) == (491_400_032, "published")
    assert (qwen["tools"], qwen["thinking"], qwen["prefix_reuse"]) == ("hermes", "none", "exact")


def test_a_chosen_model_is_served_until_the_configured_one_is_chosen_again(box: Path, tmp_path: Path) -> None:
    result = run("use", "box")
    assert (result.exit_code, "from the daemon's next start on" in result.stdout) == (0, True)
    assert listed()["served"] == str(box)
    assert "* " in run("list", "--memory-gb", "4", "--bandwidth-gb", "10").stdout
    assert run("use", "default").exit_code == 0
    assert listed()["served"] == "builtin:tiny"
    assert not (tmp_path / "state" / FILE).exists()


def test_the_built_in_model_can_be_chosen_over_a_configured_one(
    box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEASSIST_MODEL__PATH", str(box))
    assert listed()["served"] == str(box)
    assert run("use", "builtin:tiny").exit_code == 0
    assert listed()["served"] == "builtin:tiny"
    assert "has builtin:tiny" in error_of(run("use", "builtin:huge"))


def test_a_model_that_can_not_be_loaded_is_not_chosen(library: Library, tmp_path: Path) -> None:
    library.folder.mkdir()
    (library.folder / "page.gguf").write_text("<html>")
    assert "page.gguf" in error_of(run("use", "page"))
    assert not (tmp_path / "state" / FILE).exists()


def test_a_model_that_is_not_here_is_told_with_what_is(box: Path) -> None:
    for command in ("use", "remove"):
        assert "there: box" in error_of(run(command, "fox"))


def test_the_served_model_is_removed_only_by_force(box: Path) -> None:
    run("use", "box")
    assert "is the model that is served" in error_of(run("remove", "box"))
    assert box.exists()
    assert "deleted box" in run("remove", "box", "--force").stdout
    assert not box.exists()


def test_what_a_pull_has_left_is_listed_and_can_be_removed(library: Library) -> None:
    source = "hf:owner/repo/big.gguf"
    left = library.staging(source)
    left.mkdir(parents=True)
    (left / UNFINISHED).write_text(source)
    (left / "big.gguf.part").write_bytes(bytes(3_000_000))
    shown = run("list", "--memory-gb", "4", "--bandwidth-gb", "10").stdout
    assert f"begun: {source}, 3 MB" in " ".join(shown.split())
    assert "deleted what was got" in run("remove", source).stdout
    assert library.unfinished() == {}


def test_verify_tells_what_has_changed_and_the_sums_of_what_was_copied(box: Path) -> None:
    result = run("verify", "box")
    assert result.exit_code == 78
    assert "box.gguf has changed" in " ".join(result.stdout.split())
    (box.parent / "mine.gguf").write_bytes(b"GGUF")
    result = run("verify", "mine")
    assert result.exit_code == 0
    assert "nothing to compare with" in result.stdout
    assert [hashlib.sha256(b"GGUF").hexdigest(), "mine.gguf"] == result.stdout.split()[-2:]


def test_a_name_that_the_catalogue_lacks_is_told(library: Library) -> None:
    assert "the catalogue has no 'fox'" in error_of(run("pull", "fox"))


def test_the_places_of_models_are_settings(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEASSIST_LIBRARY__HF_ENDPOINT", "http://127.0.0.1:9/mirror")
    result = run("pull", "hf:owner/repo/box.gguf")
    assert "can't reach 127.0.0.1:9" in error_of(result)
    monkeypatch.setenv("EDGEASSIST_LIBRARY__HF_ENDPOINT", "mirror")
    result = run("pull", "hf:owner/repo/box.gguf")
    assert "library.hf_endpoint" in str(result.exception)


def test_the_served_model_is_known_however_its_path_is_written(
    box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(box.parent)
    for path in (tmp_path / "link" / "box.gguf", box.parent / ".." / "models" / "box.gguf"):
        monkeypatch.setenv("EDGEASSIST_MODEL__PATH", str(path))
        assert listed()["models"][0]["served"] is True
        assert "is the model that is served" in error_of(run("remove", "box"))
    assert box.exists()


def test_the_folder_of_models_may_have_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trial_model: Path
) -> None:
    folder = tmp_path / "[red]models[bold]"
    folder.mkdir()
    (folder / "[red]box.gguf").write_bytes(trial_model.read_bytes())
    monkeypatch.setenv("EDGEASSIST_LIBRARY__FOLDER", str(folder))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    result = run("list", "--memory-gb", "4", "--bandwidth-gb", "10")
    assert "[red]box" in result.stdout
    assert "[red]models[bold]" in "".join(result.stdout.split("\n"))
