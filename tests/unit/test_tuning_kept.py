"""What was tuned is a source of settings: below the user's own, and for this model on this device only."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from edgeassist.cli.main import app
from edgeassist.errors import ConfigurationError
from edgeassist.folders import box_state_directory, state_directory
from edgeassist.models.catalogue import catalogue
from edgeassist.models.selected import Named, choose, forget
from edgeassist.settings import Loaded, Settings
from edgeassist.tuning.identity import Device, fingerprint, library_of, this_device
from edgeassist.tuning.kept import (
    KEYS,
    MOST_RESULTS,
    NAME,
    Kept,
    Rate,
    Result,
    keep,
    known_result,
    may_keep,
    read_kept,
    stale,
    tables_of,
    withdraw,
)
from edgeassist.tuning.rates import rates_of
from edgeassist.tuning.report import as_string
from edgeassist.tuning.source import load_with_tuned

TUNED: dict[str, int | str] = {"engine.threads_max": 3, "engine.load_mode": "read"}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@pytest.fixture
def model(trial_model: Path, tmp_path: Path) -> Path:
    """A model of the test's own, which it may change."""
    path = tmp_path / "model.gguf"
    path.write_bytes(trial_model.read_bytes())
    return path


def result(path: Path, **changes: Any) -> Result:
    values: dict[str, Any] = {
        "fingerprint": fingerprint(path),
        "model": "trial",
        "kv_heads": 4,
        "key_size": 16,
        "device": this_device(),
        "library": library_of("llama"),
        "at": "2026-11-28T12:00:00+00:00",
        "proposed": TUNED,
        "applied": TUNED,
    }
    return Result(**{**values, **changes})


def load(state: Path, path: Path, toml: str = "", environ: Mapping[str, str] | None = None) -> Loaded:
    file = state / "edgeassist.toml"
    file.write_text(toml)
    return load_with_tuned(
        file,
        environ={"STATE_DIRECTORY": str(state), "EDGEASSIST_MODEL__PATH": str(path), **(environ or {})},
    )


def test_what_was_applied_for_the_model_is_in_force_and_says_where_it_comes_from(
    state: Path, model: Path
) -> None:
    file = keep(state, result(model))
    loaded = load(state, model)
    assert loaded.settings.engine.threads_max == 3
    assert loaded.settings.engine.load_mode == "read"
    assert loaded.origins["engine.threads_max"] == f"tuned {file}"
    assert loaded.remark is None


def test_whatever_a_person_has_set_goes_before_it(state: Path, model: Path) -> None:
    keep(state, result(model))
    loaded = load(state, model, "[engine]\nthreads_max = 2", {"EDGEASSIST_ENGINE__LOAD_MODE": "lock"})
    assert loaded.settings.engine.threads_max == 2
    assert loaded.settings.engine.load_mode == "lock"
    assert loaded.origins["engine.load_mode"] == "environment EDGEASSIST_ENGINE__LOAD_MODE"


def test_what_was_only_proposed_is_not_in_force(state: Path, model: Path) -> None:
    keep(state, result(model, applied={}))
    loaded = load(state, model)
    assert loaded.settings.engine == Settings().engine
    assert loaded.remark is None


def test_without_a_file_nothing_is_said(state: Path, model: Path) -> None:
    assert load(state, model).remark is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"library": "llama-cpp-python 0.1"}, "with llama-cpp-python 0.1, and this is"),
        ({"device": Device("Raspberry Pi 3", 4, 10**9)}, "another device (Raspberry Pi 3)"),
        ({"fingerprint": "0"}, "another model"),
        ({"applied": {"engine.threads_max": "many"}}, "engine.threads_max (tuned "),
        ({"applied": {"engine.load_mode": "sideways"}}, "engine.load_mode (tuned "),
    ],
)
def test_what_does_not_hold_here_is_ignored_and_that_is_said(
    state: Path, model: Path, changes: dict[str, Any], words: str
) -> None:
    keep(state, result(model, **changes))
    loaded = load(state, model)
    assert loaded.settings.engine == Settings().engine
    assert loaded.remark is not None
    assert loaded.remark.startswith("what was tuned is not used: ")
    assert words in loaded.remark


def test_a_model_that_is_replaced_under_its_name_takes_nothing_of_the_old_one(
    state: Path, model: Path
) -> None:
    keep(state, result(model))
    with model.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    loaded = load(state, model)
    assert loaded.settings.engine == Settings().engine
    assert loaded.remark is not None
    assert "another model" in loaded.remark


