"""A GGUF file in memory. Imports little: llama.cpp reads a file while we import what serves."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

from edgeassist.engine.backends.llama.binding import llama_cpp
from edgeassist.engine.backends.llama.log import LlamaLog
from edgeassist.engine.messages import LoadMode
from edgeassist.errors import ModelError

# A second guard: what a model is says its file (`models/kinds`), for the kinds that are known there.
NO_DECODER = (
    "is no model that writes text token by token, as llama.cpp finds; name another (edgeassist recommend)"
)
_LOAD_MODES = {
    LoadMode.READ: llama_cpp.LLAMA_LOAD_MODE_NONE,
    LoadMode.MMAP: llama_cpp.LLAMA_LOAD_MODE_MMAP,
    LoadMode.LOCK: llama_cpp.LLAMA_LOAD_MODE_NONE,
}
# What llama.cpp says of a model that is newer than it.
_UNKNOWN = "unknown model architecture"
_NEWER = (
    "; it is newer than this llama.cpp: update EdgeAssist, or choose another model (edgeassist recommend)"
)


def load_weights(path: Path, mode: LoadMode, llama_log: LlamaLog) -> Any:
    """Load a GGUF file, and return its `llama_model`; needs no GIL while it reads.

    Args:
        path: The file.
        mode: How it gets into memory.
        llama_log: Explains a failure.

    Raises:
        ModelError: llama.cpp can't load it, or it is no decoder.
    """
    params = llama_cpp.llama_model_default_params()
    params.load_mode = _LOAD_MODES[mode]
    params.n_gpu_layers = 0
    # Asked for each tensor whether to go on: yes, by a function that does not wait for the GIL.
    yes = ctypes.create_string_buffer(b"y")
    params.progress_callback = ctypes.cast(ctypes.CDLL(None).strlen, llama_cpp.llama_progress_callback)
    params.progress_callback_user_data = ctypes.cast(yes, ctypes.c_void_p)
    handle = llama_cpp.llama_model_load_from_file(os.fsencode(path), params)
    if not handle:
        todo = _NEWER if _UNKNOWN in llama_log.errors else ""
        raise ModelError(f"model.path: llama.cpp can't load {path}: {llama_log.errors}{todo}")
    decodes = llama_cpp.llama_model_has_decoder(handle) and not llama_cpp.llama_model_has_encoder(handle)
    if not decodes or llama_cpp.llama_model_is_diffusion(handle):
        raise ModelError(f"model.path: {path} {NO_DECODER}")
    return handle
