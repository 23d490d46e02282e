"""EdgeAssist on a Debian that boots, from the installation to its removal.

The tests of one machine go on from each other, in this order, as a box's life does. Where a test waits for a
timeout, it is a shorter one than the default; the drop-in of `impatient` has them all.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.appliance.conftest import Wheelhouses
from tests.appliance.machine import Machine
from tests.appliance.memory import MemoryLimit
from tests.appliance.person import Client, current, install

# The first test waits for a Debian and for wheels, which may have to be made and compiled.
pytestmark = pytest.mark.timeout(2700)

CLIENT = "kitchen"
SETTINGS = "/etc/edgeassist/edgeassist.toml"
DAEMON = "bin/edgeassist run"
ENGINE = "edgeassist.engine"
WATCHDOG_S = 10
STALL_S = 5
RecordProperty = Callable[[str, object], None]


@pytest.fixture(scope="module")
def fresh(machine: Machine) -> list[str]:
    """What lies on the machine before anything is installed."""
    machine.run("systemctl is-system-running --wait", status=None)
    return files(machine)


def files(machine: Machine) -> list[str]:
    """What lies on it, but for what Debian's own services write while they run."""
    own = (
        r"^/var/(log|cache|tmp|lib/(systemd|mosquitto|private|dbus))/|^/etc/([a-z]+-|\.pwd\.lock|\.updated)$"
    )
    command = f"find /etc /opt /usr /var /home /root -xdev | grep -vE '{own}' | sort; ls /var/log/edgeassist*"
    return machine.run(command, status=None).splitlines()


@pytest.fixture(scope="module")
def installed(machine: Machine, wheelhouses: Wheelhouses, little_model: Path, fresh: list[str]) -> str:
    """Install with a broker and a model, and return what the installer said."""
    options = ("--wheelhouse", wheelhouses.own, "--with-broker", "--broker-port", machine.port)
    return install(machine, *options, "--model", little_model)


@pytest.fixture(scope="module")
def client(machine: Machine, installed: str) -> Client:
    return Client(machine, CLIENT)


@pytest.fixture(scope="class")
def impatient(machine: Machine) -> Iterator[None]:
    """Shorter timeouts than the default: a drop-in, as an administrator would write one."""
    text = (
        f"[Service]\\nWatchdogSec={WATCHDOG_S}\\nEnvironment=EDGEASSIST_ENGINE__STALL_TIMEOUT_S={STALL_S} "
        "EDGEASSIST_ENGINE__RESTART_MAX_S=2 EDGEASSIST_ENGINE__LOAD_TIMEOUT_S=10\\n"
    )
    folder = "/run/systemd/system/edgeassist.service.d"
    machine.run(f"mkdir -p {folder} && printf '{text}' >{folder}/impatient.conf && systemctl daemon-reload")
    machine.run("systemctl restart edgeassist")
    yield
    machine.run(f"rm -r {folder} && systemctl daemon-reload && systemctl restart edgeassist")


# --- Installation ---------------------------------------------------------------------------


def test_a_dry_run_tells_of_every_step_and_changes_nothing(
    machine: Machine, wheelhouses: Wheelhouses, little_model: Path, fresh: list[str]
) -> None:
    options = ("--wheelhouse", wheelhouses.own, "--with-broker", "--model", little_model)
    said = install(machine, "--dry-run", *options)
    for step in ("the system user edgeassist", "copy the model", "make release", "switch to release"):
        assert f"would {'make ' if 'user' in step else ''}{step}" in said
    assert files(machine) == fresh


def test_the_installer_ends_with_a_service_that_is_ready(
    machine: Machine, installed: str, client: Client
) -> None:
    assert "runs, and starts at boot" in installed
    assert machine.show("edgeassist", "ActiveState") == "active"
    assert machine.show("edgeassist", "UnitFileState") == "enabled"
    assert machine.run("systemctl is-system-running").strip() == "running"


def test_editors_find_the_schema_that_the_settings_name(machine: Machine, installed: str) -> None:
    named = machine.run(f"head -n 1 {SETTINGS}").removeprefix("#:schema ").strip()
    laid = machine.run(f"cat /etc/edgeassist/{named}")
    assert laid == machine.run("edgeassist check-config --schema")


