"""`python -m tests.wire.record [NAME …]`: write what the daemon answers now into the fixtures, on purpose."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.wire.fixtures import FOLDER, paths
from tests.wire.stages import Stages, in_groups


def record(names: list[Path]) -> list[Path]:
    """Play the fixtures, write them anew, and return those that changed."""
    changed = []
    groups = in_groups(names)
    with (
        tempfile.TemporaryDirectory(prefix="wire") as folder,
        Stages(groups, lambda: Path(tempfile.mkdtemp(dir=folder))) as stages,
    ):
        for key, fixtures in groups.items():
            for path, fixture in fixtures.items():
                with stages.of(key) as stage:
                    text = stage.play(fixture).text()
                if text != path.read_text():
                    path.write_text(text)
                    changed.append(path)
    return changed


if __name__ == "__main__":
    chosen = [FOLDER / f"{name}.json" for name in sys.argv[1:]] or paths()
    for path in record(chosen):
        print(f"written anew: {path.name}")  # noqa: T201 - a command