def test_a_copy_of_the_model_is_the_same(state: Path, model: Path, tmp_path: Path) -> None:
    keep(state, result(model))
    copy = tmp_path / "other-name.gguf"
    copy.write_bytes(model.read_bytes())
    assert load(state, copy).settings.engine.threads_max == 3


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 2}', '{"results": [{"model": 1}]}', "\0"])
def test_a_file_that_holds_something_else_is_ignored_and_named(
    state: Path, model: Path, content: str
) -> None:
    (state / NAME).write_text(content)
    loaded = load(state, model)
    assert loaded.settings.engine == Settings().engine
    assert loaded.remark is not None
    assert str(state / NAME) in loaded.remark
    # And it does not keep a new result from being written.
    keep(state, result(model))
    assert load(state, model).settings.engine.threads_max == 3


def test_no_other_setting_comes_from_the_file(state: Path, model: Path) -> None:
    keep(state, result(model, applied={**TUNED, "mqtt.host": "elsewhere", "model.path": "other.gguf"}))
    loaded = load(state, model)
    assert loaded.settings.mqtt.host == "localhost"
    assert loaded.settings.model.path == model
    assert set(loaded.origins) == {"engine.threads_max", "engine.load_mode", "model.path"}


def test_all_keys_that_may_come_from_the_file_are_settings() -> None:
    engine = Settings().engine
    values: dict[str, int | str] = dict.fromkeys(KEYS, "auto")
    assert all(hasattr(engine, key) for key in tables_of(values)["engine"])


def test_a_model_that_is_missing_is_no_matter_of_the_file(state: Path, model: Path) -> None:
    keep(state, result(model))
    loaded = load(state, model.with_name("gone.gguf"))
    assert loaded.settings.model.path.name == "gone.gguf"
    assert loaded.remark is not None


def test_a_result_takes_the_place_of_the_one_before_of_the_same_model(state: Path, model: Path) -> None:
    keep(state, result(model))
    keep(state, result(model, model="other", fingerprint="1"))
    keep(state, result(model, proposed={}, applied={}))
    assert [each.model for each in read_kept(state).results] == ["other", "trial"]
    known = known_result(state, fingerprint(model))
    assert known is not None
    assert known.applied == {}


def test_the_file_stays_small(state: Path, model: Path) -> None:
    for number in range(MOST_RESULTS + 3):
        keep(state, result(model, fingerprint=str(number)))
    assert read_kept(state).results[0].fingerprint == "3"
    assert len(read_kept(state).results) == MOST_RESULTS


def test_the_daemons_user_may_read_what_root_has_written(state: Path, model: Path) -> None:
    state.chmod(0o750)
    file = keep(state, result(model))
    assert file.stat().st_mode & 0o777 == 0o644
    assert file.stat().st_uid == state.stat().st_uid
    assert [each.name for each in state.iterdir()] == [NAME]


def test_forgetting_keeps_the_figures_and_takes_the_settings_out_of_force(state: Path, model: Path) -> None:
    keep(state, result(model))
    assert withdraw(state)
    assert load(state, model).settings.engine == Settings().engine
    assert read_kept(state).results[0].proposed == TUNED
    assert not withdraw(state)


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path, model: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "state"
    assert not may_keep(folder)
    with pytest.raises(ConfigurationError, match="can't write"):
        keep(folder, result(model))
    assert may_keep(tmp_path / "new" / "state")


def test_the_state_directory_is_systemds_then_the_services_then_the_users(tmp_path: Path) -> None:
    service = tmp_path / "service"
    assert box_state_directory({"STATE_DIRECTORY": "/a:/b"}, service) == Path("/a")
    assert box_state_directory({}, service) == state_directory({})
    service.mkdir()
    assert box_state_directory({}, service) == service
    assert state_directory({}) != service


@pytest.mark.parametrize(
    ("other", "alike"),
    [
        (Device("a", 4, 1000), True),
        (Device("a", 4, 1090), True),
        (Device("a", 4, 2000), False),
        (Device("a", 2, 1000), False),
        (Device("b", 4, 1000), False),
    ],
)
def test_a_device_is_another_by_its_board_its_processors_or_its_memory(other: Device, *, alike: bool) -> None:
    assert Device("a", 4, 1000).is_like(other) is alike


