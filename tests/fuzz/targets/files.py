"""What is read from disk: models' files, and what the device keeps for itself."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec

import edgeassist
from edgeassist.engine.backends.ortgenai.pieces import read_pieces
from edgeassist.engine.kv.budget import Budget
from edgeassist.engine.kv.prefixes import Kind
from edgeassist.engine.kv.states import Saved, StateKey, StateStore
from edgeassist.errors import ConfigurationError, ModelError
from edgeassist.former.register import FOLDER as NAMES
from edgeassist.former.register import Register
from edgeassist.models.files.gguf_container import read_fields
from edgeassist.models.files.onnx import read_onnx_folder
from edgeassist.models.files.reading import read_model
from edgeassist.models.fit import Demand, Memory, Weights, judge
from edgeassist.models.records import read_record, record_path
from edgeassist.models.selected import FILE as SELECTED
from edgeassist.models.selected import Named, select
from edgeassist.protocol.topics import Topics
from edgeassist.tuning.identity import Device
from edgeassist.tuning.kept import NAME as TUNED
from edgeassist.tuning.kept import Kept, Rate, Result, Row, read_kept
from tests.fuzz import gguf, mutation
from tests.fuzz.scratch import folder
from tests.fuzz.target import Parser, Target

_TINY = Path(edgeassist.__file__).parent / "assets/tiny/edgeassist-tiny-onnx"
_FILES = (
    "genai_config.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "generation_config.json",
    "config.json",
)
_KEPT: tuple[dict[str, Any], ...] = (
    {
        "format": 1,
        "chosen": {"path": "/x.gguf", "backend": "llama"},
        "configured": {"path": "/y.gguf", "backend": "auto"},
    },
    {"format": 1, "base": "edgeassist", "device": "old", "boot_id": "7"},
    {"source": "hf:a/b/c", "when": "2026-01-01T00:00:00Z", "files": {"x.gguf": "00"}},
    {"day": 19675, "bytes": 5},
)


def _gguf(data: bytes) -> object:
    path = folder("gguf") / "model.gguf"
    path.write_bytes(data)
    for field in read_fields(path).values():
        field.values()
    model = read_model(path, "llama")
    _lay_out(model)
    return model.architecture, model.quantization


def _lay_out(model: Weights) -> None:
    """Ask whether a model fits, which is what its figures are for."""
    demand = Demand(context=4096, threads=2, slots=4, kv_tokens=None, prefix_bytes=None)
    judge(model, demand, Memory(free=1 << 32, total=1 << 33))


def _genai(data: bytes) -> object:
    try:
        files = json.loads(data)
    except (ValueError, RecursionError):
        files = data
    made = folder("genai")
    for name in _FILES:
        if isinstance(files, Mapping) and name in files:
            content = files[name]
            text = content if isinstance(content, str) else json.dumps(content)
            (made / name).write_bytes(text.encode("utf-8", "surrogatepass"))
        elif isinstance(files, bytes):  # no JSON: so is one of its files
            (made / name).write_bytes(files)
        else:
            (made / name).unlink(missing_ok=True)
    (made / "model.onnx").write_bytes(b"\x0a\x08location\x12\x01x" if b"location" in data else b"x")
    model = read_onnx_folder(made)
    _lay_out(model)
    return model.architecture, len(model.ends), model.template is not None


def _genai_seeds() -> list[bytes]:
    documents: dict[str, Any] = {}
    for name in _FILES[:2]:
        documents[name] = json.loads((_TINY / name).read_bytes())
    documents["tokenizer.json"] = _tokenizer()
    documents["generation_config.json"] = {"eos_token_id": [1, 2]}
    documents["config.json"] = {"architectures": ["LlamaForCausalLM"]}
    listed = documents | {
        "tokenizer_config.json": {
            "chat_template": [
                {"name": "default", "template": "{{ x }}"},
                {"name": "tool_use", "template": ""},
            ],
            "added_tokens_decoder": {"7": {"content": "<|x|>", "special": True}},
            "eos_token": {"content": "</s>"},
            "extra_special_tokens": {"image": "<i>"},
            "additional_special_tokens": ["<a>", {"content": "<b>"}],
        }
    }
    return [json.dumps(each).encode() for each in (documents, listed)]


def _tokenizer() -> dict[str, Any]:
    """Return the tokenizer of EdgeAssist Tiny with a few of its tokens."""
    document: dict[str, Any] = json.loads((_TINY / "tokenizer.json").read_bytes())
    model = document["model"]
    model["vocab"] = dict(list(model["vocab"].items())[:20])
    model["merges"] = model.get("merges", [])[:3]
    return document


def _pieces(data: bytes) -> object:
    path = folder("pieces") / "tokenizer.json"
    path.write_bytes(data)
    pieces = read_pieces(path, shown=("<think>",))
    return len(pieces.of_text), len(pieces.marks)


def _pieces_seeds() -> list[bytes]:
    unigram = {
        "model": {"vocab": [["<unk>", 0], ["▁a", -1.5], ["<0x0A>", -2]]},
        "added_tokens": [{"id": 3, "content": "<think>", "special": True}],
        "decoder": {"type": "Sequence", "decoders": [{"type": "ByteLevel"}]},
    }
    return [json.dumps(each).encode() for each in (_tokenizer(), unigram)]


def _states(data: bytes) -> object:
    made = folder("states")
    for each in made.glob("*"):
        each.unlink()
    store = StateStore(made, 1 << 20)
    # A file counts only under the name that it has by its own head.
    (made / _name_of(data)).write_bytes(data)
    store.scan()
    found = [store.load(saved.key) for saved in store.known]
    return len(found), any(state is not None for state in found)


def _name_of(data: bytes) -> str:
    try:
        line, _, rest = data.partition(b"\n")
        head = msgspec.msgpack.decode(rest[: int(line.split(b" ")[2])])
        key = StateKey(head[0], head[1], tuple(head[2]), array("q", head[3]))
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it has some name
        return "a.kv"
    return key.name


def _state_seeds() -> list[bytes]:
    made = folder("state-seeds")
    store = StateStore(made, 1 << 20, Budget(made / "written.json", 1 << 20), least_free=0)
    for tokens, kind in ((range(40), Kind.END), (range(3), Kind.PINNED)):
        key = StateKey("sha", "form", ("w",), array("q", tokens))
        store.save(Saved(key, kind, 8, None), b"12345678")
    return [path.read_bytes() for path in made.glob("*") if path.suffix != ".json"]


def _mutate_state(random: Random, data: bytes, other: bytes) -> bytes:
    """Change a head and sign it again, mostly: else its digest refuses whatever it is."""
    line, _, rest = data.partition(b"\n")
    fields = line.split(b" ")
    if random.random() < 0.3 or len(fields) < 4 or not fields[2].isdigit():
        return mutation.mutate_bytes(random, data, other)
    length = int(fields[2])
    head, state = rest[:length], rest[length:]
    try:
        tree = json.loads(mutation.mutate(random, json.dumps(msgspec.msgpack.decode(head)).encode(), b"[1]"))
        head = msgspec.msgpack.encode(tree)
    except (ValueError, RecursionError, OverflowError, TypeError, msgspec.MsgspecError):
        head = mutation.mutate_bytes(random, head, other)
    digest = hashlib.blake2b(head, digest_size=16).hexdigest().encode()
    return b" ".join([*fields[:2], str(len(head)).encode(), digest]) + b"\n" + head + state


def _kept(data: bytes) -> object:
    """Read the small files of the device's own, each of which may be damaged."""
    made = folder("kept")
    (made / TUNED).write_bytes(data)
    (made / SELECTED).write_bytes(data)
    model = made / "x.gguf"
    model.write_bytes(b"")
    record_path(model).write_bytes(data)
    names = made / NAMES
    names.mkdir(exist_ok=True)
    (names / "0.json").write_bytes(data)
    (made / "written.json").write_bytes(data)
    Budget(made / "written.json", 1 << 20).allows(1, 1_700_000_000.0)
    found = [
        read_record(model) is not None,
        select(Named(Path("/y.gguf")), made).chosen,
    ]
    Register(made).former(Topics("edgeassist", "box"))
    try:
        read_kept(made)
    except ConfigurationError:
        found.append(False)
    return tuple(found)


def _kept_seeds() -> list[bytes]:
    device = Device(**dict.fromkeys(Device.__struct_fields__, "x"))  # type: ignore[arg-type]
    result = Result(
        fingerprint="f", model="m", kv_heads=1, key_size=64, device=device, library="l", at="2026-01-01",
        rates=(Rate("Q4_0", 5, 2.5),), rows=(Row("a", "b", 1, 2.5),), applied={"engine.step_ms": 5},
    )  # fmt: skip
    tuned = msgspec.json.encode(Kept(results=(result,)))
    return [tuned, *(json.dumps(each).encode() for each in _KEPT)]


def targets() -> Sequence[Target]:
    """Return them."""
    parsers: list[tuple[str, Callable[[bytes], object], Callable[[], list[bytes]], Any]] = [
        ("gguf", _gguf, gguf.seeds, gguf.mutate),
        ("genai", _genai, _genai_seeds, mutation.mutate),
        ("tokenizer", _pieces, _pieces_seeds, mutation.mutate),
        ("states", _states, _state_seeds, _mutate_state),
        ("kept", _kept, _kept_seeds, mutation.mutate),
    ]
    return [
        Parser(name, parse, seeds, (ModelError,), mutate=mutate) for name, parse, seeds, mutate in parsers
    ]
