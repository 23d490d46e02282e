"""TLS against a real Mosquitto: who is trusted, who is not, and in which words."""

from __future__ import annotations

import asyncio
import datetime
import os
import signal
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from edgeassist.broker import Tls
from edgeassist.errors import ConfigurationError
from edgeassist.sandbox import HOST, PrivateBroker
from tests.integration.link import Link, until
from tests.integration.test_broker_unhurried import unhurried
from tests.patience import Stopwatch

# Paho leaves the socket of a failed handshake to Python's memory management.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
# As guides to Mosquitto make a CA and a certificate, and as docs/configuration.md does.
HOME_MADE = """
openssl req -new -x509 -nodes -days 30 -keyout ca.key -out ca.crt -subj /CN=home
openssl req -new -nodes -keyout broker.key -out broker.csr -subj /CN=broker
printf subjectAltName=IP:127.0.0.1 >name
openssl x509 -req -in broker.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile name -out broker.crt
"""
PROTOCOLS = pytest.mark.parametrize("protocol", ["5", "3.1.1"])


@dataclass(frozen=True)
class Papers:
    """A CA, the certificates that it issued, and where they lie."""

    folder: Path
    authority: trustme.CA

    @property
    def ca(self) -> Path:
        path = self.folder / "ca.pem"
        self.authority.cert_pem.write_to_path(path)
        return path

    def issue(self, *names: str, not_after: datetime.datetime | None = None) -> tuple[Path, Path]:
        """Return the paths of a new certificate and its key."""
        issued = self.authority.issue_cert(*names, not_after=not_after)
        certificate, key = self.folder / f"{names[0]}.pem", self.folder / f"{names[0]}.key"
        certificate.unlink(missing_ok=True)
        for blob in issued.cert_chain_pems:
            blob.write_to_path(certificate, append=True)
        issued.private_key_pem.write_to_path(key)
        return certificate, key


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    return Papers(tmp_path, trustme.CA())


class Serve(Protocol):
    def __call__(
        self, name: str = HOST, *lines: str, not_after: datetime.datetime | None = None
    ) -> PrivateBroker: ...


@pytest.fixture
def serve(papers: Papers, tmp_path: Path) -> Iterator[Serve]:
    """Start a Mosquitto whose certificate is for that name."""
    with ExitStack() as stack:

        def start(name: str = HOST, *lines: str, not_after: datetime.datetime | None = None) -> PrivateBroker:
            certificate, key = papers.issue(name, not_after=not_after)
            settings = ("allow_anonymous true", f"certfile {certificate}", f"keyfile {key}", *lines)
            return stack.enter_context(PrivateBroker(tmp_path, settings))

        yield start


def lock(key: Path, locked: Path) -> None:
    """Write the key anew so that it asks for a passphrase."""
    secret = serialization.load_pem_private_key(key.read_bytes(), None)
    locked.write_bytes(
        secret.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"word"),
        )
    )


async def refusal(port: int, tls: Tls | None, **options: Any) -> str:
    async with Link(port, wait=False, tls=tls, **options) as link:
        await link.fails()
    assert link.ups == 0
    return link.reason


@PROTOCOLS
async def test_messages_go_both_ways_under_a_ca_that_we_trust(
    serve: Serve, papers: Papers, protocol: str
) -> None:
    large = os.urandom(200_000)
    async with Link(serve().port, protocol=protocol, tls=Tls(ca=papers.ca)) as link:
        for number in range(300):
            link.say("t/1", b"%d" % number, qos=1)
        link.say("t/1", large, qos=1)
        await link.hears(301)
        assert link.payloads == [*(b"%d" % number for number in range(300)), large]
        assert await link.broker.flush(5)


async def test_a_ca_that_we_do_not_know_is_refused_with_the_settings_to_check(serve: Serve) -> None:
    reason = await refusal(serve().port, Tls())
    assert "mqtt.tls_ca" in reason
    assert "certificate" in reason


async def test_a_certificate_for_another_name_is_refused_unless_told_otherwise(
    serve: Serve, papers: Papers
) -> None:
    broker = serve("mosquitto.example")
    reason = await refusal(broker.port, Tls(ca=papers.ca))
    assert "mqtt.host" in reason
    assert HOST in reason
    async with Link(broker.port, tls=Tls(ca=papers.ca, insecure=True)) as link:
        assert link.reasons == []


async def test_even_without_a_look_at_the_name_the_ca_must_be_known(serve: Serve) -> None:
    assert "mqtt.tls_ca" in await refusal(serve().port, Tls(insecure=True))


