"""Templates that take tools, each in a published way, and some that take none: all comes out of all."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from edgeassist.engine.messages import ChatMessage, Tool, ToolCall, Tools
from edgeassist.engine.nesting import MAX_DEPTH
from edgeassist.engine.prompting.calling import NO_TOOLS as NO_TOOLS_AT_ALL
from edgeassist.engine.prompting.calling import Calling, Way
from edgeassist.engine.prompting.calls.finding import OURS
from edgeassist.engine.prompting.chat import ChatTemplate
from edgeassist.engine.prompting.documents import Manner, Told
from edgeassist.engine.prompting.template import Template
from edgeassist.errors import InvalidRequestError
from tests.tools_templates import (
    ALL,
    ALTERNATES,
    ANSWER,
    ARGUMENTS_AS_TEXT,
    COLD,
    CONTROL,
    CONVERSATIONS,
    DONE,
    GEMMA,
    HERMES,
    LLAMA,
    MISTRAL,
    MORE,
    NATIVE,
    NO_TOOLS,
    OTHERS,
    PARTS,
    QUESTION,
    SWITCH,
    SYSTEM,
    TOOLS,
    WEATHER,
    WORDS,
    called,
    make,
    prompt,
)


def plain(source: str, messages: Sequence[ChatMessage]) -> str:
    """Return what the template writes when it is given what OpenAI's clients send."""
    documents: list[dict[str, object]] = []
    ids = {"client-7": "call00000", "x": "call00001"}
    for message in messages:
        document: dict[str, object] = {"role": message.role, "content": message.content}
        if message.calls:
            document["tool_calls"] = [
                {"id": ids[call.id], "type": "function",
                 "function": {"name": call.name, "arguments": json.loads(call.arguments)}}
                for call in message.calls
            ]  # fmt: skip
        if message.call_id:
            document |= {"tool_call_id": ids[message.call_id]}
        documents.append(document)
    told = [
        {"type": "function", "function": {"name": tool.name, "description": tool.description,
         "parameters": {"type": "object", **json.loads(tool.parameters)}}}
        for tool in TOOLS.tools
    ]  # fmt: skip
    return Template(source, {}).render(documents, [("tools", told), ("xml_tools", told)])


def lost(written: str, messages: Sequence[ChatMessage]) -> list[str]:
    """Return what of a conversation and the tools does not stand in a prompt as often as it was said."""
    said = [*WORDS, *(message.content for message in messages if message.content)]
    for message in messages:
        for call in message.calls:
            arguments = json.loads(call.arguments)
            said += [
                call.name,
                *arguments,
                *(value for value in arguments.values() if isinstance(value, str)),
            ]
    return [word for word in said if written.count(word) < said.count(word)]


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("template", ALL)
def test_tools_calls_and_results_come_out_of_every_template(template: str, conversation: str) -> None:
    messages = CONVERSATIONS[conversation]
    written = prompt(ALL[template], messages)
    assert not lost(written, messages)
    assert written.count("Tells the weather.") == 1


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("template", NATIVE)
def test_what_a_template_takes_is_written_as_it_writes_it(template: str, conversation: str) -> None:
    messages = CONVERSATIONS[conversation]
    try:
        by_itself = plain(NATIVE[template], messages)
    except Exception:  # noqa: BLE001 - it does not take them so
        return
    if not lost(by_itself, messages) and not (template == "mistral" and SYSTEM in messages):
        assert prompt(NATIVE[template], messages) == by_itself


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("hermes", Calling()),
        ("xml_tools", Calling(Manner(Told.XML_TOOLS))),
        ("arguments as text", Calling(Manner(json=True))),
        ("text or calls", Calling(beside=Way.APART)),
        ("llama", Calling(beside=Way.APART, several=Way.APART)),
        ("no results", Calling(results=Way.AS_TEXT)),
        ("no calls", replace(NO_TOOLS_AT_ALL, manner=Manner(), results=Way.AS_IT_IS)),
        ("system key", replace(NO_TOOLS_AT_ALL, manner=Manner(Told.SYSTEM), results=Way.AS_IT_IS)),
        ("no tools", NO_TOOLS_AT_ALL),
        ("alternates", NO_TOOLS_AT_ALL),
    ],
)
def test_what_a_template_does_with_tools_is_found_out(template: str, found: Calling) -> None:
    assert make(ALL[template]).calling == found


def test_arguments_are_an_object_or_text_as_the_template_reads_them() -> None:
    call = '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
    for source in (HERMES, ARGUMENTS_AS_TEXT):
        assert call in prompt(source, CONVERSATIONS["result"])
    assert make(ARGUMENTS_AS_TEXT).calling.manner.json


