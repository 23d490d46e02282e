"""What is to be measured. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from edgeassist.bench.scenarios import LONG_TOKENS, Name, Scenario, scenarios
from edgeassist.errors import ConfigurationError
from edgeassist.settings.schema import EngineSettings, ModelSettings

# What a prompt may be over its target, and the chat template adds.
HEADROOM = 64
ALL = "all"


class PeerKind(StrEnum):
    """Who can do the same work.

    A server that one would use instead, a daemon without a governor, or the daemon of another checkout: the
    commit before, for instance.
    """

    LLAMA_SERVER = "llama-server"
    FIXED_THREADS = "fixed-threads"
    CHECKOUT = "checkout"


@dataclass(frozen=True, slots=True)
class Peer:
    """One of them; `path` is the program of a llama-server, or the folder of a checkout."""

    kind: PeerKind
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure, and against whom.

    Attributes:
        scenarios: Which.
        prompt_tokens: In, of `single`.
        max_tokens: Out at most, of `single`.
        runs: Repetitions that count.
        threads: Of each side.
        governed: Whether the device may use fewer of them when it sees fit, as it ships.
        idle_s: Seconds of doing nothing that are measured too.
        peer: Who else does the same; None for nobody.
        baseline: Whether the bare loop takes part, in `single`.
        slot_tokens: Context that each slot is to have; None: the daemon's default.
    """

    scenarios: tuple[Name, ...]
    prompt_tokens: int
    max_tokens: int
    runs: int
    threads: int
    governed: bool = True
    idle_s: float = 0.0
    peer: Peer | None = None
    baseline: bool = True
    slot_tokens: int | None = None

    @property
    def chosen(self) -> list[Scenario]:
        """The scenarios."""
        return scenarios(self.scenarios, prompt_tokens=self.prompt_tokens, max_tokens=self.max_tokens)

    @property
    def context(self) -> int:
        """Tokens that each slot of every side has room for: as asked for, or as many as it takes."""
        most = max(self.prompt_tokens + self.max_tokens, LONG_TOKENS)
        return max(self.slot_tokens or ModelSettings().context, most + HEADROOM)

    @property
    def batch(self) -> int:
        """The most prompt tokens of one forward pass of the bare loop: the daemon's default."""
        return EngineSettings().step_tokens

    @property
    def steps(self) -> int:
        """The steps that `measure` counts its progress in."""
        repeated = sum(self.runs * self.sides(scenario) for scenario in self.scenarios)
        return len(self.scenarios) + repeated + (self.idle_s > 0)

    def sides(self, scenario: Name) -> int:
        """Return how many take part in a scenario."""
        return 1 + (self.peer is not None) + self.compares_bare(scenario)

    def compares_bare(self, scenario: Name) -> bool:
        """Whether the bare loop takes part in a scenario."""
        return self.baseline and scenario is Name.SINGLE


def parse_scenarios(text: str) -> tuple[Name, ...]:
    """Return the scenarios of a list with commas, in the order that all are listed in; `all` means each.

    Raises:
        ConfigurationError: One is unknown.
    """
    names = [name.strip().lower() for name in text.split(",")]
    if names == [ALL]:
        return tuple(Name)
    unknown = [name for name in names if name not in set(Name)]
    if unknown:
        raise ConfigurationError(f"--scenario: {unknown[0]!r} is none of: {', '.join([*Name, ALL])}")
    return tuple(name for name in Name if name in names)


def parse_peer(text: str, *, is_program: Callable[[Path], bool]) -> Peer:
    """Return a peer that is written as `llama-server=PATH`, `checkout=FOLDER` or `fixed-threads`.

    Args:
        text: As the person gave it.
        is_program: Whether a path is a file that can be run.

    Raises:
        ConfigurationError: It is none.
    """
    kind, _, path = text.partition("=")
    place = Path(path).expanduser()
    match kind:
        case PeerKind.FIXED_THREADS if not path:
            return Peer(PeerKind.FIXED_THREADS)
        case PeerKind.CHECKOUT if path:
            if not (place / "edgeassist" / "__main__.py").is_file():
                raise ConfigurationError(f"--peer: {path} is no checkout of EdgeAssist")
            return Peer(PeerKind.CHECKOUT, place.resolve())
        case PeerKind.LLAMA_SERVER if path:
            if not is_program(place):
                raise ConfigurationError(
                    f"--peer: {path} is no program that can be run; how to build one: docs/performance.md"
                )
            return Peer(PeerKind.LLAMA_SERVER, place)
        case _:
            raise ConfigurationError(
                f"--peer: {text!r} is none of {PeerKind.LLAMA_SERVER}=PATH, {PeerKind.CHECKOUT}=FOLDER and "
                f"{PeerKind.FIXED_THREADS}"
            )
