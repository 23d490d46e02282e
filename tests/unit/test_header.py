"""What a model file says about itself, and what is said about a file that is none."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import struct
import time
from pathlib import Path

import gguf
import pytest

from edgeassist.errors import ModelError
from edgeassist.models.files.gguf import FILE_TYPES, read_gguf
from edgeassist.models.files.gguf_container import TENSOR_TYPES, read_fields
from edgeassist.models.kv import alike
from edgeassist.trial_models.synthetic import SHAPES, Precision, write_gguf
from tests.other_models import retype, write_bert

SHARED_MODELS = Path(__file__).parents[3] / "shared" / "models"
NOBODY = 65534
Fields = dict[str, int | str | list[int]]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "trial.gguf"
    write_gguf(path, SHAPES["trial"])
    return path


def write_metadata(path: Path, fields: Fields, *, weights: bool = True) -> Path:
    """Write a GGUF file with these fields and, by choice, one small tensor."""
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in fields.items():
        kind = {
            int: gguf.GGUFValueType.UINT32,
            str: gguf.GGUFValueType.STRING,
            list: gguf.GGUFValueType.ARRAY,
            bool: gguf.GGUFValueType.BOOL,
        }
        writer.add_key_value(key, value, kind[type(value)])
    if weights:
        writer.add_tensor_info("token_embd.weight", (4, 32), "float16", 144, gguf.GGMLQuantizationType.Q4_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("ab") as file:
        file.write(bytes(256))
    return path


LLAMA: Fields = {
    "llama.context_length": 2048,
    "llama.block_count": 3,
    "llama.embedding_length": 64,
    "llama.attention.head_count": 4,
}


def test_a_header_tells_the_dimensions_the_model_was_written_with(trial: Path) -> None:
    shape = SHAPES["trial"]
    header = read_gguf(trial)
    assert header.architecture == "qwen2"
    assert header.name == "trial (random weights)"
    assert header.parameters == shape.parameters
    assert header.quantization == "F16"
    assert (header.trained_context, header.layers) == (shape.context, shape.layers)
    assert header.kept == alike(shape.layers, shape.kv_heads, shape.width // shape.heads)
    assert (header.kv_heads, header.key_size) == (shape.layers * shape.kv_heads, shape.width // shape.heads)
    assert header.size_bytes == trial.stat().st_size


def test_the_precision_of_the_weights_is_named(tmp_path: Path) -> None:
    path = tmp_path / "trial.gguf"
    write_gguf(path, SHAPES["trial"], precision=Precision.F32)
    assert read_gguf(path).quantization == "F32"


def test_the_kv_cache_of_a_token_counts_keys_and_values_of_every_layer(trial: Path) -> None:
    assert read_gguf(trial).kv_bytes(256, "f16") == 256 * 2 * 2 * 2 * 2 * 16


def test_the_reader_finds_what_the_gguf_package_finds(trial: Path) -> None:
    reader = gguf.GGUFReader(trial)
    ours = read_fields(trial)
    assert list(ours) == [name for name in reader.fields if not name.startswith("GGUF.")]
    for name, field in ours.items():
        theirs = reader.fields[name].contents()
        assert field.values() == (theirs if isinstance(theirs, list) else [theirs]), name


def test_block_sizes_of_quantized_types_are_those_of_the_gguf_package() -> None:
    theirs = {int(kind): (kind.name, *size) for kind, size in gguf.GGML_QUANT_SIZES.items()}
    assert {number: theirs[number] for number in TENSOR_TYPES if number in theirs} == {
        number: entry for number, entry in TENSOR_TYPES.items() if number in theirs
    }


def test_file_types_have_the_names_of_the_gguf_package() -> None:
    for kind in gguf.LlamaFileType:
        if kind.name != "GUESSED":
            assert FILE_TYPES[int(kind)] == kind.name.removeprefix("MOSTLY_").removeprefix("ALL_")


def test_a_trained_model_of_another_architecture_is_read() -> None:
    path = SHARED_MODELS / "stories260K.gguf"
    if not path.exists():
        pytest.skip("the trial models are not beside the project")
    header = read_gguf(path)
    assert (header.architecture, header.parameters, header.quantization) == ("llama", 260_032, "F32")
    assert (header.trained_context, header.layers, header.kept) == (512, 5, alike(5, 4, 8))


def test_a_large_vocabulary_is_read_within_a_second_or_two() -> None:
    path = SHARED_MODELS / "ggml-vocab-qwen2.gguf"
    if not path.exists():
        pytest.skip("the trial models are not beside the project")
    start = time.perf_counter()
    fields = read_fields(path)
    assert time.perf_counter() - start < 3
    assert fields["tokenizer.ggml.tokens"].count == 151_936


def test_without_a_file_type_the_type_of_most_weights_is_named(tmp_path: Path) -> None:
    assert read_gguf(write_metadata(tmp_path / "model.gguf", LLAMA)).quantization == "Q4_0"


def test_a_guessed_file_type_is_named_like_a_stated_one(tmp_path: Path) -> None:
    path = write_metadata(tmp_path / "model.gguf", LLAMA | {"general.file_type": 1024 + 15})
    assert read_gguf(path).quantization == "Q4_K_M"


def test_without_kv_heads_every_head_has_its_own(tmp_path: Path) -> None:
    header = read_gguf(write_metadata(tmp_path / "model.gguf", LLAMA))
    assert (header.kept, header.name) == (alike(3, 4, 16), "model")


def test_layers_of_their_own_kv_heads_are_added_up_and_values_may_differ_from_keys(tmp_path: Path) -> None:
    fields = LLAMA | {"llama.attention.head_count_kv": [0, 2, 1], "llama.attention.value_length": 24}
    header = read_gguf(write_metadata(tmp_path / "model.gguf", fields))
    assert header.kv_bytes(256, "f16") == 256 * 3 * (16 + 24) * 2


def test_a_stated_alignment_moves_the_weights(tmp_path: Path) -> None:
    path = write_metadata(tmp_path / "model.gguf", LLAMA | {"general.alignment": 4096})
    with pytest.raises(ModelError, match="cut short or damaged"):
        read_gguf(path)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "absent.gguf"
    with pytest.raises(ModelError, match="does not exist; correct the path or download") as raised:
        read_gguf(path)
    assert str(path) in raised.value.message


def test_a_file_used_as_a_folder_is_said_to_be_missing(trial: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        read_gguf(trial / "model.gguf")


def test_a_folder_is_answered_with_the_models_in_it(tmp_path: Path, trial: Path) -> None:
    shutil.copy(trial, tmp_path / "b.gguf")
    shutil.copy(trial, tmp_path / "a.gguf")
    with pytest.raises(ModelError, match=r"is a folder; name a .gguf file in it: a.gguf, b.gguf"):
        read_gguf(tmp_path)


def test_an_empty_folder_is_answered_without_a_list(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is a folder; name a .gguf file$"):
        read_gguf(tmp_path)


@pytest.mark.parametrize("name", ["genai_config.json", "model.onnx"])
def test_an_onnx_folder_is_answered_with_the_backend_it_is_for(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(ModelError, match="choose the ONNX backend"):
        read_gguf(tmp_path)


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(ModelError, match="is a device or a pipe"):
        read_gguf(path)


def test_a_file_that_may_not_be_read_is_answered_with_the_remedy(tmp_path: Path, trial: Path) -> None:
    path = tmp_path / "secret.gguf"
    shutil.copy(trial, path)
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        with pytest.raises(ModelError, match="no permission to read it; let this user"):
            read_gguf(path)
    finally:
        os.seteuid(user)


def test_a_disk_error_is_told_as_one(trial: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(ModelError, match=r"can't be read \(Input/output error\); check its disk"):
        read_gguf(trial)


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty.gguf"
    path.touch()
    with pytest.raises(ModelError, match="is empty; download the model again"):
        read_gguf(path)


@pytest.mark.parametrize("kept", [4, 10, 40, 5000, -1000, -100])
def test_a_file_cut_short_anywhere_is_found_out(tmp_path: Path, trial: Path, kept: int) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(trial.read_bytes()[:kept])
    with pytest.raises(ModelError, match=r"is cut short or damaged: it has .* bytes.*; download it again"):
        read_gguf(path)


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (b"\n <!DOCTYPE html><title>Sign in</title>", "a web page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "a web page"),
        (b'{"error": "Repository not found"}', "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a Git LFS pointer"),
        (b"PK\x03\x04archive", "a zip archive or a PyTorch checkpoint"),
        (struct.pack("<Q", 120) + b'{"__metadata__":{}}', "a safetensors file; convert it"),
        (b"tjgg\x03\x00\x00\x00", "a format older than GGUF"),
        (b"lmgg\x03\x00\x00\x00", "one of whisper.cpp"),
        (b"\x00" * 64, "something else"),
        (b"GG", "something else"),
    ],
)
def test_a_file_that_is_no_gguf_is_called_what_it_is(tmp_path: Path, start: bytes, told: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(start)
    with pytest.raises(ModelError) as raised:
        read_gguf(path)
    assert told in raised.value.message
    assert str(path) in raised.value.message


def test_an_onnx_file_is_answered_with_the_backend_it_is_for(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x08\x07\x12\x07pytorch")
    with pytest.raises(ModelError, match="choose the ONNX backend"):
        read_gguf(path)


@pytest.mark.parametrize(
    ("version", "told"),
    [
        (struct.pack("<I", 4), "version 4, not 2 to 3; update EdgeAssist"),
        (struct.pack("<I", 1), "version 1, not 2 to 3; get a newer file"),
        (struct.pack(">I", 3), "big-endian"),
    ],
)
def test_a_version_that_can_not_be_read_is_named(
    tmp_path: Path, trial: Path, version: bytes, told: str
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + version + trial.read_bytes()[8:])
    with pytest.raises(ModelError, match=told):
        read_gguf(path)


def test_a_file_without_weights_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0))
    with pytest.raises(ModelError, match=r"without weights.*; name a language model"):
        read_gguf(path)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"llama.pooling_type": 3}, "an embedding model"),
        ({"llama.pooling_type": 4}, "a reranker"),
        ({"llama.attention.causal": False}, "its attention is not causal"),
        ({"general.type": "adapter"}, "an adapter"),
        ({"general.type": "mmproj"}, "a projector"),
    ],
)
def test_what_writes_no_text_is_told_by_its_metadata(tmp_path: Path, fields: Fields, words: str) -> None:
    path = write_metadata(tmp_path / "model.gguf", LLAMA | fields)
    with pytest.raises(ModelError, match=words) as raised:
        read_gguf(path)
    assert str(path) in raised.value.message


def test_an_encoder_is_an_embedding_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"an embedding model \(bert\): it turns text"):
        read_gguf(write_bert(tmp_path / "bert.gguf"))


def test_an_adapter_needs_none_of_a_models_metadata_to_be_told(tmp_path: Path) -> None:
    path = write_metadata(tmp_path / "adapter.gguf", {"general.type": "adapter", "adapter.type": "lora"})
    with pytest.raises(ModelError, match=r"an adapter \(LoRA\).*name the file of the model"):
        read_gguf(path)


def test_pooling_that_is_switched_off_makes_no_embedding_model(tmp_path: Path) -> None:
    path = write_metadata(tmp_path / "model.gguf", LLAMA | {"llama.pooling_type": 0})
    assert read_gguf(path).layers == 3


@pytest.mark.parametrize(
    ("kind", "name", "instead"),
    [(31, "Q4_0_4_4", "Q4_0"), (32, "Q4_0_4_8", "Q4_0"), (33, "Q4_0_8_8", "Q4_0"),
     (36, "IQ4_NL_4_4", "IQ4_NL"), (37, "IQ4_NL_4_8", "IQ4_NL"), (38, "IQ4_NL_8_8", "IQ4_NL")],
)  # fmt: skip
def test_a_type_that_llama_cpp_has_removed_is_named_with_the_one_to_take(
    tmp_path: Path, trial: Path, kind: int, name: str, instead: str
) -> None:
    path = retype(trial, tmp_path / "arm.gguf", kind)
    with pytest.raises(ModelError, match=f"the type {name}, .* take the {instead} file of the same model"):
        read_gguf(path)


def test_a_type_that_is_newer_than_ours_is_left_to_llama_cpp(tmp_path: Path, trial: Path) -> None:
    assert read_gguf(retype(trial, tmp_path / "new.gguf", 77)).main_type == "type 77"


def write_parts(folder: Path, *numbers: int) -> list[Path]:
    """Write some of the three parts of a model."""
    return [
        write_metadata(folder / f"model-{number:05}-of-00003.gguf", LLAMA | {"split.count": 3})
        for number in numbers
    ]


def test_a_model_in_several_files_is_as_large_as_all_of_them(tmp_path: Path) -> None:
    parts = write_parts(tmp_path, 1, 2, 3)
    model = read_gguf(parts[0])
    assert model.size_bytes == sum(part.stat().st_size for part in parts)
    assert model.parameters == 3 * 4 * 32
    assert model.files == tuple(parts)


def test_the_first_of_several_files_may_hold_no_weights(tmp_path: Path) -> None:
    parts = write_parts(tmp_path, 1, 2, 3)
    parts[0].unlink()
    write_metadata(parts[0], LLAMA | {"split.count": 3}, weights=False)
    model = read_gguf(parts[0])
    assert (model.parameters, model.quantization) == (2 * 4 * 32, "Q4_0")


def test_a_part_without_metadata_is_told_to_be_one(tmp_path: Path) -> None:
    write_parts(tmp_path, 1, 3)
    second = write_metadata(tmp_path / "model-00002-of-00003.gguf", {"split.count": 3, "split.no": 1})
    with pytest.raises(ModelError, match=r"name the first of them, model-00001-of-00003\.gguf"):
        read_gguf(second)


def test_parts_of_different_models_are_told(tmp_path: Path) -> None:
    path = write_metadata(tmp_path / "model-00001-of-00003.gguf", LLAMA | {"split.count": 4})
    with pytest.raises(ModelError, match="one of 4 parts by what it holds; get all parts of one model again"):
        read_gguf(path)


def test_of_a_model_in_several_files_the_first_is_to_be_named(tmp_path: Path) -> None:
    parts = write_parts(tmp_path, 1, 2, 3)
    with pytest.raises(ModelError, match=r"name the first of them, model-00001-of-00003\.gguf"):
        read_gguf(parts[1])


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ((1, 3), r"model-00002-of-00003\.gguf is not beside it; download it"),
        ((1,), r"model-00002-of-00003\.gguf, model-00003-of-00003\.gguf are not beside it; download them"),
    ],
)
def test_parts_that_are_missing_are_named(tmp_path: Path, there: tuple[int, ...], told: str) -> None:
    parts = write_parts(tmp_path, *there)
    with pytest.raises(ModelError, match=told):
        read_gguf(parts[0])


def test_a_part_under_a_name_of_its_own_is_told_what_llama_cpp_expects(tmp_path: Path) -> None:
    path = write_metadata(tmp_path / "model.gguf", LLAMA | {"split.count": 3})
    with pytest.raises(ModelError, match=r"expects the name NAME-00001-of-00003.gguf; .*join them"):
        read_gguf(path)


def test_a_gguf_without_a_context_length_is_no_language_model(tmp_path: Path) -> None:
    path = write_metadata(tmp_path / "model.gguf", {"llama.embedding_length": 64})
    with pytest.raises(ModelError, match=r"has no 'llama.context_length', so it is no language model"):
        read_gguf(path)


def test_a_field_length_beyond_reason_is_no_reason_to_read_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQQ", 3, 1, 1, 1 << 33))
        file.truncate(1 << 34)
    with pytest.raises(ModelError, match="cut short or damaged"):
        read_gguf(path)


def test_flipped_bytes_never_raise_anything_but_a_model_error(tmp_path: Path, trial: Path) -> None:
    whole = trial.read_bytes()
    path = tmp_path / "damaged.gguf"
    chance = random.Random(0)  # noqa: S311 -- damage, not secrecy
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[chance.choice((chance.randrange(600), chance.randrange(60_000)))] = chance.randrange(256)
        path.write_bytes(damaged)
        with contextlib.suppress(ModelError):
            read_gguf(path)


def test_a_tensor_of_more_dimensions_than_there_can_be_is_damage(tmp_path: Path) -> None:
    # Multiplied with one another, they would take hours.
    path, count = tmp_path / "deep.gguf", 1_000_000
    header = struct.pack("<4sIQQQcI", b"GGUF", 3, 1, 0, 1, b"x", count)
    path.write_bytes(header + b"\xff" * 8 * count)
    with pytest.raises(ModelError, match=r"is damaged \(a tensor of 1000000 dimensions\); download it again"):
        read_gguf(path)
