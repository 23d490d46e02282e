"""Loads an ONNX folder and serves it with one generator, rewound to where the next prompt differs.

On a CPU the library computes one sequence at a time. It keeps the GIL through a whole forward pass, which is
why the engine is a process of its own.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from edgeassist.engine.backends.base import LoadedModel, TokenFilter
from edgeassist.engine.backends.ortgenai.pieces import Pieces, read_pieces
from edgeassist.engine.backends.ortgenai.tokenizer import OrtTokenizer
from edgeassist.engine.backends.sampling import Sampler
from edgeassist.engine.constraints import make_compiler
from edgeassist.engine.kv.prefixes import shared_length
from edgeassist.engine.kv.world import PLAIN, World
from edgeassist.engine.messages import Load, ModelFacts, Sampling
from edgeassist.engine.prompting.chat import ChatTemplate
from edgeassist.engine.prompting.codec import PromptCodec
from edgeassist.engine.prompting.marking import Marking
from edgeassist.engine.signals import StepAbortedError
from edgeassist.engine.sizing import demand_of, memory_of
from edgeassist.engine.step import Plan, Token, Work, Yield
from edgeassist.errors import InternalError, ModelError
from edgeassist.models.files.description import OTHER_BUILD
from edgeassist.models.files.onnx import read_onnx_folder
from edgeassist.models.files.onnx_tokenizer import TOKENIZER
from edgeassist.models.files.template import read_template
from edgeassist.models.fit import fit

# Compiled in, and on unless this is set before the library is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime_genai as genai

log = logging.getLogger(__name__)

_ID = np.dtype("<i4")
# For the tokens of ended sequences: only the generator has KV entries, those of the last sequence.
_PREFIX_BYTES = 1 << 20
_TERMINATE = "terminate_session"
# What the library raises, through pybind11.
_ERRORS = (RuntimeError, ValueError, MemoryError)


def load(options: Load, progress: Callable[[float], None]) -> LoadedModel:
    """Load a folder of ONNX Runtime GenAI, with room for one sequence (`load_backend`)."""
    path = Path(options.path)
    configured = read_template(options.template)
    try:
        folder = read_onnx_folder(path, configured)
    except ModelError as error:
        raise ModelError(f"model.path: {error.message}") from None
    sizes = fit(folder, demand_of(options), memory_of(options))
    if options.slots is not None and options.slots > 1:
        log.warning("engine.slots: ONNX Runtime GenAI serves one at a time on a CPU")
    if folder.made_for:
        log.warning("model.path: %s", OTHER_BUILD.format(path, folder.made_for))
    progress(0.0)
    chat = ChatTemplate(
        folder.template,
        tokens=folder.special_tokens,
        control=folder.control.turns,
        parts=folder.control.parts,
        configured=configured is not None,
        for_tools=None if configured else folder.template_for_tools,
    )
    pieces = read_pieces(path / TOKENIZER, chat.shown)
    try:
        model = _load_model(path, options.threads)
        tokenizer = genai.Tokenizer(model)
        generator = _make_generator(model, sizes.context)
    except _ERRORS as error:
        why = f"; {OTHER_BUILD.format('it', folder.made_for)}" if folder.made_for else ""
        raise ModelError(
            f"model.path: ONNX Runtime GenAI can't load {path}: {_explain(error)}{why}"
        ) from None
    progress(1.0)
    ours = OrtTokenizer(tokenizer)
    turn_ends = _single(tokenizer, chat.ends)
    spelled = () if turn_ends else tuple(sorted(chat.ends))
    ends = folder.ends.union(
        tokenizer.eos_token_ids,
        turn_ends,
        _single(tokenizer, [str(folder.special_tokens.get("eos_token", ""))]),
    )
    backend = OrtBackend(generator, pieces, ends)
    marking = None if chat.marks is None else Marking(chat.marks, backend.token, ours)

    def seen() -> Sequence[bytes]:
        if marking is not None:
            marking.see(pieces.of_text)
        return pieces.of_text

    compiler = make_compiler(seen, len(pieces.of_text), sorted(ends), ours.ids_of, pieces.marks)
    facts = ModelFacts(
        name=path.name,
        backend="onnx",
        architecture=str(model.type),
        quantization=folder.quantization,
        context=sizes.context,
        trained_context=folder.trained_context,
        size_bytes=folder.size_bytes,
        slots=sizes.slots,
        kv_tokens=sizes.kv_tokens,
        prefix_bytes=0 if options.prefix_bytes == 0 else _PREFIX_BYTES,
        guesses=False,
        threads=options.threads,
        adjusts_threads=False,
        template=chat.state,
        constrains=compiler is not None,
        thinks=marking is not None,
        decides=True,
        build=f"onnxruntime-genai {genai.__version__}",
    )
    return LoadedModel(
        backend, PromptCodec(chat, ours, spelled), facts, compiler, marking, tuple(sorted(ends))
    )


@dataclass(slots=True)
class _Answer:
    """What a slot samples with.

    Attributes:
        world: Of the sequence.
        endless: Whether no token that ends a turn is picked.
        limits: What its tokens may be.
        said: The tokens so far.
    """

    sampler: Sampler
    world: World
    endless: bool
    limits: TokenFilter | None
    said: list[int] = field(default_factory=list)


class OrtBackend:
    """Fulfils `Backend`.

    Args:
        generator: An `onnxruntime_genai.Generator` that has computed nothing.
        pieces: The bytes of the vocabulary's tokens.
        ends: The tokens that end an answer.
    """

    def __init__(self, generator: Any, pieces: Pieces, ends: frozenset[int]) -> None:
        self.computed_s = 0.0
        self._generator = generator
        self._pieces = pieces
        self._ends = ends
        # What the generator has computed, for the sequence that runs or for the last one, and its world.
        self._tokens: list[int] = []
        self._world = PLAIN
        self._answers: dict[int, _Answer] = {}
        self._aborted = threading.Event()

    def open(self, slot: int, sampling: Sampling, world: World, limits: TokenFilter | None = None) -> None:
        """Begin to sample (`Backend.open`)."""
        self._answers[slot] = _Answer(Sampler(sampling), world, sampling.ignore_eos, limits)

    def step(self, plan: Plan) -> Yield:
        """Append the plan's tokens, sample and compare where it asks (`Backend.step`)."""
        (work,) = plan.work
        begun = time.perf_counter()
        ends = [read.position + 1 - work.position for read in work.reads]
        if not ends or ends[-1] < len(work.tokens):
            ends.append(len(work.tokens))
        try:
            self._rewind(work.position)
            rows = []
            for start, end in pairwise([0, *ends]):
                self._generator.append_tokens(np.asarray(work.tokens[start:end], np.int32))
                # Some models give the logits of the last token only.
                if work.samples or work.reads:
                    rows.append(_last(self._generator.get_logits()))
        except _ERRORS as error:
            self._undo(work, error)
        answer = self._answers[work.slot]
        self._tokens += work.tokens
        self._world = answer.world
        sampled = {work.slot: [self._sample(answer, rows[-1])]} if work.samples else {}
        compared = {
            work.slot: [
                row[list(read.candidates)].astype(float).tolist()
                for read, row in zip(work.reads, rows, strict=False)
            ]
        }
        self.computed_s += time.perf_counter() - begun
        return Yield(sampled, compared)

    def token(self, token: int) -> Token:
        """Return what a token id stands for."""
        ends = token in self._ends
        return Token(token, b"" if ends else self._pieces[token], ends)

    def use_threads(self, decode: int, prefill: int) -> None:
        """Change nothing: a session of ONNX Runtime keeps the threads that it was made with."""

    def close(self, slot: int) -> None:
        """End the sampling; KV entries stay until a prompt begins otherwise (`Backend.close`)."""
        self._answers.pop(slot, None)

    def abort(self) -> None:
        """Make the running step raise (`Backend.abort`)."""
        self._aborted.set()
        self._generator.set_runtime_option(_TERMINATE, "1")

    def proceed(self) -> None:
        """Let steps run again (`Backend.proceed`)."""
        if self._aborted.is_set():
            self._aborted.clear()
            self._generator.set_runtime_option(_TERMINATE, "0")

    def snapshot(self, slot: int) -> bytes:
        """Return the tokens that were computed: there is no other copy of what they led to."""
        del slot
        return np.asarray(self._tokens, _ID).tobytes()

    def restore(self, slot: int, state: bytes | bytearray, length: int) -> int:
        """Return what a snapshot shares with the generator; the next step rewinds it (`Backend.restore`)."""
        if self._answers[slot].world != self._world:
            return 0
        return shared_length(np.frombuffer(state, _ID)[:length].tolist(), self._tokens)

    # -------------------------------------------------------------------------------------------------------

    def _rewind(self, position: int) -> None:
        if len(self._tokens) > position:
            self._generator.rewind_to(position)
            del self._tokens[position:]

    def _sample(self, answer: _Answer, last: Any) -> Token:
        if answer.endless or answer.limits is not None:
            last = last.astype(np.float32)
        if answer.endless:
            # Nobody checks the ids in a publisher's generation_config.json.
            last[[each for each in self._ends if 0 <= each < last.size]] = -np.inf
        id_ = answer.sampler.pick(last, answer.said)
        if answer.limits is not None and not answer.limits.allows(id_):
            # As in `llama/backend`: rare, and cheaper than to limit each row.
            answer.limits.limit(last)
            id_ = answer.sampler.pick(last, answer.said)
        answer.said.append(id_)
        if answer.limits is not None:
            answer.limits.accept(id_)
        return self.token(id_)

    def _undo(self, work: Work, error: Exception) -> None:
        """Raise what a failed step means; the generator is where it was before."""
        aborted = self._aborted.is_set()
        if aborted:
            self._generator.set_runtime_option(_TERMINATE, "0")
        self._generator.rewind_to(len(self._tokens))
        if aborted:
            self._generator.set_runtime_option(_TERMINATE, "1")
            raise StepAbortedError("the step was aborted")
        raise InternalError(f"ONNX Runtime GenAI failed on {len(work.tokens)} tokens: {error}") from error


