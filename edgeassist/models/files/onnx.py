"""What a folder of ONNX Runtime GenAI says about its model, read without loading it.

`genai_config.json` is written by the library's model builder (format: onnxruntime-genai, src/config.h).
"""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeassist.errors import ModelError
from edgeassist.models.files.control import Control
from edgeassist.models.files.description import ModelFile
from edgeassist.models.files.onnx_tokenizer import read_json, read_tokenizer
from edgeassist.models.fit import Format
from edgeassist.models.kinds import Traits, objection
from edgeassist.models.kv import alike

CONFIG = "genai_config.json"
# A graph with its weights inside is as large as they are, and names no other file.
_GRAPH_BYTES = 256 << 20
# In the graph's protobuf: an `external_data` entry, whose key is "location" and whose value follows.
_LOCATION = re.compile(rb"\x0a\x08location\x12([\x01-\x7f])", re.DOTALL)
# Likewise the attribute "bits" of a product with quantized weights, which may be left out.
_BITS = re.compile(rb"\x0a\x04bits\x18([\x01-\x20])", re.DOTALL)
_DEFAULT_BITS = 4
_LFS = b"version https://git-lfs"
_TEXT_BUILD = "take a build of a text model for CPUs (often in a folder `cpu-int4-…`)"
# Names of execution providers in the configuration, as people know them.
_PROVIDERS = {"cuda": "CUDA", "dml": "DirectML", "qnn": "Qualcomm NPUs (QNN)", "webgpu": "WebGPU"}
_CPUS = frozenset({"cpu", "xnnpack"})
# How many folders below the named one models are looked for.
_LEVELS = 3
# How transformers' names of models end that write text.
_WRITERS = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
BUILDER = "python -m onnxruntime_genai.models.builder"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxFolder(ModelFile):
    """A model folder, with what its conversations are rendered with.

    Attributes:
        special_tokens: The texts of special tokens by their names in templates, such as `bos_token`.
        ends: The ids of tokens that end an answer, as any of its files says.
        control: Its control tokens.
    """

    special_tokens: Mapping[str, str | list[str]]
    ends: frozenset[int]
    control: Control


def is_onnx_folder(path: Path) -> bool:
    """Whether a path is a folder with what the library reads first."""
    return (path / CONFIG).is_file()


def read_onnx_folder(path: Path, template: str | None = None) -> OnnxFolder:
    """Read and check a model folder.

    Args:
        path: The folder.
        template: A chat template in the place of its own.

    Raises:
        ModelError: It can't be loaded; the message says why, and what to do.
    """
    try:
        return _read(path, template)
    except PermissionError as error:
        raise ModelError(
            f"{error.filename or path}: no permission to read it; let this user read it (chmod a+r the file, "
            "a+x its folders)"
        ) from None
    except OSError as error:
        raise ModelError(f"{error.filename or path} can't be read ({error.strerror})") from error


