"""Files that are GGUF and no language model, of random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np


def write_bert(path: Path) -> Path:
    """Write an encoder, as embedding models are, that llama.cpp loads."""
    width, layers, words, context, inner = 64, 2, 300, 128, 128
    random = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(4)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)  # noqa: FBT003 - the package's way
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    special = ["[PAD]", *(f"[unused{number}]" for number in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    writer.add_tokenizer_model("bert")
    writer.add_token_list([*special, *(f"▁w{number}" for number in range(words - len(special)))])
    writer.add_token_type_count(2)
    writer.add_bos_token_id(special.index("[CLS]"))
    writer.add_eos_token_id(special.index("[SEP]"))
    writer.add_unk_token_id(special.index("[UNK]"))
    shapes = {
        "token_embd.weight": (words, width),
        "position_embd.weight": (context, width),
        "token_types.weight": (2, width),
        "token_embd_norm.weight": (width,),
        "token_embd_norm.bias": (width,),
    }
    for block in (f"blk.{layer}." for layer in range(layers)):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            shapes |= {f"{block}{name}.weight": (width, width), f"{block}{name}.bias": (width,)}
        for name in ("attn_output_norm", "layer_output_norm"):
            shapes |= {f"{block}{name}.weight": (width,), f"{block}{name}.bias": (width,)}
        shapes |= {f"{block}ffn_up.weight": (inner, width), f"{block}ffn_up.bias": (inner,)}
        shapes |= {f"{block}ffn_down.weight": (width, inner), f"{block}ffn_down.bias": (width,)}
    for name, shape in shapes.items():
        writer.add_tensor(name, random.standard_normal(shape).astype(np.float32) * 0.02)
    return _close(writer, path)


def rewrite(path: Path, target: Path, fields: dict[str, Any]) -> Path:
    """Copy a GGUF file, with integers, truth values and texts added to its metadata, by their keys."""
    kinds = {int: gguf.GGUFValueType.UINT32, str: gguf.GGUFValueType.STRING, bool: gguf.GGUFValueType.BOOL}
    reader = gguf.GGUFReader(path)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture":
            kind, item = field.types[0], field.types[-1]
            item = item if kind is gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(name, field.contents(), kind, sub_type=item)
    for name, value in fields.items():
        writer.add_key_value(name, value, kinds[type(value)])
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data)
    return _close(writer, target)


def _close(writer: gguf.GGUFWriter, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def retype(path: Path, target: Path, kind: int) -> Path:
    """Copy a GGUF file whose matrices are single precision, with another number as their type."""
    data = bytearray(path.read_bytes())
    for tensor in gguf.GGUFReader(path).tensors:
        if len(tensor.shape) > 1:
            # After the name: the number of dimensions, each of them, the type.
            field = tensor.field
            at = field.offset + sum(part.nbytes for part in field.parts[:-2])
            data[at : at + 4] = kind.to_bytes(4, "little")
    target.write_bytes(data)
    return target
