import json

from edgeassist.protocol.calibration import Calibration
from edgeassist.protocol.capabilities import capabilities
from edgeassist.protocol.commands import COMMANDS
from edgeassist.protocol.constraints import CONSTRAINTS
from edgeassist.protocol.decisions import DecisionRequest
from edgeassist.protocol.requests import PromptRequest
from edgeassist.protocol.state import Info, ModelInfo, PrefixReuse
from edgeassist.protocol.tools import TOOL_FIELDS


def test_every_field_of_a_request_is_a_capability() -> None:
    assert capabilities().fields == list(PromptRequest.model_fields)


def test_a_model_that_can_not_bind_its_answers_takes_the_fields_for_it_away() -> None:
    able, unable = capabilities(constrains=True).fields, capabilities(constrains=False).fields
    assert set(able) - set(unable) == {*CONSTRAINTS, *TOOL_FIELDS}
    assert CONSTRAINTS == ("json_schema", "regex", "choice", "grammar")
    assert TOOL_FIELDS == ("tools", "tool_choice", "parallel_tool_calls")


def test_a_client_learns_what_may_be_decided() -> None:
    told = capabilities()
    assert told.decision_fields == list(DecisionRequest.model_fields)
    assert told.questions == ["choice", "score", "yes_no"]
    unable = capabilities(decides=False)
    assert (unable.decision_fields, unable.questions, unable.fields) == ([], [], told.fields)


def test_a_client_learns_roles_formats_events_and_commands() -> None:
    told = capabilities()
    assert told.roles == ["system", "user", "assistant", "tool"]
    assert told.formats == ["events", "text"]
    assert told.priorities == ["low", "normal", "high"]
    assert told.events == ["accepted", "progress", "reasoning", "chunk", "tool_call", "done", "error"]
    commands = ["cancel", "ping", "info", "log_level", "reload", "model", "drain"]
    commands += ["requests", "doctor", "schema"]
    assert told.commands == list(COMMANDS) == commands


def test_a_broker_that_takes_little_gets_info_without_settings_and_what_is_of_decisions() -> None:
    model = ModelInfo(
        name="m",
        backend="llama",
        architecture="qwen2",
        parameters=494_000_000,
        quantisation="Q4_K_M",
        context=4096,
        trained_context=32768,
        size_bytes=491_000_000,
        sha256=None,
        chat_template=True,
        template="model",
        slots=4,
        prefix_reuse=PrefixReuse.EXACT,
        constrains=True,
        thinks=False,
        decides=True,
        calibration=Calibration(choice=1, score=1, yes_no=1, threshold=0.2, prior=1, instructions=""),
        build="",
    )
    info = Info(
        version="0.1.0", protocol=1, device="box", capabilities=capabilities(), model=model, settings={}
    )
    whole, cut, least = map(json.loads, info.payloads())
    spared = {"calibration", "prefix_reuse"}
    assert cut["model"] == {key: each for key, each in whole["model"].items() if key not in spared}
    assert cut["capabilities"]["fields"] == whole["capabilities"]["fields"]
    assert not {"decision_fields", "questions"} & set(cut["capabilities"])
    assert least == {"version": "0.1.0", "protocol": 1, "device": "box", "cut": True}
