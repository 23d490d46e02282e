"""`edgeassist demo` while llama.cpp is being compiled: it begins without, and goes on with it."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from edgeassist.broker import BrokerOptions
from edgeassist.client.requester import Requester
from edgeassist.protocol.state import Info
from edgeassist.protocol.topics import Topics
from edgeassist.sandbox import HOST
from edgeassist.settings import load_settings
from tests.patience import PATIENCE_S

LLAMA = ("llama_cpp", "llama_cpp_python", "include", "lib")
pytestmark = pytest.mark.timeout(400)


class Machine:
    """A Python that has all packages but llama.cpp, and a set-up that seems to compile it."""

    def __init__(self, folder: Path) -> None:
        self.python = folder / "venv/bin/python"
        self.set_up = folder / "setup"
        self.set_up.mkdir()
        self._there = Path(sysconfig.get_path("platlib"))
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        asked = [str(self.python), "-c", "import sysconfig; print(sysconfig.get_path('platlib'))"]
        self._here = Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
        for package in self._there.iterdir():
            if not package.name.startswith(LLAMA):
                (self._here / package.name).symlink_to(package)
        # It goes on until its input ends.
        script = folder / "setup.sh"
        script.write_text("read -r || true\n")
        self._compiler = subprocess.Popen(["bash", script], stdin=subprocess.PIPE)
        (self.set_up / "llama.pid").write_text(str(self._compiler.pid))

    def lose(self, package: str) -> None:
        """Be a set-up of an older checkout, which lacks a package."""
        (self._here / package).unlink()

    def compile(self, *, succeeds: bool, for_another_cpu: bool = False) -> None:
        """End the compilation."""
        if for_another_cpu:
            (self._here / "llama_cpp.py").write_text("import os; os.kill(os.getpid(), 4)  # SIGILL\n")
        elif succeeds:
            (self._here / "llama_cpp").symlink_to(self._there / "llama_cpp")
        self._compiler.communicate(timeout=PATIENCE_S)
        (self.set_up / "llama.pid").unlink(missing_ok=True)


class Person:
    """Sits at a terminal with the demo."""

    def __init__(self, machine: Machine, *options: str | Path, compile_s: float = PATIENCE_S) -> None:
        program = f"from edgeassist.cli import demo, main; demo.COMPILE_S = {compile_s}; main.main()"
        command = [machine.python, "-c", program, "demo", "--compiling", machine.set_up, *options]
        environ = {key: value for key, value in os.environ.items() if not key.startswith("EDGEASSIST_")}
        self._terminal, its_end = pty.openpty()
        self._demo = subprocess.Popen(
            [*map(str, command)],
            stdin=its_end,
            stdout=its_end,
            stderr=its_end,
            env=environ | {"TERM": "dumb", "COLUMNS": "200"},
            start_new_session=True,
        )
        os.close(its_end)
        self._unread = ""

    def reads(self, text: str) -> str:
        """Read until a text comes; return what came, up to its end."""
        until = time.monotonic() + PATIENCE_S
        while text not in self._unread:
            assert time.monotonic() < until, f"no {text!r} in {self._unread!r}"
            if select.select([self._terminal], [], [], 1.0)[0]:
                try:
                    more = os.read(self._terminal, 65536)
                except OSError:
                    more = b""
                assert more, f"the demo has ended: {self._unread!r}"
                plain = re.sub(r"\x1b\[[?\d;]*[a-zA-Z]", "", more.decode(errors="replace"))
                self._unread += plain.replace("\r\n", "\n")
        read, _, self._unread = self._unread.partition(text)
        return read + text

    def types(self, line: str) -> None:
        os.write(self._terminal, f"{line}\n".encode())

    def closes_the_terminal(self) -> None:
        """Do what a terminal does whose window is closed."""
        self._demo.send_signal(signal.SIGHUP)

    def presses_ctrl_c(self) -> None:
        # What the terminal sends to the whole foreground group.
        os.killpg(self._demo.pid, signal.SIGINT)

    def is_ended(self) -> None:
        self._demo.terminate()

    @property
    def started(self) -> list[psutil.Process]:
        """What the demo has started, and what that has."""
        return psutil.Process(self._demo.pid).children(recursive=True)

    def leaves(self) -> int:
        return self._demo.wait(PATIENCE_S)

    def close(self) -> None:
        if self._demo.poll() is None:
            self._demo.terminate()
            self._demo.wait(PATIENCE_S)
        os.close(self._terminal)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.compile(succeeds=False)


@pytest.fixture
def person(machine: Machine) -> Iterator[Person]:
    person = Person(machine)
    yield person
    person.close()


async def backend(port: int) -> str:
    """Return what the demo's daemon says that it answers with."""
    topics = Topics("edgeassist", "demo")
    async with Requester(BrokerOptions(HOST, port, client_id="watcher"), topics, name="watcher") as client:
        info = await client.state(topics.info)
        assert info is not None
        model = Info.model_validate_json(info).model
        return model.backend if model else "none yet"


