"""The small Protocol that every backend fulfils, and the choice among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Protocol

from edgeassist.engine.messages import ChatMessage, Load, ModelFacts, Sampling
from edgeassist.engine.prompting.transcripts import Encoded
from edgeassist.engine.step import Plan, Token
from edgeassist.errors import ModelError


class Backend(Protocol):
    """A model in memory. Called by one thread only, except for `abort`.

    Attributes:
        computed_s: Seconds spent in all steps so far on computing, and on picking tokens from the result.
    """

    computed_s: float

    def load(self, options: Load, progress: Callable[[float], None]) -> ModelFacts:
        """Read the model; calls `progress` with the fraction done, often enough to show that it moves.

        Raises:
            ModelError: It can't be loaded, and trying again can't help.
        """
        ...

    def encode(self, messages: Sequence[ChatMessage]) -> Encoded:
        """Return the conversation as text and token ids, ready for an answer.

        Raises:
            InvalidRequestError: The model's chat template does not take such a conversation.
        """
        ...

    def remember(self, prompt: str, answer: str, tokens: Sequence[int]) -> None:
        """Take note of the tokens of a prompt's text and its answer, for when that conversation goes on."""
        ...

    def open(self, slot: int, sampling: Sampling) -> None:
        """Begin to sample for a slot."""
        ...

    def step(self, plan: Plan) -> Mapping[int, Sequence[Token]]:
        """Change the KV cache as planned, compute the work, return the tokens of each that samples.

        Those are one, and one more for each drafted token that held. The KV cache keeps no others.

        Raises:
            KvFullError: There was no room; the KV cache is as it was before the work.
            StepAbortedError: `abort` was called; likewise.
            InternalError: The step failed; every sequence in it is lost.
        """
        ...

    def use_threads(self, decode: int, prefill: int) -> None:
        """Compute with so many threads from now on; nothing happens where `adjusts_threads` is false.

        Args:
            decode: In steps that only decode.
            prefill: In steps that read some of a prompt.
        """
        ...

    def close(self, slot: int) -> None:
        """End the sampling for a slot, if it has begun, and drop its KV entries."""
        ...

    def abort(self) -> None:
        """Cut the running step short, or the next one, until `proceed`. Any thread may call it."""
        ...

    def proceed(self) -> None:
        """Let steps run again."""
        ...

    def snapshot(self, slot: int) -> bytes | bytearray:
        """Return a slot's KV entries in a form that `restore` takes."""
        ...

    def restore(self, slot: int, state: bytes | bytearray, length: int) -> int:
        """Fill an empty slot with the first `length` tokens of a state, or with as many as it can.

        Returns:
            How many of them it holds now; 0 where there was no room.
        """
        ...


def make_backend(name: str) -> Backend:
    """Return the backend of that name; its library is imported only now.

    Raises:
        ModelError: The name is unknown, or its library is not installed.
    """
    if name == "scripted":
        from edgeassist.engine.backends.scripted import ScriptedBackend  # noqa: PLC0415 - one backend a process

        return ScriptedBackend()
    if name == "llama":
        if find_spec("llama_cpp") is None:
            raise ModelError("llama-cpp-python is not installed: pip install 'edgeassist[llama]'")
        from edgeassist.engine.backends.llama.backend import LlamaBackend  # noqa: PLC0415 - as above

        return LlamaBackend()
    if name == "onnx":
        if find_spec("onnxruntime_genai") is None:
            raise ModelError("onnxruntime-genai is not installed: pip install 'edgeassist[onnx]'")
        from edgeassist.engine.backends.ortgenai.backend import OrtBackend  # noqa: PLC0415 - as above

        return OrtBackend()
    raise ModelError(f"model.backend {name!r} is none of: llama, onnx, scripted")
