"""What is read beside requests: settings, events, states of devices, watched messages."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from edgeassist.client.answers import AnswerStream, AnyEvent, Restarted
from edgeassist.client.decision import Decision
from edgeassist.client.reading import Unread, read_document, read_event
from edgeassist.client.result import Answer
from edgeassist.engine.messages import decode_command, decode_event, encode
from edgeassist.errors import ConfigurationError, InvalidRequestError
from edgeassist.fleet.envelope import Envelope, FollowingCancel, cancel_of, open_envelope, token_of
from edgeassist.fleet.known import Known
from edgeassist.former.register import Name
from edgeassist.former.remains import Remains
from edgeassist.gateways.fleet.offers import Offer, parse_offer
from edgeassist.protocol.decisions import Kind, Question
from edgeassist.protocol.events import Chunk, Done, Failed
from edgeassist.protocol.fleet import parse_box
from edgeassist.protocol.packets import Inbound
from edgeassist.protocol.salvage import salvage
from edgeassist.protocol.state import CommandResponse, parse_instance
from edgeassist.protocol.watches import questions_in
from edgeassist.settings.sources import load_settings
from edgeassist.sight.reading import (
    EndSeen,
    HealthSeen,
    InfoSeen,
    RequestsSeen,
    TelemetrySeen,
    WatchSeen,
)
from edgeassist.watching.inputs import MAX_PAYLOAD_BYTES
from edgeassist.watching.options import InputOptions, WatchOptions
from edgeassist.watching.picking import Pick
from edgeassist.watching.watch import Watch
from tests.fuzz import mutation
from tests.fuzz.box import TOPICS
from tests.fuzz.scratch import folder
from tests.fuzz.target import FaultError, Parser
from tests.fuzz.targets.mqtt import events, payloads

_CONFIG = Path(__file__).parents[3] / "config/edgeassist.toml"
_ASKED = Question(type=Kind.YES_NO, instructions="Done?")
_COMMANDS = (
    b'{"type":"load","backend":"scripted","path":"","context":256,"threads":1,"step_tokens":8,"step_ms":5}',
    b'{"type":"start","id":"1","messages":[{"role":"user","content":"x"}],"sampling":{"seed":1},'
    b'"max_tokens":5,"constraint":{"kind":"regex","text":"a"}}',
    b'{"type":"cancel","id":"1"}',
    b'{"type":"threads","decode":1,"prefill":2}',
    b'{"type":"stop"}',
)
_EVENTS = (
    b'{"type":"loading","fraction":0.5}',
    b'{"type":"heartbeat","steps":1,"running":2}',
    b'{"type":"encoding","id":"1","done":true}',
    b'{"type":"prefilled","id":"1","processed":1,"cached":0,"total":3}',
    b'{"type":"delta","id":"1","text":"x"}',
    b'{"type":"finished","id":"1","reason":"stop","prompt_tokens":3,"cached_tokens":0,"completion_tokens":2,'
    b'"prefill_ms":5,"decode_ms":5}',
    b'{"type":"decided","id":"1","scores":[[0.5,1]],"prompt_tokens":4,"cached_tokens":1,"prefill_ms":5}',
    b'{"type":"failed","id":"1","code":"internal","message":"x"}',
    b'{"type":"unusable","message":"x"}',
    b'{"type":"log","level":"ERROR","logger":"x","message":"y"}',
)


def _salvage(data: bytes) -> object:
    address = salvage(data)
    return tuple(value is not None for value in (address.id, address.reply_to, address.max_packet))


def _settings(data: bytes) -> object:
    path = folder("settings") / "edgeassist.toml"
    path.write_bytes(data)
    loaded = load_settings(path, environ={})
    json.dumps(loaded.settings.public())
    return len(loaded.origins)


def _settings_seeds() -> list[bytes]:
    lines = _CONFIG.read_text().splitlines()
    # What is commented out is a setting's default.
    text = "\n".join(line.removeprefix("# ") if " = " in line else line for line in lines)
    tables = ["[" + table for table in ("\n" + text).split("\n[")[1:]]
    return [*(table.encode() for table in tables), _CONFIG.read_bytes()]


def _environment(data: bytes) -> object:
    try:
        variables = json.loads(data)
    except (ValueError, RecursionError):
        return "none"
    if not isinstance(variables, dict):
        return "none"
    # As the kernel hands them on: bytes without a zero, decoded with surrogates for what is no UTF-8.
    environ = {
        f"EDGEASSIST_{name}".replace("\0", "").replace("=", ""): str(value).replace("\0", "")
        for name, value in variables.items()
    }
    environ.pop("EDGEASSIST_CONFIG", None)
    environ["EDGEASSIST_CONFIG"] = "/dev/null"
    return len(load_settings(environ=environ).origins)


_VARIABLES = (
    b'{"MQTT__HOST":"x","MQTT__PORT":"1883","MQTT__TLS":"true","MQTT__REPLY_PREFIXES":"[\\"a/\\"]"}',
    b'{"ENGINE__SLOTS":"4","ENGINE__THREADS":"auto","MODEL__PATH":"/x","DEVICE__NAME":"pi"}',
    b'{"WATCH":"[{\\"name\\":\\"x\\",\\"topics\\":[\\"t\\"],\\"questions\\":{\\"a\\":{\\"type\\":\\"yes_no\\",'
    b'\\"instructions\\":\\"b\\"}}}]"}',
)


def _client(data: bytes) -> object:
    stream, shown = AnswerStream(), _Shown()
    for at, line in enumerate(data.split(b"\n")):
        try:
            event = read_event(line)
        except ValueError:
            continue
        if at == 3:
            stream.repeated()
        for each in stream.take(event):
            shown.take(each)
        if isinstance(event, Done | Failed):
            stream, shown.text = AnswerStream(), ""
    return tuple(shown.types[:8])


class _Shown:
    """What a caller has of an answer."""

    def __init__(self) -> None:
        self.text = ""
        self.types: list[str] = []

    def take(self, event: AnyEvent) -> None:
        self.types.append(event.type)
        match event:
            case Unread():
                raise FaultError("what is not known reaches the caller")
            case Restarted():
                self.text = ""
            case Chunk():
                self.text += event.text
            case Done():
                if self.text not in {event.text, ""}:
                    raise FaultError(f"the caller has {self.text!r} of {event.text!r}")
                _ends(event)


def _ends(done: Done) -> None:
    answer = Answer.of(done)
    str(answer), answer.message()
    if done.answers is not None:
        Decision.of(done)


def _device(data: bytes) -> object:
    """Read what a device, or anybody in its name, says on its retained topics and as an answer."""
    name = Name(TOPICS, "7")
    remains = Remains(name, "edgeassist/other")
    for topic in (TOPICS.status, TOPICS.health, TOPICS.info, TOPICS.instance, TOPICS.watch("x")):
        remains.hear(Inbound(topic, data, retained=True))
    remains.verdict()
    parse_instance(data)
    for kind in (HealthSeen, TelemetrySeen, InfoSeen, WatchSeen, EndSeen, RequestsSeen):
        seen = kind.read(data)
        if seen is not None and not seen.model_fields_set <= set(read_document(data)):
            raise FaultError("more is read than stands there")
    questions_in(data)
    return type(CommandResponse.model_validate_json(data)).__name__


def _watch(data: bytes) -> object:
    try:
        document = json.loads(data)
        path, step, keep = document["path"], document["step"], document["keep"]
        said = [each if isinstance(each, str) else json.dumps(each) for each in document["said"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return "none"
    if path is not None:
        Pick(str(path))
        path = str(path)
    step = step if isinstance(step, int | float) and 0 < step < math.inf and type(step) is not bool else None
    keep = keep if isinstance(keep, int) and 1 <= keep <= 64 else 1
    watch = Watch(
        WatchOptions("x", (InputOptions("t", path, None, keep, step),), {"done": _ASKED}, interval_s=0)
    )
    now, asked = 1000.0, 0
    for each in said[:8]:
        payload = each.encode("utf-8", "replace")[: MAX_PAYLOAD_BYTES + 1]
        watch.hear(0, "t", payload, now)
        now += 10.0
        request = watch.turn(now)
        if request is not None:
            asked += 1
            json.dumps(request.model_dump(mode="json"), allow_nan=False)
            watch.failed("no", now)
        watch.report()
    return asked


_WATCHED: tuple[dict[str, Any], ...] = (
    {"path": None, "step": None, "keep": 1, "said": ["on", "off", {"power": 5}]},
    {"path": "$.power", "step": 0.5, "keep": 3, "said": [{"power": 5.2}, {"power": 1e300}, {"power": None}]},
    {"path": "$..x[?@.a > 1 && @.b == 'c']", "step": 10, "keep": 1,
     "said": [{"x": [{"a": 2, "b": "c"}, {"a": 1}]}]},
    {"path": "$.a[1:5:2]['b','c'][*]", "step": None, "keep": 2, "said": [{"a": [1, {"b": [1], "c": 2}, 3]}]},
    {"path": "$[?length(@.a) > 2 || match(@.b, 'x.*')]", "step": 1, "keep": 1,
     "said": [[{"a": "abc", "b": "xy"}], {"a": [1, 2, 3]}]},
    {"path": "$.x[?count(@.*) == 2][?value(@.a) == 1]", "step": None, "keep": 1, "said": [{"x": []}]},
)  # fmt: skip


def _fleet(data: bytes) -> object:
    """Read what boxes of a fleet, or anybody in their names, say to each other."""
    parse_box(data)
    parse_offer(data)
    cancel_of(data)
    token_of(data)
    Known().hear(data, "there", 0.0)
    envelope = open_envelope(data)
    if open_envelope(envelope.encode()).message != envelope.message:
        raise FaultError(f"{envelope!r} does not come out as it went in")
    return type(envelope).__name__


_HANDED = Envelope("there", Inbound("edgeassist/fleet/home/prompt/k", b"Hello", correlation=b"\x00"), 1, 2.5)
_OF_FLEETS = (
    _HANDED.encode(),
    Offer("there", 2).encode(),
    FollowingCancel(request="a", client="k", correlation=b"AA==").encode(),
    b'{"device":"there","keys":["0011223344556677"]}',
    b'{"device":"there","root":"r","session":"s","protocol":1,"state":"online","boot_id":"b","version":"1"}',
)


def _pipe(data: bytes) -> object:
    found = []
    for line in data.split(b"\n"):
        for decode in (decode_command, decode_event):
            try:
                message = decode(line)
            except ValueError as error:
                found.append(type(error).__name__)
                continue
            again = encode(message)
            if again.count(b"\n") != 1 or encode(decode(again.removesuffix(b"\n"))) != again:
                raise FaultError(f"{message!r} does not come out as it went in")
            found.append(type(message).__name__)
    return tuple(sorted(set(found)))


def targets() -> Sequence[Parser]:
    """Return them."""
    return [
        Parser("salvage", _salvage, payloads, ()),
        Parser(
            "settings",
            _settings,
            _settings_seeds,
            (ConfigurationError,),
            mutate=mutation.texts(
                "[[watch]]", "[mqtt]", '"""', "'''", " = ", "[", "{", "inf", "1979-05-27", "0x1"
            ),
        ),
        Parser("environment", _environment, lambda: _VARIABLES, (ConfigurationError,)),
        Parser("client", _client, _dialogues, (), mutate=mutation.mutate_lines),
        # Fourteen readers, one after the other.
        Parser("device", _device, events, (ValueError,), limit_s=2.0),
        Parser("watches", _watch, lambda: [json.dumps(each).encode() for each in _WATCHED], (ValueError,)),
        Parser("fleet", _fleet, lambda: _OF_FLEETS, (InvalidRequestError,)),
        Parser(
            "pipe",
            _pipe,
            lambda: [b"\n".join(_COMMANDS), b"\n".join(_EVENTS)],
            (),
            mutate=mutation.mutate_lines,
        ),
    ]


def _dialogues() -> Sequence[bytes]:
    """Return the events of the wire fixtures, those of one request together."""
    found: dict[str, list[bytes]] = {}
    for each in _objects(events()):
        found.setdefault(str(each.get("id")), []).append(json.dumps(each).encode())
    return [b"\n".join(lines) for lines in found.values()]


def _objects(documents: Iterable[bytes]) -> Iterable[dict[str, object]]:
    for each in documents:
        try:
            document = json.loads(each)
        except ValueError:
            continue
        if isinstance(document, dict) and "seq" in document:
            yield document
