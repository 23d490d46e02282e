"""The command `edgeassist`, before it is what was asked for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path


def test_ctrl_c_while_modules_are_imported_ends_a_command_without_a_traceback(tmp_path: Path) -> None:
    # Stands in the way of the first package that the command line needs.
    (tmp_path / "typer.py").write_text("print('importing', flush=True)\ninput()\n")
    with subprocess.Popen(
        [sys.executable, "-m", "edgeassist", "demo"],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        assert command.stdout.readline() == "importing\n"
        command.send_signal(signal.SIGINT)
        assert command.stderr.read() == ""
        assert command.wait() == -signal.SIGINT


def test_garbage_is_looked_for_again_once_a_command_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, gc\natexit.register(lambda: print(gc.isenabled(), gc.get_freeze_count() > 10_000))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "edgeassist", "--config", str(tmp_path / "none.toml"), "run"],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "there is no configuration file" in ended.stderr
    assert ended.stdout == "True True\n"
