"""What a backend is: the Protocol that each one fulfils, and a model that one has loaded.

What bounds answers is here as Protocols, so that a backend without needs no library for it, numpy included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edgeassist.engine.kv.world import World
from edgeassist.engine.messages import Constraint, ModelFacts, Sampling, Tools
from edgeassist.engine.prompting.calls.form import Form
from edgeassist.engine.prompting.codec import Codec
from edgeassist.engine.prompting.marking import Marking
from edgeassist.engine.step import Plan, Token, Yield

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class TokenFilter(Protocol):
    """What a sequence may go on with. Nothing of it raises."""

    def allows(self, token: int) -> bool:
        """Whether that token may come next: some microseconds, where `limit` takes hundreds."""
        ...

    def limit(self, logits: NDArray[np.float32]) -> None:
        """Leave only what may come next, in place; shape (vocabulary,)."""
        ...

    def accept(self, token: int) -> None:
        """Go on with a token that was picked from what `limit` left."""
        ...


class Bound(TokenFilter, Protocol):
    """One answer's bounds."""

    @property
    def problem(self) -> str | None:
        """Why the answer can't go on; None: it can."""
        ...

    def forced(self) -> list[Token]:
        """Return what must come next, and go on with it; its last one ends the answer that is complete."""
        ...

    def rewind(self, count: int) -> None:
        """Take back the last tokens."""
        ...


class Compiler(Protocol):
    """Makes bounds for answers of one model."""

    @property
    def made(self) -> bool:
        """Whether there is what all bounds need."""
        ...

    def begin(self) -> None:
        """Have made what all bounds need, in a thread of its own: the first one would wait for it."""
        ...

    def bound(self, constraint: Constraint) -> Bound:
        """Return what bounds one answer. Any thread.

        Raises:
            InvalidRequestError: It can't be compiled.
        """
        ...

    def calls(self, tools: Tools, form: Form) -> Bound:
        """Return what bounds an answer that may call tools. Any thread.

        Args:
            tools: What may be called, and whether.
            form: How the model writes calls.

        Raises:
            InvalidRequestError: It can't be compiled.
        """
        ...


class Backend(Protocol):
    """Computes with a model. Called by one thread only, except for `abort`.

    Attributes:
        computed_s: Seconds that all steps so far spent on computing and on sampling.
    """

    computed_s: float

    def open(self, slot: int, sampling: Sampling, world: World, limits: TokenFilter | None = None) -> None:
        """Begin a sequence in a slot.

        Args:
            slot: Empty.
            sampling: How its tokens are picked.
            world: What decides its KV values beside its tokens. Plans share only between equal worlds.
            limits: What its tokens may be; told of each one that is picked. None: anything.
        """
        ...

    def step(self, plan: Plan) -> Yield:
        """Change the KV cache as planned, compute the work, return what it yields.

        The tokens of each that samples are one, and one more for each drafted token that held. The KV cache
        keeps no others.

        Raises:
            KvFullError: There was no room; the KV cache is as it was before the work.
            StepAbortedError: `abort` was called; likewise.
            InternalError: The step failed; every sequence in it is lost.
        """
        ...

    def use_threads(self, decode: int, prefill: int) -> None:
        """Set the number of threads from now on; without effect if `adjusts_threads` is false.

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
        """Fill an opened, empty slot with the first `length` tokens of a state, or as many as it can.

        Args:
            slot: To fill.
            state: A snapshot of the slot's own world.
            length: In tokens.

        Returns:
            How many of them it holds now; 0 if there was no room.
        """
        ...


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model, ready to serve.

    Attributes:
        compiler: Makes bounds for answers; None: answers are not bounded, whatever a request says.
        marking: How the model marks its thoughts; None: not at all.
        ends: The tokens that end an answer.
    """

    backend: Backend
    codec: Codec
    facts: ModelFacts
    compiler: Compiler | None = None
    marking: Marking | None = None
    ends: tuple[int, ...] = ()


# Ends a load, given what is called with the fraction done, often enough to show that it moves. Raises a
# ModelError where the model can't be loaded, a MemoryShortError where it does not fit into what is free of
# memory now.
Finish = Callable[[Callable[[float], None]], LoadedModel]
