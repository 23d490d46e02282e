"""Whether llama.cpp, which `scripts/install.sh` compiles in the background, is on its way. Sans-I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from edgeassist.doctor.finding import ok, warning
from edgeassist.protocol.findings import Finding

_AREA = "llama.cpp"
UNIT = "edgeassist-llama"
_START = f"sudo systemctl start {UNIT}"


class Stage(Enum):
    """What the unit does."""

    RUNS = auto()
    WAITS = auto()  # and tries again by itself
    STOPPED = auto()


@dataclass(frozen=True, slots=True)
class BackgroundSnapshot:
    """The second stage of an installation.

    Attributes:
        problem: Why it ended the last time; None if it has not.
        hint: What to do about that.
    """

    stage: Stage
    problem: str | None = None
    hint: str = ""


def check_background(snapshot: BackgroundSnapshot | None) -> Iterator[Finding]:
    """Judge the second stage; None is none: all is there, or was never to come."""
    if snapshot is None:
        return
    why = snapshot.problem or "something stopped it"
    match snapshot.stage:
        case Stage.RUNS:
            yield ok(
                _AREA,
                "it is compiled in the background, and used once it is ready; ONNX Runtime GenAI serves "
                "meanwhile",
            )
        case Stage.WAITS:
            yield warning(
                _AREA,
                f"it is not compiled yet, and ONNX Runtime GenAI serves: {why}",
                f"it is tried again within ten minutes; how it goes: journalctl -u {UNIT} -n 30",
            )
        case Stage.STOPPED:
            yield warning(
                _AREA,
                f"it was not compiled, and ONNX Runtime GenAI serves: {why}",
                f"{snapshot.hint}; then: {_START}" if snapshot.hint else _START,
            )
