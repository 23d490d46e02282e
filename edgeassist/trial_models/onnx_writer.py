"""Folders of ONNX Runtime GenAI, written from weights: graph, tokenizer, and the library's configuration."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from edgeassist.trial_models.onnx_graph import GRAPH, Floats, OnnxPrecision, architecture_of, write_weights
from edgeassist.trial_models.synthetic import Shape, Tensor
from edgeassist.trial_models.tokenizer_files import write_tokenizer
from edgeassist.trial_models.vocabulary import Vocabulary


def write_onnx_folder(
    folder: Path,
    shape: Shape,
    vocabulary: Vocabulary,
    rows_of: Callable[[Tensor], Iterable[Floats]],
    precision: OnnxPrecision,
) -> None:
    """Write a model's folder, which appears under its name only when it is whole.

    Args:
        folder: Where to; its parent is made where missing.
        shape: The model's dimensions; the width and the feed-forward size are multiples of 32.
        vocabulary: Its tokenizer.
        rows_of: Returns a tensor's values, some rows at a time; called once for each, in order.
        precision: Of the matrices.

    Raises:
        OSError: A file can't be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as name:
        unfinished = Path(name) / folder.name
        unfinished.mkdir()
        write_weights(unfinished, shape, rows_of, precision)
        write_tokenizer(unfinished, vocabulary, context=shape.context)
        _write_config(unfinished, shape, vocabulary)
        unfinished.replace(folder)


def _write_config(folder: Path, shape: Shape, words: Vocabulary) -> None:
    ids = {key.rpartition(".")[2]: entry.value for key, entry in words.entries.items() if key.endswith("_id")}
    past, present = "past_key_values.%d.", "present.%d."
    document = {
        "model": {
            "type": architecture_of(shape),
            "bos_token_id": ids["bos_token_id"],
            "eos_token_id": [ids["eos_token_id"]],
            "pad_token_id": ids["padding_token_id"],
            "context_length": shape.context,
            "vocab_size": shape.vocabulary,
            "decoder": {
                "session_options": {"log_id": "onnxruntime-genai", "provider_options": []},
                "filename": GRAPH,
                "hidden_size": shape.width,
                "head_size": shape.width // shape.heads,
                "num_attention_heads": shape.heads,
                "num_hidden_layers": shape.layers,
                "num_key_value_heads": shape.kv_heads,
                "inputs": {
                    "input_ids": "input_ids",
                    "attention_mask": "attention_mask",
                    "past_key_names": f"{past}key",
                    "past_value_names": f"{past}value",
                },
                "outputs": {
                    "logits": "logits",
                    "present_key_names": f"{present}key",
                    "present_value_names": f"{present}value",
                },
            },
        },
        "search": {
            "do_sample": False,
            "max_length": shape.context,
            "past_present_share_buffer": True,
            "repetition_penalty": 1.0,
            "temperature": 1.0,
            "top_k": 1,
            "top_p": 1.0,
        },
    }
    (folder / "genai_config.json").write_text(json.dumps(document, indent=1))
