"""What a model folder says of itself, and what is wrong with one that can't be loaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeassist.errors import ModelError
from edgeassist.models.files.onnx import read_onnx_folder


@pytest.fixture
def folder(trial_onnx: Path, tmp_path: Path) -> Path:
    """A model folder of the test's own."""
    return Path(shutil.copytree(trial_onnx, tmp_path / "model"))


def change(path: Path, how: Callable[[Any], object]) -> None:
    document = json.loads(path.read_text())
    how(document)
    path.write_text(json.dumps(document))


def refused(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        read_onnx_folder(path)
    return caught.value.message


def test_a_folder_tells_its_model(trial_onnx: Path) -> None:
    model = read_onnx_folder(trial_onnx)
    assert (model.architecture, model.trained_context, model.layers) == ("qwen2", 8192, 2)
    assert model.kv_bytes(1, "f16") == 2 * 2 * 2 * 16 * 4
    assert model.size_bytes == sum(
        (trial_onnx / name).stat().st_size for name in ("model.onnx", "model.onnx.data")
    )
    assert model.template is not None
    assert model.special_tokens == {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    assert model.control.turns == {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}
    assert not model.control.parts
    assert model.quantization == ""


def test_a_template_in_a_file_of_its_own_goes_first(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    assert read_onnx_folder(folder).template == "{{ messages }}"


def test_a_model_without_a_template_has_none(folder: Path) -> None:
    change(folder / "tokenizer_config.json", lambda document: document.pop("chat_template"))
    assert read_onnx_folder(folder).template is None


def test_of_several_templates_the_default_one_counts(folder: Path) -> None:
    templates = [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]
    change(folder / "tokenizer_config.json", lambda document: document.update(chat_template=templates))
    model = read_onnx_folder(folder)
    assert (model.template, model.template_for_tools) == ("d", "t")


def test_a_template_for_tools_may_be_a_file_of_its_own_and_the_only_one(folder: Path) -> None:
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "tool_use.jinja").write_text("t")
    assert read_onnx_folder(folder).template_for_tools == "t"
    change(folder / "tokenizer_config.json", lambda document: document.pop("chat_template"))
    assert read_onnx_folder(folder).template == "t"


def test_all_special_tokens_have_the_names_that_templates_use(folder: Path) -> None:
    change(
        folder / "tokenizer_config.json",
        lambda document: document.update(
            bos_token={"content": "<s>"},
            additional_special_tokens=["<a>", {"content": "<b>"}],
            extra_special_tokens={"image_token": "<image>"},
        ),
    )
    assert read_onnx_folder(folder).special_tokens == {
        "bos_token": "<s>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "additional_special_tokens": ["<a>", "<b>"],
        "image_token": "<image>",
    }


def test_what_ends_an_answer_is_what_any_of_the_files_says(folder: Path) -> None:
    change(folder / "genai_config.json", lambda document: document["model"].update(eos_token_id=[3, 4]))
    (folder / "generation_config.json").write_text('{"eos_token_id": 258}')
    assert read_onnx_folder(folder).ends == {3, 4, 256, 258}
    (folder / "generation_config.json").write_text('{"eos_token_id": null}')
    assert read_onnx_folder(folder).ends == {3, 4, 256, 258}


def test_what_ends_a_turn_by_its_name_does_so_whatever_the_files_say(folder: Path) -> None:
    def rename(document: Any) -> None:
        for token, text in zip(document["added_tokens"], ("<|end|>", "<|return|>", "<|call|>"), strict=True):
            token["content"] = text

    change(folder / "genai_config.json", lambda document: document["model"].update(eos_token_id=3))
    change(folder / "tokenizer_config.json", lambda document: document.pop("added_tokens_decoder"))
    change(folder / "tokenizer.json", rename)
    # Of these three, the first ends a part of a turn.
    assert read_onnx_folder(folder).ends == {3, 257, 258}


def test_a_token_that_the_model_has_no_row_for_is_never_read_as_one(folder: Path) -> None:
    token = {"id": 1024, "content": "kitchen", "special": False}
    change(folder / "tokenizer.json", lambda document: document["added_tokens"].append(token))
    assert "kitchen" in read_onnx_folder(folder).control.turns
    change(folder / "genai_config.json", lambda document: document["model"].update(vocab_size=1025))
    assert "kitchen" not in read_onnx_folder(folder).control.turns


def test_control_tokens_may_stand_in_the_tokenizer_alone(folder: Path) -> None:
    change(folder / "tokenizer_config.json", lambda document: document.pop("added_tokens_decoder"))
    assert "<|im_start|>" in read_onnx_folder(folder).control.turns


@pytest.mark.parametrize("number", ["1e999", "-Infinity"])
def test_a_number_without_end_is_none_of_the_librarys(folder: Path, number: str) -> None:
    for name in ("genai_config.json", "generation_config.json"):
        (folder / name).write_text(f'{{"eos_token_id": [{number}], "model": {{"type": "llama"}}}}')
    assert "is not as the installed onnxruntime-genai writes it" in refused(folder)


def test_a_missing_folder(tmp_path: Path) -> None:
    assert "there is no" in refused(tmp_path / "nothing")


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    assert "holds no model" in refused(tmp_path)


def test_a_plain_onnx_export(folder: Path) -> None:
    (folder / "genai_config.json").unlink()
    assert "onnxruntime_genai.models.builder" in refused(folder)


@pytest.mark.parametrize(
    ("kind", "told"), [("whisper", "writes down speech"), ("marian-ssru", "an encoder-decoder model")]
)
def test_a_model_that_writes_no_answers_is_called_what_it_is(folder: Path, kind: str, told: str) -> None:
    change(folder / "genai_config.json", lambda document: document["model"].update(type=kind))
    assert told in refused(folder)


@pytest.mark.parametrize("part", ["vision", "speech", "embedding"])
def test_a_model_with_parts_for_pictures_or_sound_is_called_one(folder: Path, part: str) -> None:
    change(
        folder / "genai_config.json",
        lambda document: document["model"].update({part: {"filename": f"{part}.onnx"}}),
    )
    assert refused(folder).endswith(
        f"is a model for pictures or sound, in parts ({part}), which takes no plain tokens; take a build of "
        "a text model for CPUs (often in a folder `cpu-int4-…`)"
    )


def test_a_model_in_stages_is_called_one(folder: Path) -> None:
    stages = [{"prompt": {"filename": "prompt.onnx"}}]
    change(
        folder / "genai_config.json", lambda document: document["model"]["decoder"].update(pipeline=stages)
    )
    assert "is a model in stages (a pipeline), as they are made for NPUs; take a build" in refused(folder)


@pytest.mark.parametrize(
    ("providers", "said"),
    [
        ([], ""),
        ([{"cpu": {}}], ""),
        ([{"cuda": {"enable_cuda_graph": "0"}}], "CUDA"),
        ([{"dml": {}}], "DirectML"),
        ([{"NvTensorRtRtx": {}}], "NvTensorRtRtx"),
        ([{"cuda": {}}, {"qnn": {}}], "CUDA, Qualcomm NPUs (QNN)"),
    ],
)
def test_what_a_folder_was_built_for_is_told(folder: Path, providers: list[object], said: str) -> None:
    change(
        folder / "genai_config.json",
        lambda document: document["model"]["decoder"]["session_options"].update(provider_options=providers),
    )
    assert read_onnx_folder(folder).made_for == said


def test_an_exported_embedding_model_is_called_what_it_is(folder: Path) -> None:
    (folder / "genai_config.json").unlink()
    (folder / "config.json").write_text('{"architectures": ["BertModel"]}')
    assert "holds a BertModel, which writes no text; name a language model" in refused(folder)


def test_an_exported_language_model_is_to_be_made_with_the_builder(folder: Path) -> None:
    (folder / "genai_config.json").unlink()
    (folder / "config.json").write_text('{"architectures": ["Qwen2ForCausalLM"]}')
    assert "onnxruntime_genai.models.builder" in refused(folder)


def test_a_folder_of_gguf_files(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").touch()
    assert refused(tmp_path).endswith("name one of them: a.gguf")


def test_the_folder_above(folder: Path) -> None:
    assert refused(folder.parent).endswith("name one of them: model")


def test_a_folder_further_above(folder: Path) -> None:
    (folder.parent / "a" / "b").mkdir(parents=True)
    inner = folder.rename(folder.parent / "a" / "b" / "model")
    assert refused(inner.parents[2]).endswith("name one of them: a/b/model")


def test_a_gguf_file(trial_model: Path) -> None:
    assert 'set model.backend to "auto" or "llama"' in refused(trial_model)


def test_the_graphs_file(folder: Path) -> None:
    assert refused(folder / "model.onnx").endswith(f"name its folder, {folder}")


def test_any_other_file(folder: Path) -> None:
    assert "is a folder with genai_config.json in it" in refused(folder / "tokenizer.json")


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data", "tokenizer.json", "tokenizer_config.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert f"{folder / name} is missing" in refused(folder)


def test_a_missing_tokenizer_is_told_where_to_get(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    assert refused(folder).endswith("beside it, as its publisher has it for transformers")


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data"])
def test_a_pointer_of_git_lfs_is_told(folder: Path, name: str) -> None:
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert refused(folder).endswith("git lfs pull")


@pytest.mark.parametrize("name", ["genai_config.json", "tokenizer_config.json"])
def test_what_is_no_json(folder: Path, name: str) -> None:
    (folder / name).write_text("{")
    assert f"{folder / name} is no JSON" in refused(folder)


@pytest.mark.parametrize(
    "how",
    [
        lambda document: document.pop("model"),
        lambda document: document["model"].pop("decoder"),
        lambda document: document["model"]["decoder"].pop("head_size"),
        lambda document: document["model"].update(context_length="long"),
        lambda document: document.update(model=[]),
    ],
)
def test_another_schema(folder: Path, how: Callable[[Any], object]) -> None:
    change(folder / "genai_config.json", how)
    assert "make the model with its own builder" in refused(folder)
