"""The folder of models: what is listed, found, verified and removed."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeassist.errors import ModelError
from edgeassist.models.catalogue import known_sources
from edgeassist.models.library import UNFINISHED, Library
from edgeassist.models.progress import Progress
from edgeassist.models.records import Record, record_path, write_record

SOURCE = "hf:owner/repo/box.gguf"


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "models")


def put(library: Library, name: str, content: bytes = b"GGUF") -> Path:
    path = library.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def note(path: Path, *files: Path, source: str = SOURCE) -> None:
    base = path if path.is_dir() else path.parent
    digests = {
        file.relative_to(base).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files
    }
    write_record(path, Record(source, "2026-11-28T12:00:00Z", digests))


def names(library: Library) -> list[str]:
    return [entry.name for entry in library.entries()]


def ignore(_: Progress) -> None:
    return


def test_a_folder_that_is_not_there_has_no_models(library: Library) -> None:
    assert library.entries() == []


def test_what_was_copied_there_by_hand_is_listed(library: Library) -> None:
    put(library, "Zebra.gguf", b"GGUF1234")
    put(library, "phi/genai_config.json", b"{}")
    put(library, "phi/model.onnx", b"12345678")
    put(library, "notes.txt")
    zebra = library.entries()[1]
    assert names(library) == ["phi", "Zebra"]
    assert (zebra.backend, zebra.size_bytes, zebra.sha256, zebra.source) == ("llama", 8, None, None)
    phi = library.find("phi")
    assert (phi.backend, phi.size_bytes, phi.path) == ("onnx", 10, library.folder / "phi")


def test_a_folder_within_a_download_is_found_by_its_path(library: Library) -> None:
    put(library, "phi/cpu_and_mobile/cpu-int4/genai_config.json", b"{}")
    put(library, "very/deep/down/there/genai_config.json", b"{}")
    assert names(library) == ["phi/cpu_and_mobile/cpu-int4"]


def test_a_model_in_parts_is_one_entry_once_all_are_there(library: Library) -> None:
    first = put(library, "big-00001-of-00002.gguf")
    assert names(library) == []
    put(library, "big-00002-of-00002.gguf", b"GGUF56")
    (entry,) = library.entries()
    assert (entry.name, entry.path, entry.size_bytes) == ("big", first, 10)


def test_nothing_hidden_is_listed(library: Library) -> None:
    put(library, ".pulling/box.gguf")
    put(library, ".box.gguf")
    assert library.entries() == []


@pytest.mark.parametrize("name", ["box", "BOX", "box.gguf", SOURCE])
def test_a_model_is_found_by_name_file_or_source(library: Library, name: str) -> None:
    path = put(library, "box.gguf")
    note(path, path)
    assert library.find(name).path == path


def test_who_asks_for_a_model_that_is_not_there_hears_what_is(library: Library) -> None:
    put(library, "box.gguf")
    with pytest.raises(ModelError, match=r"no model 'fox'.*there: box "):
        library.find("fox")


def test_a_model_that_is_as_it_was_pulled_is_verified(library: Library) -> None:
    path = put(library, "box.gguf", b"GGUF" * 1000)
    note(path, path)
    seen: list[Progress] = []
    assert library.verify("box", seen.append) == {"box.gguf": library.find("box").sha256}
    assert (seen[-1].done_bytes, seen[-1].total_bytes) == (4000, 4000)


def test_a_model_that_has_changed_since_is_told(library: Library) -> None:
    path = put(library, "phi/genai_config.json", b"{}").parent
    put(library, "phi/model.onnx", b"1234")
    gone = put(library, "phi/tokenizer.json", b"{}")
    note(path, *path.iterdir())
    (path / "model.onnx").write_bytes(b"4321")
    gone.unlink()
    with pytest.raises(ModelError, match=r"tokenizer\.json is missing, model\.onnx has changed;"):
        library.verify("phi", ignore)


def test_of_what_was_copied_the_sums_are_told(library: Library) -> None:
    put(library, "box.gguf", b"GGUF")
    assert library.verify("box", ignore) == {"box.gguf": hashlib.sha256(b"GGUF").hexdigest()}


def test_a_model_is_found_by_its_name_in_the_catalogue(library: Library) -> None:
    path = put(library, "Qwen3-0.6B-Q8_0.gguf")
    note(path, path, source=known_sources("qwen3-0.6b:q8_0")[0])
    assert library.find("Qwen3-0.6B:q8_0").path == path
    with pytest.raises(ModelError):
        library.find("qwen3-0.6b:q4_0")


@pytest.fixture
def stranger() -> Iterator[Library]:
    """A library on a disk of its own, as a user sees it who is not root."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        library = Library(Path(name))
        put(library, "box.gguf")
        (library.folder / "lost+found").mkdir(mode=0o700)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        else:
            (library.folder / "lost+found").chmod(0)
        try:
            yield library
        finally:
            if root:
                os.seteuid(0)
            (library.folder / "lost+found").chmod(0o700)


