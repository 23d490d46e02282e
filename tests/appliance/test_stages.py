"""An installation without a folder of wheels: the service answers first, llama.cpp follows.

The tests of one machine go on from each other, in this order. They need the index of Python packages;
llama.cpp is compiled once, and then comes from the host's cache of pip.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from tests.appliance.images import PIP_CACHE, SUPPORTED, Release, fresh_root, why_not
from tests.appliance.machine import Machine
from tests.appliance.person import PROJECT, Client, current

INSTALL_S = 900.0
COMPILE_S = 3600.0
# Long enough for the second stage to look twice whether anybody waits for an answer.
PAUSE_S = 8.0
pytestmark = pytest.mark.timeout(COMPILE_S + INSTALL_S)

UNIT = "edgeassist-llama"
DAEMON = "bin/edgeassist run"
LLAMA = "/opt/edgeassist/llama"
# How the scripts take a failure differs in nothing between the Debians.
ONCE = pytest.mark.parametrize("machine", [Release.BOOKWORM], indirect=True)


@pytest.fixture(scope="module", params=SUPPORTED)
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A freshly installed Debian, switched on, with the host's cache of pip."""
    if reason := why_not():
        pytest.skip(reason)
    release: Release = request.param
    PIP_CACHE.mkdir(parents=True, exist_ok=True)
    scratch = tmp_path_factory.mktemp("machine") / "disk"
    name = f"es-{release}-{os.getpid()}"
    with fresh_root(scratch, release) as root, Machine(root, name, (PROJECT,), PIP_CACHE) as machine:
        yield machine


def install(machine: Machine, *options: object, environment: str = "", status: int | None = 0) -> str:
    words = " ".join(str(option) for option in options)
    command = f"{environment} {PROJECT}/scripts/install.sh {words}"
    return machine.run(command, timeout_s=INSTALL_S, status=status)


@pytest.fixture(scope="module")
def installed(machine: Machine) -> str:
    return install(machine, "--with-broker", "--broker-port", machine.port)


@pytest.fixture(scope="module")
def client(machine: Machine, installed: str) -> Client:
    return Client(machine, "kitchen")


def backends(machine: Machine) -> str:
    return machine.run("cat /opt/edgeassist/current/share/extras").strip()


def follows(machine: Machine) -> bool:
    return machine.show(UNIT, "ActiveState") == "active"


def doctor(machine: Machine) -> str:
    return " ".join(machine.run("edgeassist doctor", status=None).split())


def ended(machine: Machine) -> None:
    machine.until(lambda: not follows(machine), "end the second stage", COMPILE_S)


def test_it_answers_before_llama_cpp_is_compiled(machine: Machine, installed: str, client: Client) -> None:
    assert "runs, and starts at boot" in installed
    assert "compiled in the background" in installed
    assert backends(machine) == "onnx"
    assert follows(machine)
    assert client.answer("Turn on the kitchen light", max_tokens=60)["type"] == "done"
    assert "llama.cpp it is compiled in the background" in doctor(machine)
    assert machine.run("systemctl is-system-running").strip() == "running"


def test_the_second_stage_takes_only_what_nobody_else_wants(machine: Machine, client: Client) -> None:
    assert machine.show(UNIT, "CPUWeight") == "idle"
    assert machine.show(UNIT, "Nice") == "19"
    assert machine.run(f"ps -o cls= -p {machine.show(UNIT, 'MainPID')}").strip() == "IDL"
    assert machine.run(f"systemd-analyze verify /etc/systemd/system/{UNIT}.service") == ""


def test_running_the_installer_again_leaves_the_second_stage_alone(machine: Machine, client: Client) -> None:
    daemon, follower = machine.pid(DAEMON), machine.show(UNIT, "MainPID")
    said = install(machine, "--with-broker")
    assert "in the background already" in said
    assert (machine.pid(DAEMON), machine.show(UNIT, "MainPID")) == (daemon, follower)