def test_no_module_of_the_service_waits_for_byte_code_that_it_can_not_write(
    machine: Machine, installed: str
) -> None:
    modules = "edgeassist.daemon.app, edgeassist.engine.__main__, edgeassist.cli.run, llama_cpp"
    files = "(getattr(module, '__cached__', None) for module in sys.modules.values())"
    lacking = f"[file for file in {files} if file and not os.path.exists(file)]"
    program = f"import os, sys, {modules}; print({lacking})"
    assert machine.run(f'/opt/edgeassist/current/bin/python -B -c "{program}"').strip() == "[]"


def test_the_first_prompt_of_a_client_is_answered(machine: Machine, client: Client) -> None:
    listen = f"mosquitto_sub {client.account} -i listener -c -q 1 -t '{client.root}/reply/{CLIENT}/#'"
    machine.run(f"{listen} -E")
    machine.run(f"mosquitto_pub {client.account} -t {client.root}/prompt/{CLIENT} -m Hello")
    done = json.loads(machine.run(f'grep -m 1 \'"type":"done"\' <({listen} -W 30 2>&-)'))
    assert done["device"] == machine.name


def test_a_client_hears_and_says_nothing_on_the_topics_of_another(machine: Machine, client: Client) -> None:
    other = Client(machine, "garage")
    topics = " ".join(
        f"-t '{topic}'" for topic in ("#", f"{client.root}/reply/#", f"{client.root}/reply/+/+")
    )
    spy = f"mosquitto_sub {other.account} -i spy -c -q 1 {topics}"
    machine.run(f"{spy} -E")
    assert client.answer()["type"] == "done"
    machine.run(f"mosquitto_pub {other.account} -q 1 -t {client.root}/prompt/{CLIENT} -m forged")
    machine.run(f"mosquitto_pub {other.account} -q 1 -t {client.root}/prompt -m forged")
    for topic in ("cancel", f"cancel/{CLIENT}"):
        machine.run(f"mosquitto_pub {other.account} -q 1 -t {client.root}/command/{topic} -m all")
    assert client.answer()["type"] == "done"
    heard = {line.split()[0] for line in machine.run(f"{spy} -v -W 2", status=None).splitlines()}
    assert not {topic for topic in heard if "/reply/" in topic or "/command/" in topic}
    requests = machine.run("journalctl -u edgeassist -o cat | grep -c forged || true")
    assert requests.strip() == "0"
    nobody = f"mosquitto_pub -p {machine.port} -t {client.root}/prompt -m anonymous"
    assert "not authorised" in machine.run(nobody, status=5).lower()


def test_a_client_may_cancel_what_it_asked(machine: Machine, client: Client) -> None:
    topics = f"-t {client.root}/command/cancel/{CLIENT} -e {client.root}/response/cancel/{CLIENT}"
    said = machine.run(f"mosquitto_rr {client.account} -q 1 -W 10 {topics} -m nobody")
    assert "no request 'nobody' waits or runs" in said


def test_a_client_may_have_something_decided(machine: Machine, client: Client) -> None:
    topics = f"-t {client.root}/decide/{CLIENT} -e {client.root}/reply/{CLIENT}/decided"
    question = {"type": "choice", "instructions": "Which room?", "criteria": ["kitchen", "bath"]}
    asked = json.dumps({"state": "The kitchen lamp", "questions": {"room": question}})
    said = machine.run(f"mosquitto_rr {client.account} -q 1 -W 30 {topics} -m '{asked}'")
    assert json.loads(said)["answers"]["room"]["choice"] in {"kitchen", "bath"}


