"""How long the scripted model takes to load."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from edgeassist.engine.backends.loading import load_backend
from edgeassist.engine.messages import Load


@pytest.mark.parametrize(
    ("known", "least_s"), [({"!load": "!script delay_ms=300"}, 0.3), ({"*": "Hello"}, 0)]
)
def test_it_takes_as_long_as_its_file_says(tmp_path: Path, known: dict[str, str], least_s: float) -> None:
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps(known))
    told: list[float] = []
    begin = time.monotonic()
    load_backend(Load("scripted", str(answers), 64, 1, 8), told.append)
    assert time.monotonic() - begin >= least_s
    assert told == sorted(told)
    assert told[-1] == 1
    assert (len(told) > 1) == (least_s > 0)