def test_calls_at_once_are_turns_with_their_results_where_a_turn_has_one_call() -> None:
    written = prompt(LLAMA, (QUESTION, called(WEATHER, SWITCH), COLD, DONE))
    assert written.endswith(
        '<|start|>assistant\n{"name": "weather", "parameters": {"city": "Oslo"}}<|end|>'
        "<|start|>tool\nSnow.<|end|>"
        '<|start|>assistant\n{"name": "switch", "parameters": {"room": "kitchen", "on": true}}<|end|>'
        "<|start|>tool\nDone.<|end|><|start|>assistant\n"
    )


def test_ids_are_ours_whatever_the_clients_are() -> None:
    written = prompt(MISTRAL, (QUESTION, called(WEATHER, SWITCH), COLD, DONE))
    assert '"id": "call00000"}, {"name": "switch"' in written
    assert '"call_id": "call00001"' in written
    assert "client-7" not in written


def test_results_stand_in_the_order_of_their_calls() -> None:
    in_order, not_in_order = (
        prompt(HERMES, (QUESTION, called(WEATHER, SWITCH), *results))
        for results in ((COLD, DONE), (DONE, COLD))
    )
    assert in_order == not_in_order


def test_a_template_without_tools_tells_them_behind_the_system_prompt_and_calls_are_text() -> None:
    written = prompt(NO_TOOLS, CONVERSATIONS["two"])
    assert written.startswith("<|start|>system\nBe brief.\n\n# Tools\n")
    assert "<tools>\n" + '{"name": "weather", "description": "Tells the weather.", "parameters": {' in written
    assert written.endswith(
        "<|start|>assistant\n"
        '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>\n'
        '<tool_call>\n{"name": "switch", "arguments": {"room": "kitchen", "on": true}}\n</tool_call><|end|>'
        "<|start|>user\n<tool_response>\nSnow.\n</tool_response>\n<tool_response>\nDone.\n</tool_response><|end|>"
        "<|start|>assistant\nIt snows.<|end|><|start|>user\nAnd now?<|end|><|start|>assistant\n"
    )


def test_a_model_without_a_template_gets_tools_and_calls_as_text() -> None:
    template = ChatTemplate(None)
    written = "".join(segment.text for segment in template.render(CONVERSATIONS["two"], tools=TOOLS))
    assert not lost(written, CONVERSATIONS["two"])
    assert template.form == OURS


def test_a_result_without_its_call_is_told_by_the_user() -> None:
    stray = ChatMessage("tool", "Who asked?", call_id="never")
    assert "<|start|>user\n<tool_response>\nWho asked?\n</tool_response><|end|>" in prompt(
        HERMES, (QUESTION, called(WEATHER), COLD, stray, ANSWER, MORE)
    )


def test_a_system_prompt_that_the_template_drops_behind_a_result_stands_in_the_first_question() -> None:
    written = prompt(MISTRAL, CONVERSATIONS["result"])
    assert "[INST]Be brief.\n\nHow is Oslo?[/INST]" in written


@pytest.mark.parametrize("template", [name for name in ALL if name != "mistral"])
@pytest.mark.parametrize("conversation", ["on", "text beside", "two"])
def test_a_prompt_begins_as_the_one_before_it_did(template: str, conversation: str) -> None:
    """The prefix need not be read again when results come, and when the conversation goes on."""
    messages = CONVERSATIONS[conversation]
    results = [at for at, message in enumerate(messages) if message.role == "tool"]
    question = next(at for at, message in enumerate(messages) if message.role == "user")
    whole = prompt(ALL[template], messages)
    for asked in (messages[: question + 1], messages[: results[-1] + 1]):
        begun = prompt(ALL[template], asked)
        assert whole.startswith(begun.removesuffix("<|start|>assistant\n"))


def test_calls_of_a_conversation_that_has_no_tools_any_more_come_out_too() -> None:
    only_with_tools = HERMES.replace("m.tool_calls or []", "((m.tool_calls or []) if tools else [])")
    for source in (HERMES, only_with_tools, *OTHERS.values()):
        written = prompt(source, CONVERSATIONS["on"], None)
        assert "Oslo" in written.partition("How is Oslo?")[2]
        assert "Tells the weather." not in written


def test_a_bare_result_is_refused_as_before_and_one_of_a_call_is_not() -> None:
    assert make(ALTERNATES).refused == {"tool"}
    assert "Snow." in prompt(ALTERNATES, CONVERSATIONS["result"])


def test_a_schema_that_the_template_refuses_is_told_in_our_form_from_the_first_prompt_on() -> None:
    picky = HERMES.replace(
        "{{ '<tool>'",
        "{% for each in tool.function.parameters.properties.values() %}{% if not each.type %}"
        "{{ raise_exception('no type') }}{% endif %}{% endfor %}{{ '<tool>'",
    )
    odd = Tools((Tool("odd", "Has no type.", '{"properties": {"any": {}}}'),))
    template = make(picky)
    assert template.calling.manner.told is Told.TOOLS
    assert template.form_for(odd) == OURS
    written = prompt(picky, (QUESTION,), odd)
    assert "# Tools" in written
    assert "Has no type." in written
    assert prompt(picky, (QUESTION,)) == prompt(HERMES, (QUESTION,))


