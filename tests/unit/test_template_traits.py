"""Templates with one trait each, as published ones have them: what is asked comes out of all of them."""

import json
import logging

import pytest

from edgeassist.engine.messages import ChatMessage, TemplateState
from edgeassist.engine.prompting.chat import ChatTemplate
from edgeassist.errors import ModelError, ModelUnavailableError

CONTROL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|user|>", "<|assistant|>", "<|end|>", "<think>"]
TURN = "{{ '<' + m.role + '>' + m.content + '\\n' }}"
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{{ '<|im_start|>assistant\\n' }}"
)
DROPS_SYSTEM = "{% for m in messages %}{% if m.role != 'system' %}" + TURN + "{% endif %}{% endfor %}"
FIRST_SYSTEM = (
    "{% for m in messages %}{% if m.role != 'system' or loop.first %}" + TURN + "{% endif %}{% endfor %}"
)
SYSTEM_AS_ANSWER = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ '<user>' + m.content }}{% else %}"
    "{{ '<assistant>' + m.content }}{% endif %}{% endfor %}"
)
ALTERNATES = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}" + TURN + "{% endfor %}"
)
PARTS = (
    "{% for m in messages %}{% for part in m.content %}{{ '[' + part.text + ']' }}{% endfor %}{% endfor %}"
)
DEFAULT_SYSTEM = (
    "{% if messages[0].role != 'system' %}{{ '<system>You are Qwen\\n' }}{% endif %}"
    "{% for m in messages %}" + TURN + "{% endfor %}"
)
NO_EMPTY_ANSWER = "{% for m in messages %}{% if m.content %}" + TURN + "{% endif %}{% endfor %}"
TOOL_CALL_ONLY = "{% for tool in tools %}{{ tool }}{% endfor %}" + ALTERNATES


def talk(*pairs: str) -> list[ChatMessage]:
    roles = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
    return [ChatMessage(roles[pair[0]], pair[2:]) for pair in pairs]


def rendered(source: str, *pairs: str) -> str:
    template = ChatTemplate(source, tokens={"bos_token": "<s>"}, control=CONTROL)
    assert template.state is TemplateState.MODEL
    return "".join(segment.text for segment in template.render(talk(*pairs)))


@pytest.mark.parametrize(
    ("source", "pairs", "prompt"),
    [
        (DROPS_SYSTEM, ("s:told", "u:hi", "a:yes", "u:why"), "<user>told\n\nhi\n<assistant>yes\n<user>why\n"),
        (DROPS_SYSTEM, ("u:hi", "a:yes", "s:told", "u:why"), "<user>hi\n<assistant>yes\n<user>told\n\nwhy\n"),
        (FIRST_SYSTEM, ("s:told", "s:more", "u:hi"), "<system>told\n\nmore\n<user>hi\n"),
        (FIRST_SYSTEM, ("s:told", "u:hi", "s:more", "u:why"), "<system>told\n<user>hi\n<user>more\n\nwhy\n"),
        (SYSTEM_AS_ANSWER, ("s:told", "u:hi"), "<user>told\n\nhi"),
        (ALTERNATES, ("s:told", "u:hi", "u:there", "a:yes", "a:well", "u:why"),
         "<user>told\n\nhi\n\nthere\n<assistant>yes\n\nwell\n<user>why\n"),
        (PARTS, ("s:told", "u:hi"), "[told][hi]"),
        (DEFAULT_SYSTEM, ("u:hi",), "<system>You are Qwen\n<user>hi\n"),
        (DEFAULT_SYSTEM, ("s:", "u:hi"), "<system>\n<user>hi\n"),
        (DROPS_SYSTEM, ("s:", "u:hi"), "<user>hi\n"),
        (FIRST_SYSTEM, ("s:", "u:hi"), "<user>hi\n"),
        (NO_EMPTY_ANSWER, ("u:hi", "a:", "u:why"), "<user>hi\n<user>why\n"),
        (ALTERNATES, ("u:hi", "a:", "u:why"), "<user>hi\n<assistant>\n<user>why\n"),
        (TOOL_CALL_ONLY, ("u:hi",), "<user>hi\n"),
        ("{{ bos_token }}" + CHATML, ("u:hi",), "<s><|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"),
    ],
)  # fmt: skip
def test_all_that_is_said_comes_out_of_the_template(source: str, pairs: tuple[str, ...], prompt: str) -> None:
    assert rendered(source, *pairs) == prompt


