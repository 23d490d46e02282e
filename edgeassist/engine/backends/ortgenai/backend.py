"""Fulfils `Backend` with one generator, which is wound back to where the next prompt parts from the last.

On a CPU the library computes one sequence at a time. It keeps the GIL through a whole forward pass, which is
why the engine is a process of its own.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeassist.engine.backends.sampling import Sampler
from edgeassist.engine.kv.prefixes import shared_length
from edgeassist.engine.messages import ChatMessage, Load, ModelFacts, Sampling
from edgeassist.engine.prompting.chat import ChatTemplate, Segment
from edgeassist.engine.prompting.transcripts import Encoded, Transcripts
from edgeassist.engine.scheduler import Plan, Token, Work
from edgeassist.engine.sizing import demand_of, memory_of
from edgeassist.errors import InternalError, ModelError, StepAbortedError
from edgeassist.models.files.onnx import read_onnx_folder
from edgeassist.models.fit import fit

# Compiled in, and on unless this is set before the library is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime_genai as genai

log = logging.getLogger(__name__)

_ID = np.dtype("<i4")
# For the tokens of ended conversations; what was computed of them is in the generator, or nowhere.
_PREFIX_BYTES = 1 << 20
_TERMINATE = "terminate_session"
# What the library raises, through pybind11.
_ERRORS = (RuntimeError, ValueError, MemoryError)


class OrtBackend:
    """A folder of ONNX Runtime GenAI on the CPU."""

    def __init__(self) -> None:
        self._chat = ChatTemplate(None)
        self._transcripts = Transcripts()
        self._tokenizer: Any = None
        self._generator: Any = None
        self._stream: Any = None
        self._sampler = Sampler(Sampling())
        self._ends: frozenset[int] = frozenset()
        # What the generator has computed, whoever asked for it.
        self._tokens: list[int] = []
        self._said: list[int] = []
        self._aborted = threading.Event()
        self.computed_s = 0.0

    def load(self, options: Load, progress: Callable[[float], None]) -> ModelFacts:
        """Load the model and make room for one sequence (`Backend.load`)."""
        path = Path(options.path)
        try:
            folder = read_onnx_folder(path)
        except ModelError as error:
            raise ModelError(f"model.path: {error.message}") from None
        sizes = fit(folder, demand_of(options), memory_of(options))
        if options.slots is not None and options.slots > 1:
            log.warning("engine.slots: ONNX Runtime GenAI serves one at a time on a CPU")
        progress(0.0)
        try:
            model = self._load(path, options.threads, sizes.context)
        except _ERRORS as error:
            raise ModelError(f"model.path: ONNX Runtime GenAI can't load {path}: {_explain(error)}") from None
        progress(1.0)
        self._chat = ChatTemplate(folder.template, bos=folder.bos, eos=folder.eos, control=folder.control)
        return ModelFacts(
            name=path.name,
            backend="onnx",
            architecture=str(model.type),
            quantisation=folder.quantization,
            context=sizes.context,
            trained_context=folder.trained_context,
            size_bytes=folder.size_bytes,
            slots=sizes.slots,
            kv_tokens=sizes.kv_tokens,
            prefix_bytes=0 if options.prefix_bytes == 0 else _PREFIX_BYTES,
            guesses=False,
            threads=options.threads,
            adjusts_threads=False,
            chat_template=folder.template is not None,
            build=f"onnxruntime-genai {genai.__version__}",
        )

    def encode(self, messages: Sequence[ChatMessage]) -> Encoded:
        """Render the model's chat template and tokenize it (`Backend.encode`)."""
        text, tokens, rest = self._transcripts.find(self._chat.render(messages))
        return Encoded(text, [*tokens, *self._tokenize(rest)])

    def remember(self, prompt: str, answer: str, tokens: Sequence[int]) -> None:
        """Know a conversation's tokens when it goes on (`Backend.remember`)."""
        if not self._chat.reads_as_control(answer):
            self._transcripts.add(prompt + answer, tokens)

    def open(self, slot: int, sampling: Sampling) -> None:
        """Begin to sample, and to put bytes together to text (`Backend.open`)."""
        del slot
        self._sampler = Sampler(sampling)
        self._stream = self._tokenizer.create_stream()
        self._said = []

    def step(self, plan: Plan) -> Mapping[int, Sequence[Token]]:
        """Append the plan's tokens, and sample where it asks (`Backend.step`)."""
        (work,) = plan.work
        begun = time.perf_counter()
        try:
            self._wind_back(work.position)
            self._generator.append_tokens(np.asarray(work.tokens, np.int32))
        except _ERRORS as error:
            self._undo(work, error)
        self._tokens += work.tokens
        sampled = {work.slot: [self._sample()]} if work.samples else {}
        self.computed_s += time.perf_counter() - begun
        return sampled

    def use_threads(self, decode: int, prefill: int) -> None:
        """Change nothing: a session of ONNX Runtime keeps the threads that it was made with."""

    def close(self, slot: int) -> None:
        """End the sampling; what was computed stays until another prompt parts from it (`Backend.close`)."""
        del slot
        self._stream = None

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
        """Wind back to what the last sequence and a snapshot share (`Backend.restore`)."""
        del slot
        return shared_length(np.frombuffer(state, _ID)[:length].tolist(), self._tokens)

    # -------------------------------------------------------------------------------------------------------

    def _load(self, path: Path, threads: int, context: int) -> Any:
        config = genai.Config(str(path))
        config.clear_providers()
        session = {"intra_op_num_threads": threads, "inter_op_num_threads": 1}
        config.overlay(json.dumps({"model": {"decoder": {"session_options": session}}}))
        model = genai.Model(config)
        self._tokenizer = genai.Tokenizer(model)
        self._ends = frozenset(int(token) for token in self._tokenizer.eos_token_ids)
        params = genai.GeneratorParams(model)
        # Greedy for the library: what is picked from the logits is our own business.
        params.set_search_options(max_length=context, do_sample=False, batch_size=1)
        self._generator = genai.Generator(model, params)
        return model

    def _tokenize(self, segments: Sequence[Segment]) -> list[int]:
        """Return token ids; where a requester wrote what would be a control token, it is cut in two.

        All of it goes to the tokenizer at once where that is safe: a piece of text that stands alone may be
        tokenized as the beginning of one.
        """
        untrusted = [each for each in segments if not each.trusted]
        if not any(self._chat.reads_as_control(each.text) for each in untrusted):
            return self._ids("".join(each.text for each in segments))
        tokens: list[int] = []
        for segment in segments:
            parts = [segment.text] if segment.trusted else self._chat.defuse(segment.text)
            tokens += [token for part in parts for token in self._ids(part)]
        return tokens

    def _ids(self, text: str) -> list[int]:
        return [int(token) for token in self._tokenizer.encode(text)] if text else []

    def _wind_back(self, position: int) -> None:
        if len(self._tokens) > position:
            self._generator.rewind_to(position)
            del self._tokens[position:]

    def _sample(self) -> Token:
        logits = self._generator.get_logits()
        id_ = self._sampler.pick(logits.reshape(-1, logits.shape[-1])[-1], self._said)
        self._said.append(id_)
        if id_ in self._ends:
            return Token(id_, b"", ends=True)
        return Token(id_, self._stream.decode(id_).encode(), ends=False)

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