def test_a_conversation_that_the_template_refuses_keeps_its_tools_and_gets_the_rest_as_text() -> None:
    strict = HERMES.replace(
        "{% for m in messages %}",
        "{% for m in messages %}"
        "{% if m.tool_calls and not loop.last and messages[loop.index0 + 1].role != 'tool' %}"
        "{{ raise_exception('a call wants a result') }}{% endif %}",
    )
    written = prompt(strict, CONVERSATIONS["no result"])
    assert not lost(written, CONVERSATIONS["no result"])
    assert written.startswith("<tool>{")
    assert "# Tools" not in written


@pytest.mark.parametrize("broken", ["[]", "{", '"text"'])
@pytest.mark.parametrize("source", [HERMES, NO_TOOLS])
def test_what_is_no_json_object_is_the_requests_fault(source: str, broken: str) -> None:
    with pytest.raises(InvalidRequestError, match="the parameters of the tool bad are no JSON object"):
        prompt(source, (QUESTION,), Tools((Tool("bad", "", broken),)))
    with pytest.raises(InvalidRequestError, match="the arguments of a call of bad are no JSON object"):
        prompt(source, (QUESTION, called(ToolCall("bad", broken, "1"))))


@pytest.mark.parametrize("depth", [61, 64, 65, 900, 100_000])
@pytest.mark.parametrize("source", [HERMES, GEMMA, NO_TOOLS])
def test_what_is_nested_too_deeply_is_the_requests_fault(source: str, depth: int) -> None:
    nested = '{"a": ' * (depth - 1) + "{}" + "}" * (depth - 1)
    for tools, messages in (
        (Tools((Tool("deep", "", nested),)), (QUESTION,)),
        (TOOLS, (QUESTION, called(ToolCall("deep", nested, "1")))),
    ):
        if depth <= MAX_DEPTH:
            assert re.sub(r"\W", "", prompt(source, messages, tools)).count("a" * (depth - 1)) == 1
        else:
            with pytest.raises(InvalidRequestError, match=f"more than {MAX_DEPTH} deep"):
                prompt(source, messages, tools)


def test_a_form_of_calls_that_is_unknown_to_us_is_not_told() -> None:
    """The model would be told to call in a way that is not read."""
    unknown = HERMES.replace("<tool_call>\\n{", "~~{").replace("}\\n</tool_call>", "}~~")
    template = make(unknown)
    assert template.form == OURS
    assert template.calling.manner.told is Told.NOWHERE
    assert "# Tools" in prompt(unknown, (QUESTION,))


def test_marks_of_calls_that_are_control_tokens_are_shown() -> None:
    assert {"<tool_call>", "</tool_call>"} <= make(HERMES).shown
    assert not ChatTemplate(HERMES, control=CONTROL).shown


def test_the_numbering_of_calls_goes_on_through_a_conversation() -> None:
    written = prompt(MISTRAL, CONVERSATIONS["two in turn"])
    assert re.findall(r"call\d{5}", written) == ["call00000", "call00000", "call00001", "call00001"]


PLAIN = "{% for m in messages %}{{ '<|start|>' + m.role + ' says\n' + m.content + '<|end|>' }}{% endfor %}"


def both(source: str, for_tools: str) -> ChatTemplate:
    return ChatTemplate(
        source, tokens={"bos_token": "<s>"}, control=CONTROL, parts=PARTS, for_tools=for_tools
    )


def by(chat: ChatTemplate, messages: Sequence[ChatMessage], tools: Tools | None = TOOLS) -> str:
    return "".join(segment.text for segment in chat.render(messages, tools=tools))


def test_a_template_for_tools_is_used_where_there_are_any_and_only_there() -> None:
    chat = both(PLAIN, HERMES)
    assert by(chat, [QUESTION], None) == prompt(PLAIN, [QUESTION], None)
    assert by(chat, [QUESTION]) == prompt(HERMES, [QUESTION])
    assert chat.form_for(TOOLS) == make(HERMES).form_for(TOOLS)
    assert chat.shown >= make(HERMES).shown


def test_what_was_called_stays_in_the_template_for_tools_when_none_are_offered_any_more() -> None:
    conversation = CONVERSATIONS["result"]
    assert by(both(PLAIN, HERMES), conversation, None) == prompt(HERMES, conversation, None)


@pytest.mark.parametrize("other", ["{% for", PLAIN])
def test_a_template_for_tools_that_fails_or_tells_of_none_is_left_out(other: str) -> None:
    assert by(both(HERMES, other), [QUESTION]) == prompt(HERMES, [QUESTION])
