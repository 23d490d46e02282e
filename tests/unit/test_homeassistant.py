import contextlib
import json
import re
from pathlib import Path
from typing import Any, cast

import pytest
from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from edgeassist.errors import Code
from edgeassist.gateways.homeassistant.endings import answer_message, question_of
from edgeassist.gateways.homeassistant.entities import MAX_STATE_CHARACTERS, device_message
from edgeassist.protocol.capabilities import capabilities
from edgeassist.protocol.decisions import DecisionAnswer
from edgeassist.protocol.events import Done, Failed, Timings, Usage
from edgeassist.protocol.requests import PromptRequest, parse_prompt
from edgeassist.protocol.state import Health, Info, ModelInfo, Percentiles, PrefixReuse, State, Telemetry
from edgeassist.protocol.topics import Topics

BOX = Topics("edgeassist", "kitchen-pi")
LONG = "x" * 1000
DOCUMENT = Path(__file__).parents[2] / "docs" / "home-assistant.md"

# What Home Assistant 2026.2.3 requires and knows, by platform (homeassistant/components/mqtt).
# `msg_exp_int` it passes over; 2026.6 knows it.
COMMON = {"p", "name", "uniq_id", "def_ent_id", "avty_t", "ent_cat", "ic", "qos"}
ATTRIBUTES = {"json_attr_t", "json_attr_tpl"}
KNOWN = {
    "sensor": {"stat_t", "val_tpl", "dev_cla", "stat_cla", "unit_of_meas", "ops", "sug_dsp_prc", *ATTRIBUTES},
    "binary_sensor": {"stat_t", "val_tpl", "dev_cla", "pl_on", "pl_off", *ATTRIBUTES},
    "button": {"cmd_t", "pl_prs", "msg_exp_int"},
    "text": {"cmd_t", "cmd_tpl", "msg_exp_int", "stat_t", "val_tpl", "opt", "min", "max"},
    "event": {"stat_t", "evt_typ"},
}
REQUIRED = {
    "sensor": {"stat_t"},
    "binary_sensor": {"stat_t"},
    "button": {"cmd_t"},
    "text": {"cmd_t"},
    "event": {"stat_t", "evt_typ"},
}
# Which units a device class allows (https://developers.home-assistant.io/docs/core/entity/sensor).
UNITS = {"duration": "ms", "temperature": "°C", "data_size": "MiB", "enum": None}


def health(**changes: Any) -> Health:
    values = {
        "state": State.READY,
        "reason": None,
        "sleeping": False,
        "model": "qwen2.5-0.5b-instruct-q4_0",
        "queued": 3,
        "running": 1,
        "uptime_s": 60,
        "version": "1.2.3",
        "boot_id": "b",
        "engine_restarts": 0,
        "daemon_memory_bytes": 64 << 20,
        "engine_memory_bytes": 512 << 20,
        "cpu_temperature_c": 51.3,
        "throttled": False,
        "under_voltage": True,
        "cpu_frequency_mhz": 1800,
        "frequency_capped": False,
        "soft_temperature_limit": False,
        "throttled_since_start": False,
        "under_voltage_since_start": True,
        "memory_available_bytes": 2 << 30,
        "cpu_pressure": 0.0,
        "memory_pressure": 0.0,
        "io_pressure": 0.0,
        "disk_free_bytes": 8 << 30,
        "threads": 4,
        "prefill_threads": 4,
        "threads_reason": "4 threads: 4 physical cores allowed",
        "durable": True,
        "undurable_reason": None,
        "mqtt_reconnects": 0,
        "mqtt_dropped": 0,
        "mqtt_last_problem": None,
        "mqtt_refused": 0,
        "mqtt_last_refusal": None,
        "mqtt_limits": None,
    }
    return Health(**{**values, **changes})


BARE_HEALTH = health(
    state=State.STARTING,
    model=None,
    daemon_memory_bytes=None,
    engine_memory_bytes=None,
    cpu_temperature_c=None,
    throttled=None,
    under_voltage=None,
)