def test_a_result_holds_where_it_was_measured(model: Path) -> None:
    assert stale(result(model), this_device(), library_of("llama")) is None


def test_check_config_shows_what_is_tuned_and_why_it_is_not_used(
    state: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(state))
    monkeypatch.setenv("EDGEASSIST_MODEL__PATH", str(model))
    monkeypatch.setenv("COLUMNS", "300")
    keep(state, result(model))
    shown = CliRunner().invoke(app, ["check-config", "--offline"]).output
    assert f"tuned {state / NAME}" in shown
    keep(state, result(model, library="llama-cpp-python 0.1"))
    shown = CliRunner().invoke(app, ["check-config", "--offline"]).output
    assert "what was tuned is not used: it was measured with llama-cpp-python 0.1" in shown


def test_forget_says_whether_anything_was_used(
    state: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(state))
    keep(state, result(model))
    assert "nothing of it is used any more" in CliRunner().invoke(app, ["tune", "--forget"]).output
    assert "nothing of it was used" in CliRunner().invoke(app, ["tune", "--forget"]).output


# --- recommend ---------------------------------------------------------------------------------------------


def of_the_catalogue(model: Path, **changes: Any) -> Result:
    entry = catalogue()[0]
    variant = entry.variants[0]
    rates = (Rate(variant.name, variant.size_bytes, 21.5),)
    return result(model, kv_heads=entry.kv_heads, key_size=entry.head_size, rates=rates, **changes)


def test_recommend_takes_what_was_measured_here_for_a_model_of_that_shape(model: Path) -> None:
    entry = catalogue()[0]
    key = entry.speed_name(entry.variants[0])
    device = this_device()
    assert rates_of(Kept(results=(of_the_catalogue(model),)), device, catalogue()) == {key: 21.5}
    elsewhere = of_the_catalogue(model, device=replace_board(device))
    assert rates_of(Kept(results=(elsewhere,)), device, catalogue()) == {}
    larger = msgspec.structs.replace(
        of_the_catalogue(model), rates=(Rate(entry.variants[0].name, 2 * entry.variants[0].size_bytes, 9.0),)
    )
    assert rates_of(Kept(results=(larger,)), device, catalogue()) == {}
    assert rates_of(Kept(results=(result(model),)), device, catalogue()) == {}


def replace_board(device: Device) -> Device:
    return msgspec.structs.replace(device, board="elsewhere")


def test_the_command_recommends_by_what_was_measured_here(
    state: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(state))
    keep(state, of_the_catalogue(model))

    def rate(*arguments: str) -> tuple[float, bool]:
        ended = CliRunner().invoke(
            app, ["recommend", "prototype", "--json", *arguments], catch_exceptions=False
        )
        options = json.loads(ended.stdout)["options"]
        found = next(
            each
            for each in options
            if (each["model"], each["variant"]) == (catalogue()[0].name, catalogue()[0].variants[0].name)
        )
        return found["tokens_per_s"], found["measured"]

    assert rate() == (21.5, True)
    # Another board was not measured.
    assert rate("--bandwidth-gb", "10")[1] is False


def test_what_was_tuned_holds_for_the_model_that_was_chosen(state: Path, model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(model.read_bytes() + b"longer")
    keep(state, result(other))
    choose(Named(other), Named(model), state)
    loaded = load(state, model)
    assert (loaded.settings.engine.threads_max, loaded.remark) == (3, None)
    forget(state)
    loaded = load(state, model)
    assert loaded.settings.engine.threads_max != 3
    assert loaded.remark is not None


@pytest.mark.parametrize("text", ["a b", 'a"b', "a\\b", "a\nb", "\x7f\x01", "m\u00e4x"])
def test_a_text_is_toml_whatever_is_in_it(text: str) -> None:
    assert tomllib.loads(f"path = {as_string(text)}") == {"path": text}


@pytest.mark.parametrize("content", [b'{"x": ' + b"[" * 300_000, b'{"format": 9, "results": []}', b"\xff"])
def test_a_file_that_holds_something_else_is_told_and_not_used(
    state: Path, model: Path, content: bytes
) -> None:
    (state / NAME).write_bytes(content)
    loaded = load(state, model)
    assert loaded.settings.engine.threads_max != 3
    assert "edgeassist tune writes it anew" in str(loaded.remark)
