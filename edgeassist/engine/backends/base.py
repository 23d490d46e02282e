"""What a backend is: the Protocol that each one fulfils, and a model that one has loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edgeassist.engine.kv.world import World
from edgeassist.engine.messages import ModelFacts, Sampling
from edgeassist.engine.prompting.codec import Codec
from edgeassist.engine.step import Plan, Sampled


class Backend(Protocol):
    """A model in memory. Called by one thread only, except for `abort`.

    Attributes:
        computed_s: Seconds spent in all steps so far on computing, and on picking tokens from the result.
    """

    computed_s: float

    def open(self, slot: int, sampling: Sampling, world: World) -> None:
        """Begin a sequence in a slot.

        Args:
            slot: Empty.
            sampling: How its tokens are picked.
            world: What decides its KV values beside its tokens. Plans share only between equal worlds.
        """
        ...

    def step(self, plan: Plan) -> Sampled:
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
    """A model, ready to serve."""

    backend: Backend
    codec: Codec
    facts: ModelFacts
