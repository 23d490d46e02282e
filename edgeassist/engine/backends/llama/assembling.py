"""Makes of a GGUF file what serves, while llama.cpp reads it and after."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeassist.engine.backends.base import LoadedModel
from edgeassist.engine.backends.llama.ahead import guess
from edgeassist.engine.backends.llama.backend import LlamaBackend
from edgeassist.engine.backends.llama.binding import llama_cpp, version
from edgeassist.engine.backends.llama.context import make_context, rows_of
from edgeassist.engine.backends.llama.layout import Layout, lay_out
from edgeassist.engine.backends.llama.locking import lock_memory
from edgeassist.engine.backends.llama.log import LlamaLog
from edgeassist.engine.backends.llama.model import Model
from edgeassist.engine.backends.llama.paging import (
    Range,
    allocated,
    forget_pages,
    forget_zeros,
    resident_bytes,
    trim,
)
from edgeassist.engine.backends.llama.speech import Speech
from edgeassist.engine.backends.llama.spelling import Spelling
from edgeassist.engine.constraints import make_compiler
from edgeassist.engine.messages import Load, LoadMode, ModelFacts
from edgeassist.engine.prompting.codec import PromptCodec
from edgeassist.engine.prompting.marking import Marking
from edgeassist.engine.sizing import demand_of, memory_of
from edgeassist.models.files.description import ModelFile
from edgeassist.models.files.gguf_container import Field
from edgeassist.models.files.gguf_metadata import Metadata
from edgeassist.models.files.gguf_vocabulary import vocabulary_of
from edgeassist.models.files.template import read_template
from edgeassist.models.fit import Sizes, most_prefix_bytes

log = logging.getLogger(__name__)

# How often is looked how much of a model is there.
_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Parts:
    """What is known before llama.cpp has read the file.

    Attributes:
        options: What the engine was told.
        file: The model, by its file's header.
        fields: That header's metadata.
        sizes: Of the memory.
        log: llama.cpp's.
    """

    options: Load
    file: ModelFile
    fields: Mapping[str, Field]
    sizes: Sizes
    log: LlamaLog


def assemble(
    parts: Parts, native: Executor, loading: Future[Any], progress: Callable[[float], None]
) -> LoadedModel:
    """Return what serves.

    Args:
        parts: What is known.
        native: Runs what takes no GIL.
        loading: The `llama_model`, once it is loaded.
        progress: As `load_backend` has it.

    Raises:
        ModelError: The file can't be loaded, or its template not read.
    """
    options, sizes = parts.options, parts.sizes
    before = _allocated()
    template = read_template(options.template)
    vocabulary = vocabulary_of(parts.fields)
    spelling = None if vocabulary is None else Spelling(vocabulary)
    path = Path(options.path)
    ahead = None if spelling is None else guess(spelling, Metadata(path, parts.fields), template)
    model = Model(_await(loading, parts.file.size_bytes, progress), spelling)
    layout = lay_out(
        model,
        slots=sizes.slots,
        kv_tokens=sizes.kv_tokens,
        rows=rows_of(options, sizes.slots),
        most=llama_cpp.llama_max_parallel_sequences(),
    )
    making = native.submit(
        make_context, model, options, kv_tokens=sizes.kv_tokens, layout=layout, llama_log=parts.log
    )
    speech = model.speech(template, ahead)
    marking = None if speech.chat.marks is None else Marking(speech.chat.marks, model.token, model)
    compiler = make_compiler(
        lambda: _pieces(model, marking),
        model.vocabulary_size,
        speech.ends,
        model.ids_of,
        speech.marks,
        on_made=trim,
    )
    facts = _facts(parts, model, layout, speech, constrains=compiler is not None, thinks=marking is not None)
    _try(lambda: forget_pages(parts.file.files))
    made = making.result()
    if before is not None:
        _try(lambda: forget_zeros(before))
    trim()
    if options.load_mode is LoadMode.LOCK:
        lock_memory()
    backend = LlamaBackend(model, made, layout, ends=speech.ends)
    codec = PromptCodec(speech.chat, model, speech.spelled_ends)
    return LoadedModel(backend, codec, facts, compiler, marking, speech.ends)


def _pieces(model: Model, marking: Marking | None) -> Sequence[bytes]:
    pieces = model.take_pieces()
    if marking is not None:
        marking.see(pieces)
    return pieces


def _facts(
    parts: Parts, model: Model, layout: Layout, speech: Speech, *, constrains: bool, thinks: bool
) -> ModelFacts:
    options, file, sizes = parts.options, parts.file, parts.sizes
    most = most_prefix_bytes(file, demand_of(options), memory_of(options))
    return ModelFacts(
        name=model.meta("general.name") or Path(options.path).stem,
        backend="llama",
        architecture=model.architecture,
        parameters=model.parameters,
        quantization=model.quantization,
        context=sizes.context,
        trained_context=model.trained_context,
        size_bytes=file.size_bytes,
        slots=sizes.slots,
        prefix_bytes=sizes.prefix_bytes if layout.reach is None else most,
        kv_tokens=sizes.kv_tokens,
        reach=layout.reach,
        # What of a draft is wrong is cut off again.
        guesses=not model.recurrent,
        threads=options.threads,
        template=speech.chat.state,
        constrains=constrains,
        thinks=thinks,
        decides=True,
        branches=layout.branches,
        build=llama_cpp.llama_print_system_info().decode(),
        state_format=_state_format(layout),
    )


def _await(loading: Future[Any], size_bytes: int, progress: Callable[[float], None]) -> Any:
    """Wait for a model, and tell how much of it is there: llama.cpp maps a file without saying so."""
    begun, told = resident_bytes(), 0.0
    while True:
        try:
            return loading.result(timeout=_LOOK_S)
        except TimeoutError:
            fraction = min(1.0, max(0, resident_bytes() - begun) / max(1, size_bytes))
            if fraction > told:
                told = fraction
                progress(fraction)


def _allocated() -> list[Range] | None:
    """Return where memory of our own is; None where the system does not tell."""
    try:
        return allocated()
    except OSError:
        return None


def _try(give_back: Callable[[], object]) -> None:
    """Give back what memory need not be there, if the system lets us."""
    try:
        give_back()
    except OSError as error:
        log.debug("memory that is not used could not be given back: %s", error)


def _state_format(layout: Layout) -> str:
    """Return what decides what a state's bytes mean: they lack what the windows have passed."""
    library = f"llama-cpp-python {version()}"
    return f"{library}, windows of {layout.window}" if layout.window else library