async def test_llama_cpp_takes_over_between_two_questions_once_it_is_compiled(
    machine: Machine, person: Person
) -> None:
    begun = person.reads("private broker on 127.0.0.1:")
    assert "llama.cpp is being compiled in the background" in begun
    assert str(machine.set_up / "llama.log") in begun
    port = int(person.reads("\n"))
    person.reads("ends it.\nyou> ")
    assert await backend(port) == "onnx"
    person.types("How warm is the nursery?")
    assert "19.5" in person.reads("you> ")
    machine.compile(succeeds=True)
    person.types("How warm is the nursery?")
    said = person.reads("you> ")
    assert "llama.cpp is ready: from here on it answers" in said
    assert "The nursery temperature is 19.5 °C." in said
    assert await backend(port) == "llama"
    person.types("Is the garage door locked?")
    said = person.reads("you> ")
    assert "The garage door is locked." in said
    assert "llama.cpp" not in said


def test_the_commands_that_it_names_find_it(machine: Machine, person: Person) -> None:
    person.reads(" --config ")
    settings = person.reads("/demo.toml")
    assert person.reads("\n") == " top\n"
    assert person.reads("\n").endswith(f"--config {settings} console\n")
    person.reads("ends it.\nyou> ")
    ended = subprocess.run(
        [machine.python, "-m", "edgeassist", "--config", settings, "top"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("edgeassist/demo  ● ready")
    said = load_settings(Path(settings)).settings.console.broker
    assert said is not None
    with socket.create_connection((HOST, urlsplit(said).port or 0), PATIENCE_S):
        pass


def test_a_set_up_that_lacks_what_binds_answers_shows_the_demo_all_the_same(machine: Machine) -> None:
    machine.lose("llguidance")
    person = Person(machine)
    said = person.reads("ends it.\nyou> ")
    person.close()
    assert "The garage door is locked." in said
    assert "kitchen light: brightness to 30 %" in said


def test_a_compilation_that_failed_is_told_once_and_the_answers_go_on(
    machine: Machine, person: Person
) -> None:
    person.reads("ends it.\nyou> ")
    machine.compile(succeeds=False)
    person.types("How warm is the nursery?")
    said = person.reads("you> ")
    assert "llama.cpp could not be compiled" in said
    assert "19.5" in said
    person.types("How warm is the nursery?")
    assert "llama.cpp" not in person.reads("you> ")


def test_a_llama_cpp_that_does_not_run_here_is_given_up(machine: Machine, person: Person) -> None:
    person.reads("ends it.\nyou> ")
    machine.compile(succeeds=True, for_another_cpu=True)
    person.types("How warm is the nursery?")
    said = person.reads("you> ")
    assert "it does not run here, and ONNX Runtime GenAI goes on" in said
    assert "The nursery temperature is 19.5 °C." in said


def test_who_leaves_early_hears_that_llama_cpp_is_still_being_compiled(person: Person) -> None:
    person.reads("ends it.\nyou> ")
    person.types("")
    assert "llama.cpp is still being compiled in the background" in person.reads("llama.log")
    assert person.leaves() == 0


@pytest.mark.parametrize("end", [Person.closes_the_terminal, Person.is_ended])
def test_a_demo_that_is_ended_leaves_nothing_running(person: Person, end: Callable[[Person], None]) -> None:
    person.reads("ends it.\nyou> ")
    started = person.started
    # Broker, daemon and engine.
    assert len(started) == 3
    end(person)
    assert person.leaves() > 128
    assert psutil.wait_procs(started, PATIENCE_S)[1] == []


# --- A model that only llama.cpp can serve ------------------------------------------------------


@pytest.fixture
def asks(machine: Machine, tmp_path: Path) -> Iterator[Callable[[float], Person]]:
    """Lets somebody ask for a GGUF file, which is never read, and wait so many seconds for llama.cpp."""
    model = tmp_path / "model.gguf"
    model.write_bytes(b"GGUF")
    people: list[Person] = []

    def ask(compile_s: float) -> Person:
        people.append(Person(machine, "--model", model, compile_s=compile_s))
        return people[-1]

    yield ask
    for person in people:
        person.close()


def test_who_leaves_while_the_demo_waits_for_llama_cpp_hears_that_it_goes_on(
    asks: Callable[[float], Person],
) -> None:
    person = asks(PATIENCE_S)
    person.reads("this model needs llama.cpp, which is being compiled")
    person.presses_ctrl_c()
    said = person.reads("llama.cpp is still being compiled in the background; the next start uses it")
    assert "Traceback" not in said
    assert person.leaves() == 128 + signal.SIGINT


def test_the_demo_waits_for_llama_cpp_no_longer_than_the_set_up_does(
    asks: Callable[[float], Person],
) -> None:
    person = asks(1)
    person.reads("edgeassist: llama.cpp is not ready after 0 minutes")
    assert person.leaves() > 0


def test_a_model_that_needs_the_llama_cpp_that_could_not_be_compiled_is_told_why(
    machine: Machine, asks: Callable[[float], Person]
) -> None:
    person = asks(PATIENCE_S)
    person.reads("this model needs llama.cpp, which is being compiled")
    machine.compile(succeeds=False)
    person.reads("this model needs llama.cpp, which could not be compiled")
    assert person.leaves() > 0