def test_an_empty_answer_that_would_end_the_session_is_left_out() -> None:
    source = ALTERNATES.replace(
        "{% endif %}", "{% endif %}{% if not m.content %}{{ raise_exception('no text') }}{% endif %}", 1
    )
    assert rendered(source, "u:hi", "a:", "u:why") == "<user>hi\n\nwhy\n"


@pytest.mark.parametrize("source", [DROPS_SYSTEM.replace("system", "tool"), ALTERNATES, SYSTEM_AS_ANSWER])
def test_a_tools_result_is_refused_where_the_template_drops_or_forges_it(source: str) -> None:
    assert ChatTemplate(source).refused == {"tool"}
    assert not ChatTemplate(CHATML).refused


def test_what_the_probes_can_not_foresee_is_tried_with_turns_that_alternate() -> None:
    moody = "{% if messages[0].content == 'odd' %}{{ raise_exception('odd') }}{% endif %}"
    assert rendered(moody + FIRST_SYSTEM, "s:odd", "u:hi") == "<user>odd\n\nhi\n"


@pytest.mark.parametrize(
    "source",
    ["{{ raise_exception('never') }}", "{{ functions.call }}", "{{ bos_token }}Hello", "{{ 1 // 0 }}"],
)
def test_a_template_that_never_renders_is_the_models_fault_and_not_the_requests(
    source: str, caplog: pytest.LogCaptureFixture
) -> None:
    template = ChatTemplate(source)
    assert template.state is TemplateState.BROKEN
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "model.template" in caplog.text
    with pytest.raises(ModelUnavailableError, match=r"model\.template"):
        template.render(talk("u:hi"))


@pytest.mark.parametrize("source", ["{% if %}", "{% break %}", "{{ 'a' | nothing }}"])
def test_a_template_that_can_not_be_read_is_a_faulty_model_or_setting(source: str) -> None:
    with pytest.raises(ModelError, match=r"^model\.path: the chat template can't be read: .*model\.template"):
        ChatTemplate(source)
    with pytest.raises(ModelError, match=r"^model\.template: the chat template can't be read: "):
        ChatTemplate(source, configured=True)


def test_a_model_without_a_template_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    template = ChatTemplate(None)
    assert template.state is TemplateState.NONE
    assert "no chat template" in caplog.text
    assert [segment.text for segment in template.render(talk("s:", "u:hi"))] == ["hi"]


def test_a_configured_template_is_known_as_one() -> None:
    assert ChatTemplate(CHATML, configured=True).state is TemplateState.FILE


def test_json_is_written_as_transformers_does() -> None:
    value = {"b": "ü<", "a": [1, 2]}
    for call, expected in {
        "": json.dumps(value, ensure_ascii=False),
        "(ensure_ascii=true)": json.dumps(value),
        "(separators=(',', ':'))": json.dumps(value, ensure_ascii=False, separators=(",", ":")),
        "(sort_keys=true)": json.dumps(value, ensure_ascii=False, sort_keys=True),
        "(indent=2)": json.dumps(value, ensure_ascii=False, indent=2),
    }.items():
        source = "{{ messages[0].content }} {{ {'b': 'ü<', 'a': [1, 2]} | tojson" + call + " }}"
        assert rendered(source, "u:hi") == f"hi {expected}"


def test_there_are_no_tools_and_no_documents_but_they_are_defined() -> None:
    source = "{{ messages[0].content }} {{ tools is none and documents is none and tools is defined }}"
    assert rendered(source, "u:hi") == "hi True"


@pytest.mark.parametrize(
    ("source", "ends"),
    [
        (CHATML, {"<|im_end|>", "<|im_start|>"}),
        # GLM: what opens the next turn is all that ends an answer.
        ("{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content }}{% endfor %}{{ '<|assistant|>' }}",
         {"<|user|>", "<|assistant|>"}),
        ("{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content + '<|end|>\\n' }}{% endfor %}"
         "{{ '<|assistant|><think>' }}", {"<|end|>", "<|user|>", "<|assistant|>"}),
        # gpt-oss: several messages in one answer, each with such an end.
        ("{% for m in messages %}{{ '<|im_start|>' + m.role }}"
         "{{ '<|assistant|>' if m.role == 'assistant' }}{{ m.content + '<|im_end|>' }}"
         "{% endfor %}{{ '<|im_start|>assistant' }}", set()),
        # Vicuna without its end: texts alone.
        ("{% for m in messages %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}", set()),
    ],
)  # fmt: skip
def test_the_template_tells_what_ends_an_answer(source: str, ends: set[str]) -> None:
    assert ChatTemplate(source, control=CONTROL).ends == ends
