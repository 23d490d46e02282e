"""The second stage of an installation: what `scripts/lib/follow.sh` has left, and what its unit does."""

from __future__ import annotations

from pathlib import Path

from edgeassist.doctor.checks.background import UNIT, BackgroundSnapshot, Stage
from edgeassist.doctor.probes.run import ask_program
from edgeassist.errors import UnsupportedError

_FOLDER = Path("opt/edgeassist/llama")
_LIMIT_S = 3.0


def probe_background(root: Path = Path("/")) -> BackgroundSnapshot | None:
    """Return how llama.cpp's compilation in the background goes; None where there is none."""
    folder = root / _FOLDER
    if not folder.is_dir():
        return None
    try:
        state = ask_program(["systemctl", "show", "--property=SubState", "--value", UNIT], _LIMIT_S).output
    except UnsupportedError:
        state = ""
    try:
        problem, hint = (folder / "problem").read_text(encoding="utf-8").split("\n")[:2]
    except (OSError, ValueError):
        return BackgroundSnapshot(parse_stage(state))
    return BackgroundSnapshot(parse_stage(state), problem, hint)


def parse_stage(sub_state: str) -> Stage:
    """Return the stage for what systemd says of the unit."""
    match sub_state.strip():
        case "auto-restart" | "auto-restart-queued":
            return Stage.WAITS
        case "start" | "running" | "stop-sigterm":
            return Stage.RUNS
        case _:
            return Stage.STOPPED
