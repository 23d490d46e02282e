"""What Home Assistant's integration reads: a box's events and states, a model's answers, what people say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests import component
from tests.fuzz import mutation
from tests.fuzz.target import Parser
from tests.fuzz.targets.mqtt import events
from tests.tiny_at_home import cases, home

component.install()

from custom_components.edgeassist import events as heard  # noqa: E402
from custom_components.edgeassist import questions  # noqa: E402
from custom_components.edgeassist.failures import Failure, failure_of  # noqa: E402
from custom_components.edgeassist.known import read_info  # noqa: E402
from custom_components.edgeassist.messages import arguments_of  # noqa: E402
from custom_components.edgeassist.spelling import Spelling  # noqa: E402
from custom_components.edgeassist.tiny import turn  # noqa: E402
from custom_components.edgeassist.topics import split_info  # noqa: E402

_MILL = home("mill")
_SPELLING = Spelling(
    {"light.desk": ["Desk light"], "fan.attic": ["Fan", "Attic fan"]}, ["Attic"], ["Upstairs"]
)
_QUESTIONS: dict[str, dict[str, Any]] = {
    "done": {"type": "noul", "instructions": "Done?"},
    "room": {"type": "choice", "instructions": "Which?", "criteria": {"attic": "Attic", "hall": "hall"}},
    "how": {"type": "score", "instructions": "How bad?", "criteria": ["low", "mid", "high"]},
}
_ANSWERS = (
    '{"action":"set","device":"light","room":"kitchen","property":"brightness","value":30}',
    '{"action":"turn_on","device":"light","room":"everywhere"}',
    '{"action":"set","device":"light","room":"attic","property":"color","value":"red"}',
    "The temperature is 21 °C.",
    "It is warm.",
    "Hello!",
)


def _events(data: bytes) -> object:
    stream = heard.AnswerStream()
    found: list[str] = []
    for at, line in enumerate(data.split(b"\n")):
        event = heard.read_event(line)
        if event is None:
            continue
        if at == 3:
            stream.repeated()
        for each in stream.take(event):
            found.append(type(each).__name__)
            match each:
                case heard.Called():
                    try:
                        _SPELLING.mended(arguments_of(each))
                    except Failure:
                        found.append("failure")
                case heard.Failed():
                    failure_of(each)
                case heard.Done(answers=answers) if answers is not None:
                    try:
                        questions.answered(_QUESTIONS, answers)
                    except questions.AnswerError:
                        found.append("no answer")
    return tuple(found[:8])


def _info(data: bytes) -> object:
    info = read_info(data)
    split_info(data.decode("utf-8", "replace"))
    return info is not None and (info.understood, info.takes("tools"), info.model is None)


def _tiny(data: bytes) -> object:
    try:
        document = json.loads(data)
        said, language, answer = (str(document[key]) for key in ("said", "language", "answer"))
    except (ValueError, KeyError, TypeError, RecursionError):
        return "none"
    found = []
    for question in turn.begin(said, "zh" if language == "zh" else "en", _MILL, None):
        if question.settled is None and question.heard.why is None:
            found.append(type(turn.end(question, answer, _MILL, None)).__name__)
        else:
            found.append(str(question.heard.why))
    return tuple(found[:4])


def _said() -> list[bytes]:
    return [
        json.dumps(
            {"said": case.said, "language": case.language, "answer": _ANSWERS[at % len(_ANSWERS)]}
        ).encode()
        for at, case in enumerate(cases("cases.jsonl"))
    ]


def _decided() -> bytes:
    answers = {
        "1": {"noul": 0.7},
        "2": {"choice": "hall", "probabilities": {"attic": 0.1, "hall": 0.9}},
        "3": {"score": 0.4, "probabilities": {"low": 0.1, "mid": 0.8, "high": 0.1}},
    }
    done = {"id": "a", "seq": 0, "type": "done", "text": "", "answers": answers}
    call = {"id": "a", "seq": 0, "type": "tool_call", "index": 0, "tool_call_id": "1", "name": "f",
            "arguments": '{"name":"the fan","area":"Attic"}'}  # fmt: skip
    return json.dumps(call).encode() + b"\n" + json.dumps(done | {"seq": 1}).encode()


def targets() -> Sequence[Parser]:
    """Return them."""
    seeds = events()
    joined = [b"\n".join(seeds[at : at + 3]) for at in range(0, len(seeds), 3)]
    return [
        Parser("ha-events", _events, lambda: [_decided(), *joined], (), mutate=mutation.mutate_lines),
        Parser("ha-info", _info, events, ()),
        Parser("ha-tiny", _tiny, _said, ()),
    ]