def telemetry(value: float | None, errors: dict[Code, int]) -> Telemetry:
    names: tuple[str, ...] = ("queue_ms", "ttft_ms", "tpot_ms", "total_ms", "decision_ms")
    names = (*names, "prefill_tokens_per_s", "decode_tokens_per_s")
    rolling = {name: Percentiles(p50=value, p95=value) for name in names}
    return Telemetry(
        requests=9,
        done=7,
        decisions=2,
        errors=errors,
        prompt_tokens=1,
        cached_tokens=1,
        completion_tokens=1,
        **rolling,
    )


MODEL = ModelInfo(
    name="m",
    constrains=True,
    thinks=False,
    decides=False,
    calibration=None,
    backend="llama",
    architecture="qwen2",
    parameters=494_000_000,
    quantisation="Q4_0",
    context=4096,
    trained_context=32768,
    size_bytes=1,
    sha256=None,
    chat_template=True,
    template="model",
    slots=4,
    prefix_reuse=PrefixReuse.EXACT,
    build='NEON = 1 | DOTPROD = 1 | it\'s <built> & "quoted"',
)


def info(*, loaded: bool) -> Info:
    return Info(
        version="1",
        protocol=1,
        device="d",
        capabilities=capabilities(),
        model=MODEL if loaded else None,
        settings={},
    )


FULL = {BOX.health: health(), BOX.telemetry: telemetry(12.5, {Code.BUSY: 2}), BOX.info: info(loaded=True)}
BARE = {BOX.health: BARE_HEALTH, BOX.telemetry: telemetry(None, {}), BOX.info: info(loaded=False)}


def components(topics: Topics = BOX, of: Health | None = None) -> dict[str, dict[str, Any]]:
    return cast("dict[str, dict[str, Any]]", device_message(topics, of or health())["cmps"])


COMPONENTS = components()
KEYS = pytest.mark.parametrize("key", COMPONENTS)


def render(template: str, payload: str, **variables: Any) -> str:
    """Render as Home Assistant does, but stumble over a field that is not there."""
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
    with contextlib.suppress(ValueError):
        variables["value_json"] = json.loads(payload)
    return environment.from_string(template).render(value=payload, **variables)


def state(key: str, documents: dict[str, Any]) -> str:
    component = COMPONENTS[key]
    return render(component["val_tpl"], documents[component["stat_t"]].model_dump_json())


def test_the_message_has_what_home_assistant_asks_for_and_nothing_that_it_refuses() -> None:
    message: dict[str, Any] = device_message(BOX, health())
    assert set(message) == {"dev", "o", "cmps"}
    assert set(message["dev"]) <= {"ids", "name", "mf", "mdl", "sw"}
    assert message["dev"]["ids"] == ["edgeassist__kitchen-pi"]
    assert message["dev"]["sw"] == message["o"]["sw"] == "1.2.3"
    assert message["o"]["name"] == "EdgeAssist"


@KEYS
def test_a_component_has_all_required_keys_and_only_known_ones(key: str) -> None:
    component = COMPONENTS[key]
    platform = component["p"]
    assert REQUIRED[platform] | {"p", "uniq_id", "name"} <= set(component) <= COMMON | KNOWN[platform]
    assert component.get("ent_cat", "diagnostic") == "diagnostic"


@KEYS
def test_units_and_classes_of_a_sensor_fit_together(key: str) -> None:
    component = COMPONENTS[key]
    if component["p"] == "sensor":
        unit = component.get("unit_of_meas")
        assert UNITS.get(component.get("dev_cla", ""), unit) == unit
        assert ("stat_cla" in component) == (unit is not None)
    assert ("ops" in component) == (component.get("dev_cla") == "enum")


@KEYS
def test_a_component_speaks_only_on_topics_of_the_device(key: str) -> None:
    far = components(Topics("home/ai", "box"))[key]
    topics = [far[name] for name in ("stat_t", "cmd_t", "avty_t", "json_attr_t") if name in far]
    assert topics
    assert all(topic.startswith("home/ai/box/") for topic in topics)


