"""Loads a GGUF file: what llama.cpp does, and what we do meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from edgeassist.engine.backends.base import LoadedModel
from edgeassist.engine.backends.llama.ahead import compiler_for, guess
from edgeassist.engine.backends.llama.backend import LlamaBackend
from edgeassist.engine.backends.llama.binding import llama_cpp, version
from edgeassist.engine.backends.llama.context import make_context, rows_of
from edgeassist.engine.backends.llama.layout import Layout, lay_out
from edgeassist.engine.backends.llama.locking import lock_memory
from edgeassist.engine.backends.llama.log import LlamaLog
from edgeassist.engine.backends.llama.model import Model, load_model
from edgeassist.engine.backends.llama.paging import (
    Range,
    allocated,
    forget_pages,
    forget_zeros,
    resident_bytes,
    trim,
)
from edgeassist.engine.backends.llama.spelling import Spelling
from edgeassist.engine.messages import Load, LoadMode, ModelFacts
from edgeassist.engine.prompting.codec import PromptCodec
from edgeassist.engine.prompting.marking import Marking
from edgeassist.engine.sizing import demand_of, memory_of
from edgeassist.errors import ModelError
from edgeassist.models.files.description import ModelFile
from edgeassist.models.files.gguf import describe_gguf
from edgeassist.models.files.gguf_container import Field, scan_gguf
from edgeassist.models.files.gguf_metadata import Metadata
from edgeassist.models.files.gguf_vocabulary import vocabulary_of
from edgeassist.models.files.template import read_template
from edgeassist.models.fit import fit, most_prefix_bytes

log = logging.getLogger(__name__)

# How often is looked how much of a model is there.
_LOOK_S = 0.2


def load(options: Load, progress: Callable[[float], None]) -> LoadedModel:
    """Load a GGUF file and allocate the KV cache of its slots (`load_backend`)."""
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
    template = read_template(options.template)
    vocabulary = vocabulary_of(fields)
    spelling = None if vocabulary is None else Spelling(vocabulary)
    before = _allocated()
    # llama.cpp and we have work for about as long.
    with ThreadPoolExecutor(1, thread_name_prefix="weights") as native:
        loading = native.submit(load_model, path, options.load_mode, llama_log, spelling)
        ahead = None
        if spelling is not None:
            ahead = guess(
                spelling, Metadata(path, fields), template, lambda text: loading.result().ids_of(text)
            )
        model = _await(loading, file.size_bytes, progress)
        layout = lay_out(
            model,
            slots=sizes.slots,
            kv_tokens=sizes.kv_tokens,
            rows=rows_of(options, sizes.slots),
            most=most,
        )
        making = native.submit(
            make_context, model, options, kv_tokens=sizes.kv_tokens, layout=layout, llama_log=llama_log
        )
        speech = model.speech(template, None if ahead is None else ahead.speech)
        chat, pieces = speech.chat, model.pieces
        compiler = compiler_for(ahead, speech, pieces, model.ids_of)
        marking = None if chat.marks is None else Marking(chat.marks, pieces, model.token, model)
        made = making.result()
    del ahead, vocabulary, spelling, fields, pieces
    _give_back(file.files, before)
    if options.load_mode is LoadMode.LOCK:
        lock_memory()
    facts = ModelFacts(
        name=model.meta("general.name") or path.stem,
        backend="llama",
        architecture=model.architecture,
        parameters=model.parameters,
        quantization=model.quantization,
        context=sizes.context,
        trained_context=model.trained_context,
        size_bytes=file.size_bytes,
        slots=sizes.slots,
        prefix_bytes=sizes.prefix_bytes
        if layout.reach is None
        else most_prefix_bytes(file, demand_of(options), memory_of(options)),
        kv_tokens=sizes.kv_tokens,
        reach=layout.reach,
        # What of a draft is wrong is cut off again.
        guesses=not model.recurrent,
        threads=options.threads,
        template=chat.state,
        constrains=compiler is not None,
        thinks=marking is not None,
        decides=True,
        branches=layout.branches,
        build=llama_cpp.llama_print_system_info().decode(),
        state_format=_state_format(layout),
    )
    backend = LlamaBackend(model, made, layout, ends=speech.ends)
    codec = PromptCodec(chat, model, speech.spelled_ends)
    return LoadedModel(backend, codec, facts, compiler, marking, speech.ends)


def _read(path: Path) -> tuple[ModelFile, Mapping[str, Field]]:
    try:
        scan = scan_gguf(path)
        return describe_gguf(path, scan), scan.fields
    except ModelError as error:
        raise ModelError(f"model.path: {error.message}") from None


def _await(loading: Future[Model], size_bytes: int, progress: Callable[[float], None]) -> Model:
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


def _give_back(files: Sequence[Path], before: Sequence[Range] | None) -> None:
    """Give back what memory need not be there, while nothing else runs."""
    try:
        forget_pages(files)
        if before is not None:
            forget_zeros(before)
    except OSError as error:
        log.debug("memory that is not used could not be given back: %s", error)
    trim()


def _state_format(layout: Layout) -> str:
    """Return what decides what a state's bytes mean: they lack what the windows have passed."""
    library = f"llama-cpp-python {version()}"
    return f"{library}, windows of {layout.window}" if layout.window else library
