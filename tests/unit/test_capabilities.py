from edgeassist.protocol.capabilities import capabilities
from edgeassist.protocol.commands import COMMANDS
from edgeassist.protocol.constraints import CONSTRAINTS
from edgeassist.protocol.decisions import DecisionRequest
from edgeassist.protocol.requests import PromptRequest
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
    assert told.commands == list(COMMANDS) == ["cancel", "ping", "info", "log_level", "reload"]