def test_only_connectivity_stays_when_the_device_goes() -> None:
    assert [key for key, component in COMPONENTS.items() if "avty_t" not in component] == ["connectivity"]
    connectivity = COMPONENTS["connectivity"]
    assert (connectivity["pl_on"], connectivity["pl_off"]) == ("online", "offline")


# By the key of an entity: its state where all is known, and where little is.
STATES = [
    ("state", "ready", "starting"),
    ("model", "qwen2.5-0.5b-instruct-q4_0", "None"),
    ("queued", "3", "3"),
    ("ttft", "12.5", "None"),
    ("decode_rate", "12.5", "None"),
    ("answered", "7", "7"),
    ("failed", "2", "0"),
    ("cpu_temperature", "51.3", "None"),
    ("memory", "576.0", "0.0"),
    ("under_voltage", "True", "None"),
    ("throttled", "False", "None"),
    ("threads", "4", "4"),
    ("ask", "", ""),
]


@pytest.mark.parametrize(("key", "full", "bare"), STATES)
def test_a_state_is_read_from_the_documents_and_unknown_where_they_have_none(
    key: str, full: str, bare: str
) -> None:
    assert state(key, FULL) == full
    assert state(key, BARE) == bare


def test_every_value_template_is_looked_at() -> None:
    with_template = {key for key, component in COMPONENTS.items() if "val_tpl" in component}
    assert with_template == {key for key, _, _ in STATES}


@KEYS
def test_a_state_is_never_longer_than_home_assistant_takes(key: str) -> None:
    if "val_tpl" in COMPONENTS[key]:
        documents = {**FULL, BOX.health: health(model=LONG, reason=LONG, threads_reason=LONG)}
        assert len(state(key, documents)) <= MAX_STATE_CHARACTERS


def test_a_state_is_one_of_its_options() -> None:
    assert COMPONENTS["state"]["ops"] == [each.value for each in State]


@pytest.mark.parametrize(
    ("key", "full", "bare"),
    [
        ("state", {"reason": None, "running": 1}, {"reason": None, "running": 1}),
        ("model", MODEL.model_dump(), {}),
        ("failed", {"busy": 2}, {}),
        (
            "threads",
            {"reason": "4 threads: 4 physical cores allowed", "prefill_threads": 4},
            {"reason": "4 threads: 4 physical cores allowed", "prefill_threads": 4},
        ),
    ],
)
def test_attributes_hold_what_is_too_long_for_a_state(key: str, full: object, bare: object) -> None:
    component = COMPONENTS[key]
    for documents, expected in ((FULL, full), (BARE, bare)):
        document = documents[component["json_attr_t"]].model_dump_json()
        assert json.loads(render(component["json_attr_tpl"], document)) == expected


@pytest.mark.parametrize(
    "text", ['{"prompt": 1}', "Is it <warm> & 'dry'?", "你好 😀", 'a "quote"\nand a line']
)
def test_what_is_typed_is_the_prompt_whatever_it_looks_like(text: str) -> None:
    ask = COMPONENTS["ask"]
    payload = ImmutableSandboxedEnvironment().from_string(ask["cmd_tpl"]).render(value=text)
    request = parse_prompt(payload.encode(), limit=10_000)
    assert (request.prompt, request.stream) == (text, False)
    assert ask["cmd_t"] == "edgeassist/kitchen-pi/prompt/homeassistant"


def test_a_sensor_that_the_machine_lacks_is_no_entity_and_goes_where_it_was_one() -> None:
    found = components(of=BARE_HEALTH)
    assert {key: found[key] for key in found if "uniq_id" not in found[key]} == {
        "cpu_temperature": {"p": "sensor"},
        "under_voltage": {"p": "binary_sensor"},
        "throttled": {"p": "binary_sensor"},
    }
    alarm_only = components(of=health(throttled=None))
    assert "uniq_id" in alarm_only["under_voltage"]


def test_identities_are_unique_and_stay_the_same_whatever_the_version_and_the_state() -> None:
    def identities(of: Health) -> dict[str, tuple[str, str]]:
        return {key: (each["uniq_id"], each["def_ent_id"]) for key, each in components(of=of).items()}

    old = identities(health())
    assert old == identities(health(version="9.9", state=State.DEGRADED, model=None))
    assert len(set(old.values())) == len(old)
    assert old["ttft"] == ("edgeassist__kitchen-pi:ttft", "sensor.edgeassist_kitchen_pi_ttft")


