import json
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Protocol, get_args, get_origin

import pytest

from edgeassist import ENV_FILE
from edgeassist.errors import ConfigurationError
from edgeassist.settings import Loaded, Settings, load_settings
from edgeassist.settings import sources as settings_sources
from edgeassist.settings.keys import field_of, keys

SECRET = "hunter2-hunter2"  # noqa: S105 - it is the test's own


class Load(Protocol):
    def __call__(
        self,
        toml: str | None = None,
        environ: Mapping[str, str] | None = None,
        credentials: Mapping[str, str | bytes] | None = None,
    ) -> Loaded: ...


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return a loader for the text of a file, variables and credentials; the machine has no part."""
    monkeypatch.setattr(settings_sources, "DEFAULT_FILE", tmp_path / "none" / "edgeassist.toml")

    def load(
        toml: str | None = None,
        environ: Mapping[str, str] | None = None,
        credentials: Mapping[str, str | bytes] | None = None,
    ) -> Loaded:
        environ = dict(environ or {})
        file = None
        if toml is not None:
            file = tmp_path / "edgeassist.toml"
            file.write_text(toml)
        if credentials is not None:
            directory = tmp_path / "credentials"
            directory.mkdir(exist_ok=True)
            for name, value in credentials.items():
                (directory / name).write_bytes(value.encode() if isinstance(value, str) else value)
            environ["CREDENTIALS_DIRECTORY"] = str(directory)
        return load_settings(file, environ=environ)

    return load


def problem(load: Load, *sources: Any) -> str:
    with pytest.raises(ConfigurationError) as refusal:
        load(*sources)
    return refusal.value.message


def test_without_any_source_everything_has_its_default(load: Load) -> None:
    loaded = load()
    assert loaded.settings == Settings()
    assert loaded.origins == {}
    assert loaded.file is None


def test_a_later_source_wins_and_each_key_knows_its_origin(load: Load, tmp_path: Path) -> None:
    toml = '[mqtt]\nhost = "file"\nusername = "file"\nbase = "file"\n[engine]\nslots = 2\n'
    environ = {"EDGEASSIST_MQTT__HOST": "variable", "EDGEASSIST_MQTT__USERNAME": "variable", "PATH": "/bin"}
    loaded = load(toml, environ, {"mqtt.username": "credential\n"})
    mqtt = loaded.settings.mqtt
    assert (mqtt.base, mqtt.host, mqtt.username) == ("file", "variable", "credential")
    assert loaded.settings.engine.slots == 2
    file = f"file {tmp_path / 'edgeassist.toml'}"
    assert loaded.origins == {
        "mqtt.base": file,
        "engine.slots": file,
        "mqtt.host": "environment EDGEASSIST_MQTT__HOST",
        "mqtt.username": "credential mqtt.username",
    }


def test_the_file_may_be_named_by_the_environment_and_the_command_line_wins(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(f'[device]\nname = "{name}"')
    environ = {ENV_FILE: str(tmp_path / "one")}
    assert load_settings(environ=environ).settings.device.name == "one"
    loaded = load_settings(tmp_path / "two", environ=environ)
    assert loaded.settings.device.name == "two"
    assert loaded.file == tmp_path / "two"


def test_a_variable_of_text_becomes_the_value_that_the_key_has(load: Load) -> None:
    settings = load(
        None,
        {
            "EDGEASSIST_MQTT__PORT": "2883",
            "EDGEASSIST_MQTT__TLS": "true",
            "EDGEASSIST_MQTT__REPLY_PREFIXES": '["a/", "b/"]',
            "EDGEASSIST_MQTT__USERNAME": "1234",
            "EDGEASSIST_ENGINE__THREADS": "3",
            "EDGEASSIST_SAMPLING__TEMPERATURE": "0.2",
            "EDGEASSIST_DAEMON__LOG_LEVEL": "debug",
        },
    ).settings
    assert (settings.mqtt.port, settings.mqtt.tls, settings.mqtt.username) == (2883, True, "1234")
    assert settings.mqtt.reply_prefixes == ("a/", "b/")
    assert settings.engine.threads == 3
    assert settings.sampling.temperature == 0.2
    assert settings.daemon.log_level == "debug"


def test_the_port_is_mqtts_own_unless_one_is_set(load: Load) -> None:
    assert load().settings.mqtt.effective_port == 1883
    assert load("[mqtt]\ntls = true").settings.mqtt.effective_port == 8883
    assert load("[mqtt]\ntls = true\nport = 1").settings.mqtt.effective_port == 1


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        (["[mqtt]\nhots = 'x'"], ["unknown setting mqtt.hots", "(file ", "there is host, port"]),
        (["hots = 'x'"], ["unknown setting hots", "(file ", "tables device, mqtt"]),
        (["[mtqq]\nhost = 'x'"], ["unknown setting mtqq", "(file ", "tables device, mqtt"]),
        (["_env_prefix = 'x'"], ["unknown setting _env_prefix", "(file "]),
        ([None, {"EDGEASSIST_MQTT__": "x"}], ["unknown environment variable EDGEASSIST_MQTT__"]),
        (
            [None, {"EDGEASSIST_MQTT__HOTS": "x"}],
            ["unknown setting mqtt.hots", "(environment EDGEASSIST_MQTT__HOTS)", "there is host, port"],
        ),
        ([None, {"EDGEASSIST_MTQQ__HOST": "x"}], ["unknown environment variable EDGEASSIST_MTQQ__HOST"]),
        ([None, {"EDGEASSIST_MQTT_HOST": "x"}], ["EDGEASSIST_MQTT_HOST", "EDGEASSIST_<TABLE>__<KEY>"]),
        ([None, {"EDGEASSIST_MQTT": "{}"}], ["EDGEASSIST_MQTT:", "EDGEASSIST_<TABLE>__<KEY>"]),
        ([None, None, {"mqtt.hots": "x"}], ["unknown setting mqtt.hots", "(credential mqtt.hots)"]),
        ([None, None, {"password": "x"}], ["unknown credential password", "mqtt.password"]),
        ([None, None, {"mtqq.host": "x"}], ["unknown credential mtqq.host"]),
        ([None, None, {"mqtt.": "x"}], ["unknown credential mqtt."]),
    ],
)
def test_an_unknown_key_is_named_with_the_place_where_it_stands(
    load: Load, sources: list[object], words: list[str]
) -> None:
    message = problem(load, *sources)
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        (["[mqtt]\nport = 0"], ["mqtt.port (file "]),
        (["mqtt = 5"], ["mqtt (file "]),
        (["[mqtt]\nprotocol = '4'"], ["mqtt.protocol", "'5' or '3.1.1'"]),
        (["[mqtt]\nhost = 'a..b'"], ["mqtt.host", "is no host name"]),
        (["[mqtt]\nbase = '/a'"], ["mqtt.base"]),
        (["[mqtt]\nbase = 'a/#'"], ["mqtt.base"]),
        (["[device]\nname = 'a/b'"], ["device.name"]),
        (["[device]\nname = ''"], ["device.name"]),
        (["[engine]\nthreads = 0"], ["engine.threads"]),
        (["[engine]\nthreads = 'many'"], ["engine.threads", '"auto"']),
        (["[sampling]\ntemperature = nan"], ["sampling.temperature"]),
        (["[daemon]\ndrain_s = inf"], ["daemon.drain_s"]),
        (["[daemon]\nlog_level = 'loud'"], ["daemon.log_level", "'debug'"]),
        (["[stream]\nchunk_qos = 2"], ["stream.chunk_qos"]),
        ([None, {"EDGEASSIST_ENGINE__SLOTS": "few"}], ["(environment EDGEASSIST_ENGINE__SLOTS)"]),
        (
            [None, {"EDGEASSIST_MQTT__REPLY_PREFIXES": "a/"}],
            ["EDGEASSIST_MQTT__REPLY_PREFIXES", '["a", "b"]'],
        ),
        ([None, {"EDGEASSIST_MODEL__SYSTEM": "a\udcff"}], ["EDGEASSIST_MODEL__SYSTEM", "UTF-8"]),
        (["mqtt = 'x'", {"EDGEASSIST_MQTT__HOST": "x"}], ["mqtt (file "]),
        (["[device]\nname = '\uffff'"], ["device.name"]),
        (["[mqtt]\nbase = 'a\x85'"], ["mqtt.base"]),
        ([None, None, {"engine.slots": "few"}], ["(credential engine.slots)"]),
        (["[mqtt]\ntls = true\ntls_cert = 'x'"], ["tls_cert and tls_key go together"]),
        (["[mqtt]\ntls_insecure = true"], ["need tls = true"]),
        ([None, {"EDGEASSIST_MQTT__PASSWORD": SECRET}], ["password needs username"]),
    ],
)
def test_a_value_that_can_not_be_is_named_with_the_place_where_it_stands(
    load: Load, sources: list[object], words: list[str]
) -> None:
    message = problem(load, *sources)
    for word in words:
        assert word in message


def test_all_that_is_wrong_is_told_at_once(load: Load) -> None:
    message = problem(load, "[mqtt]\nport = 0\nhots = 1", {"EDGEASSIST_ENGINE__SLOTS": "0"})
    assert len(message.splitlines()) == 3


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_bytes(b"[mqtt\xff")
    strange = tmp_path / "strange.toml"
    strange.write_text("[mqtt")
    for path, words in (
        (tmp_path / "missing.toml", "there is no configuration file"),
        (tmp_path, "can't read the configuration file"),
        (broken, "is not UTF-8 .line 1.: save it as UTF-8"),
        (strange, "is not valid TOML"),
    ):
        with pytest.raises(ConfigurationError, match=words) as refusal:
            load_settings(path, environ={})
        assert str(path) in refusal.value.message
        with pytest.raises(ConfigurationError, match=words):
            load_settings(environ={ENV_FILE: str(path)})


WINDOWS = '[device]\r\nname = "büro"\r\n[model]\r\nsystem = """a\r\nb"""\r\n'


def test_a_file_from_an_editor_that_writes_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    file = tmp_path / "windows.toml"
    file.write_bytes(WINDOWS.replace("ü", "ue").encode("utf-8-sig"))
    settings = load_settings(file, environ={}).settings
    assert (settings.device.name, settings.model.system) == ("buero", "a\nb")


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("utf-16", "is UTF-16: save it as UTF-8"),
        ("utf-16-le", "is UTF-16: save it as UTF-8"),
        ("cp1252", r"is not UTF-8 .line 2.: save it as UTF-8"),
    ],
)
def test_a_file_of_another_encoding_is_refused_with_what_to_do(
    tmp_path: Path, encoding: str, words: str
) -> None:
    file = tmp_path / "windows.toml"
    file.write_bytes(WINDOWS.encode(encoding))
    with pytest.raises(ConfigurationError, match=words):
        load_settings(file, environ={})


def test_a_credential_from_such_an_editor_is_the_bare_word(load: Load) -> None:
    credentials: dict[str, str | bytes] = {"mqtt.username": "box"}
    credentials["mqtt.password"] = f"{SECRET}\r\n".encode("utf-8-sig")
    password = load(None, {}, credentials).settings.mqtt.password
    assert password is not None
    assert password.get_secret_value() == SECRET


def test_a_credential_of_another_encoding_is_named_with_what_to_do(load: Load) -> None:
    message = problem(load, None, {}, {"mqtt.password": SECRET.encode("utf-16")})
    assert "mqtt.password is UTF-16: save it as UTF-8" in message


def test_credentials_that_can_not_be_read_are_told_without_their_text(load: Load, tmp_path: Path) -> None:
    message = problem(load, None, {}, {"mqtt.password": SECRET.encode() + b"\xff"})
    assert "can't read the credentials" in message
    assert SECRET not in message
    with pytest.raises(ConfigurationError, match="can't read the credentials"):
        load_settings(environ={"CREDENTIALS_DIRECTORY": str(tmp_path / "missing")})


@pytest.mark.parametrize(
    "sources",
    [
        [f"[mqtt]\nusername = 'u'\npassword = '{SECRET}'\nport = 0"],
        [f"[mqtt]\npassword = '{SECRET}'"],
        [f"[mqtt]\npassword = ['{SECRET}']"],
        [f"[mqtt]\npasword = '{SECRET}'"],
        [f"[mqtt]\npassword = '{SECRET}"],
        [f"[mqtt]\npassword = {SECRET}"],
        [f"mqtt = '{SECRET}'"],
        [None, {"EDGEASSIST_MQTT__PASSWORD__X": SECRET}],
        [None, {"EDGEASSIST_MQTT__PASWORD": SECRET}],
        [None, {"EDGEASSIST_MQTT": f'{{"password": "{SECRET}"}}'}],
        [None, {"EDGEASSIST_MQTT__REPLY_PREFIXES": SECRET}],
        [None, {"EDGEASSIST_MQTT__PORT": SECRET}],
        [None, {}, {"mqtt.password": SECRET}],
        [None, {}, {"mqtt.pasword": SECRET}],
        [None, {}, {"mqtt.port": SECRET}],
    ],
)
def test_no_error_repeats_a_value(load: Load, sources: list[object]) -> None:
    assert SECRET not in problem(load, *sources)


def test_a_secret_shows_nowhere_but_where_it_is_asked_for(load: Load) -> None:
    loaded = load("[mqtt]\nusername = 'u'", {}, {"mqtt.password": SECRET})
    password = loaded.settings.mqtt.password
    assert password is not None
    assert password.get_secret_value() == SECRET
    for shown in (repr(loaded), str(loaded.settings), loaded.settings.public(), dict(loaded.origins)):
        assert SECRET not in str(shown)
    assert loaded.settings.public()["mqtt"]["password"] == "**********"  # noqa: S105 - hidden
    assert loaded.settings.public()["mqtt"]["username"] == "u"


def test_the_settings_can_not_be_changed(load: Load) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().settings.mqtt.host = "elsewhere"


def test_a_qos_can_be_set_in_the_environment() -> None:
    loaded = load_settings(environ={"EDGEASSIST_STREAM__CHUNK_QOS": "1", "EDGEASSIST_STREAM__FINAL_QOS": "0"})
    assert (loaded.settings.stream.chunk_qos, loaded.settings.stream.final_qos) == (1, 0)


WATCH = {"name": "x", "topics": ["a"], "questions": {"q": {"type": "yes_no", "instructions": "?"}}}
# A value of each setting that is not its default, as TOML has it.
OTHER = {
    "device.name": '"shed"',
    "mqtt.host": '"broker"',
    "mqtt.port": "1884",
    "mqtt.username": '"u"',
    "mqtt.password": '"p"',
    "mqtt.client_id": '"007"',
    "mqtt.base": '"home"',
    "mqtt.reply_prefixes": '["a/", "b/"]',
    "model.path": '"other.gguf"',
    "model.system": '"Be brief."',
    "engine.state_folder": '"/tmp/states"',
    "homeassistant.prefix": '"ha"',
    "console.broker": '"wss://broker/mqtt"',
    "homeassistant.status_topic": '"ha/status"',
    "watch": json.dumps([WATCH]).replace(": ", " = "),
    "library.hf_endpoint": '"https://mirror.example"',
    "library.ms_endpoint": '"https://mirror.example"',
}
# Those that another needs.
COMPANIONS = {
    "mqtt.password": {"mqtt.username": '"u"'},
    "mqtt.tls_ca": {"mqtt.tls": "true"},
    "mqtt.tls_cert": {"mqtt.tls": "true", "mqtt.tls_key": '"key"'},
    "mqtt.tls_key": {"mqtt.tls": "true", "mqtt.tls_cert": '"cert"'},
    "mqtt.tls_insecure": {"mqtt.tls": "true"},
}


def others(key: str, annotation: Any, default: Any) -> list[str]:
    """Return values that a setting may have beside its default, as TOML has them; every one of a choice."""
    if key in OTHER:
        return [OTHER[key]]
    if get_origin(annotation) is Literal or isinstance(default, Enum):
        choice = get_args(annotation) or tuple(each.value for each in annotation)
        return [json.dumps(each) for each in choice if each != default]
    match default:
        case bool():
            value = str(not default).lower()
        case int():
            value = str(default - 1 if default else 1)
        case float():
            value = str(default / 2 or 1.5)
        case None if int in get_args(get_args(annotation)[0]):
            value = "4096"
        case "auto":
            value = "64" if int in get_args(annotation) else "0.5"
        case _:
            value = '"some"'
    return [value]


def flat(values: dict[str, str]) -> str:
    return "\n".join(f"{key} = {value}" for key, value in values.items())


def as_text(value: str) -> str:
    """Return a TOML value as a variable or a credential has it."""
    if value.startswith("[{"):
        return value.replace(" = ", ": ")
    return value if value.startswith("[") else value.strip('"')


@pytest.mark.parametrize("name", [".".join(key) for key in keys()])
def test_every_setting_can_be_set_in_the_file_in_the_environment_and_as_a_credential(
    load: Load, name: str
) -> None:
    field = field_of(tuple(name.split(".")))
    for value in others(name, field.annotation, field.default):
        values = {name: value, **COMPANIONS.get(name, {})}
        texts = {each: as_text(text) for each, text in values.items()}
        file = load(flat(values)).settings
        assert file != Settings()
        variables = {f"EDGEASSIST_{each.upper().replace('.', '__')}": text for each, text in texts.items()}
        assert load(None, variables).settings == file, value
        assert load(None, None, {each: f"{text}\n" for each, text in texts.items()}).settings == file, value
