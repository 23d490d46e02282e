"""Where models are got from: settings, then the environment, then the tools' own files."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeassist.models.pulling import places as room
from edgeassist.models.pulling.places import HUGGING_FACE, MODEL_SCOPE, places

NAMES = (
    "HF_ENDPOINT HF_TOKEN HF_HOME HF_TOKEN_PATH MODELSCOPE_ENDPOINT MODELSCOPE_API_TOKEN PIP_INDEX_URL "
    "PIP_CONFIG_FILE"
)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment that says nothing, and no files of pip but the test's own."""
    for name in NAMES.split():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(room, "_PIP_FILES", ("~/pip.conf",))


def test_without_a_word_they_are_the_originals() -> None:
    found = places()
    assert (found.hugging_face, found.model_scope) == (HUGGING_FACE, MODEL_SCOPE)
    assert found.pypi.startswith("http")
    assert found.hugging_face_token is None


def test_the_environment_of_their_own_tools_counts_and_settings_go_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/")
    monkeypatch.setenv("HF_TOKEN", "hf_one")
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple/")
    found = places()
    assert found.hugging_face == "https://mirror.example"
    assert (found.hugging_face_token, found.pypi) == ("hf_one", "https://index.example/simple")
    found = places("https://other.example", "hf_two", pypi="https://mine.example/simple")
    assert found.hugging_face == "https://other.example"
    assert (found.hugging_face_token, found.pypi) == ("hf_two", "https://mine.example/simple")


def test_what_hf_auth_login_has_kept_is_used(tmp_path: Path) -> None:
    (tmp_path / ".cache" / "huggingface").mkdir(parents=True)
    (tmp_path / ".cache" / "huggingface" / "token").write_text("hf_kept\n")
    assert places().hugging_face_token == "hf_kept"  # noqa: S105 - none


@pytest.mark.parametrize(
    ("content", "index"),
    [
        ("[global]\nindex-url = https://pip.example/simple\n", "https://pip.example/simple"),
        (
            "[global]\nindex-url = https://a.example\n[install]\nindex-url = https://b.example\n",
            "https://b.example",
        ),
    ],
)
def test_pips_own_files_name_the_index(tmp_path: Path, content: str, index: str) -> None:
    (tmp_path / "pip.conf").write_text(content)
    assert places().pypi == index


def test_a_file_of_pip_that_can_not_be_read_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text("index-url without a section")
    assert places().pypi.startswith("http")