@pytest.mark.parametrize(
    "root", [("edgeassist", "box"), ("home/ai", "My Box_1"), ("房子", "盒子"), ("a", "_")]
)
def test_an_entity_id_is_one_that_home_assistant_takes(root: tuple[str, str]) -> None:
    for component in components(Topics(*root)).values():
        # homeassistant/core.py
        assert re.fullmatch(r"(?!.+__)(?!_)[\da-z_]+(?<!_)\.(?!_)[\da-z_]+(?<!_)", component["def_ent_id"])


def done(**changes: Any) -> Done:
    values = {
        "id": "7",
        "seq": 0,
        "text": LONG,
        "finish_reason": "stop",
        "usage": Usage(prompt_tokens=5, cached_tokens=0, completion_tokens=3),
        "timings": Timings(queue_ms=1, prefill_ms=2, ttft_ms=4, decode_ms=5, total_ms=9),
        "model": "m",
        "device": "box",
    }
    return Done(**{**values, **changes})


def test_an_answer_is_an_event_with_all_of_its_text() -> None:
    assert answer_message("why?", done(metadata={"room": "hall"}, session="s")) == {
        "event_type": "answered",
        "id": "7",
        "question": "why?",
        "text": LONG,
        "finish_reason": "stop",
        "model": "m",
        "session": "s",
        "completion_tokens": 3,
        "ttft_ms": 4,
        "total_ms": 9,
        "metadata": {"room": "hall"},
    }


def test_a_decision_is_an_event_with_its_answers() -> None:
    answer = DecisionAnswer(
        type="yes_no", choice="no", probabilities={"yes": 0.2, "no": 0.8}, margin=0.6, abstain=False, noul=0.2
    )
    event = answer_message(None, done(text="", answers={"late": answer}))
    assert event["answers"] == {
        "late": {
            "type": "yes_no",
            "choice": "no",
            "probabilities": {"yes": 0.2, "no": 0.8},
            "margin": 0.6,
            "abstain": False,
            "noul": 0.2,
        }
    }


def test_a_failure_is_an_event_with_its_reason_and_what_there_was() -> None:
    failed = Failed(
        id="7", seq=0, code=Code.CANCELLED, message="cancelled", retryable=False, text="so", device="box"
    )
    assert answer_message(None, failed) == {
        "event_type": "failed",
        "id": "7",
        "text": "so",
        "code": "cancelled",
        "message": "cancelled",
        "retryable": False,
    }


@KEYS
def test_the_documentation_names_every_entity(key: str) -> None:
    assert f"`{COMPONENTS[key]['p']}…_{key}`" in DOCUMENT.read_text()


def test_the_event_types_are_those_that_are_announced() -> None:
    failed = Failed(id="7", seq=0, code=Code.BUSY, message="", retryable=True, device="box")
    said = [answer_message(None, end)["event_type"] for end in (done(), failed)]
    assert COMPONENTS["answer"]["evt_typ"] == said


@pytest.mark.parametrize(
    ("fields", "question"),
    [
        ({"prompt": "why?"}, "why?"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, "a"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "c"}]}, "c"),
        ({"messages": [{"role": "assistant", "content": "b"}]}, None),
    ],
)
def test_the_question_is_the_prompt_or_what_the_user_said_last(
    fields: dict[str, Any], question: str | None
) -> None:
    assert question_of(PromptRequest(**fields)) == question


def test_what_is_commanded_expires_where_the_broker_lets_it() -> None:
    def expiring(*, expires: bool) -> set[str]:
        components = device_message(BOX, health(), expires=expires)["cmps"]
        assert isinstance(components, dict)
        return {key for key, each in components.items() if isinstance(each, dict) and "msg_exp_int" in each}

    assert expiring(expires=True) == {key for key, each in COMPONENTS.items() if "cmd_t" in each}
    assert expiring(expires=False) == set()
