"""The peer of the bench: programs that are none, and that end, are told with their last words."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeassist.bench.server import LlamaServer
from edgeassist.errors import ConfigurationError, ModelError


def peer(binary: Path, folder: Path) -> LlamaServer:
    return LlamaServer(binary, folder / "model.gguf", folder=folder, threads=1, context=512, slots=4)


def program(folder: Path, *lines: str) -> Path:
    path = folder / "program"
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o755)
    return path


async def test_a_server_that_ends_at_once_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    binary = program(tmp_path, "#!/bin/sh", 'echo "unknown argument: $1" >&2', "exit 1")
    with pytest.raises(ModelError, match=r"did not get ready[^$]*unknown argument: --host"):
        await peer(binary, tmp_path).start()


async def test_a_program_for_another_machine_is_told(tmp_path: Path) -> None:
    binary = program(tmp_path, "\x7fELF no machine has this")
    with pytest.raises(ConfigurationError, match="can't run"):
        await peer(binary, tmp_path).start()


async def test_settings_of_llama_server_in_the_environment_are_not_its(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_ARG_CTX_SIZE", "1")
    binary = program(tmp_path, "#!/bin/sh", 'echo "variable:$LLAMA_ARG_CTX_SIZE:"', "exit 1")
    with pytest.raises(ModelError, match="variable::"):
        await peer(binary, tmp_path).start()


async def test_stop_ends_a_server_that_never_got_healthy(tmp_path: Path) -> None:
    server = peer(program(tmp_path, "#!/bin/sh", "exec sleep 60"), tmp_path)
    server.process.start()
    pid = server.process.pid
    await server.stop()
    assert not Path(f"/proc/{pid}").exists()
