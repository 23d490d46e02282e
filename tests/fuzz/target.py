"""What is fuzzed: a parser with its seeds, its mutator, and the errors that it may raise."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from random import Random

from edgeassist.errors import EdgeAssistError
from tests.fuzz import mutation


class FaultError(AssertionError):
    """An input broke a promise: no answer, two ends, a result that does not hold."""


class Target:
    """One parser, or several behind one door.

    Attributes:
        name: For the command line, and in the names of saved failures.
        limit_s: The most processor time that one input may take. None may hang, and ten seconds of it count
            as that.
        documented: What may be raised.
    """

    name = ""
    limit_s = 1.0
    documented: tuple[type[Exception], ...] = (EdgeAssistError,)

    def seeds(self) -> Sequence[bytes]:
        """Return inputs to begin with."""
        raise NotImplementedError

    def run(self, data: bytes) -> Hashable:
        """Take one input; what is returned tells apart what became of inputs.

        Raises:
            FaultError: A promise is broken.
            Exception: One that is not `documented` is a fault, too.
        """
        raise NotImplementedError

    def mutate(self, random: Random, data: bytes, other: bytes) -> bytes:
        """Return an input like `data`, in which something of `other` may stand."""
        return mutation.mutate(random, data, other)

    def take(self, data: bytes) -> Hashable:
        """Take one input, a documented error too; returns what became of it."""
        try:
            return self.run(data)
        except self.documented as error:
            return type(error).__name__, mutation.gist(str(error))

    def close(self) -> None:
        """Let go of what is held."""


class Parser(Target):
    """A function of bytes.

    Args:
        name: Of the target.
        parse: The function; what it returns tells apart what became of inputs, if it is hashable.
        seeds: Makes inputs to begin with.
        documented: What it may raise.
        mutate: Another mutator than that for JSON.
        limit_s: As `Target.limit_s`.
    """

    def __init__(
        self,
        name: str,
        parse: Callable[[bytes], object],
        seeds: Callable[[], Sequence[bytes]],
        documented: tuple[type[Exception], ...] = (EdgeAssistError,),
        *,
        mutate: Callable[[Random, bytes, bytes], bytes] = mutation.mutate,
        limit_s: float = 1.0,
    ) -> None:
        self.name = name
        self.documented = documented
        self.limit_s = limit_s
        self._parse = parse
        self._seeds = seeds
        self._mutate = mutate

    def seeds(self) -> Sequence[bytes]:
        """See `Target.seeds`."""
        return self._seeds()

    def run(self, data: bytes) -> Hashable:
        """See `Target.run`."""
        result = self._parse(data)
        return result if isinstance(result, str | int | tuple) else type(result).__name__

    def mutate(self, random: Random, data: bytes, other: bytes) -> bytes:
        """See `Target.mutate`."""
        return self._mutate(random, data, other)
