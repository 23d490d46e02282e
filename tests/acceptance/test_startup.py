"""What a wrong configuration gets: words that name the setting, and a status that systemd can act on."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from edgeassist.cli.main import app
from edgeassist.device.memory import available_memory_bytes
from edgeassist.sandbox import HOST, PrivateBroker, free_port
from edgeassist.supervision.last_load import NAME
from edgeassist.trial_models.synthetic import SHAPES, write_gguf
from tests import preloaded
from tests.conftest import AsyncConnect, StartDaemon, StartReady, expect_failed
from tests.other_models import write_bert
from tests.patience import PATIENCE_S

CONFIGURATION, UNAVAILABLE = 78, 69


def edgeassist(
    *arguments: str, stdin: str | None = None, **settings: Any
) -> subprocess.CompletedProcess[str]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("EDGEASSIST_")}
    environ |= {f"EDGEASSIST_{key.upper()}": str(value) for key, value in settings.items()} | {
        "COLUMNS": "200"
    }
    if "run" not in arguments:
        return preloaded.run(*arguments, environ=environ, read=stdin or "")
    return subprocess.run(
        [sys.executable, "-m", "edgeassist", *arguments],
        env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False, input=stdin,
    )  # fmt: skip


def corrupt(path: Path) -> Path:
    write_gguf(path, SHAPES["trial"])
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    return path


def test_a_missing_model_ends_the_daemon_with_78_and_names_the_setting(tmp_path: Path) -> None:
    ended = edgeassist("run", model__path=tmp_path / "none.gguf")
    assert (ended.returncode, "model.path" in ended.stderr) == (CONFIGURATION, True)
    ended = edgeassist("run", model__path="builtin:large")
    assert (ended.returncode, "it has builtin:tiny" in ended.stderr) == (CONFIGURATION, True)


def test_a_corrupt_model_ends_the_daemon_with_78_and_says_why(broker: PrivateBroker, tmp_path: Path) -> None:
    ended = edgeassist(
        "run", model__path=corrupt(tmp_path / "half.gguf"), mqtt__host=HOST, mqtt__port=broker.port
    )
    assert ended.returncode == CONFIGURATION
    assert "half.gguf" in ended.stderr
    assert "model.path" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_file_that_is_no_model_ends_the_daemon_with_78(tmp_path: Path) -> None:
    page = tmp_path / "page.gguf"
    page.write_text("<html>not found</html>")
    ended = edgeassist("run", model__path=page)
    assert (ended.returncode, "is not a GGUF file" in ended.stderr) == (CONFIGURATION, True)


def test_an_embedding_model_is_refused_alike_by_check_config_doctor_and_daemon(
    broker: PrivateBroker, tmp_path: Path
) -> None:
    path = write_bert(tmp_path / "bert.gguf")
    here: dict[str, Any] = {"model__path": path, "mqtt__host": HOST, "mqtt__port": broker.port}
    words = f"{path} is an embedding model"
    checked = edgeassist("check-config", "--offline", **here)
    assert (checked.returncode, words in checked.stdout) == (CONFIGURATION, True)
    examined = edgeassist("doctor", "--json", **here)
    assert (examined.returncode, words in examined.stdout) == (2, True)
    ended = edgeassist("run", **here)
    assert (ended.returncode, words in ended.stderr) == (CONFIGURATION, True)


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root reads everything")
def test_a_model_that_may_not_be_read_ends_the_daemon_with_78(tmp_path: Path) -> None:
    path = tmp_path / "secret.gguf"
    write_gguf(path, SHAPES["trial"])
    path.chmod(0)
    command = [sys.executable, "-m", "edgeassist", "run"]
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", *command]
    environ = {**os.environ, "EDGEASSIST_MODEL__PATH": str(path)}
    ended = subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert (ended.returncode, "no permission to read it" in ended.stderr) == (CONFIGURATION, True)


def test_a_context_larger_than_memory_ends_the_daemon_with_78_and_says_what_fits(tmp_path: Path) -> None:
    path = tmp_path / "wide.gguf"
    shape = SHAPES["trial"]
    write_gguf(path, dataclasses.replace(shape, context=1 << 20, layers=256 * shape.layers))
    ended = edgeassist("run", model__path=path, model__context=1 << 20)
    assert ended.returncode == CONFIGURATION
    assert "set model.context to" in ended.stderr


def test_check_config_counts_the_kv_cache_in_the_type_that_is_set(tmp_path: Path) -> None:
    context, kv_bytes_per_layer = 1 << 20, 1024
    free = available_memory_bytes()
    assert free is not None
    # 1.5 times the free memory in f16, 0.42 times in q4_0.
    layers = int(1.5 * free / context / kv_bytes_per_layer) + 1
    path = tmp_path / "deep.gguf"
    shape = dataclasses.replace(
        SHAPES["trial"], width=256, heads=2, kv_heads=2, context=context, layers=layers
    )
    write_gguf(path, shape)
    refused = edgeassist("check-config", "--offline", model__path=path, model__context=context)
    assert refused.returncode == CONFIGURATION
    assert "engine.kv_type to q8_0" in refused.stdout
    accepted = edgeassist(
        "check-config", "--offline", model__path=path, model__context=context, engine__kv_type="q4_0"
    )
    assert (accepted.returncode, "all is well" in accepted.stdout) == (0, True)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mqtt__hots": "x"}, "EDGEASSIST_MQTT__HOTS"),
        ({"mqtt__port": "many"}, "mqtt.port"),
        (
            {"mqtt__tls": "true", "mqtt__tls_ca": "/nowhere/ca.crt", "model__backend": "scripted"},
            "mqtt.tls_ca",
        ),
    ],
)
def test_a_setting_that_cannot_work_ends_the_daemon_with_78(settings: dict[str, str], words: str) -> None:
    ended = edgeassist("run", **settings)
    assert (ended.returncode, words in ended.stderr) == (CONFIGURATION, True)
    assert "Traceback" not in ended.stderr


def test_check_config_names_file_and_key_of_what_is_unknown(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[model]\ncolour = "red"\n')
    ended = edgeassist("--config", str(file), "check-config")
    assert ended.returncode == CONFIGURATION
    assert "model.colour" in ended.stderr
    assert str(file) in ended.stderr


def test_check_config_prints_origins_hides_secrets_and_finds_the_broker(
    broker: PrivateBroker, trial_model: Path
) -> None:
    here: dict[str, Any] = {
        "mqtt__host": HOST,
        "mqtt__port": broker.port,
        "mqtt__username": "me",
        "mqtt__password": "s3cret",
    }
    ended = edgeassist("check-config", model__path=trial_model, **here)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "EDGEASSIST_MQTT__PORT" in ended.stdout
    assert "all is well" in ended.stdout
    assert "s3cret" not in ended.stdout + ended.stderr


def test_check_config_tells_a_missing_model_and_an_absent_broker_apart(tmp_path: Path) -> None:
    ended = edgeassist("check-config", mqtt__host=HOST, mqtt__port=free_port(), model__backend="scripted")
    assert (ended.returncode, "nothing listens" in ended.stdout) == (UNAVAILABLE, True)
    ended = edgeassist("check-config", "--offline", model__path=tmp_path / "none.gguf")
    assert (ended.returncode, "model.path" in ended.stdout) == (CONFIGURATION, True)


def test_check_config_looks_for_the_chat_template_that_is_named(trial_model: Path, tmp_path: Path) -> None:
    template = tmp_path / "chat.jinja"
    named: dict[str, Any] = {"model__path": trial_model, "model__template": template}
    ended = edgeassist("check-config", "--offline", **named)
    assert (ended.returncode, "model.template: there is no" in ended.stdout) == (CONFIGURATION, True)
    template.write_text("{{ messages[0].content }}")
    assert edgeassist("check-config", "--offline", **named).returncode == 0


async def test_a_model_whose_template_never_works_is_told_by_health_info_and_every_request(
    daemon: StartDaemon, connect: AsyncConnect, tmp_path: Path
) -> None:
    template = tmp_path / "chat.jinja"
    template.write_text("{{ raise_exception('broken') }}")
    model = tmp_path / "model.gguf"
    write_gguf(model, SHAPES["trial"])
    daemon(model__path=model, model__template=template)
    client = await connect()
    health = await client.wait_health(frozenset({"degraded"}), PATIENCE_S)
    assert health is not None
    assert "model.template" in str(health["reason"])
    failed = expect_failed([event async for event in client.ask("hello")][-1])
    assert (failed.code, "model.template" in failed.message) == ("model_unavailable", True)


async def test_ask_streams_the_answer_and_its_status_tells_how_it_ended(
    ready: StartReady, broker: PrivateBroker
) -> None:
    await ready()
    here: dict[str, Any] = {"mqtt__host": HOST, "mqtt__port": broker.port, "device__name": "box"}
    good = edgeassist("ask", "hello there", **here)
    assert (good.returncode, good.stdout) == (0, "hello there\n")
    piped = edgeassist("ask", "-", stdin="from a pipe", **here)
    assert piped.stdout == "from a pipe\n"
    events = edgeassist("ask", "--json", "hello", **here).stdout.splitlines()
    assert [line.split('"type":"')[1].split('"')[0] for line in events][0::-1] == ["accepted"]
    assert '"type":"done"' in events[-1]
    late = edgeassist("ask", "--timeout", "0.2", "!script delay_ms=50\n" + "slow " * 50, **here)
    assert (late.returncode, "not complete" in late.stderr) == (75, True)
    bad = edgeassist("ask", " ", **here)
    assert (bad.returncode, "empty" in bad.stderr) == (2, True)
    status = edgeassist("status", **here)
    assert (status.returncode, "online" in status.stdout, "scripted" in status.stdout) == (0, True, True)


async def test_ask_sends_what_its_answer_may_be_and_tells_a_whole_answer_from_one_that_was_cut(
    ready: StartReady, broker: PrivateBroker, connect: AsyncConnect, tmp_path: Path
) -> None:
    await ready()
    here: dict[str, Any] = {"mqtt__host": HOST, "mqtt__port": broker.port, "device__name": "box"}
    wire = await connect.wire("edgeassist/box/prompt/#")
    schema = tmp_path / "schema.json"
    schema.write_text('{ "type": "object" }')
    grammar = tmp_path / "yes.gbnf"
    grammar.write_text('root ::= "yes"')
    for options, field, value in [
        (("--schema", str(schema)), "json_schema", {"type": "object"}),
        (("--choice", "on, off"), "choice", ["on", "off"]),
        (("--regex", "[a-z]+"), "regex", "[a-z]+"),
        (("--grammar", str(grammar)), "grammar", 'root ::= "yes"'),
    ]:
        ended = edgeassist("ask", *options, "hello", **here)
        assert (ended.returncode, ended.stdout) == (0, "hello\n"), ended.stderr
        asked = await wire.until(lambda _: True)
        assert json.loads(asked.payload)[field] == value
        wire.heard.clear()
    cut = edgeassist("ask", "--choice", "on,off", "--max-tokens", "1", "long enough", **here)
    assert (cut.returncode, "--max-tokens" in cut.stderr) == (1, True)
    free = edgeassist("ask", "--max-tokens", "1", "long enough", **here)
    assert (free.returncode, free.stderr) == (0, "")
    missing = edgeassist("ask", "--schema", str(tmp_path / "none"), "hello", **here)
    assert (missing.returncode, "--schema: " in missing.stderr) == (2, True)


async def test_ask_and_status_say_what_is_missing(broker: PrivateBroker) -> None:
    nobody: dict[str, Any] = {"mqtt__host": HOST, "mqtt__port": free_port()}
    ended = edgeassist("ask", "hello", **nobody)
    assert (ended.returncode, "nothing listens" in ended.stderr) == (UNAVAILABLE, True)
    lonely: dict[str, Any] = {"mqtt__host": HOST, "mqtt__port": broker.port, "device__name": "elsewhere"}
    ended = edgeassist("ask", "hello", **lonely)
    assert (ended.returncode, "'elsewhere' is not online" in ended.stderr) == (UNAVAILABLE, True)
    assert edgeassist("status", **lonely).returncode == UNAVAILABLE


def test_demo_shows_what_the_built_in_model_understands_and_leaves_nothing_running() -> None:
    ended = edgeassist("demo")
    assert ended.returncode == 0, ended.stderr
    assert "you> How warm is the nursery?\ndevice> The nursery temperature is 19.5 °C." in ended.stdout
    assert "→ kitchen light: brightness to 30 %" in ended.stdout
    assert "The garage door is locked." in ended.stdout
    # What to try while it runs is no help to who has no terminal: it ends with its questions.
    assert "mosquitto_pub" not in ended.stdout


def test_demo_takes_another_model_and_another_question(trial_model: Path) -> None:
    ended = edgeassist("demo", "--model", str(trial_model), "--max-tokens", "12", "--question", "and you?")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("you>") == 1
    assert "you> and you?\ndevice>" in ended.stdout
    assert " out" in ended.stdout


def test_version_and_help_teach() -> None:
    assert edgeassist("--version").stdout.startswith("edgeassist ")
    for command in ("run", "ask", "status", "check-config", "demo", "bench"):
        shown = CliRunner().invoke(app, [command, "--help"])
        assert shown.exit_code == 0
        assert len(shown.stdout) > 300


async def test_a_start_begins_with_what_the_last_one_loaded_and_serves_what_the_settings_say(
    ready: StartReady, tmp_path: Path
) -> None:
    for context in (512, 512, 256, 256):
        daemon, client = await ready(model__backend="scripted", model__context=context)
        info = json.loads(await client.state(client.topics.info) or b"{}")
        assert info["model"]["context"] == context
        assert json.loads((tmp_path / "state" / NAME).read_bytes())["context"] == context
        engines = psutil.Process(daemon.pid).children()
        assert len(engines) == 1
        daemon.stop()
        assert not psutil.pid_exists(engines[0].pid)
