"""The small Protocol that every backend fulfils, and the choice among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Protocol

from edgeassist.engine.messages import ChatMessage, Load, ModelFacts, Sampling
from edgeassist.engine.scheduler import Plan, Token
from edgeassist.errors import ModelError


class Backend(Protocol):
    """A model in memory. Called by one thread only."""

    def load(self, options: Load, progress: Callable[[float], None]) -> ModelFacts:
        """Read the model; calls `progress` with the fraction done, often enough to show that it moves.

        Raises:
            ModelError: It can't be loaded, and trying again can't help.
        """
        ...

    def encode(self, messages: Sequence[ChatMessage]) -> Sequence[int]:
        """Return the conversation as token ids, ready for an answer.

        Raises:
            InvalidRequestError: The model's chat template does not take such a conversation.
        """
        ...

    def open(self, slot: int, sampling: Sampling) -> None:
        """Begin a sequence with empty KV memory in a slot."""
        ...

    def step(self, plan: Plan) -> Mapping[int, Token]:
        """Compute one step; return a token for the slot of each work that samples.

        Raises:
            InternalError: The step failed; every sequence in it is lost.
        """
        ...

    def close(self, slot: int) -> None:
        """End the slot's sequence and forget its KV memory."""
        ...


def make_backend(name: str) -> Backend:
    """Return the backend of that name; its library is imported only now.

    Raises:
        ModelError: The name is unknown, or its library is not installed.
    """
    if name == "scripted":
        from edgeassist.engine.scripted import ScriptedBackend  # noqa: PLC0415 - one backend a process

        return ScriptedBackend()
    if name == "llama":
        if find_spec("llama_cpp") is None:
            raise ModelError("llama-cpp-python is not installed: pip install 'edgeassist[llama]'")
        from edgeassist.engine.llamacpp import LlamaBackend  # noqa: PLC0415 - heavy, and one backend a process

        return LlamaBackend()
    raise ModelError(f"model.backend {name!r} is none of: llama, scripted")
