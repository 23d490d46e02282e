"""The messages: the schema of each payload, and what else a message carries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import from_json

from edgeassist.errors import Code
from edgeassist.protocol.commands import COMMANDS
from edgeassist.protocol.decisions import DecisionAnswer, DecisionRequest
from edgeassist.protocol.events import Accepted, AnyEvent, Done, Failed, Timings, Usage
from edgeassist.protocol.fitting import forms
from edgeassist.protocol.fleet import BoxState
from edgeassist.protocol.outcomes import OUTCOMES, PROGRESS, FleetPong
from edgeassist.protocol.requests import PromptRequest
from edgeassist.protocol.state import (
    CommandResponse,
    Health,
    Info,
    Instance,
    StateDocument,
    Telemetry,
)
from edgeassist.protocol.tools import CalledFunction, ToolCall
from edgeassist.protocol.watches import WatchState
from scripts.contract.schemas import Schema, schemas_of
from scripts.contract.words import camel_case

AT = "#/components/schemas/"
_JSON, _TEXT = "application/json", "text/plain"
_CUT = {"type": "boolean", "const": True, "description": "More than the broker takes was left out."}


def all_schemas() -> dict[str, Schema]:
    """Return the schemas of all payloads, by name."""
    commands = [form.kind for form in COMMANDS.values()]
    outcomes = [kind for kinds in OUTCOMES.values() for kind in kinds if kind is not Info]
    named: list[type[BaseModel]] = [*outcomes, *PROGRESS.values(), FleetPong]
    found = schemas_of([PromptRequest, DecisionRequest, *commands, *named], mode="validation", at=AT)
    for part in (
        schemas_of([*get_args(AnyEvent), CommandResponse], mode="serialization", at=AT, sparse=True),
        schemas_of([Health, Telemetry, Info, Instance, WatchState, BoxState], mode="serialization", at=AT),
        _short_events(),
    ):
        if twice := [name for name, each in part.items() if found.get(name, each) != each]:
            raise ValueError(f"two schemas have the name {', '.join(twice)}")
        found |= part
    for document in (Health, Telemetry, Info):
        found[f"{document.__name__}Cut"] = _cut(document, found)
    found["HomeAssistantAnswer"] = _home_assistant_answer(found)
    return dict(sorted(found.items()))


def all_messages() -> dict[str, dict[str, Any]]:
    """Return all messages, by name, without examples."""
    return {
        **_asked(),
        **_events(),
        **_commands(),
        **_states(),
        "internal": _message("What boxes tell each other", {}, content="application/octet-stream"),
    }


def _message(title: str, payload: Schema, *, content: str = _JSON, about: str = "") -> dict[str, Any]:
    summary = {"summary": about} if about else {}
    return {"title": title, **summary, "contentType": content, "payload": payload}


def _text(title: str, about: str, **schema: Any) -> dict[str, Any]:
    return _message(title, {"type": "string", **schema}, content=_TEXT, about=about)


def _ref(name: str) -> Schema:
    return {"$ref": f"{AT}{name}"}


def _asked() -> dict[str, dict[str, Any]]:
    properties = {
        "headers": {"$ref": f"{AT}RequestProperties"},
        "correlationId": {"$ref": "#/components/correlationIds/correlationData"},
        "bindings": {
            "mqtt": {
                "responseTopic": {"type": "string", "description": "Where to answer."},
                "correlationData": {"type": "string", "description": "Comes back with every message."},
                "bindingVersion": "0.2.0",
            }
        },
    }
    return {
        "prompt": {**_message("Prompt", _ref("PromptRequest")), **properties},
        "promptText": {
            **_text("Prompt as bare text", "UTF-8 that does not begin with `{`.", pattern=r"^\s*[^\s{]"),
            **properties,
        },
        "decision": {**_message("Decision", _ref("DecisionRequest")), **properties},
    }  # fmt: skip


def _events() -> dict[str, dict[str, Any]]:
    answered = {
        "headers": {"$ref": f"{AT}ReplyProperties"},
        "correlationId": {"$ref": "#/components/correlationIds/correlationData"},
        "bindings": {
            "mqtt": {
                "correlationData": {"type": "string", "description": "That of the request."},
                "bindingVersion": "0.2.0",
            }
        },
    }
    short = "Of an answer to a small client (`max_packet`)"
    found = {
        "accepted": _message("accepted", _ref("Accepted"), about="The request will be answered."),
        "progress": _message("progress", _ref("Progress"), about="How much of the prompt has been read."),
        "reasoning": _message("reasoning", _ref("Reasoning"), about="The next piece of the thoughts."),
        "chunk": _message("chunk", _ref("Chunk"), about="The next piece of the text."),
        "toolCall": _message("tool_call", _ref("Called"), about="The model calls a tool."),
        "done": _message("done", _ref("Done"), about="The answer is complete. It is the last message."),
        "error": _message("error", _ref("Failed"), about="The request failed. It is the last message."),
        "acceptedShort": _message("accepted, short", _ref("AcceptedShort"), about=f"{short}."),
        "doneShort": _message("done, short", _ref("DoneShort"), about=f"{short}, or with `end` `short`."),
        "errorShort": _message("error, short", _ref("FailedShort"), about=f"{short}, or with `end` `short`."),
        "text": _text("Bare text", "With `format` `text`: the next piece; an empty one ends the text."),
    }
    return {name: {**each, **answered} for name, each in found.items()}


def _commands() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {
        "empty": _text("Nothing", "The command without arguments.", maxLength=0),
        "cancelText": _text("cancel as bare text", "The request's id, or `all`.", minLength=1),
        "logLevelText": _text(
            "log_level as bare text", "The level.", enum=["debug", "info", "warning", "error"]
        ),
        "modelText": _text(
            "model as bare text", "The action and, behind a space, the model.",
            pattern=r"^(list|cancel|(use|pull) .*\S.*)$",
        ),
        "drainText": _text("drain as bare text", "On or off.", enum=["on", "true", "off", "false"]),
        "schemaText": _text("schema as bare text", "A table of the settings.", minLength=1, maxLength=64),
    }  # fmt: skip
    for name, form in COMMANDS.items():
        camel = camel_case(name)
        if form.bare is not None:
            found.setdefault(f"{camel}Text", _text(f"{name} as bare text", "Its argument.", minLength=1))
        found[f"{camel}Command"] = _message(f"{name} as JSON", _ref(form.kind.__name__))
        kinds = [_ref(kind.__name__) for kind in OUTCOMES.get(name, ())]
        data = kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else {"type": "object"}
        found[f"{camel}Outcome"] = _message(f"{name}: ok", _response("ok", data=data))
        if name in PROGRESS:
            said = _response("progress", data=_ref(PROGRESS[name].__name__))
            found[f"{camel}Progress"] = _message(
                f"{name}: progress", said, about="How far a long command is; its answer follows."
            )
    found["fleetPingOutcome"] = _message("ping of a fleet: ok", _response("ok", data=_ref("FleetPong")))
    failed = _response("error", error=_ref("CommandError"))
    return {**found, "commandFailed": _message("Command failed", failed, about="Nothing has changed.")}


def _response(status: str, **fields: Schema) -> Schema:
    properties = {
        "status": {"type": "string", "const": status},
        **fields,
        "id": {"type": "string", "description": "The command's, where it had one."},
    }
    return {"type": "object", "required": ["status", *fields], "properties": properties}


def _states() -> dict[str, dict[str, Any]]:
    found = {
        name: _message(f"{name}", _ref(f"{name[0].upper()}{name[1:]}"))
        for name in ("health", "telemetry", "info", "instance")
    }
    for name in ("health", "telemetry", "info"):
        found[f"{name}Cut"] = _message(
            f"{name}, cut", _ref(f"{name[0].upper()}{name[1:]}Cut"),
            about="Where the whole document is more than the broker takes in one message.",
        )  # fmt: skip
    return {
        "status": _text("status", "As bare text.", enum=["online", "offline"]),
        **found,
        "watch": _message("watch", _ref("WatchState")),
        "cleared": _text("Cleared", "Nothing stands there any more.", maxLength=0),
        "discoveryMarker": _text("Discovery marker", "A topic.", minLength=1),
        "discovery": _message(
            "Discovery message", {"type": "object", "required": ["dev", "o", "cmps"], "properties": {
                "dev": {"type": "object", "description": "The device."},
                "o": {"type": "object", "description": "What has made this message."},
                "cmps": {"type": "object", "description": "Its entities, by name."},
            }}, about="MQTT device discovery, as Home Assistant defines it.",
        ),
        "answered": _message("How a prompt ended", _ref("HomeAssistantAnswer")),
        "box": _message("box", _ref("BoxState")),
    }  # fmt: skip


def _cut(document: type[StateDocument], schemas: dict[str, Schema]) -> Schema:
    """Return the schema of what is left of a document where less must do."""
    whole = schemas[document.__name__]
    kept = [set(fields) for fields in document.kept]
    names = [name for name in whole["properties"] if name in set().union(*kept)]
    always = [name for name in names if name in set.intersection(*kept)]
    properties = {name: _loosened(name, whole["properties"][name], document, schemas) for name in names}
    return {
        "type": "object",
        "description": f"{whole['description']} Its first fields only.",
        "required": [*always, "cut"],
        "properties": {**properties, "cut": _CUT},
    }


def _loosened(name: str, schema: Schema, document: type[StateDocument], schemas: dict[str, Schema]) -> Schema:
    """Return a field's schema without the parts that a cut document spares."""
    if name not in document.spared:
        return schema

    def without(value: Schema) -> Schema:
        whole = schemas[value["$ref"].removeprefix(AT)]
        left = {key: each for key, each in whole["properties"].items() if key not in document.spared[name]}
        return {
            "type": "object",
            "required": [key for key in whole["required"] if key in left],
            "properties": left,
        }

    for keyword in ("anyOf", "allOf"):
        if keyword in schema:
            parts = [without(each) if "$ref" in each else each for each in schema[keyword]]
            return {**schema, keyword: parts}
    return without(schema)


