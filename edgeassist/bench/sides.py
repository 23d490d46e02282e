"""The sides of a measurement: the device, and the peer of the plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeassist.bench.contender import Contender
from edgeassist.bench.device import Device
from edgeassist.bench.plan import Peer, PeerKind, Plan


def make_sides(
    model: Path, plan: Plan, folder: Path, *, context: int, slots: int, threads: int | None
) -> list[Contender]:
    """Return the sides, not started; the device comes first.

    Args:
        model: The GGUF file, or the folder of an ONNX model.
        plan: Which peer.
        folder: For logs and state.
        context: The most tokens of prompt and answer together.
        slots: Concurrent answers.
        threads: Compute threads of the device; None lets it adapt them. A peer that can't has the plan's.
    """
    sizes: dict[str, Any] = {"context": context, "slots": slots}
    sides: list[Contender] = [Device(model, folder=folder, threads=threads, **sizes)]
    match plan.peer:
        case Peer(kind=PeerKind.FIXED_THREADS as kind):
            beside = _folder(folder, kind)
            sides.append(Device(model, folder=beside, threads=plan.threads, name=kind.value, **sizes))
        case Peer(kind=PeerKind.CHECKOUT as kind, path=checkout):
            beside = _folder(folder, kind)
            sides.append(
                Device(model, folder=beside, threads=threads, name=kind.value, checkout=checkout, **sizes)
            )
        case Peer(path=Path() as program):
            from edgeassist.bench.server import LlamaServer  # noqa: PLC0415 - needs httpx, an extra

            sides.append(LlamaServer(program, model, folder=folder, threads=plan.threads, **sizes))
        case _:
            pass
    return sides


def _folder(parent: Path, name: str) -> Path:
    """Make a subfolder and return it."""
    folder = parent / name
    folder.mkdir()
    return folder
