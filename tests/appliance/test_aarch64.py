"""A Raspberry Pi without one: what a PC cross-compiled, installed and asked in an emulated Debian 12 for ARM.

Emulation is some twenty times slower than this machine: what happens counts here, not when.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeassist.protocol.packets import Inbound
from edgeassist.sandbox import HOST, free_port
from edgeassist.trial_models.synthetic import SHAPES, write_gguf
from tests.appliance.images import (
    CACHE,
    Arch,
    Release,
    Tell,
    exclusive,
    fresh_root,
    nspawn,
    why_not,
)
from tests.appliance.wheels import filled
from tests.conftest import Wire

PROJECT = Path(__file__).parents[2]
INSTALL_S = 1500.0
READY_S = 900.0
CURRENT = "/opt/edgeassist/current/bin"
# Of 250 MB each; every change of EdgeAssist makes another.
BOARDS_KEPT = 3

pytestmark = pytest.mark.timeout(4200)


@pytest.fixture(scope="module")
def pi5_wheels(tell: Tell) -> Path:
    """What scripts/wheelhouse.sh fills for a Raspberry Pi 5."""
    if reason := why_not(Arch.ARM64):
        pytest.skip(reason)
    return filled("pi5", "3.11", tell) / "own"


@pytest.fixture(scope="module")
def board(pi5_wheels: Path, tell: Tell, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The root of a Debian for ARM on which EdgeAssist was installed, without any network.

    Installed once for what goes into it: what the installer then laid over Debian is kept.
    """
    scratch = tmp_path_factory.mktemp("board")

    def laid(template: Path) -> Path:
        layer = CACHE / f"board-{installed_from(template, pi5_wheels)}"
        with exclusive("board", tell):
            if not layer.exists():
                tell("installing in an emulated Debian for arm64: 2 to 3 minutes")
                install_into(scratch / "new", pi5_wheels, layer)
            os.utime(layer)
            for other in sorted(CACHE.glob("board-*/"), key=lambda each: each.stat().st_mtime)[:-BOARDS_KEPT]:
                shutil.rmtree(other)
        return layer

    with fresh_root(scratch / "disk", Release.BOOKWORM, Arch.ARM64, tell, laid) as root:
        yield root


def installed_from(template: Path, wheels: Path) -> str:
    """Return a digest of all that an installation is made of; that of Debian and wheels is in their names."""
    digest = hashlib.sha256(f"{template.name} {wheels.parent.name}\0".encode())
    tops = ("scripts/install.sh", "scripts/lib", "config", "systemd", "tests/appliance/test_aarch64.py")
    for path in sorted(path for top in tops for path in [PROJECT / top, *(PROJECT / top).rglob("*")]):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(f"{path.relative_to(PROJECT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def install_into(scratch: Path, wheels: Path, layer: Path) -> None:
    """Install, and keep what that laid over Debian."""
    model = scratch.with_name("little.gguf")
    write_gguf(model, SHAPES["trial"])
    with fresh_root(scratch, Release.BOOKWORM, Arch.ARM64) as root:
        binds = [f"--bind-ro={path}" for path in (PROJECT, wheels, model)]
        install = [f"{PROJECT}/scripts/install.sh", "--no-start", "--wheelhouse", wheels, "--model", model]
        said = inside(root, "--private-network", *binds, "--", *map(str, install), timeout_s=INSTALL_S)
        assert "is installed, and not started" in said
        part = layer.with_suffix(".part")
        subprocess.run(["rm", "-rf", part], check=True, timeout=INSTALL_S)
        # Without overlays, a copy is all that there is.
        changed = scratch / "upper" if any((scratch / "upper").iterdir()) else root
        subprocess.run(["cp", "-a", changed, part], check=True, timeout=INSTALL_S)
        part.rename(layer)


def inside(root: Path, *options: str, timeout_s: float) -> str:
    """Run a command in the root and return what it prints."""
    ended = subprocess.run(
        nspawn(root, "--pipe", *options),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


@contextlib.contextmanager
def running(root: Path, port: int, log: Path) -> Iterator[None]:
    """Run a broker and the daemon in the root; both end with it, whatever happens."""
    (root / "root/mosquitto.conf").write_text(f"listener {port} {HOST}\nallow_anonymous true\n")
    settings = f"EDGEASSIST_MQTT__HOST={HOST} EDGEASSIST_MQTT__PORT={port} EDGEASSIST_DEVICE__NAME=pi"
    # An emulated step may take long.
    settings += " EDGEASSIST_ENGINE__STALL_TIMEOUT_S=300"
    # The socket is systemd-nspawn's own, and for root only.
    daemon = f"exec runuser -u edgeassist -- env -u NOTIFY_SOCKET {settings} {CURRENT}/edgeassist run"
    both = f"mosquitto -c /root/mosquitto.conf & {daemon}"
    with log.open("w") as output:
        container = subprocess.Popen(
            nspawn(root, "--pipe", "--as-pid2", "--", "sh", "-c", both),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield
    finally:
        container.terminate()
        try:
            container.wait(180)
        except subprocess.TimeoutExpired:
            container.kill()
            container.wait(180)


def test_llama_cpp_has_what_a_raspberry_pi_5_can(board: Path) -> None:
    program = "import llama_cpp; print(llama_cpp.llama_print_system_info().decode())"
    told = inside(board, "--", f"{CURRENT}/python", "-c", program, timeout_s=READY_S)
    for feature in ("NEON = 1", "DOTPROD = 1", "REPACK = 1"):
        assert feature in told


def test_the_cross_compiled_extension_of_systemd_notifies(board: Path) -> None:
    program = (
        "import os, socket, systemd.daemon, systemd.journal\n"
        "manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "manager.bind('/tmp/notify')\n"
        "os.environ['NOTIFY_SOCKET'] = '/tmp/notify'\n"
        "print(systemd.daemon.notify('READY=1'), manager.recv(100))"
    )
    assert "True b'READY=1'" in inside(board, "--", f"{CURRENT}/python", "-c", program, timeout_s=READY_S)


async def listens(port: int) -> None:
    """Wait until the broker in the root takes connections."""
    async with asyncio.timeout(READY_S):
        while True:
            with contextlib.suppress(ConnectionError):
                _, writer = await asyncio.open_connection(HOST, port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.2)


def is_ready(message: Inbound) -> bool:
    return message.topic.endswith("/health") and json.loads(message.payload)["state"] == "ready"


async def test_a_prompt_of_mosquitto_pub_is_answered(board: Path, tmp_path: Path) -> None:
    port = free_port()
    log = tmp_path / "log"
    # Random weights end some answers before they begin; not the most likely one to this.
    request = {"id": "first", "prompt": "Once upon a time", "max_tokens": 8, "temperature": 0}
    ask = [
        "mosquitto_pub",
        "-h",
        HOST,
        "-p",
        str(port),
        "-t",
        "edgeassist/pi/prompt",
        "-m",
        json.dumps(request),
    ]
    with running(board, port, log):
        try:
            await listens(port)
            async with Wire(port, ("edgeassist/pi/#",)) as wire:
                await wire.until(is_ready, READY_S)
                await asyncio.to_thread(subprocess.run, ask, check=True, timeout=60)
                answer = await wire.answer(READY_S)
        except TimeoutError:
            pytest.fail(log.read_text(errors="replace")[-5000:])
    assert (answer["type"], answer["id"]) == ("done", "first")
    assert answer["usage"]["completion_tokens"] > 0