def test_the_service_examines_itself_with_the_account_that_systemd_gave_it(
    machine: Machine, client: Client
) -> None:
    secrets = "/etc/credstore/edgeassist.mqtt"
    account = f"-p {machine.port} -u $(cat {secrets}.username) -P $(cat {secrets}.password)"
    topics = f"-t {client.root}/command/doctor -e {client.root}/response/doctor"
    said = json.loads(machine.run(f"mosquitto_rr {account} -q 1 -W 150 {topics} -n", timeout_s=180))
    findings = [(each["area"], each["severity"], each["text"]) for each in said["data"]["findings"]]
    wrong = [each for each in findings if each[0] in {"settings", "broker", "daemon", "service"}]
    assert not [each for each in wrong if each[1] != "ok"], findings
    assert ("daemon", "ok", f"{client.root} is online and answers") in findings
    assert any(area == "service" for area, *_ in findings)


def test_the_service_gives_up_what_it_does_not_need(machine: Machine, client: Client) -> None:
    said = machine.run("systemd-analyze security --no-pager --threshold=20 edgeassist")
    figure = re.search(r"Overall exposure level for edgeassist.service: ([\d.]+)", said)
    assert figure is not None
    assert float(figure[1]) <= 2.0
    assert machine.run("systemd-analyze verify /etc/systemd/system/edgeassist.service") == ""
    daemon = Path(f"/proc/{machine.host_pid(machine.pid(DAEMON))}/status").read_text()
    assert re.search(r"^CapBnd:\t0+$", daemon, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\t1$", daemon, re.MULTILINE)


def test_secrets_are_for_root_only(machine: Machine, client: Client) -> None:
    password = machine.run("cat /etc/credstore/edgeassist.mqtt.password").strip()
    readable = f"grep -rlF -e {password} -e {client.password} /etc /opt /var/lib /var/log /run 2>/dev/null"
    as_other = machine.run(f"runuser -u nobody -- {readable}", status=None)
    assert as_other == ""
    assert (
        machine.run("edgeassist ask --max-tokens 4 Hello >/dev/null && echo answered").strip() == "answered"
    )


def test_the_journal_has_the_fields_of_every_record(machine: Machine, client: Client) -> None:
    lines = machine.run("journalctl -u edgeassist -o json LOGGER=edgeassist.daemon.lifecycle").splitlines()
    ready = next(record for record in map(json.loads, lines) if record["MESSAGE"].startswith("ready:"))
    assert ready["CODE_LINE"].isdigit()
    assert ready["SYSLOG_IDENTIFIER"] == "edgeassist"
    assert ready["PRIORITY"] == "6"


def test_running_the_installer_again_changes_nothing(
    machine: Machine, client: Client, wheelhouses: Wheelhouses, little_model: Path
) -> None:
    daemon = machine.pid(DAEMON)
    before = machine.run(f"md5sum {SETTINGS} /etc/mosquitto/edgeassist.* /etc/credstore/*")
    options = ("--wheelhouse", wheelhouses.own, "--with-broker", "--broker-port", machine.port)
    install(machine, *options, "--model", little_model)
    assert machine.pid(DAEMON) == daemon
    assert machine.run(f"md5sum {SETTINGS} /etc/mosquitto/edgeassist.* /etc/credstore/*") == before


# --- Life -----------------------------------------------------------------------------------


def test_without_a_broker_it_counts_as_started_within_seconds_and_says_what_is_missing(
    machine: Machine, client: Client, record_property: RecordProperty
) -> None:
    machine.run("systemctl stop mosquitto")
    try:
        begun = time.monotonic()
        machine.run("systemctl restart edgeassist")
        record_property("restart_without_broker_s", time.monotonic() - begun)
        assert machine.run("systemctl is-active edgeassist").strip() == "active"
        assert "nothing listens" in machine.show("edgeassist", "StatusText")
    finally:
        machine.run("systemctl start mosquitto")
    machine.until(lambda: machine.show("edgeassist", "StatusText").startswith("ready:"), "be online")
    assert client.answer()["type"] == "done"


def test_a_boot_without_a_broker_reaches_its_target(
    machine: Machine, client: Client, record_property: RecordProperty
) -> None:
    machine.run("systemctl disable mosquitto")
    try:
        machine.reboot()
        machine.until(lambda: machine.tries("systemctl is-active multi-user.target"), "reach its target")
        reached = float(machine.show("multi-user.target", "ActiveEnterTimestampMonotonic")) / 1e6
        record_property("boot_without_broker_s", reached - machine.booted_at)
        assert machine.run("systemctl list-jobs").strip() == "No jobs running."
        assert "nothing listens" in machine.show("edgeassist", "StatusText")
    finally:
        machine.run("systemctl enable --now mosquitto")
    machine.until(lambda: machine.show("edgeassist", "StatusText").startswith("ready:"), "be online")
    assert client.answer()["type"] == "done"


def test_it_starts_at_boot(machine: Machine, client: Client, record_property: RecordProperty) -> None:
    machine.reboot()
    record_property("boot_to_answer_s", client.answered_after(machine.booted_at))
    # Host and machine have one monotonic clock.
    ready = float(machine.show("edgeassist", "ActiveEnterTimestampMonotonic")) / 1e6 - machine.booted_at
    record_property("boot_to_ready_s", ready)
    assert ready > 0


def test_a_killed_engine_is_replaced(
    machine: Machine, client: Client, record_property: RecordProperty
) -> None:
    daemon, engine = machine.pid(DAEMON), machine.pid(ENGINE)
    begun = time.monotonic()
    machine.run(f"kill -9 {engine}")
    record_property("engine_killed_s", client.answered_after(begun))
    assert machine.pid(DAEMON) == daemon
    assert machine.pid(ENGINE) != engine


def test_a_killed_daemon_is_started_again_and_takes_its_engine_with_it(
    machine: Machine, client: Client, record_property: RecordProperty
) -> None:
    daemon, engine = machine.pid(DAEMON), machine.pid(ENGINE)
    begun = time.monotonic()
    machine.run(f"kill -9 {daemon}")
    record_property("daemon_killed_s", client.answered_after(begun))
    assert machine.pid(DAEMON) != daemon
    assert machine.pid(ENGINE) != engine


@pytest.mark.usefixtures("impatient")
class TestHangsAndWants:
    """What a restart of the service between two of them would only make longer."""

    def test_a_hung_engine_is_replaced(
        self, machine: Machine, client: Client, record_property: RecordProperty
    ) -> None:
        daemon, engine = machine.pid(DAEMON), machine.pid(ENGINE)
        begun = time.monotonic()
        machine.run(f"kill -STOP {engine}")
        record_property("engine_hung_s", client.answered_after(begun))
        assert machine.pid(DAEMON) == daemon
        assert machine.pid(ENGINE) != engine

    def test_the_watchdog_replaces_a_hung_daemon(
        self, machine: Machine, client: Client, record_property: RecordProperty
    ) -> None:
        daemon = machine.pid(DAEMON)
        begun = time.monotonic()
        machine.run(f"kill -STOP {daemon}")
        record_property("daemon_hung_s", client.answered_after(begun))
        assert machine.pid(DAEMON) != daemon
        assert "Watchdog timeout" in machine.journal()

    def test_without_memory_the_engine_dies_and_the_daemon_reports_and_recovers(
        self, machine: Machine, client: Client, record_property: RecordProperty
    ) -> None:
        daemon = machine.pid(DAEMON)
        with MemoryLimit(machine.name) as limit:
            limit.take(machine.host_pid(daemon))
            # What it has already stays charged elsewhere; the next engine has to live within the limit.
            machine.run(f"kill -9 {machine.pid(ENGINE)}")
            machine.until(lambda: limit.kills > 0, "run out of memory")
            said = machine.run("edgeassist status", status=69)
            assert machine.pid(DAEMON) == daemon
            begun = time.monotonic()
            limit.free()
            record_property("memory_back_s", client.answered_after(begun))
            assert machine.pid(DAEMON) == daemon
            assert "for want of memory" in machine.journal()
            assert "ready" not in said


# --- Upgrades -------------------------------------------------------------------------------


def test_an_upgrade_keeps_settings_and_removes_the_old_release(
    machine: Machine, client: Client, wheelhouses: Wheelhouses
) -> None:
    old = current(machine)
    machine.run(f"sed -i 's/^#max_tokens = .*/max_tokens = 7 # mine/' {SETTINGS}")
    before = machine.run(f"cat {SETTINGS}")
    install(machine, "--wheelhouse", wheelhouses.newer)
    assert current(machine) == "99.1-1"
    assert machine.run("ls /opt/edgeassist/releases").split() == ["99.1-1"]
    assert old != "99.1-1"
    assert machine.run(f"cat {SETTINGS}") == before
    assert client.answer()["type"] == "done"
    assert "edgeassist 99.1" in machine.run("edgeassist --version")


def test_an_upgrade_whose_service_does_not_get_ready_is_taken_back(
    machine: Machine, client: Client, wheelhouses: Wheelhouses
) -> None:
    said = install(machine, "--wheelhouse", wheelhouses.crashing, "--ready-timeout", 60, status=1)
    assert "did not get ready" in said
    assert "a defect of this version" in said
    assert current(machine) == "99.1-1"
    assert machine.run("ls /opt/edgeassist/releases").split() == ["99.1-1"]
    assert machine.show("edgeassist", "ActiveState") == "active"
    assert client.answer()["type"] == "done"


def test_an_upgrade_that_can_not_be_installed_disturbs_nothing(
    machine: Machine, client: Client, wheelhouses: Wheelhouses
) -> None:
    daemon = machine.pid(DAEMON)
    said = install(machine, "--wheelhouse", wheelhouses.incomplete, status=1)
    assert "jinja2" in said
    assert machine.pid(DAEMON) == daemon
    assert machine.run("ls /opt/edgeassist/releases").split() == ["99.1-1"]


# --- The end --------------------------------------------------------------------------------


def test_uninstalling_leaves_what_it_says(machine: Machine, client: Client) -> None:
    said = install(machine, "--uninstall")
    assert not machine.tries("systemctl cat edgeassist")
    assert machine.run("pgrep -f edgeassist", status=None) == ""
    left = {path for path in files(machine) if "edgeassist" in path}
    named = {line.strip() for line in said.splitlines() if line.startswith("  /")}
    unnamed = {path for path in left if not any(path == top or path.startswith(f"{top}/") for top in named)}
    assert unnamed == {"/var/log/edgeassist-install.log"}
    assert "/var/lib/edgeassist" in named


def test_settings_that_can_not_work_are_told_and_nothing_is_started(
    machine: Machine, client: Client, wheelhouses: Wheelhouses
) -> None:
    machine.run(f"mv {SETTINGS} {SETTINGS}.mine && printf '[model]\\npath = \"/none.gguf\"\\n' > {SETTINGS}")
    said = install(machine, "--wheelhouse", wheelhouses.own)
    assert "can't answer yet" in said
    assert "there is no /none.gguf" in said
    assert machine.show("edgeassist", "UnitFileState") == "enabled"
    assert machine.show("edgeassist", "ActiveState") == "inactive"
    machine.run(f"mv {SETTINGS}.mine {SETTINGS}")


def test_installed_again_it_finds_its_settings_and_its_model(
    machine: Machine, client: Client, wheelhouses: Wheelhouses
) -> None:
    install(machine, "--wheelhouse", wheelhouses.own)
    assert "max_tokens = 7 # mine" in machine.run(f"cat {SETTINGS}")
    assert client.answer()["type"] == "done"


def test_without_a_model_it_answers_with_its_own(
    machine: Machine, client: Client, wheelhouses: Wheelhouses
) -> None:
    machine.run(f"rm {SETTINGS}")
    options = ("--wheelhouse", wheelhouses.own, "--with-broker", "--broker-port", machine.port)
    assert "runs, and starts at boot" in install(machine, *options)
    answer = client.answer("Turn on the kitchen light", max_tokens=60)
    assert json.loads(str(answer["text"])) == {"action": "turn_on", "device": "light", "room": "kitchen"}
    assert "edgeassist models pull" in machine.run("journalctl -u edgeassist --no-pager")


def test_purging_removes_the_rest(machine: Machine, client: Client, fresh: list[str]) -> None:
    install(machine, "--purge")
    left = set(files(machine)) - set(fresh)
    broker = "/etc/systemd/system/multi-user.target.wants/mosquitto.service"
    assert left <= {"/etc/credstore", broker}
    assert not machine.tries("id edgeassist")