async def test_an_expired_certificate_is_refused_and_the_clock_is_named(serve: Serve, papers: Papers) -> None:
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    reason = await refusal(serve(not_after=yesterday).port, Tls(ca=papers.ca))
    assert "expired" in reason
    assert "clock" in reason


@PROTOCOLS
async def test_a_broker_that_asks_for_a_certificate_takes_ours(
    serve: Serve, papers: Papers, protocol: str
) -> None:
    broker = serve(HOST, f"cafile {papers.ca}", "require_certificate true")
    certificate, key = papers.issue("device.example")
    tls = Tls(ca=papers.ca, certificate=certificate, key=key)
    async with Link(broker.port, protocol=protocol, tls=tls) as link:
        link.say("t/1", b"hello", qos=1)
        await link.hears(1)


async def test_a_broker_that_asks_for_a_certificate_and_gets_none_makes_us_name_the_setting(
    serve: Serve, papers: Papers
) -> None:
    broker = serve(HOST, f"cafile {papers.ca}", "require_certificate true")
    assert "mqtt.tls_cert" in await refusal(broker.port, Tls(ca=papers.ca))


async def test_a_plain_client_at_a_tls_port_learns_that_tls_may_be_asked_for(serve: Serve) -> None:
    assert "mqtt.tls" in await refusal(serve().port, None)


async def test_a_tls_client_at_a_plain_port_learns_that_tls_may_not_be_spoken(
    broker: PrivateBroker, papers: Papers
) -> None:
    reason = await refusal(broker.port, Tls(ca=papers.ca))
    assert "mqtt.port" in reason
    assert "mqtt.tls" in reason


@pytest.mark.parametrize(
    ("ca", "certificate", "key", "setting"),
    [
        ("missing", None, None, "mqtt.tls_ca"),
        ("corrupt", None, None, "mqtt.tls_ca"),
        ("empty", None, None, "mqtt.tls_ca"),
        (".", None, None, "mqtt.tls_ca"),
        ("good.pem", "missing", "good.key", "mqtt.tls_cert"),
        ("good.pem", "corrupt", "good.key", "mqtt.tls_cert"),
        ("good.pem", "good.pem", "missing", "mqtt.tls_key"),
        ("good.pem", "good.pem", "corrupt", "mqtt.tls_key"),
        ("good.pem", "good.pem", "other.key", "mqtt.tls_key"),
        ("good.pem", "good.pem", "locked.key", "passphrase"),
    ],
)
async def test_a_file_that_can_not_be_used_is_an_error_that_names_its_setting(
    papers: Papers, ca: str, certificate: str | None, key: str | None, setting: str
) -> None:
    good = papers.issue("good")
    papers.issue("other")
    (papers.folder / "corrupt").write_text("-----BEGIN CERTIFICATE-----\nrubbish\n")
    (papers.folder / "empty").touch()
    lock(good[1], papers.folder / "locked.key")
    paths = [None if name is None else papers.folder / name for name in (ca, certificate, key)]
    link = Link(1, wait=False, tls=Tls(ca=paths[0], certificate=paths[1], key=paths[2]))
    with pytest.raises(ConfigurationError) as caught:
        link.broker.start()
    assert setting in caught.value.message
    assert not link.broker.alive


async def test_a_broker_that_hesitates_to_shake_hands_does_not_keep_the_event_loop(
    serve: Serve, papers: Papers
) -> None:
    broker = serve()
    os.kill(broker.pid, signal.SIGSTOP)
    async with Link(broker.port, wait=False, tls=Tls(ca=papers.ca)) as link:
        turns = 0
        async with Stopwatch() as watch:
            while watch.seconds < 0.2:
                turns += 1
                await asyncio.sleep(0)
        assert turns > 10
        assert link.ups == 0
        os.kill(broker.pid, signal.SIGCONT)
        await until(lambda: link.ups == 1)


async def test_a_stop_while_hands_are_shaken_ends_the_connection(serve: Serve, papers: Papers) -> None:
    broker = serve()
    os.kill(broker.pid, signal.SIGSTOP)
    async with Link(broker.port, wait=False, tls=Tls(ca=papers.ca)) as link:
        await asyncio.sleep(0.2)
        await link.broker.stop(0.2)
        os.kill(broker.pid, signal.SIGCONT)
        await asyncio.sleep(0.5)
        assert not link.broker.alive
        assert link.ups == 0


