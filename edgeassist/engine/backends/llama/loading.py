"""Loads a GGUF file: what llama.cpp does, and what we do meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from edgeassist.engine.backends.llama.binding import llama_cpp
from edgeassist.engine.backends.llama.log import LlamaLog
from edgeassist.engine.backends.llama.weights import load_weights
from edgeassist.engine.messages import Load
from edgeassist.engine.sizing import demand_of, memory_of
from edgeassist.errors import ModelError
from edgeassist.models.files.description import ModelFile
from edgeassist.models.files.gguf import describe_gguf
from edgeassist.models.files.gguf_container import Field, scan_gguf
from edgeassist.models.fit import fit

if TYPE_CHECKING:
    from edgeassist.engine.backends.base import Finish, LoadedModel

log = logging.getLogger(__name__)


def begin(options: Load) -> Finish:
    """Begin to load a GGUF file, and return what ends it, with a KV cache for its slots (`begin_backend`)."""
    llama_log = LlamaLog()
    llama_log.install()
    llama_cpp.llama_backend_init()
    path = Path(options.path)
    # Before llama.cpp, which would spend minutes on what can't fit.
    file, fields = _read(path)
    if not file.kept.exact:
        log.warning(
            "the architecture %s is not known here: its KV cache is counted as the most that it may take",
            file.architecture,
        )
    sizes = fit(file, demand_of(options), memory_of(options))
    most = llama_cpp.llama_max_parallel_sequences()
    if sizes.slots > most:
        raise ModelError(f"engine.slots: llama.cpp serves at most {most} at once")
    native = ThreadPoolExecutor(1, thread_name_prefix="weights")
    loading = native.submit(load_weights, path, options.load_mode, llama_log)

    def finish(progress: Callable[[float], None]) -> LoadedModel:
        # llama.cpp takes longer than the import of what serves.
        from edgeassist.engine.backends.llama.assembling import Parts, assemble  # noqa: PLC0415 - as said above

        with native:
            return assemble(Parts(options, file, fields, sizes, llama_log), native, loading, progress)

    return finish


def _read(path: Path) -> tuple[ModelFile, Mapping[str, Field]]:
    try:
        scan = scan_gguf(path)
        return describe_gguf(path, scan), scan.fields
    except ModelError as error:
        raise ModelError(f"model.path: {error.message}") from None
