"""Where a prompt begins and an answer ends, with files that say it wrongly, or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import gguf
import pytest
from msgspec.structs import replace

from edgeassist.engine.messages import (
    ChatMessage,
    Choice,
    Finish,
    Log,
    Sampling,
    TemplateState,
    ToolCall,
    Unusable,
)
from edgeassist.errors import Code, ExitStatus
from edgeassist.trial_models.synthetic import SHAPES, Precision, write_gguf
from edgeassist.trial_models.vocabulary import make_up_vocabulary
from tests.integration.driver import Engine
from tests.tools_templates import HERMES, NO_TOOLS, TOOLS

EOS, TEMPLATE = "tokenizer.ggml.eos_token_id", "tokenizer.chat_template"
GENAI, TOKENIZER = "genai_config.json", "tokenizer_config.json"
# llama.cpp takes `<|im_end|>` for an end by its name alone.
END = "<|fin|>"
VOCABULARY = make_up_vocabulary(SHAPES["trial"].vocabulary).entries
# An answer, why it ended, and how long its prompt was.
Said = tuple[str, Finish, int]
QUESTIONS = [f"{word} me about it" for word in ("tell", "ask", "show", "remind")]


def write(path: Path, changes: dict[str, Any]) -> Path:
    """Write the trial model with other entries in its metadata."""
    lender = gguf.GGUFWriter(path.with_suffix(".lender"), "qwen2")
    values = {key: entry.value for key, entry in VOCABULARY.items()} | changes
    for key, value in values.items():
        if isinstance(value, list):
            lender.add_array(key, value)
        else:
            kind = {bool: gguf.GGUFValueType.BOOL, str: gguf.GGUFValueType.STRING}.get(type(value))
            lender.add_key_value(key, value, kind or gguf.GGUFValueType.UINT32)
    lender.write_header_to_file()
    lender.write_kv_data_to_file()
    lender.close()
    write_gguf(path, SHAPES["trial"], precision=Precision.F32, vocabulary=path.with_suffix(".lender"))
    return path


def said(path: Path, **options: Any) -> list[Said]:
    """Load a model in an engine of its own, and return what it says."""
    with Engine() as engine:
        engine.load("llama", path, **options)
        answers = engine.ask(*QUESTIONS, max_tokens=40)
        return [(each.text, each.finished.reason, each.finished.prompt_tokens) for each in answers]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[Said]:
    """What the trial model says as it is."""
    return said(write(tmp_path_factory.mktemp("plain") / "model.gguf", {}))


def test_a_file_that_wants_an_end_at_the_end_gets_none_behind_a_prompt(
    plain: list[Said], tmp_path: Path
) -> None:
    path = write(tmp_path / "model.gguf", {"tokenizer.ggml.add_eos_token": True})
    assert said(path) == plain
    assert all(text for text, *_ in plain)


@pytest.mark.parametrize("prefix", ["", "{{ bos_token }}", "\n\n{{ bos_token }}"])
def test_the_first_token_stands_once_before_a_prompt(plain: list[Said], tmp_path: Path, prefix: str) -> None:
    path = write(
        tmp_path / "model.gguf",
        {
            "tokenizer.ggml.add_bos_token": True,
            TEMPLATE: "{{- '\n\n' }}" * prefix.startswith("\n")
            + "{{- bos_token }}" * bool(prefix)
            + str(VOCABULARY[TEMPLATE].value),
        },
    )
    lengths = [length for *_, length in said(path)]
    blank = prefix.startswith("\n")
    assert [length - was for length, (*_, was) in zip(lengths, plain, strict=True)] == [1 + blank * 2] * 4


def test_a_letter_that_the_file_names_as_a_special_token_stays_a_letter(
    plain: list[Said], tmp_path: Path
) -> None:
    letter = VOCABULARY["tokenizer.ggml.tokens"].value.index("b")
    named = {f"tokenizer.ggml.{role}_token_id": letter for role in ("bos", "padding")}
    template = "{{- bos_token }}" + str(VOCABULARY[TEMPLATE].value)
    assert said(write(tmp_path / "model.gguf", {**named, TEMPLATE: template})) == plain


def test_what_closes_a_turn_in_the_template_ends_an_answer(tmp_path: Path) -> None:
    tokens = [each.replace("<|im_end|>", END) for each in VOCABULARY["tokenizer.ggml.tokens"].value]
    template = str(VOCABULARY[TEMPLATE].value).replace("<|im_end|>", END)
    path = write(tmp_path / "model.gguf", {"tokenizer.ggml.tokens": tokens, TEMPLATE: template})
    declared = said(path)
    assert Finish.STOP in {reason for _, reason, _ in declared}
    # The weights of a model that ends its turns with what the file no longer declares.
    field = gguf.GGUFReader(path, "r+").fields[EOS]
    field.parts[field.data[0]][0] = tokens.index("<|endoftext|>")
    assert gguf.GGUFReader(path).fields[EOS].contents() == tokens.index("<|endoftext|>")
    assert said(path) == declared


@pytest.fixture
def folder(trial_onnx: Path, tmp_path: Path) -> Path:
    """A model folder of the test's own."""
    return Path(shutil.copytree(trial_onnx, tmp_path / "model"))


