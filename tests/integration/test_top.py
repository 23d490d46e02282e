"""`edgeassist top` on a terminal, beside a real broker and a real daemon."""

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from edgeassist.broker import Broker
from edgeassist.client.requester import Requester
from edgeassist.protocol.commands import COMMANDS
from edgeassist.protocol.packets import Outbound
from edgeassist.protocol.topics import Topics
from edgeassist.sandbox import PrivateBroker
from edgeassist.top.painter import ENTER, LEAVE
from edgeassist.top.terminal import Terminal
from tests.conftest import environ_of, options_for
from tests.integration.fleet import FleetHouse
from tests.integration.pty_screen import PtyScreen
from tests.patience import PATIENCE_S
from tests.preloaded import PrivateDaemon
from tests.unit.seen import health
from tests.unit.test_harmless import HOSTILE

# What a hostile text would do to the terminal: the window's title, the clipboard, the screen.
ACTS = (b"\x1b]0;owned", b"\x1b]52;", "\x9b31m".encode(), b"\x07")


class House:
    """A broker and a daemon of a test module's own."""

    def __init__(self, folder: Path) -> None:
        self.broker = PrivateBroker(folder)
        self.environ = environ_of(self.broker.port, daemon__telemetry_s=1)
        self.daemon = PrivateDaemon(folder, self.environ)

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("EDGEASSIST_")}
        return subprocess.run(
            [sys.executable, "-P", "-m", "edgeassist", *arguments],
            env={**inherited, **self.environ, **environ},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def ask(self) -> None:
        """Have a prompt answered."""

        async def ask() -> None:
            async with self.client() as client:
                assert [event async for event in client.ask("hello there")][-1].type == "done"

        asyncio.run(ask())

    def client(self) -> Requester:
        return Requester(options_for(self.broker.port), Topics("edgeassist", "box"), name="person")

    def say(self, **payloads: bytes) -> None:
        """Publish what is retained; `evil__health` goes to `edgeassist/evil/health`."""

        async def publish() -> None:
            broker = Broker(options_for(self.broker.port))
            broker.start()
            for name, payload in payloads.items():
                topic = f"edgeassist/{name.replace('__', '/')}"
                broker.publish(Outbound(topic, payload, qos=1, retain=True))
            assert await broker.flush(PATIENCE_S)
            await broker.stop()

        asyncio.run(publish())


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("top"))
    with house.broker, house.daemon:
        yield house


def test_it_shows_a_device_and_what_its_answers_took_and_gives_the_terminal_back(house: House) -> None:
    with PtyScreen("top", environ=house.environ) as screen:
        screen.shows(r"edgeassist/box  ● ready")
        assert screen.written.startswith(ENTER)
        house.ask()
        lines = screen.shows(r"^first token  [\d,]+ ms last.*█$")
        assert any(line.startswith("tokens/s     ") for line in lines)
        screen.types(b"?")
        screen.shows(r"^q +quit; Ctrl-C does, too")
        screen.types(b"x")
        screen.shows(r"● ready")
        screen.resizes(40, 12)
        lines = screen.until(lambda lines: lines[-1].startswith(" q  quit") and "● ready" in lines[0])
        assert len(lines) == 12
        screen.types(b"p")
        screen.shows(r"paused|go on")
        screen.types(b"q")
        assert screen.ends() == 0
        assert screen.mode_is_as_before
        assert screen.written.endswith(LEAVE)


def test_a_picture_that_is_paused_stands_still_until_it_goes_on(house: House) -> None:
    with PtyScreen("top", environ=house.environ) as screen:
        screen.shows(r"● ready")
        screen.types(b"p")
        screen.shows(r" paused$")
        house.ask()
        # Its next picture is that of the key: nothing of the answer is in it.
        screen.types(b"?")
        screen.shows(r"quit; Ctrl-C")
        screen.types(b"?")
        before = screen.shows(r"● ready")
        assert not any("ms last" in line for line in before)
        screen.types(b"p")
        screen.shows(r"^first token  [\d,]+ ms last")