def _last(logits: Any) -> Any:
    return logits.reshape(-1, logits.shape[-1])[-1]


def _single(tokenizer: Any, texts: Iterable[str]) -> frozenset[int]:
    """Return the ids of those texts that are one token each."""
    found = [tokenizer.encode(text) for text in texts if text]
    return frozenset(int(ids[0]) for ids in found if len(ids) == 1)


def _load_model(path: Path, threads: int) -> Any:
    config = genai.Config(str(path))
    config.clear_providers()
    session = {"intra_op_num_threads": threads, "inter_op_num_threads": 1}
    config.overlay(json.dumps({"model": {"decoder": {"session_options": session}}}))
    return genai.Model(config)


def _make_generator(model: Any, context: int) -> Any:
    params = genai.GeneratorParams(model)
    # Greedy for the library: tokens are picked from the logits by our own sampler.
    params.set_search_options(max_length=context, do_sample=False, batch_size=1)
    return genai.Generator(model, params)


def _explain(error: Exception) -> str:
    """Return what the library says, and what to do about it where that is known."""
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    ways_out = {
        "Unknown value": "the model was made for another version: install the onnxruntime-genai that it was "
        "made with, or make it again with the builder of the installed one",
        "Unsupported model_type": "this version does not know that kind of model: "
        "pip install --upgrade onnxruntime-genai",
        "Unsupported tokenizer class": "the library does not know this tokenizer: take the tokenizer's "
        "files from the model's publisher",
        "bad_alloc": "there is not enough memory: lower model.context, or choose a smaller model",
        "Failed to allocate": "there is not enough memory: lower model.context, or choose a smaller model",
    }
    ways = [way for sign, way in ways_out.items() if sign in text]
    return f"{text}: {ways[0]}" if ways else text