def test_a_folder_that_may_not_be_read_hides_no_model(stranger: Library) -> None:
    assert names(stranger) == ["box"]


def test_a_removed_model_leaves_nothing(library: Library) -> None:
    parts = [put(library, f"big-0000{number}-of-00002.gguf") for number in (1, 2)]
    note(parts[0], *parts)
    folder = put(library, "phi/genai_config.json", b"{}").parent
    note(folder, *folder.iterdir())
    library.remove("big")
    assert names(library) == ["phi"]
    library.remove("phi")
    assert list(library.folder.iterdir()) == []


def test_what_a_link_leads_to_is_kept(library: Library, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "genai_config.json").write_text("{}")
    file = tmp_path / "mine.gguf"
    file.write_bytes(b"GGUF")
    library.folder.mkdir()
    (library.folder / "phi").symlink_to(tmp_path / "elsewhere")
    (library.folder / "box.gguf").symlink_to(file)
    library.remove("phi")
    library.remove("box")
    assert library.entries() == []
    assert file.exists()
    assert (tmp_path / "elsewhere" / "genai_config.json").exists()


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"source": "x"}', b"\xff", b'{"source":1,"when":2,"files":3}']
)
def test_a_record_that_can_not_be_read_is_as_none(library: Library, content: bytes) -> None:
    path = put(library, "box.gguf")
    record_path(path).write_bytes(content)
    assert library.find("box").source is None


def test_of_two_names_that_differ_by_case_the_written_one_is_meant(library: Library) -> None:
    put(library, "Box.gguf", b"GGUF1")
    put(library, "box.gguf", b"GGUF22")
    assert library.remove("box").size_bytes == 6
    assert names(library) == ["Box"]


def test_a_name_that_may_be_each_of_two_is_told(library: Library) -> None:
    put(library, "Box.gguf")
    put(library, "bOx.gguf")
    with pytest.raises(ModelError, match="may be each of Box, bOx"):
        library.find("box")


def test_a_file_and_a_folder_of_one_name_are_told_apart(library: Library) -> None:
    put(library, "box.gguf")
    put(library, "box/genai_config.json", b"{}")
    assert sorted(names(library)) == ["box", "box.gguf"]
    assert library.find("box.gguf").backend == "llama"
    assert library.find("box").backend == "onnx"


def test_a_name_goes_before_what_a_record_says(library: Library) -> None:
    other, box = put(library, "a.gguf"), put(library, "box.gguf")
    note(other, other, source="box")
    assert library.find("BOX").path == box


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"source": "x", "when": "y", "files": {}}', b"\xff"])
def test_of_a_damaged_record_verify_tells(library: Library, content: bytes) -> None:
    box = put(library, "box.gguf")
    record_path(box).write_bytes(content)
    assert names(library) == ["box"]
    with pytest.raises(ModelError, match=r"box\.gguf\.pulled\.json is damaged"):
        library.verify("box", ignore)


def test_what_is_no_file_is_no_model(library: Library) -> None:
    put(library, "box.gguf")
    os.mkfifo(library.folder / "pipe.gguf")
    (library.folder / "gone.gguf").symlink_to("nowhere")
    (library.folder / "itself.gguf").symlink_to("itself.gguf")
    assert names(library) == ["box"]


def test_damaged_leftovers_of_a_pull_hide_no_others(library: Library) -> None:
    put(library, f".pulling/1/{UNFINISHED}", b"\xff\xfe")
    put(library, f".pulling/2/{UNFINISHED}", b"hf:owner/repo/box.gguf")
    put(library, ".pulling/2/box.gguf.part", b"1234")
    assert library.unfinished() == {SOURCE: 4}
    assert library.discard(SOURCE)
    assert library.unfinished() == {}


def test_what_a_pull_has_left_is_found_by_the_name_that_was_typed(library: Library) -> None:
    source = known_sources("qwen3-0.6b")[0]
    put(library, f".pulling/1/{UNFINISHED}", source.encode())
    assert library.discard("qwen3-0.6b")
    assert library.unfinished() == {}
