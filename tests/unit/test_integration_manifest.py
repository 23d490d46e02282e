"""The integration's manifest claims no repository, and names one in a form that hassfest and HACS take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.integration import MANIFEST, main, named, written


def test_the_manifest_that_is_here_is_in_hassfests_order_and_claims_no_repository() -> None:
    manifest = json.loads(MANIFEST.read_text())
    keys = list(manifest)
    assert keys == ["domain", "name", *sorted(keys[2:])]
    assert written(manifest) == MANIFEST.read_text()
    assert {"documentation", "issue_tracker"}.isdisjoint(manifest)
    assert manifest["codeowners"] == []


def test_who_publishes_it_names_the_repository_and_nothing_else_changes(tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    before = MANIFEST.read_text()
    file.write_text(before)
    main(["https://code.example/somebody/box.git"], file)
    after = json.loads(file.read_text())
    assert after["documentation"] == "https://code.example/somebody/box/blob/main/docs/home-assistant.md"
    assert after["issue_tracker"] == "https://code.example/somebody/box/issues"
    assert after["codeowners"] == ["@somebody"]
    assert list(after) == ["domain", "name", *sorted(list(after)[2:])]
    for key, value in json.loads(before).items():
        assert after[key] == value or key == "codeowners"
    main(["https://code.example/somebody/box", "@one", "@house/team"], file)
    assert json.loads(file.read_text())["codeowners"] == ["@one", "@house/team"]


@pytest.mark.parametrize(
    ("repository", "owner"),
    [
        ("http://code.example/a/b", "@a"),
        ("https://code.example/a", "@a"),
        ("https://code.example/a/b/c", "@a"),
        ("https://code.example/a/b?c", "@a"),
        ("https://me@code.example/a/b", "@a"),
        ("https://www.home-assistant.io/a/b", "@a"),
        ("box", "@a"),
        ("https://code.example/a/b", "a"),
        ("https://code.example/a/b", "@"),
    ],
)
def test_what_cannot_be_a_repository_or_an_owner_is_refused(
    repository: str, owner: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(MANIFEST.read_text())
    with pytest.raises(ValueError, match=r"must be|refuses|an owner is"):
        named({}, repository, [owner])
    with pytest.raises(SystemExit, match="2"):
        main([repository, owner], file)
    assert "usage: " in capsys.readouterr().err
    assert file.read_text() == MANIFEST.read_text()
