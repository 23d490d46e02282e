"""What bounded answers need is made ahead of them where they were asked for before."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeassist.engine.constraints import LazyCompiler, make_compiler
from edgeassist.engine.foresight import Foresight
from edgeassist.engine.messages import Constraint, ConstraintKind
from tests.patience import PATIENCE_S

Make = Callable[[threading.Event], LazyCompiler]
BOUND = Constraint(ConstraintKind.REGEX, "a")


@pytest.fixture
def make() -> Make:
    """Make a compiler that tells when it is made."""

    def make(asked: threading.Event) -> LazyCompiler:
        def pieces() -> list[bytes]:
            asked.set()
            return [b"a", b"b", b""]

        made = make_compiler(pieces, 3, [2], lambda _text: [0])
        assert made is not None
        return made

    return make


def test_it_is_made_ahead_from_the_start_after_the_first_that_was_asked_for(
    tmp_path: Path, make: Make
) -> None:
    compiler, folder = make(threading.Event()), tmp_path / "kv"
    foresight = Foresight(folder)
    foresight.rest(compiler)
    assert (compiler.made, folder.exists()) == (False, False)
    compiler.bound(BOUND)
    foresight.rest(compiler)
    asked = threading.Event()
    Foresight(folder).rest(make(asked))
    assert asked.wait(PATIENCE_S)


def test_where_nothing_is_kept_it_is_always_made_ahead(make: Make) -> None:
    asked = threading.Event()
    Foresight(None).rest(make(asked))
    assert asked.wait(PATIENCE_S)


def test_a_folder_that_can_not_be_made_ends_nothing(tmp_path: Path, make: Make) -> None:
    (tmp_path / "file").touch()
    compiler, foresight = make(threading.Event()), Foresight(tmp_path / "file" / "kv")
    compiler.bound(BOUND)
    foresight.rest(compiler)
    assert not (tmp_path / "file").is_dir()
