"""What is nested without end is no document, wherever one is read: `RecursionError` is no `ValueError`."""

from __future__ import annotations

import hashlib
import re
import shutil
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest

from custom_components.edgeassist.tiny.hearing import Why, hear
from custom_components.edgeassist.tiny.judging import judge
from edgeassist.cli.action import describe_action
from edgeassist.client import AnswerFormatError, Called, ToolCall
from edgeassist.engine.backends.ortgenai.pieces import read_pieces
from edgeassist.engine.kv.budget import Budget
from edgeassist.engine.kv.prefixes import Kind
from edgeassist.engine.kv.states import Saved, StateKey, StateStore
from edgeassist.engine.kv.world import PLAIN
from edgeassist.errors import EdgeAssistError
from edgeassist.evaluation.generation import picks_of
from edgeassist.former.register import FOLDER, Register
from edgeassist.models.files.onnx import read_onnx_folder
from edgeassist.models.records import read_record, record_path
from edgeassist.models.selected import FILE, Named, select
from edgeassist.protocol.topics import Topics
from edgeassist.settings import load_settings
from edgeassist.tuning.kept import NAME, read_kept
from tests.tiny_at_home import home

DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "name",
    ["genai_config.json", "tokenizer_config.json", "tokenizer.json", "generation_config.json"],
)
def test_a_model_folder_says_which_file_is_none(trial_onnx: Path, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(trial_onnx, tmp_path / "model"))
    (folder / name).write_text(DEEP)
    with pytest.raises(EdgeAssistError, match=re.escape(f"{name} is no JSON")):
        read_onnx_folder(folder)


def test_a_folder_of_a_stranger_holds_no_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(DEEP)
    with pytest.raises(EdgeAssistError, match="holds no model"):
        read_onnx_folder(tmp_path)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("tokenizer.json", lambda folder: read_pieces(folder / "tokenizer.json")),
        (NAME, read_kept),
        ("edgeassist.toml", lambda folder: load_settings(folder / "edgeassist.toml", environ={})),
    ],
)
def test_a_file_that_a_person_can_mend_is_named(
    tmp_path: Path, name: str, read: Callable[[Path], object]
) -> None:
    (tmp_path / name).write_text(f"a = {DEEP}" if name.endswith(".toml") else DEEP)
    with pytest.raises(EdgeAssistError, match=re.escape(name)):
        read(tmp_path)


def test_what_the_device_keeps_for_itself_begins_anew(tmp_path: Path) -> None:
    model = tmp_path / "x.gguf"
    names = tmp_path / FOLDER
    names.mkdir()
    for path in (tmp_path / "written.json", tmp_path / FILE, record_path(model), names / "0.json"):
        path.write_text(DEEP)
    assert Budget(tmp_path / "written.json", 10).spend(10, 0.0)
    assert select(Named(Path("/y")), tmp_path).stale
    assert read_record(model) is None
    assert Register(tmp_path).former(Topics("a", "b")) == []


def test_a_state_with_such_a_head_is_deleted(tmp_path: Path) -> None:
    store = StateStore(tmp_path, 1 << 20)
    key = StateKey("sha", "form", PLAIN, array("q", (1, 2)))
    store.save(Saved(key, Kind.END, 1), b"x")
    (path,) = tmp_path.glob("*.kv")
    line, _, rest = path.read_bytes().partition(b"\n")
    magic, number, length, _ = line.split(b" ")
    fields = rest[1 : int(length)]
    assert rest[0] == 0x90 + 9  # a list of nine, in MessagePack
    head = bytes([0x90 + 10]) + fields + b"\x91" * 100_000 + b"\x00"
    digest = hashlib.blake2b(head, digest_size=16).hexdigest().encode()
    path.write_bytes(b"%s %s %d %s\n%s" % (magic, number, len(head), digest, head))
    again = StateStore(tmp_path, 1 << 20)
    again.scan()
    assert again.known == []
    assert not path.exists()


def test_what_a_model_says_is_no_json() -> None:
    deep = DEEP.replace("[", '{"a":')
    assert describe_action(deep) is None
    assert picks_of(deep, {}) == {}
    assert judge(deep, hear("turn on the lights", "en", home("mill"))) is Why.UNSURE
    with pytest.raises(AnswerFormatError):
        ToolCall.of(Called(id="r", seq=0, index=0, tool_call_id="1", name="f", arguments=deep))
