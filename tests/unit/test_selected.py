import json
from pathlib import Path

import pytest

from edgeassist.errors import ModelError
from edgeassist.models.builtin import TINY
from edgeassist.models.selected import FILE, Named, Selected, choose, forget, select

CONFIGURED = Named(TINY)


@pytest.fixture
def other(tmp_path: Path) -> Named:
    path = tmp_path / "other.gguf"
    path.touch()
    return Named(path)


def test_without_a_choice_the_configured_model_is_served(tmp_path: Path) -> None:
    assert select(CONFIGURED, tmp_path / "nowhere") == Selected(CONFIGURED)


def test_a_choice_holds_while_the_settings_stay(tmp_path: Path, other: Named) -> None:
    choose(other, CONFIGURED, tmp_path / "state")
    assert select(CONFIGURED, tmp_path / "state") == Selected(other, chosen=True)


@pytest.mark.parametrize("changed", [Named(Path("/models/new.gguf")), Named(TINY, "llama")])
def test_settings_that_changed_since_win_over_the_choice(
    tmp_path: Path, other: Named, changed: Named
) -> None:
    choose(other, CONFIGURED, tmp_path)
    selected = select(changed, tmp_path)
    assert (selected.named, selected.chosen, selected.stale) == (changed, False, True)
    assert str(other.path) in (selected.note or "")


def test_a_choice_whose_file_is_gone_leaves_the_configured_model_and_holds_again_when_it_is_back(
    tmp_path: Path, other: Named
) -> None:
    choose(other, CONFIGURED, tmp_path)
    other.path.unlink()
    selected = select(CONFIGURED, tmp_path)
    assert (selected.named, selected.stale) == (CONFIGURED, False)
    assert f"{other.path} is not there" in (selected.note or "")
    other.path.touch()
    assert select(CONFIGURED, tmp_path).chosen


def test_the_built_in_model_can_be_chosen(tmp_path: Path, other: Named) -> None:
    choose(CONFIGURED, other, tmp_path)
    assert select(other, tmp_path) == Selected(CONFIGURED, chosen=True)


def test_to_choose_the_configured_model_is_to_forget_the_choice(tmp_path: Path, other: Named) -> None:
    choose(other, CONFIGURED, tmp_path)
    choose(CONFIGURED, CONFIGURED, tmp_path)
    assert select(CONFIGURED, tmp_path) == Selected(CONFIGURED)
    assert list(tmp_path.glob(FILE)) == []


def test_what_is_forgotten_counts_no_more_and_can_be_forgotten_twice(tmp_path: Path, other: Named) -> None:
    choose(other, CONFIGURED, tmp_path)
    forget(tmp_path)
    forget(tmp_path)
    forget(tmp_path / "nowhere")
    assert select(CONFIGURED, tmp_path) == Selected(CONFIGURED)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b"7",
        b"[" * 60_000,
        json.dumps({"format": 2, "chosen": {}, "configured": {}}).encode(),
        json.dumps({"format": 1, "chosen": {"path": 7, "backend": "auto"}, "configured": {}}).encode(),
    ],
)
def test_a_damaged_choice_is_said_and_not_followed(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    selected = select(CONFIGURED, tmp_path)
    assert (selected.named, selected.stale) == (CONFIGURED, True)
    assert "is damaged" in (selected.note or "")


def test_a_choice_that_can_not_be_kept_says_where(tmp_path: Path, other: Named) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match=f"can't keep the choice of a model in {tmp_path / 'file'}"):
        choose(other, CONFIGURED, tmp_path / "file")


def test_a_choice_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path, other: Named) -> None:
    folder = tmp_path / "state"
    choose(other, CONFIGURED, folder)
    choose(Named(tmp_path, "onnx"), CONFIGURED, folder)
    assert select(CONFIGURED, folder).named == Named(tmp_path, "onnx")
    assert [path.name for path in folder.iterdir()] == [FILE]