@pytest.fixture(params=["as it is", "as of Python 3.13"])
def python(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default flags of this Python, and those of 3.13."""
    if request.param == "as it is":
        return
    default = ssl.create_default_context

    def strict(**options: Any) -> ssl.SSLContext:
        context = default(**options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)


def make(folder: Path, commands: str) -> PrivateBroker:
    """Make `ca.crt`, `broker.crt` and `broker.key`; return a broker that has them."""
    subprocess.run(["bash", "-ec", commands], cwd=folder, capture_output=True, check=True)
    papers = (f"certfile {folder}/broker.crt", f"keyfile {folder}/broker.key")
    return PrivateBroker(folder, ("allow_anonymous true", *papers))


@pytest.mark.usefixtures("python")
async def test_a_home_made_ca_that_is_named_is_trusted_by_every_python(tmp_path: Path) -> None:
    with make(tmp_path, HOME_MADE) as broker:
        async with Link(broker.port, tls=Tls(ca=tmp_path / "ca.crt")) as link:
            assert link.reasons == []


@pytest.mark.usefixtures("python")
async def test_the_brokers_own_certificate_may_be_named_as_its_ca(tmp_path: Path) -> None:
    with make(tmp_path, HOME_MADE) as broker:
        async with Link(broker.port, tls=Tls(ca=tmp_path / "broker.crt")) as link:
            assert link.reasons == []


async def test_a_home_made_ca_of_the_systems_that_python_3_13_refuses_is_told_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = ssl.create_default_context

    def strict(**_options: Any) -> ssl.SSLContext:
        context = default(cafile=tmp_path / "ca.crt")
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    with make(tmp_path, HOME_MADE) as broker:
        assert "name the file of this one in mqtt.tls_ca" in await refusal(broker.port, Tls())


@pytest.mark.usefixtures("python")
async def test_the_commands_of_our_page_make_papers_that_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs/configuration.md").read_text()
    block = page.split("## TLS")[1].split("```console\n")[1].split("```")[0]
    commands = block.replace("$ ", "").replace("> ", "").replace("DNS:broker.local", f"IP:{HOST}")
    with make(tmp_path, commands) as broker:
        default = ssl.create_default_context
        monkeypatch.setattr(ssl, "create_default_context", lambda **_: default(cafile=tmp_path / "ca.crt"))
        async with Link(broker.port, tls=Tls()) as link:
            assert link.reasons == []


@PROTOCOLS
async def test_renewed_papers_on_both_sides_are_taken_up_at_the_next_connection(
    serve: Serve, papers: Papers, protocol: str
) -> None:
    broker = serve(HOST, f"cafile {papers.ca}", "require_certificate true")
    certificate, key = papers.issue("device.example")
    tls = Tls(ca=papers.ca, certificate=certificate, key=key)
    async with Link(broker.port, protocol=protocol, tls=tls) as link:
        broker.stop()
        renewed = Papers(papers.folder, trustme.CA())
        assert renewed.ca == tls.ca
        for name in (HOST, "device.example"):
            renewed.issue(name)
        broker.start()
        await until(lambda: link.ups == 2)


async def test_a_file_that_breaks_later_is_a_reason_and_no_end(serve: Serve, papers: Papers) -> None:
    broker = serve()
    good = papers.ca.read_bytes()
    async with Link(broker.port, tls=Tls(ca=papers.ca)) as link:
        papers.folder.joinpath("ca.pem").write_text("rubbish")
        broker.stop()
        broker.start()
        await until(lambda: any("mqtt.tls_ca" in reason for reason in link.reasons))
        assert link.broker.alive
        papers.folder.joinpath("ca.pem").write_bytes(good)
        await until(lambda: link.ups == 2)


async def test_a_certificate_that_is_no_text_is_refused_with_what_it_must_be(papers: Papers) -> None:
    binary = papers.folder / "ca.der"
    binary.write_bytes(ssl.PEM_cert_to_DER_cert(papers.ca.read_text()))
    link = Link(1, wait=False, tls=Tls(ca=binary))
    with pytest.raises(ConfigurationError, match="must be a PEM file") as caught:
        link.broker.start()
    assert str(binary) in caught.value.message


async def test_what_somebody_waits_for_comes_while_others_come_often(serve: Serve, papers: Papers) -> None:
    port, tls = serve().port, Tls(ca=papers.ca)
    came: list[bytes] = []
    hear = unhurried(port, lambda message: came.append(message.payload), tls=tls)
    async with hear as link, Link(port, (), tls=tls) as there:
        for number in range(20):
            for other in range(25):
                there.say("w/1", b"%d" % (25 * number + other))
            there.say("t/1", b"%d" % number, qos=number % 2)
            await link.hears(number + 1)
        await until(lambda: len(came) == 500)
    assert came == [b"%d" % number for number in range(500)]
    assert link.payloads == [b"%d" % number for number in range(20)]
