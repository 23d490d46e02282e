"""What probes read: systemctl's output, users' rights, a service's settings, the model's file."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edgeassist.doctor.checks.model import ModelSnapshot
from edgeassist.doctor.probes.clock import probe_clock
from edgeassist.doctor.probes.configuration import probe_configuration
from edgeassist.doctor.probes.model import Wanted, probe_model
from edgeassist.doctor.probes.permissions import User, find_user, may_read, may_write, this_user
from edgeassist.doctor.probes.power import probe_power
from edgeassist.doctor.probes.processor import probe_build
from edgeassist.doctor.probes.run import ask_program
from edgeassist.doctor.probes.service import Unit, parse_credentials, parse_seconds, parse_unit, probe_service
from edgeassist.doctor.probes.space import probe_space
from edgeassist.errors import UnsupportedError
from edgeassist.models.builtin import TINY, builtin_forms
from edgeassist.models.fit import Demand, Memory
from edgeassist.settings.sources import DEFAULT_FILE
from edgeassist.tuning.identity import fingerprint, library_of, this_device
from edgeassist.tuning.kept import Result, keep
from tests.other_models import rewrite
from tests.unit.trees import plant

# systemd 257, shortened.
SHOWN = """\
Restart=always
TimeoutStartUSec=infinity
TimeoutStopUSec=1min
WatchdogUSec=30s
NRestarts=2
ExecMainStatus=0
MainPID=812
Result=success
ExecStart={ path=/opt/box/bin/edgeassist ; argv[]=/opt/box/bin/edgeassist --config /etc/box.toml run ; \
ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }
CPUQuotaPerSecUSec=1.500s
MemoryMax=536870912
Environment=EDGEASSIST_MQTT__HOST=broker "EDGEASSIST_MODEL__SYSTEM=Be brief." OTHER=1
LoadCredential=[unprintable]
StateDirectory=edgeassist
User=edge
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled
"""
NOBODY = User("nobody", 65_534, frozenset({65_534}))


def unit(**changes: str) -> Unit:
    lines = [line for line in SHOWN.splitlines() if line.partition("=")[0] not in changes]
    text = "\n".join([*lines, *(f"{key}={value}" for key, value in changes.items())])
    return parse_unit("edgeassist.service", text, user_manager=False)


def test_what_systemctl_shows_is_read() -> None:
    read = unit()
    assert (read.user, read.pid, read.quota, read.memory_max_bytes) == ("edge", 812, 1.5, 536_870_912)
    assert read.config == Path("/etc/box.toml")
    assert read.environment["EDGEASSIST_MODEL__SYSTEM"] == "Be brief."
    assert read.state_folder == Path("/var/lib/edgeassist")
    shown = read.snapshot
    assert (shown.load_state, shown.active_state, shown.enabled, shown.restarts) == (
        "loaded",
        "active",
        "enabled",
        2,
    )
    assert (shown.watchdog_s, shown.start_timeout_s, shown.stop_timeout_s) == (30.0, None, 60.0)


def test_credentials_are_read_from_the_units_files() -> None:
    dropped, kept = "LoadCredential=old:/old", "LoadCredential=mqtt.password:/etc/pw"
    lines = ("[Service]", dropped, "# a drop-in", "LoadCredential=", kept)
    assert parse_credentials("\n".join(lines)) == {"mqtt.password": Path("/etc/pw")}


def test_a_unit_that_is_not_there_is_read_too() -> None:
    text = "LoadState=not-found\nActiveState=inactive\nWatchdogUSec=0\nMemoryMax=infinity\nMainPID=0\nUser=\n"
    read = parse_unit("edgeassist.service", text, user_manager=False)
    assert read.snapshot.load_state == "not-found"
    assert (read.pid, read.config, read.quota, read.memory_max_bytes) == (None, None, None, None)
    assert read.snapshot.watchdog_s is None


@pytest.mark.parametrize(
    ("shown", "limit"),
    [("8388608", 8 << 20), ("infinity", None), ("18446744073709551615", None), ("", None)],
)
def test_the_limit_of_locked_memory_is_read(shown: str, limit: int | None) -> None:
    read = parse_unit("edgeassist.service", f"LimitMEMLOCK={shown}\n", user_manager=False)
    assert read.snapshot.memlock_bytes == limit


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0), ("1min 30s", 90.0), ("2h 5min", 7500.0), ("500ms", 0.5), ("1.500s", 1.5),
        ("0", None), ("infinity", None), ("", None), ("1d", 86_400.0),
    ],
)  # fmt: skip
def test_time_spans_are_read(text: str, seconds: float | None) -> None:
    assert parse_seconds(text) == seconds


def test_without_systemd_there_is_no_unit(tmp_path: Path) -> None:
    assert probe_service(root=tmp_path) is None


def test_the_settings_are_those_of_the_service(tmp_path: Path) -> None:
    config, password = tmp_path / "box.toml", tmp_path / "password"
    config.write_text('[device]\nname = "kitchen"\n')
    password.write_text("secret\n")
    service = unit(
        ExecStart=f"{{ path=/x ; argv[]=/x run --config={config} ; ignore_errors=no ; }}",
        Environment="EDGEASSIST_MQTT__USERNAME=box EDGEASSIST_MQTT__PORT=1884",
        MainPID="0",
    )
    service = replace(service, credentials={"mqtt.password": password})
    found = probe_configuration(None, service, {"HOME": "/"})
    assert found.loaded is not None
    settings = found.loaded.settings
    assert (settings.device.name, settings.mqtt.port) == ("kitchen", 1884)
    assert settings.mqtt.password is not None
    assert settings.mqtt.password.get_secret_value() == "secret"
    assert "as the service gets them" in found.snapshot.source
    assert found.snapshot.command == f"edgeassist --config {config} check-config"


def test_a_program_that_the_services_daemon_runs_has_its_settings_and_credentials_itself(
    tmp_path: Path,
) -> None:
    config, credentials = tmp_path / "box.toml", tmp_path / "credentials"
    config.write_text('[device]\nname = "kitchen"\n')
    credentials.mkdir()
    (credentials / "mqtt.password").write_text("secret\n")
    service = unit(
        ExecStart=f"{{ path=/x ; argv[]=/x run --config={config} ; ignore_errors=no ; }}",
        MainPID=str(os.getppid()),
    )
    # The file behind it is root's alone.
    service = replace(service, credentials={"mqtt.password": tmp_path})
    environ = {"CREDENTIALS_DIRECTORY": str(credentials), "EDGEASSIST_MQTT__USERNAME": "box"}
    for named in (None, config):
        found = probe_configuration(named, service, environ)
        assert found.loaded is not None
        settings = found.loaded.settings
        assert (settings.device.name, settings.mqtt.username) == ("kitchen", "box")
        assert settings.mqtt.password is not None
        assert (found.snapshot.unread, found.unit) == ((), service)


def test_what_was_tuned_for_the_service_is_among_its_settings(tmp_path: Path) -> None:
    model = builtin_forms(TINY)["llama"]
    tuned: dict[str, int | str] = {"engine.threads_max": 1}
    keep(
        tmp_path,
        Result(
            fingerprint=fingerprint(model),
            model="EdgeAssist Tiny",
            kv_heads=1,
            key_size=1,
            device=this_device(),
            library=library_of("llama"),
            at="2026-11-28T12:00:00+00:00",
            applied=tuned,
        ),
    )
    service = unit(
        ExecStart="", Environment=f"EDGEASSIST_MODEL__PATH={model}", MainPID="0", StateDirectory="edgeassist"
    )
    found = probe_configuration(None, replace(service, state_folder=tmp_path), {"HOME": "/"})
    assert found.loaded is not None
    assert found.loaded.settings.engine.threads_max == 1


def test_settings_that_the_person_names_go_before_the_services(tmp_path: Path) -> None:
    service = unit(Environment="EDGEASSIST_MQTT__PORT=1884", MainPID="0")
    found = probe_configuration(None, service, {"EDGEASSIST_DEVICE__NAME": "mine"})
    assert found.loaded is not None
    assert (found.loaded.settings.device.name, found.loaded.settings.mqtt.port) == ("mine", None)


def test_an_account_alone_does_not_make_the_settings_another_persons() -> None:
    service = unit(Environment="EDGEASSIST_MQTT__PORT=1884", MainPID="0", ExecStart="")
    account = {"EDGEASSIST_MQTT__USERNAME": "box", "EDGEASSIST_MQTT__PASSWORD": "right"}
    found = probe_configuration(None, service, account)
    assert found.loaded is not None
    assert (found.loaded.settings.mqtt.port, found.loaded.settings.mqtt.username) == (1884, "box")
    assert found.unit is service


def test_a_credential_of_a_relative_path_may_be_missing() -> None:
    if os.geteuid() != 0 and Path("/etc/credstore").exists():
        pytest.skip("only root may look into /etc/credstore")
    service = replace(
        unit(Environment="", MainPID="0", ExecStart=""),
        credentials={"mqtt.password": Path("no-such-credential.mqtt.password")},
    )
    assert probe_configuration(None, service, {}).snapshot.unread == ()


def test_a_credential_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    config = tmp_path / "box.toml"
    config.write_text("")
    service = unit(
        ExecStart=f"{{ argv[]=/x run --config {config} ; }}",
        Environment="",
        MainPID="0",
    )
    service = replace(service, credentials={"mqtt.password": tmp_path / "none"})
    assert probe_configuration(None, service, {}).snapshot.unread == ("mqtt.password",)


def test_a_password_in_the_unit_is_told() -> None:
    service = unit(
        Environment="EDGEASSIST_MQTT__PASSWORD=x EDGEASSIST_MQTT__USERNAME=y", MainPID="0", ExecStart=""
    )
    assert probe_configuration(None, service, {}).snapshot.in_unit == ("mqtt.password",)


def test_without_a_file_the_source_is_told() -> None:
    if DEFAULT_FILE.exists():
        pytest.skip(f"this machine has a {DEFAULT_FILE}")
    assert "no file" in probe_configuration(None, None, {}).snapshot.source


# --- rights ---------------------------------------------------------------------------------------------


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that everybody can reach: pytest's own are for its user alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def test_rights_follow_the_modes_of_the_file_and_the_folders_above(shared: Path) -> None:
    folder, file = shared / "models", shared / "models" / "box.gguf"
    folder.mkdir()
    file.touch()
    group = User("neighbour", 65_533, frozenset({file.stat().st_gid}))
    for mode, for_nobody, for_group in ((0o644, True, True), (0o640, False, True), (0o600, False, False)):
        file.chmod(mode)
        assert (may_read(NOBODY, file), may_read(group, file)) == (for_nobody, for_group)
    file.chmod(0o644)
    folder.chmod(0o700)
    assert may_read(NOBODY, file) is False
    assert may_read(this_user(), file) is True
    assert may_read(User("root", 0, frozenset()), file) is True


def test_a_file_that_is_not_there_is_neither_readable_nor_forbidden(tmp_path: Path) -> None:
    assert may_read(this_user(), tmp_path / "none" / "box.gguf") in {None, os.geteuid() == 0}
    assert may_read(NOBODY, tmp_path / "none" / "box.gguf") is None


def test_a_folder_can_be_made_where_the_one_above_can_be_written(shared: Path) -> None:
    state = shared / "state"
    state.mkdir()
    assert may_write(this_user(), state / "kv" / "deep") is True
    state.chmod(0o755)
    assert may_write(NOBODY, state / "kv") is False
    state.chmod(0o777)
    assert may_write(NOBODY, state / "kv") is True


def test_users_are_found_by_name() -> None:
    root = find_user("root")
    assert root is not None
    assert root.uid == 0
    assert find_user("no-such-user-here") is None


# --- programs and the machine ---------------------------------------------------------------------------


def test_a_program_that_hangs_or_is_not_there_is_an_error_in_time() -> None:
    with pytest.raises(UnsupportedError, match="longer than"):
        ask_program([sys.executable, "-c", "import time; time.sleep(60)"], 0.3)
    with pytest.raises(UnsupportedError, match="can't run"):
        ask_program(["/no/such/program"], 1)


@pytest.mark.llama
def test_the_build_of_llama_cpp_is_asked_in_another_process(tmp_path: Path) -> None:
    plant(tmp_path, {"proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd asimddp"})
    snapshot = probe_build(tmp_path)
    assert snapshot.cpu_features == {"fp", "asimd", "asimddp"}
    assert snapshot.build is not None
    assert "REPACK" in snapshot.build


def test_this_machine_is_looked_at_without_an_error(tmp_path: Path) -> None:
    probe_power({"throttled_since_start": True})
    assert probe_power({"throttled_since_start": True}).throttled_since_start is True
    space = probe_space(tmp_path / "kv", 1, this_user())
    assert space.state_writable is True
    assert space.root_free_bytes is not None
    clock = probe_clock(tls=True)
    assert clock.installed < clock.now


# --- model ----------------------------------------------------------------------------------------------


@pytest.mark.llama
def test_a_model_is_read_from_its_header(trial_model: Path) -> None:
    snapshot = probe_model(
        Wanted(trial_model, "auto", Demand(512)), this_user(), memory_max_bytes=12_345, engine_bytes=None
    )
    assert (snapshot.backend, snapshot.refusal, snapshot.backend_installed) == ("llama", None, True)
    assert (snapshot.quantization, snapshot.main_type) == ("F32", "F32")
    assert snapshot.weights is not None
    assert snapshot.weights.size_bytes == trial_model.stat().st_size
    assert snapshot.memory == Memory(12_345, 12_345)
    assert snapshot.readable is True


def test_a_part_of_a_model_that_the_service_may_not_read_is_found(shared: Path, trial_model: Path) -> None:
    first, second = (shared / f"model-{number:05}-of-00002.gguf" for number in (1, 2))
    rewrite(trial_model, first, {"split.count": 2})
    shutil.copy(trial_model, second)
    first.chmod(0o644)
    second.chmod(0o600)
    wanted = Wanted(first, "auto", Demand(512))
    snapshot = probe_model(wanted, NOBODY, memory_max_bytes=None, engine_bytes=None)
    assert snapshot.weights is not None
    assert snapshot.weights.size_bytes == first.stat().st_size + second.stat().st_size
    assert (snapshot.readable, snapshot.barred) == (False, second)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"<html>", "web page"), (b"", "empty"), (b"GGUF\x03\x00\x00\x00", "cut short"), (None, "there is no")],
)
def test_what_is_no_model_is_refused_with_its_reason(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "box.gguf"
    if content is not None:
        path.write_bytes(content)
    snapshot = probe_model(
        Wanted(path, "auto", Demand(512)), this_user(), memory_max_bytes=None, engine_bytes=None
    )
    assert words in str(snapshot.refusal)


def test_the_probe_looks_for_a_chat_template(trial_model: Path, tmp_path: Path) -> None:
    def probed(template: Path | None) -> ModelSnapshot:
        wanted = Wanted(trial_model, "auto", Demand(512), template)
        return probe_model(wanted, this_user(), memory_max_bytes=None, engine_bytes=None)

    assert (probed(None).has_template, probed(None).template_refusal) == (True, None)
    missing = tmp_path / "chat.jinja"
    assert f"there is no {missing}" in str(probed(missing).template_refusal)
    missing.write_text("{{ messages }}")
    assert probed(missing).template_refusal is None


@pytest.mark.llama
def test_the_built_in_model_is_known_as_such() -> None:
    snapshot = probe_model(
        Wanted(TINY, "auto", Demand(4096)), this_user(), memory_max_bytes=None, engine_bytes=None
    )
    assert (snapshot.builtin, snapshot.path, snapshot.readable) == (True, TINY, True)
    assert (snapshot.backend, snapshot.quantization, snapshot.refusal) == ("llama", "Q8_0", None)


def test_what_the_running_engine_has_can_be_had_again() -> None:
    wanted = Wanted(TINY, "scripted", Demand(512))
    without = probe_model(wanted, this_user(), memory_max_bytes=None, engine_bytes=None).memory.free
    beside = probe_model(wanted, this_user(), memory_max_bytes=None, engine_bytes=1 << 50).memory.free
    assert without is not None
    assert beside is not None
    assert beside > 1 << 50
