"""What a person does with a machine: runs the installer, gives a device its account, asks."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

from tests.appliance.machine import Machine

PROJECT = Path(__file__).parents[2]
INSTALL_S = 1500.0
ANSWER_S = 180.0


def install(machine: Machine, *options: object, status: int | None = 0) -> str:
    words = " ".join(str(option) for option in options)
    command = f"{PROJECT}/scripts/install.sh {words}"
    return machine.run(command, timeout_s=INSTALL_S, status=status)


def current(machine: Machine) -> str:
    return machine.run("readlink /opt/edgeassist/current").strip().removeprefix("releases/")


class Client:
    """A device with an account at the machine's broker, and Mosquitto's programs."""

    def __init__(self, machine: Machine, name: str) -> None:
        said = install(machine, "--add-client", name)
        self.machine = machine
        self.name = name
        told = re.search(r"has the password (\S+) ", said)
        assert told is not None, said
        self.password = told[1]
        self.account = f"-p {machine.port} -u {name} -P {self.password}"
        self.root = f"edgeassist/{machine.name}"

    def answer(
        self, prompt: str = "Hello", wait_s: float = ANSWER_S, *, max_tokens: int = 8
    ) -> dict[str, object]:
        """Ask and return the terminal event. QoS 1: the broker keeps the prompt for a daemon that is away."""
        asked = {"prompt": prompt, "stream": False, "max_tokens": max_tokens, "timeout_s": wait_s}
        request = json.dumps(asked)
        reply = f"{self.root}/reply/{self.name}/{time.monotonic_ns()}"
        listens = f"until (: <>/dev/tcp/127.0.0.1/{self.machine.port}) 2>&-; do sleep 0.05; done"
        said = self.machine.run(
            f"{listens}; mosquitto_rr -V 5 {self.account} -q 1 -W {wait_s:.0f} "
            f"-t {self.root}/prompt/{self.name} -e {reply} -m '{request}'",
            timeout_s=wait_s + 10,
        )
        return dict(json.loads(said))

    def answered_after(self, begun: float) -> float:
        """Ask, and return how many seconds after `begun` the answer was there."""
        answer = self.answer()
        took = time.monotonic() - begun
        assert answer["type"] == "done", answer
        return took
