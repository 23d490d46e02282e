"""Names that a device had: the register in files, what is heard of one, and when it goes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from edgeassist.former.register import MAX_FORMER, Name, Register
from edgeassist.former.remains import Remains, Verdict, clearing
from edgeassist.gateways.former import FormerNames
from edgeassist.protocol.packets import Inbound
from edgeassist.protocol.topics import Topics
from tests.unit.conftest import TOPICS, ListLink

OLD = Topics("edgeassist", "old")
CONFIG = "homeassistant/device/edgeassist__old/config"
MINE = b'{"boot_id":"7"}'
LEFT = {
    OLD.status: b"offline",
    OLD.health: MINE,
    OLD.instance: MINE,
    OLD.info: b"{}",
    OLD.watch("door"): b"{}",
    f"{OLD.root}/discovery": CONFIG.encode(),
}


def retained(left: dict[str, bytes]) -> list[Inbound]:
    return [Inbound(topic, payload, retained=True) for topic, payload in left.items()]


def remains(*messages: Inbound, present: str = TOPICS.root) -> Remains:
    found = Remains(Name(OLD, "7"), present)
    for message in messages:
        found.hear(message)
    return found


# --- what is heard ---------------------------------------------------------------------------------------


def test_all_that_a_run_left_may_go_and_what_tells_whose_it_was_goes_last() -> None:
    found = remains(*retained(LEFT))
    assert found.verdict() is Verdict.OURS
    assert set(found.held) == set(LEFT)
    assert found.held[-2:] == [OLD.health, OLD.instance]
    assert found.config == CONFIG


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        (dict.fromkeys(LEFT, b""), Verdict.NOTHING),
        ({OLD.status: b"online"}, Verdict.ONLINE),
        ({OLD.status: b""}, Verdict.OURS),
        ({OLD.instance: b'{"boot_id":"8"}'}, Verdict.ANOTHERS),
        ({OLD.health: b'{"boot_id":"8"}'}, Verdict.ANOTHERS),
        ({OLD.instance: b""}, Verdict.OURS),
        ({OLD.instance: b"", OLD.health: b""}, Verdict.ANOTHERS),
        ({OLD.instance: b"[" * 9999, OLD.health: b"no JSON"}, Verdict.ANOTHERS),
        ({OLD.instance: b'{"boot_id":7}', OLD.health: b"[]"}, Verdict.ANOTHERS),
    ],
)
def test_only_what_a_known_run_left_may_go(changes: dict[str, bytes], verdict: Verdict) -> None:
    assert remains(*retained(LEFT | changes)).verdict() is verdict


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        (Inbound(OLD.status, b"online"), Verdict.ANOTHERS),
        (Inbound(OLD.health, MINE), Verdict.ANOTHERS),
        # The will, and somebody who clears.
        (Inbound(OLD.status, b"offline"), Verdict.OURS),
        (Inbound(OLD.info, b""), Verdict.OURS),
        # What others ask of a device that is away.
        (Inbound(OLD.prompt(), b"hello"), Verdict.OURS),
    ],
)
def test_a_name_under_which_somebody_speaks_is_anothers(said: Inbound, verdict: Verdict) -> None:
    assert remains(*retained(LEFT), said).verdict() is verdict


def test_other_peoples_messages_and_the_present_names_are_not_touched() -> None:
    inside = Topics(OLD.root, "watch")
    strange = {
        OLD.prompt(): b"retained",
        f"{OLD.root}/notes": b"mine",
        inside.status: b"online",
        OLD.watch("health"): b"the present one's",
        f"{OLD.root}/discovery": b"homeassistant/device/edgeassist__box/config",
    }
    found = remains(*retained(LEFT | strange), present=inside.root)
    assert set(found.held) == {topic for topic in LEFT if "watch" not in topic}
    assert found.config is None


def test_a_person_clears_with_one_line() -> None:
    line = clearing(["a/b", "a/$x y"])
    assert line == """for topic in a/b 'a/$x y'; do mosquitto_pub -r -n -t "$topic"; done"""


# --- the files -------------------------------------------------------------------------------------------


def test_a_name_is_former_once_its_daemon_has_ended(tmp_path: Path) -> None:
    one, other = Register(tmp_path), Register(tmp_path)
    assert one.former(TOPICS) == []
    one.enter(Name(OLD, "7"))
    other.enter(Name(TOPICS, "8"))
    assert one.former(TOPICS) == other.former(TOPICS) == []
    other.forget(OLD)
    one.close()
    assert other.former(TOPICS) == [Name(OLD, "7")]
    other.forget(OLD)
    assert other.former(TOPICS) == []


def test_a_daemon_that_was_killed_has_ended(tmp_path: Path) -> None:
    program = (
        "import os, pathlib; from edgeassist.former.register import Name, Register; "
        "from edgeassist.protocol.topics import Topics; "
        f"register = Register(pathlib.Path({str(tmp_path)!r})); "
        "register.enter(Name(Topics('edgeassist', 'old'), '7')); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", program], check=False)
    assert Register(tmp_path).former(TOPICS) == [Name(OLD, "7")]


def test_a_second_daemon_of_one_name_leaves_the_firsts_entry(tmp_path: Path) -> None:
    one, twin = Register(tmp_path), Register(tmp_path)
    one.enter(Name(OLD, "7"))
    twin.enter(Name(OLD, "8"))
    twin.close()
    one.close()
    assert Register(tmp_path).former(TOPICS) == [Name(OLD, "7")]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"format":2}', b'{"format":1,"base":"a","device":3,"boot_id":"7"}']
)
def test_a_damaged_file_is_no_name(tmp_path: Path, content: bytes) -> None:
    register = Register(tmp_path)
    register.enter(Name(OLD, "7"))
    register.close()
    (file,) = tmp_path.rglob("*.json")
    file.write_bytes(content)
    assert Register(tmp_path).former(TOPICS) == []


def test_not_more_names_are_looked_for_than_a_broker_should_bear(tmp_path: Path) -> None:
    for number in range(MAX_FORMER + 3):
        register = Register(tmp_path)
        register.enter(Name(Topics("edgeassist", f"ü/{number}" * 60), str(number)))
        register.close()
    assert len(Register(tmp_path).former(TOPICS)) == MAX_FORMER


# --- when it goes ----------------------------------------------------------------------------------------


class Broker(ListLink):
    """A connection that keeps what is retained, and brings back what is published."""

    def __init__(self, left: dict[str, bytes]) -> None:
        super().__init__()
        self.left = dict(left)

    def echo(self) -> None:
        """Deliver what is kept, and what was published since."""
        for message in retained(self.left):
            self.bring(message)
        published, self.published = self.published, []
        for said in published:
            if said.retain:
                self.left.pop(said.topic, None)
            self.bring(Inbound(said.topic, said.payload))


@pytest.fixture
def register(tmp_path: Path) -> Register:
    former = Register(tmp_path)
    former.enter(Name(OLD, "7"))
    former.close()
    return Register(tmp_path)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("SETTLE_S", 0.01), ("LIMIT_S", 30.0), ("SILENT_S", 0.05)):
        monkeypatch.setattr(f"edgeassist.gateways.former.{name}", seconds)


async def until_said(broker: Broker, topic: str) -> None:
    async with asyncio.timeout(30):
        while topic not in broker.topics:
            await asyncio.sleep(0.005)


async def test_the_discovery_message_goes_first_and_the_states_when_that_is_seen_to_be_gone(
    register: Register,
) -> None:
    broker = Broker(LEFT)
    gateway = FormerNames(TOPICS, "8", register, broker)
    gateway.connected()
    assert [(message.topic, message.retain) for message in broker.published] == [(OLD.instance, False)]
    broker.echo()
    await until_said(broker, CONFIG)
    assert broker.topics == [CONFIG]
    broker.echo()
    assert set(broker.topics) == set(LEFT)
    broker.echo()
    assert broker.left == {}
    assert register.former(TOPICS) == []
    assert broker.filters == []
    gateway.close()


async def test_a_device_that_is_online_and_says_nothing_for_long_is_dead(register: Register) -> None:
    broker = Broker(LEFT | {OLD.status: b"online"})
    gateway = FormerNames(TOPICS, "8", register, broker)
    gateway.connected()
    broker.echo()
    await until_said(broker, CONFIG)
    gateway.close()


async def test_a_device_that_is_online_and_speaks_is_left(
    register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeassist.gateways.former.SILENT_S", 3600)
    broker = Broker(LEFT | {OLD.status: b"online"})
    gateway = FormerNames(TOPICS, "8", register, broker)
    gateway.connected()
    broker.echo()
    await asyncio.sleep(0.1)
    broker.bring(Inbound(OLD.status, b"online"))
    assert broker.filters == []
    assert broker.published == []
    assert register.former(TOPICS) == [Name(OLD, "7")]
    gateway.connected()
    assert broker.published == []


async def test_a_broker_that_lets_nothing_be_seen_is_not_written_to(
    register: Register, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edgeassist.gateways.former.LIMIT_S", 0.01)
    broker = Broker(LEFT)
    gateway = FormerNames(TOPICS, "8", register, broker)
    gateway.connected()
    async with asyncio.timeout(30):
        while "does not let it look" not in caplog.text:
            await asyncio.sleep(0.005)
    assert broker.topics == [OLD.instance]
    assert register.former(TOPICS) == [Name(OLD, "7")]


async def test_a_connection_that_breaks_in_between_begins_anew(register: Register) -> None:
    broker = Broker(LEFT)
    gateway = FormerNames(TOPICS, "8", register, broker)
    gateway.connected()
    broker.echo()
    await until_said(broker, CONFIG)
    broker.published.clear()
    gateway.connected()
    broker.echo()
    await until_said(broker, CONFIG)
    gateway.close()
    assert broker.filters == []


async def test_a_state_directory_that_can_not_be_written_is_told_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "names").write_text("")
    broker = Broker({})
    gateway = FormerNames(TOPICS, "8", Register(tmp_path), broker)
    gateway.connected()
    assert "can't keep the device's name" in caplog.text
    assert broker.published == []
    gateway.close()
