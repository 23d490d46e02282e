"""What to measure. Pure functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from edgeassist.bench.scenarios import LONG_TOKENS, Name, Scenario, scenarios
from edgeassist.errors import ConfigurationError
from edgeassist.settings.schema import EngineSettings, ModelSettings

# Room for the chat template, and for prompts that exceed their target.
HEADROOM = 64
ALL = "all"


class PeerKind(StrEnum):
    """Kinds of peers: a llama-server, a daemon without a governor, or the daemon of another checkout."""

    LLAMA_SERVER = "llama-server"
    FIXED_THREADS = "fixed-threads"
    CHECKOUT = "checkout"


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer; `path` is the llama-server program or the checkout's folder."""

    kind: PeerKind
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure, and against which peer.

    Attributes:
        scenarios: The scenarios to run.
        prompt_tokens: Prompt tokens of `single`.
        max_tokens: The most answer tokens of `single`.
        runs: Repetitions that count.
        threads: Threads of each side.
        governed: True if the device may reduce its threads, as it ships.
        idle_s: Seconds of idling to measure; 0 for none.
        peer: The peer to compare with; None for none.
        baseline: True if the bare loop takes part in `single`.
        slot_tokens: Context of each slot; None for the daemon's default.
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
        """The scenarios, ready to run."""
        return scenarios(self.scenarios, prompt_tokens=self.prompt_tokens, max_tokens=self.max_tokens)

    @property
    def context(self) -> int:
        """Context of each slot on every side: as asked for, raised to what the scenarios need."""
        most = max(self.prompt_tokens + self.max_tokens, LONG_TOKENS)
        return max(self.slot_tokens or ModelSettings().context, most + HEADROOM)

    @property
    def batch(self) -> int:
        """The most prompt tokens per forward pass of the bare loop: the daemon's default."""
        return EngineSettings().step_tokens

    @property
    def steps(self) -> int:
        """The number of progress steps that `measure` reports."""
        repeated = sum(self.runs * self.sides(scenario) for scenario in self.scenarios)
        return len(self.scenarios) + repeated + (self.idle_s > 0)

    def sides(self, scenario: Name) -> int:
        """Return the number of sides in a scenario."""
        return 1 + (self.peer is not None) + self.compares_bare(scenario)

    def compares_bare(self, scenario: Name) -> bool:
        """Return True if the bare loop takes part in a scenario."""
        return self.baseline and scenario is Name.SINGLE


def parse_scenarios(text: str) -> tuple[Name, ...]:
    """Parse a comma-separated list of scenarios; return them in `Name`'s order. `all` selects every one.

    Raises:
        ConfigurationError: A scenario is unknown.
    """
    names = [name.strip().lower() for name in text.split(",")]
    if names == [ALL]:
        return tuple(Name)
    unknown = [name for name in names if name not in set(Name)]
    if unknown:
        raise ConfigurationError(f"--scenario: {unknown[0]!r} is none of: {', '.join([*Name, ALL])}")
    return tuple(name for name in Name if name in names)


def parse_peer(text: str, *, is_program: Callable[[Path], bool]) -> Peer:
    """Parse a peer: `llama-server=PATH`, `checkout=FOLDER` or `fixed-threads`.

    Args:
        text: The option's value.
        is_program: Returns True if a path is an executable file.

    Raises:
        ConfigurationError: The value is invalid, or its path is not what it should be.
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
