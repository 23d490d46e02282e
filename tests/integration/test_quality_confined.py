"""A model's code runs confined: what it may not do fails, and nothing is left of it. All is harmless."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from edgeassist.evaluation.quality import confined
from edgeassist.evaluation.quality.confined import Confinement, UnconfinedError
from edgeassist.evaluation.quality.evaluate import fault_of
from edgeassist.evaluation.quality.tasks import Task
from tests.quality_tasks import BUILTIN

CODE_TASKS = [task for task in BUILTIN if task.code]
RIGHT = "def f(n):\n    return n\n"
ASSERTS = ["assert f(1) == 1"]


@pytest.fixture(scope="module")
def confinement() -> Confinement:
    """What this machine has; without it, nothing of this is shown."""
    found = Confinement.found()
    if (why := asyncio.run(found.why_not())) is not None:
        pytest.skip(f"no code can be confined here: {why}")
    return found


async def run(confinement: Confinement, code: str) -> str:
    return await confinement.run(code, "f", ASSERTS) or "no fault"


@pytest.mark.parametrize("task", CODE_TASKS, ids=lambda task: task.id)
async def test_the_right_code_of_a_task_passes_and_the_wrong_does_not(
    confinement: Confinement, task: Task
) -> None:
    assert task.right is not None
    assert await fault_of(task, task.right, confinement) is None
    for wrong in task.wrong:
        assert await fault_of(task, wrong, confinement) is not None, wrong


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (RIGHT, "no fault"),
        ("print('hello')\n" + RIGHT, "no fault"),
        (RIGHT + "if __name__ == '__main__':\n    input()\n", "no fault"),
        (RIGHT + "assert f(1) == 2\n", "no fault"),
        (RIGHT + "input()\n", "no fault"),
        ("def f(n):\n    return n + 1\n", "fails: assert f(1) == 1"),
        ("def f(n):\n    return missing\n", "NameError"),
        ("def g(n):\n    return n\n", "defines no function f"),
        ("f = 1\n", "defines no function f"),
        ("def f(n:\n", "SyntaxError"),
        ("def f(n):\n    return f(n)\n", "RecursionError"),
        ("input()\n" + RIGHT, "EOFError"),
        ("raise SystemExit(0)\n" + RIGHT, "SystemExit"),
        ("import os\nos._exit(0)\n" + RIGHT, "ended its process"),
        ("x = bytearray(1 << 30)\n" + RIGHT, "MemoryError"),
    ],
)
async def test_code_is_judged_by_its_asserts(confinement: Confinement, code: str, told: str) -> None:
    assert told in await run(confinement, code)


@pytest.mark.parametrize(
    "attempt",
    [
        "open('/etc/hostname')",
        "open('/proc/self/status')",
        "open('/usr/written', 'w')",
        "open('/dev/shm/written', 'w')",
        "open('/written', 'w')",
        "open('/tmp/written', 'wb').write(bytes(2 << 20))",
        "import os; os.fork()",
        "import subprocess; subprocess.run(['/usr/bin/true'])",
        "import threading; threading.Thread(target=print).start()",
        "import socket; socket.create_connection(('127.0.0.1', 1), 1)",
        "import resource; resource.setrlimit(resource.RLIMIT_NPROC, (9, 9))",
        "import os; os.setuid(0)",
        "import pydantic",
        "assert 0, __import__('os').listdir('/home')",
    ],
)
async def test_what_code_may_not_do_fails(confinement: Confinement, attempt: str) -> None:
    tried = f"def f(n):\n    {attempt}\n    return n\n"
    assert (await run(confinement, tried)).startswith("fails: assert f(1) == 1: ")


async def test_code_may_write_a_small_file_of_its_own_that_nobody_sees_later(
    confinement: Confinement,
) -> None:
    # Under a name that no other program on this machine has.
    mine = Path("/tmp") / f"mine-{uuid4().hex}"  # noqa: S108 - of the child
    code = f"def f(n):\n    open('{mine}', 'x').write('1')\n    return int(open('{mine}').read())\n"
    assert await run(confinement, code) == "no fault"
    assert await run(confinement, code) == "no fault"
    assert not mine.exists()


async def test_code_that_writes_without_end_tells_nothing(confinement: Confinement) -> None:
    code = "import os\nfor n in range(3, 16):\n    try:\n        while os.write(n, b'x' * 65536): pass\n"
    assert "ended its process" in await run(confinement, code + "    except OSError: pass\n" + RIGHT)


@pytest.mark.parametrize("code", ["while True: pass", "import time\ntime.sleep(1000)"])
async def test_code_that_does_not_end_is_ended(
    confinement: Confinement, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confined, "WALL_S", 3.0)
    assert "ended its process, or took more than" in await run(confinement, code)
    ours = [each for each in psutil.Process().children(recursive=True) if "bwrap" in each.name()]
    assert ours == []


async def test_nothing_runs_where_the_child_is_not_confined(tmp_path: Path) -> None:
    """A `bwrap` that confines nothing, and runs what stands behind the options."""
    loose = tmp_path / "bwrap"
    loose.write_text('#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec "$@"\n')
    loose.chmod(0o755)
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(0o755)  # the child is nobody, where we are root
    trace = tmp_path / "trace"
    with pytest.raises(UnconfinedError, match="the confined child sees /"):
        await Confinement(loose).run(f"open({str(trace)!r}, 'w')\n{RIGHT}", "f", ASSERTS)
    assert not trace.exists()
    assert "sees /" in str(await Confinement(loose).why_not())


async def test_it_is_said_why_code_can_not_be_confined(tmp_path: Path) -> None:
    assert "apt-get install bubblewrap" in str(await Confinement(None).why_not())
    assert "did not work" in str(await Confinement(Path(str(shutil.which("true")))).why_not())
    assert "can't be run" in str(await Confinement(tmp_path / "nothing").why_not())
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    refusing.chmod(0o755)
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(0o755)
    assert "No permissions to create new namespace" in str(await Confinement(refusing).why_not())
