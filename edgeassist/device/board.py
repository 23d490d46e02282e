"""What this machine is called."""

from __future__ import annotations

import platform
from pathlib import Path

from edgeassist.device.files import ROOT, read_text


def board_name(root: Path = ROOT) -> str:
    """Return the board's name from the device tree (ARM), else the processor's."""
    board = read_text(root / "proc/device-tree/model")
    if board:
        return board.rstrip("\0").strip()
    lines = (read_text(root / "proc/cpuinfo") or "").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