def test_an_end_that_only_one_of_a_folders_files_tells_ends_an_answer(
    onnx: Engine, fresh: Engine, folder: Path
) -> None:
    def answers(engine: Engine) -> list[tuple[str, Finish]]:
        told = [engine.answer(each, max_tokens=60) for each in QUESTIONS]
        return [(each.text, each.finished.reason) for each in told]

    declared = answers(onnx)
    assert Finish.STOP in {reason for _, reason in declared}
    genai, tokenizer = (json.loads((folder / name).read_text()) for name in (GENAI, TOKENIZER))
    genai["model"]["eos_token_id"] = 256
    tokenizer.update(eos_token="<|endoftext|>")  # noqa: S106 - no password
    (folder / GENAI).write_text(json.dumps(genai))
    (folder / TOKENIZER).write_text(json.dumps(tokenizer))
    fresh.load("onnx", folder)
    assert answers(fresh) == declared


def test_an_end_that_the_vocabulary_lacks_does_no_harm_to_an_answer_without_end(
    fresh: Engine, folder: Path
) -> None:
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [-1, 9_999_999]}))
    fresh.load("onnx", folder)
    sampling = Sampling(temperature=0, ignore_eos=True)
    assert fresh.answer("hello", sampling=sampling, max_tokens=5).finished.completion_tokens == 5


@pytest.mark.parametrize("source", [HERMES, NO_TOOLS])
def test_what_a_tool_returned_is_read_behind_what_was_known_of_the_tools(source: str, tmp_path: Path) -> None:
    """Also where neither tools nor calls are known to the template."""
    question = ChatMessage("user", "How is Oslo?")
    call = ToolCall("weather", '{"city": "Oslo"}', "c")
    asked = (question, ChatMessage("assistant", "", (call,)), ChatMessage("tool", "Snow.", call_id="c"))
    path = write(tmp_path / "model.gguf", {TEMPLATE: source})
    with Engine() as engine:
        engine.load("llama", path, context=1024)
        tools = replace(TOOLS, choice=Choice.NONE)
        untold = engine.answer("", messages=(question,), max_tokens=4)
        first, then = (
            engine.answer("", messages=messages, tools=tools, max_tokens=4).finished
            for messages in ((question,), asked)
        )
    assert first.prompt_tokens > untold.finished.prompt_tokens + 50
    assert then.prompt_tokens > first.prompt_tokens
    assert then.cached_tokens > first.prompt_tokens - 16


def test_a_file_names_the_template_of_a_model_that_has_none(plain: list[Said], tmp_path: Path) -> None:
    bare = write(tmp_path / "model.gguf", {TEMPLATE: "{{ raise_exception('broken') }}"})
    template = tmp_path / "chat.jinja"
    template.write_text(str(VOCABULARY[TEMPLATE].value))
    assert said(bare, template=str(template)) == plain


def test_a_template_that_never_renders_is_told_at_once_and_blamed_on_the_model(
    fresh: Engine, tmp_path: Path
) -> None:
    path = write(tmp_path / "model.gguf", {TEMPLATE: "{{ raise_exception('broken') }}"})
    assert fresh.load("llama", path).model.template is TemplateState.BROKEN
    assert any("model.template" in event.message for event in fresh.events if isinstance(event, Log))
    failed = fresh.answer("hello").failed
    assert failed.code == Code.MODEL_UNAVAILABLE
    assert "model.template" in failed.message


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "there is no"),
        (b"", "is empty"),
        (b"\xff\xfe\x00", "is no text"),
        (b"{% if %}", "can't be read"),
        (b" " * (1 << 21), "more than 1 MiB"),
    ],
)
def test_a_template_file_that_can_not_be_used_ends_the_load_with_its_reason(
    fresh: Engine, trial_model: Path, tmp_path: Path, content: bytes | None, why: str
) -> None:
    path = tmp_path / "chat.jinja"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AssertionError, match="ended"):
        fresh.load("llama", trial_model, template=str(path))
    (event,) = [event for event in fresh.events if isinstance(event, Unusable)]
    assert event.message.startswith("model.template: ")
    assert why in event.message
    assert fresh.ends()[0] == ExitStatus.CONFIGURATION


def test_a_tools_result_is_refused_by_its_number_in_the_request(fresh: Engine, tmp_path: Path) -> None:
    own = str(VOCABULARY[TEMPLATE].value)
    drops = own.replace("messages %}", "messages if message.role != 'tool' %}")
    fresh.load("llama", write(tmp_path / "model.gguf", {TEMPLATE: drops}))
    roles = ("system", "user", "assistant", "tool")
    messages = tuple(ChatMessage(role, "some words") for role in roles)
    failed = fresh.answer("", messages=messages, first=1).failed
    assert failed.code == Code.INVALID_REQUEST
    assert failed.message.startswith("messages.2.role: ")