def _read(path: Path, template: str | None) -> OnnxFolder:
    if not is_onnx_folder(path):
        raise ModelError(about_stranger(path))
    document = read_json(path / CONFIG)
    try:
        model = document["model"]
        if (why := objection(Traits(str(model["type"])))) is not None:
            raise ModelError(f"{path} {why}")
        decoder = model["decoder"]
        _refuse_parts(path, model)
        graph = path / str(decoder.get("filename", "model.onnx"))
        size_bytes, quantization = _check_weights(graph)
        tokenizer = read_tokenizer(path, model, template)
        layers, head_size = int(decoder["num_hidden_layers"]), int(decoder["head_size"])
        return OnnxFolder(
            format=Format.ONNX,
            size_bytes=size_bytes,
            trained_context=int(model["context_length"]),
            kept=alike(layers, int(decoder["num_key_value_heads"]), head_size),
            name=path.name,
            architecture=str(model["type"]),
            layers=layers,
            quantization=quantization,
            vocabulary=int(model.get("vocab_size", 0)),
            made_for=_made_for(decoder),
            template=tokenizer.template,
            template_for_tools=tokenizer.template_for_tools,
            special_tokens=tokenizer.special_tokens,
            ends=tokenizer.ends,
            control=tokenizer.control,
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ModelError(
            f"{path / CONFIG} is not as the installed onnxruntime-genai writes it ({error!r}): make the model"
            f" with its own builder ({BUILDER})"
        ) from None


def _refuse_parts(path: Path, model: Mapping[str, Any]) -> None:
    """Refuse what takes more than text, and what runs in stages."""
    parts = [part for part in ("vision", "speech", "embedding") if model.get(part)]
    if parts:
        raise ModelError(
            f"{path} is a model for pictures or sound, in parts ({', '.join(parts)}), which takes no plain "
            f"tokens; {_TEXT_BUILD}"
        )
    if model["decoder"].get("pipeline"):
        raise ModelError(
            f"{path} is a model in stages (a pipeline), as they are made for NPUs; {_TEXT_BUILD}"
        )


def _made_for(decoder: Mapping[str, Any]) -> str:
    """Return what else than a CPU the model was made for; empty: nothing."""
    providers = (decoder.get("session_options") or {}).get("provider_options") or []
    names = [name for each in providers for name in each if name.lower() not in _CPUS]
    return ", ".join(_PROVIDERS.get(name.lower(), name) for name in names)


def about_stranger(path: Path) -> str:
    """Return what a path without the library's configuration is, and what to do about it."""
    if path.is_file():
        return _about_file(path)
    if not path.is_dir():
        return f"there is no {path}: correct the setting, or put the model there"
    gguf = sorted(file.name for file in path.glob("*.gguf"))
    inside = sorted(
        str(file.parent.relative_to(path))
        for level in range(1, _LEVELS + 1)
        for file in path.glob("*/" * level + CONFIG)
    )
    if gguf or inside:
        what = "GGUF files" if gguf else "models in folders of their own"
        return f"{path} holds {what}: name one of them: {', '.join(gguf or inside)}"
    if (kind := _other_kind(path)) is not None:
        return f"{path} holds a {kind}, which writes no text; name a language model (edgeassist recommend)"
    if any(path.glob("*.onnx")):
        return f"{path} holds ONNX files without {CONFIG}: make them with the library's builder ({BUILDER})"
    return f"{path} holds no model: there is no {CONFIG} in it"


def _other_kind(path: Path) -> str | None:
    """Return the class of a published model that is no language model, as transformers calls it."""
    try:
        named = json.loads((path / "config.json").read_bytes())["architectures"]
        classes = [str(each) for each in named]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    writes = any(each.endswith(_WRITERS) for each in classes)
    return None if writes or not classes else classes[0]


def _about_file(path: Path) -> str:
    with path.open("rb") as file:
        if file.read(4) == b"GGUF":
            return f'{path} is a GGUF file: set model.backend to "auto" or "llama"'
    if path.suffix == ".onnx" and is_onnx_folder(path.parent):
        return f"{path} is a file of an ONNX model: name its folder, {path.parent}"
    return f"{path} is a file: an ONNX model is a folder with {CONFIG} in it"


def _check_weights(graph: Path) -> tuple[int, str]:
    """Return the bytes of graph and weights, and how the weights are stored, if the graph tells."""
    if not graph.is_file():
        raise ModelError(f"{graph} is missing, and {CONFIG} names it: get the model's files again")
    _refuse_pointer(graph)
    size = graph.stat().st_size
    if not 0 < size <= _GRAPH_BYTES:
        return size, ""
    with graph.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        names = {
            content[match.end() : match.end() + match.group(1)[0]].decode(errors="replace")
            for match in _LOCATION.finditer(content)
        }
        quantization = ""
        if content.find(b"MatMulNBits") >= 0:
            bits = _BITS.search(content)
            quantization = f"int{bits.group(1)[0] if bits else _DEFAULT_BITS}"
    for name in sorted(names):
        weights = graph.parent / name
        if not weights.is_file():
            raise ModelError(f"{weights} is missing, and {graph.name} keeps its weights there: get it again")
        _refuse_pointer(weights)
        size += weights.stat().st_size
    return size, quantization


def _refuse_pointer(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(len(_LFS)) == _LFS:
            raise ModelError(f"{path} is only a pointer to the real file: fetch it with git lfs pull")
