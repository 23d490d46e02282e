"""What is made of a GGUF file's vocabulary while llama.cpp reads the file, and what llama.cpp then says."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeassist.engine.backends.base import Compiler
from edgeassist.engine.backends.llama.ahead import Ahead, compiler_for, guess
from edgeassist.engine.backends.llama.log import LlamaLog
from edgeassist.engine.backends.llama.model import Model, load_model
from edgeassist.engine.backends.llama.spelling import Spelling
from edgeassist.engine.messages import Constraint, ConstraintKind, LoadMode
from edgeassist.models.builtin import TINY, builtin_forms
from edgeassist.models.files.gguf_container import read_fields
from edgeassist.models.files.gguf_metadata import Metadata
from edgeassist.models.files.gguf_vocabulary import vocabulary_of

LENGTH = (5).to_bytes(8, "little")
WORD = "Ġthe".encode()


def both(path: Path) -> tuple[Ahead, Model]:
    fields = read_fields(path)
    vocabulary = vocabulary_of(fields)
    assert vocabulary is not None
    spelling = Spelling(vocabulary)
    ahead = guess(spelling, Metadata(path, fields), None, lambda _text: [])
    assert ahead is not None
    return ahead, load_model(path, LoadMode.MMAP, LlamaLog(), spelling)


def renamed(path: Path, target: Path, name: bytes) -> Path:
    """Copy a model in whose vocabulary the word " the" has another name of five bytes."""
    data = path.read_bytes()
    assert LENGTH + WORD in data
    target.write_bytes(data.replace(LENGTH + WORD, LENGTH + name, 1))
    return target


def compiled(ahead: Ahead, model: Model) -> Compiler | None:
    speech = model.speech(None, ahead.speech)
    return compiler_for(ahead, speech, model.pieces, model.ids_of)


@pytest.mark.parametrize("name", [WORD, b"<EOT>", b"<eos>", b"<REPO"])
def test_what_is_guessed_from_the_file_is_what_llama_cpp_has(
    trial_model: Path, tmp_path: Path, name: bytes
) -> None:
    ahead, model = both(renamed(trial_model, tmp_path / "named.gguf", name))
    speech = model.speech(None)
    assert (ahead.speech.ends, ahead.speech.marks) == (speech.ends, speech.marks)
    assert ahead.pieces == model.pieces
    assert compiled(ahead, model) is ahead.compiler is not None


def test_the_built_in_model_is_guessed_right() -> None:
    ahead, model = both(builtin_forms(TINY)["llama"])
    assert compiled(ahead, model) is ahead.compiler is not None


def test_asking_for_each_token_gives_the_same_bytes(trial_model: Path) -> None:
    ahead, _ = both(trial_model)
    slow = load_model(trial_model, LoadMode.MMAP, LlamaLog())
    assert slow.speech(None).signs == ahead.speech.signs
    assert slow.pieces == ahead.pieces


def test_what_was_guessed_wrong_is_made_again(trial_model: Path, tmp_path: Path) -> None:
    # For llama.cpp a control token, by its name; not for us.
    ahead, model = both(renamed(trial_model, tmp_path / "infill.gguf", b"<PRE>"))
    assert ahead.pieces != model.pieces
    compiler = compiled(ahead, model)
    assert compiler is not None
    assert compiler is not ahead.compiler
    compiler.bound(Constraint(ConstraintKind.REGEX, "[a-z]+"))