def _short_events() -> dict[str, Schema]:
    """Return the schemas of events as small clients get them, by what may be left out of each."""
    usage = Usage(prompt_tokens=1, cached_tokens=0, completion_tokens=1)
    timings = Timings(queue_ms=1, prefill_ms=1, decode_ms=1, total_ms=1)
    answer = DecisionAnswer(
        type="score", choice="1", probabilities={"1": 1}, margin=1, abstain=False, score=1, noul=1
    )
    call = ToolCall(id="1", function=CalledFunction(name="x", arguments="{}"))
    common: dict[str, Any] = {"id": "1", "seq": 0, "device": "d", "metadata": {}}
    events: list[Accepted | Done | Failed] = [
        Accepted(model="m", position=0, model_ready_in_s=1, cancel="c", **common),
        Done(
            text="", reasoning="r", only_reasoning=True, finish_reason="stop", tool_calls=[call],
            answers={"q": answer}, usage=usage, timings=timings, model="m", session="s", session_began=True,
            held_back="h", repeat=True, **common,
        ),
        Failed(code=Code.INTERNAL, message="m", retryable=True, retry_after_ms=1, repeat=True, **common),
    ]  # fmt: skip
    found = schemas_of([type(each) for each in events], mode="serialization", at=AT, sparse=True)
    optional = {name: set(each["properties"]) - set(each["required"]) for name, each in found.items()}
    short: dict[str, Schema] = {}
    for event in events:
        name = type(event).__name__
        said = [from_json(each) for each in forms(event)]
        short[f"{name}Short"] = _of_fields(found[name], [set(each) for each in said], optional[name])
        if isinstance(event, Done):
            answers = [set(each["answers"]["q"]) for each in said]
            part = _of_fields(found["DecisionAnswer"], answers, optional["DecisionAnswer"])
            short["DecisionAnswerShort"] = part
            short[f"{name}Short"]["properties"]["answers"] = {
                **found[name]["properties"]["answers"], "additionalProperties": _ref("DecisionAnswerShort"),
            }  # fmt: skip
    return short