@pytest.fixture(scope="module")
def impatient(machine: Machine, client: Client) -> None:
    """Let the second stage take its share of a busy machine from now on."""
    folder = f"/etc/systemd/system/{UNIT}.service.d"
    text = "[Service]\\nNice=0\\nCPUSchedulingPolicy=other\\nCPUWeight=100\\n"
    machine.run(f"mkdir -p {folder} && printf '{text}' >{folder}/impatient.conf && systemctl daemon-reload")


def test_an_interrupted_second_stage_goes_on_after_the_boot_and_every_prompt_ends(
    machine: Machine, client: Client, impatient: None
) -> None:
    # No checkout is needed for it.
    machine.until(
        lambda: not follows(machine) or "make release" in machine.journal(UNIT), "make the release", INSTALL_S
    )
    first = current(machine)
    machine.reboot()
    assert current(machine) == first
    machine.until(lambda: follows(machine), "go on", 60)
    asked = 0
    deadline = time.monotonic() + COMPILE_S
    while follows(machine) and time.monotonic() < deadline:
        answer = client.answer("Turn on the kitchen light", max_tokens=60)
        # Who asks in the moment of the switch is told to ask again.
        moment = answer["type"] == "error" and answer["code"] == "shutting_down" and answer["retryable"]
        assert answer["type"] == "done" or moment, answer
        asked += 1
        time.sleep(PAUSE_S)
    assert asked
    assert client.answer("Turn on the kitchen light", max_tokens=60)["type"] == "done"
    assert current(machine) != first
    assert backends(machine) == "llama,onnx"
    assert machine.run("ls /opt/edgeassist/releases").split() == [current(machine)]
    said = machine.run(f"journalctl --boot --unit={UNIT} --output=cat --no-pager")
    assert said.count("llama.cpp is in use") == 1
    assert "builtin:tiny: llama" in doctor(machine)


def test_of_a_second_stage_that_is_done_nothing_is_left(machine: Machine, client: Client) -> None:
    assert not machine.tries(f"systemctl cat {UNIT}")
    assert not machine.tries(f"ls {LLAMA}")
    daemon = machine.pid(DAEMON)
    said = install(machine, "--with-broker")
    assert "made from just this" in said
    assert machine.pid(DAEMON) == daemon
    assert not machine.tries(f"systemctl cat {UNIT}")


@ONCE
def test_a_build_that_fails_leaves_a_service_that_answers_and_a_doctor_who_says_why(
    machine: Machine, client: Client
) -> None:
    install(machine, "--uninstall")
    install(machine, "--ready-timeout", 60, environment="CMAKE_ARGS=-DCMAKE_CXX_COMPILER=/none")
    ended(machine)
    assert backends(machine) == "onnx"
    assert client.answer()["type"] == "done"
    said = doctor(machine)
    assert "it was not compiled, and ONNX Runtime GenAI serves: pip could not install llama.cpp" in said
    assert f"sudo systemctl start {UNIT}" in said
    machine.reboot()
    machine.until(lambda: machine.tries("edgeassist status"), "answer", 60)
    assert not follows(machine)


@ONCE
def test_a_release_with_llama_cpp_that_does_not_get_ready_is_taken_back(
    machine: Machine, client: Client
) -> None:
    # Compiled as usual, it has a defect of its own.
    machine.run(f"sed -i /CMAKE_ARGS/d {LLAMA}/environment")
    first = current(machine)
    defect = "def serve(*_given):\\n    raise RuntimeError(1)\\n"
    machine.run(f"printf '\\n\\n{defect}' >>{LLAMA}/edgeassist/daemon/app.py")
    machine.run(f"systemctl start {UNIT}")
    ended(machine)
    assert current(machine) == first
    assert client.answer()["type"] == "done"
    assert "did not get ready within 60 s" in doctor(machine)


@ONCE
def test_uninstalling_ends_the_second_stage_too(machine: Machine, client: Client) -> None:
    machine.run(f"systemctl start {UNIT}")
    install(machine, "--uninstall")
    assert not machine.tries(f"systemctl cat {UNIT}")
    assert not machine.tries("ls /opt/edgeassist")
    assert machine.run("pgrep -f edgeassist", status=None) == ""
