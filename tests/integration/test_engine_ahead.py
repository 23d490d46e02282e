"""What is made of a GGUF file's vocabulary while llama.cpp reads the file, and what llama.cpp then says."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeassist.engine.backends.llama.ahead import guess
from edgeassist.engine.backends.llama.log import LlamaLog
from edgeassist.engine.backends.llama.model import Model
from edgeassist.engine.backends.llama.speech import Speech
from edgeassist.engine.backends.llama.spelling import Spelling
from edgeassist.engine.backends.llama.weights import load_weights
from edgeassist.engine.messages import LoadMode
from edgeassist.models.builtin import TINY, builtin_forms
from edgeassist.models.files.gguf_container import read_fields
from edgeassist.models.files.gguf_metadata import Metadata
from edgeassist.models.files.gguf_vocabulary import FileVocabulary, Texts, vocabulary_of

LENGTH = (5).to_bytes(8, "little")
WORD = "Ġthe".encode()


def both(path: Path) -> tuple[Speech, Model]:
    fields = read_fields(path)
    vocabulary = vocabulary_of(fields)
    assert vocabulary is not None
    spelling = Spelling(vocabulary)
    ahead = guess(spelling, Metadata(path, fields), None)
    assert ahead is not None
    return ahead, Model(load_weights(path, LoadMode.MMAP, LlamaLog()), spelling)


def asked(path: Path) -> Model:
    """Return a model of whose file nothing is known."""
    return Model(load_weights(path, LoadMode.MMAP, LlamaLog()))


def renamed(path: Path, target: Path, name: bytes) -> Path:
    """Copy a model in whose vocabulary the word " the" has another name of five bytes."""
    data = path.read_bytes()
    assert LENGTH + WORD in data
    target.write_bytes(data.replace(LENGTH + WORD, LENGTH + name, 1))
    return target


@pytest.mark.parametrize("name", [WORD, b"<EOT>", b"<eos>", b"<REPO"])
def test_what_is_guessed_from_the_file_is_what_llama_cpp_has(
    trial_model: Path, tmp_path: Path, name: bytes
) -> None:
    path = renamed(trial_model, tmp_path / "named.gguf", name)
    ahead, model = both(path)
    assert model.speech(None, ahead) is ahead
    slow = asked(path)
    assert slow.speech(None).signs == ahead.signs
    assert slow.take_pieces() == model.take_pieces()


def test_the_built_in_model_is_guessed_right() -> None:
    ahead, model = both(builtin_forms(TINY)["llama"])
    assert model.speech(None, ahead) is ahead


def test_bytes_that_were_taken_can_be_had_again(trial_model: Path) -> None:
    _, model = both(trial_model)
    model.speech(None)
    assert model.take_pieces() == model.take_pieces()


def test_what_was_guessed_wrong_is_made_again(trial_model: Path, tmp_path: Path) -> None:
    # For llama.cpp a control token, by its name; not for us.
    path = renamed(trial_model, tmp_path / "infill.gguf", b"<PRE>")
    ahead, model = both(path)
    assert model.speech(None, ahead).signs != ahead.signs
    slow = asked(path)
    slow.speech(None)
    assert slow.take_pieces() == model.take_pieces()


def test_a_vocabulary_that_is_another_than_the_files_is_looked_through(
    trial_model: Path, tmp_path: Path
) -> None:
    fields = read_fields(renamed(trial_model, tmp_path / "other.gguf", b"<PRE>"))
    vocabulary = vocabulary_of(fields)
    assert vocabulary is not None
    fewer = Spelling(
        FileVocabulary(vocabulary.scheme, Texts.of(vocabulary.texts[:-1]), vocabulary.types[:-1])
    )
    model = Model(load_weights(trial_model, LoadMode.MMAP, LlamaLog()), fewer)
    slow = asked(trial_model)
    assert model.speech(None).signs == slow.speech(None).signs
    assert model.take_pieces() == slow.take_pieces()