def _of_fields(whole: Schema, said: Iterable[set[str]], optional: set[str]) -> Schema:
    """Return the schema of an object whose fields may be left out, but for those that always are there."""
    always = set.intersection(*said) - optional
    return {
        "type": "object",
        "description": f"{whole['description']} Fields that a small packet has no room for are left out.",
        "required": [name for name in whole["properties"] if name in always],
        "properties": dict(whole["properties"]),
    }


def _home_assistant_answer(schemas: dict[str, Schema]) -> Schema:
    done, failed, usage = (schemas[name]["properties"] for name in ("Done", "Failed", "Usage"))
    timings = schemas["Timings"]["properties"]
    return {
        "type": "object",
        "description": "How a prompt ended, as an event of Home Assistant's. What has no value is left out.",
        "required": ["event_type", "id", "text"],
        "properties": {
            "event_type": {"type": "string", "enum": ["answered", "failed"], "description": "How it ended."},
            "id": done["id"],
            "question": {"type": "string", "description": "What was asked."},
            **{name: done[name] for name in ("text", "answers", "finish_reason", "model", "session")},
            "completion_tokens": usage["completion_tokens"],
            "tokens_per_s": timings["decode_tokens_per_s"],
            **{name: timings[name] for name in ("ttft_ms", "total_ms")},
            "held_back": done["held_back"],
            **{name: failed[name] for name in ("code", "message", "retryable", "metadata")},
        },
    }