@pytest.mark.parametrize(("key", "status"), [(b"\x03", 0), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_it_gives_the_terminal_back_however_it_is_ended(
    house: House, key: bytes | signal.Signals, status: int
) -> None:
    with PtyScreen("top", environ=house.environ) as screen:
        screen.shows(r"● ready")
        if isinstance(key, bytes):
            screen.types(key)
        else:
            screen.process.send_signal(key)
        assert screen.ends() == status
        assert screen.mode_is_as_before
        assert screen.written.endswith(LEAVE)


def test_it_ends_with_its_window(house: House) -> None:
    with PtyScreen("top", environ=house.environ) as screen:
        screen.shows(r"● ready")
        screen.hang_up()
        assert screen.ends() == 128 + signal.SIGHUP


def test_it_can_be_suspended_and_goes_on(house: House) -> None:
    with PtyScreen("top", environ=house.environ) as screen:
        screen.shows(r"● ready")
        screen.types(b"\x1a")
        process, end = psutil.Process(screen.process.pid), time.monotonic() + PATIENCE_S
        while process.status() != psutil.STATUS_STOPPED:
            assert time.monotonic() < end
            time.sleep(0.02)
        assert screen.mode_is_as_before
        screen.process.send_signal(signal.SIGCONT)
        screen.until(lambda _: screen.written.count(ENTER) == 2)
        screen.shows(r"● ready")
        screen.types(b"q")
        assert screen.ends() == 0


def test_arrows_and_tab_go_from_box_to_box_of_a_fleet(tmp_path: Path) -> None:
    with FleetHouse(tmp_path) as fleet:
        for name in ("attic", "cellar"):
            fleet.box(name)
        environ = environ_of(fleet.broker.port, device__name="cellar", fleet__group="home")
        with PtyScreen("top", environ=environ) as screen:
            screen.shows(r"^2 of 2 boxes can answer")
            screen.shows(r"^  attic   ready")
            # The settings' own device comes first.
            screen.shows(r"^▶ cellar  ready")
            screen.shows(r"^edgeassist/cellar  ● ready")
            screen.types(b"\x1b[B")
            screen.shows(r"^▶ attic")
            screen.shows(r"^edgeassist/attic  ● ready")
            screen.types(b"\t")
            screen.shows(r"^edgeassist/cellar  ● ready")


@pytest.mark.skipif("requests" not in COMMANDS, reason="this daemon does not tell what runs")
async def test_it_tells_what_runs_and_how_fast_that_goes(house: House) -> None:
    with PtyScreen("top", environ=house.environ) as screen:
        await asyncio.to_thread(screen.shows, r"● ready")
        async with house.client() as client:
            asked = client.ask("!script repeat=100000 delay_ms=5\nab", id="r1", max_tokens=100_000)
            await anext(asked)
            await asyncio.to_thread(screen.shows, r"^ +running  person/r1  \d+ s  [\d,]+ tokens$")
            await asyncio.to_thread(screen.shows, r"^tokens/s     [\d.,]+ now")
            await asked.aclose()
            await asyncio.to_thread(screen.misses, r"person/r1")


def test_a_hostile_word_is_text_in_all_commands(house: House) -> None:
    state = {"device": "evil", "root": "edgeassist/evil", "session": "s", "protocol": 1, "state": "draining"}
    state |= {"reason": HOSTILE, "boot_id": "b", "version": "1"}
    house.say(
        evil__status=b"online",
        evil__health=health(reason=HOSTILE, model=HOSTILE, threads_reason=HOSTILE),
        fleet__home__box__evil=json.dumps(
            {**state, "reason": HOSTILE, "boot_id": "b", "version": "1"}
        ).encode(),
    )
    commands = (
        ("top", "--device", "evil"),
        ("status",),
        ("fleet", "home"),
        ("ask", HOSTILE),
    )
    for command in commands:
        environ = house.environ | ({"EDGEASSIST_DEVICE__NAME": "evil"} if command == ("status",) else {})
        with PtyScreen(*command, environ=environ, columns=200) as screen:
            screen.shows(r"�|can't be read")
            screen.types(b"q")
            screen.ends()
            assert not [act for act in ACTS if act in screen.written], command
    # For a file or a program it stays what it is.
    assert house.run("ask", "\x1b[2J").stdout == "\x1b[2J\n"


def test_without_a_terminal_it_prints_one_plain_picture(house: House) -> None:
    ended = house.run("top")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("edgeassist/box  ● ready")
    assert "\x1b" not in ended.stdout
    assert "requests     0 of" in ended.stdout
    with PtyScreen("top", environ={**house.environ, "TERM": "dumb"}) as screen:
        assert screen.ends() == 0
        assert b"\x1b" not in screen.written
        assert "● ready".encode() in screen.written


def test_a_device_that_was_never_seen_and_a_name_that_is_none_are_told(house: House) -> None:
    ended = house.run("top", "--once", "--device", "nobody")
    assert ended.returncode == 69
    assert ended.stdout == (
        "edgeassist/nobody  ● never seen: is its daemon running, and is this its broker?\n"
    )
    ended = house.run("top", "--once", "--device", "a/b")
    assert ended.returncode == 78
    assert "'a/b' can't be a device or a fleet" in ended.stderr


def test_a_wrong_login_is_told_in_the_words_of_all_commands(tmp_path: Path) -> None:
    with PrivateBroker(tmp_path, settings=("allow_anonymous false",)) as broker:
        with PtyScreen("top", environ=environ_of(broker.port)) as screen:
            assert screen.ends() == 69
        assert b"edgeassist:" in screen.written
        assert ENTER not in screen.written
        assert b"mqtt.username" in screen.written


def test_a_line_that_takes_nothing_is_not_waited_for() -> None:
    terminal_end, its_end = pty.openpty()
    begun = time.monotonic()
    with Terminal(its_end) as terminal:
        terminal.write(b"x" * 1_000_000)
        assert terminal.busy
    assert time.monotonic() - begun < PATIENCE_S
    os.close(terminal_end)
    os.close(its_end)


# The last: it stops what the others use.
def test_a_broker_that_goes_and_comes_back_and_a_device_that_goes_are_told(house: House) -> None:
    with PtyScreen("top", environ=house.environ) as screen:
        screen.shows(r"● ready")
        house.broker.stop()
        # It may have said the daemon's will before it went.
        lines = screen.shows(r"^no connection to the broker: ")
        assert any(line.startswith("edgeassist/box  ●") for line in lines)
        house.broker.start()
        screen.misses(r"^no connection to the broker: ")
        screen.shows(r"● ready")
        house.ask()
        screen.shows(r"^first token  [\d,]+ ms last")
        house.daemon.stop()
        lines = screen.shows(r"● offline")
        assert lines[1] == "note         the rest is what it said last"
