"""The entities of watches: one for each question. Sans-I/O; keys as in `entities`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from edgeassist.gateways.homeassistant.entities import Component, entity_id
from edgeassist.protocol.decisions import NO, YES, Kind, Question
from edgeassist.protocol.topics import Topics
from edgeassist.watching.gone import Gone


def watch_components(
    topics: Topics, watches: Mapping[str, Mapping[str, Question]], gone: Iterable[Gone] = ()
) -> dict[str, Component]:
    """Return the components of the questions that are watched, and what removes those that were.

    Args:
        topics: This device's.
        watches: The questions of each watch, by its name.
        gone: What was watched once.
    """
    removed: dict[str, Component] = {_key(*each): {"p": _platform(each.kind)} for each in gone}
    return removed | {
        _key(watch, name, question.type): _component(topics, watch, name, question)
        for watch, questions in watches.items()
        for name, question in questions.items()
    }


def _platform(kind: Kind) -> str:
    return "binary_sensor" if kind is Kind.YES_NO else "sensor"


def _key(watch: str, question: str, kind: Kind) -> str:
    """Return the component's key, part of its identity for ever; a colon is in no name."""
    return f"watch:{watch}:{question}" + (":yes_no" if kind is Kind.YES_NO else "")


def _component(topics: Topics, watch: str, name: str, question: Question) -> Component:
    answer = f"value_json.answers[{json.dumps(name)}]"
    common: Component = {
        "p": _platform(question.type),
        "def_ent_id": entity_id(topics, _platform(question.type), f"{watch} {name}"),
        "name": f"{watch} {name}".replace("_", " "),
        "stat_t": topics.watch(watch),
        "avty_t": topics.status,
        "val_tpl": _value(f"{answer}.choice"),
        "json_attr_t": topics.watch(watch),
        "json_attr_tpl": f"{{{{ dict({answer}, reason=value_json.reason, state_at=value_json.state_at,"
        " answered_at=value_json.answered_at) | tojson if value_json is defined else '{}' }}",
    }
    match question.type:
        case Kind.YES_NO:
            return {**common, "pl_on": YES, "pl_off": NO}
        case Kind.CHOICE:
            return {**common, "dev_cla": "enum", "ops": [*question.options], "ic": "mdi:format-list-checks"}
        case Kind.SCORE:
            return {
                **common,
                "val_tpl": _value(f"{answer}.score"),
                "stat_cla": "measurement",
                "sug_dsp_prc": 1,
                "ic": "mdi:gauge",
            }


def _value(expression: str) -> str:
    # Of a watch that is no more, the message is cleared: without JSON, Home Assistant would log an error.
    return f"{{{{ {expression} if value_json is defined else none }}}}"
