"""`bench --quality`, end to end: a daemon that answers from a file, and a model that knows nothing."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edgeassist.bench import device, run, turns
from edgeassist.bench.models import synthetic_models
from edgeassist.cli.main import app
from edgeassist.evaluation.quality.confined import Confinement
from tests.preloaded import PrivateDaemon
from tests.quality_tasks import BUILTIN

pytestmark = pytest.mark.timeout(180)
SERVER = os.environ.get("EDGEASSIST_TEST_LLAMA_SERVER")


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PAUSE_S", 0.05)
    monkeypatch.setattr(run, "OTHERS_LIMIT", 1.0)
    monkeypatch.setattr(device, "PrivateDaemon", PrivateDaemon)


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No code can be confined."""
    monkeypatch.setattr(Confinement, "found", lambda: Confinement(None))


def answers(path: Path, **wrong: str) -> str:
    """Write a file of right answers, but for some tasks; return its path."""
    known = {task.prompt: wrong.get(task.id.replace("-", "_"), task.right) for task in BUILTIN}
    path.write_text(json.dumps(known), "utf-8")
    return str(path)


def bench(*arguments: str, status: int = 0) -> str:
    ended = CliRunner().invoke(app, ["bench", "--threads", "1", *arguments], catch_exceptions=False)
    assert ended.exit_code == status, ended.output
    return ended.stdout


def quality(*arguments: str, status: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bench("--quality", "--json", *arguments, status=status))["device"]
    return found


def test_right_answers_of_every_kind_are_right_and_wrong_ones_told(tmp_path: Path) -> None:
    if (why := asyncio.run(Confinement.found().why_not())) is not None:
        pytest.skip(f"no code can be confined here: {why}")
    model = tmp_path / "answers.json"
    code = next(task for task in BUILTIN if task.id == "en-code-02")
    answers(
        model,
        en_everyday_01="The answer is 86.",
        zh_riddles_01="<think>5</think>3只",
        en_code_02=code.wrong[0],
    )
    ended = quality("--model", str(model), "--limit", "20")
    verdicts = {each["id"]: each for each in ended["verdicts"]}
    wrong = {name: each["why"] for name, each in verdicts.items() if not each["right"]}
    assert wrong.pop("en-everyday-01") == "gives 86; 85 is right"
    assert wrong.pop("en-code-02").startswith("fails: assert ")
    assert wrong == {}
    assert ended["scores"]["all"] == {"right": 18, "tasks": 20}
    assert (ended["left_out"], ended["missing"]) == (0, None)
    # Thoughts arrive apart from the answer, or not at all.
    assert verdicts["zh-riddles-01"]["answer"] == "3只"


def test_tasks_with_code_are_left_out_and_told_where_it_can_not_be_confined(
    tmp_path: Path, nowhere: None
) -> None:
    told = bench("--quality", "--model", answers(tmp_path / "answers.json"), "--limit", "8")
    assert "right answers, of 6" in told
    assert "right: code" not in told
    assert "2 tasks with code were left out: bubblewrap is not installed" in told
    marked = bench("--quality", "--model", str(tmp_path / "answers.json"), "--limit", "8", "--markdown")
    assert "| right answers, of 6 ↑ | 6 |" in marked
    assert "\n\n2 tasks with code were left out: bubblewrap is not installed" in marked


def test_a_file_of_ones_own_is_asked_and_drawn(tmp_path: Path) -> None:
    own = tmp_path / "own.jsonl"
    task = {"id": "a", "kind": "riddles", "language": "zh", "prompt": "一加一等于几？"}
    own.write_text(json.dumps({**task, "checks": [{"type": "number", "value": 2}]}), "utf-8")
    model = tmp_path / "answers.json"
    model.write_text(json.dumps({"一加一*": "答案是２。"}), "utf-8")
    picture = tmp_path / "picture.png"
    found = quality("--model", str(model), "--tasks", str(own), "--picture", str(picture))
    assert found["scores"] == {name: {"right": 1, "tasks": 1} for name in ("all", "riddles", "zh")}
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_comparison_has_the_counts_beside_its_figures(tmp_path: Path, nowhere: None) -> None:
    pytest.importorskip("llama_cpp")
    model = synthetic_models(tmp_path, "trial", ["q8_0"], threads=1, on_step=lambda _: None)[0]
    tokens = ("--prompt-tokens", "64", "--max-tokens", "8", "--runs", "1")
    picture = tmp_path / "picture.png"
    document = json.loads(
        bench(
            "--compare", str(model), *tokens, "--quality", "--limit", "8", "--json", "--picture", str(picture)
        )
    )
    counts = [row for row in document["comparisons"] if row["figure"]["name"].startswith("right")]
    assert [(row["figure"]["name"], row["figure"]["unit"]) for row in counts] == [
        ("right answers", "of 6"),
        ("right: everyday", "of 2"),
        ("right: wishes", "of 2"),
        ("right: riddles", "of 2"),
        ("right: in English", "of 3"),
        ("right: in Chinese", "of 3"),
    ]
    # Random weights know nothing.
    assert counts[0]["sides"][model.name]["median"] == 0
    asked = document["quality"][model.name]
    assert (len(asked["verdicts"]), asked["left_out"]) == (6, 2)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(SERVER is None, reason="EDGEASSIST_TEST_LLAMA_SERVER names no llama-server")
def test_a_llama_server_is_asked_the_same(tmp_path: Path, nowhere: None) -> None:
    model = synthetic_models(tmp_path, "trial", ["q8_0"], threads=1, on_step=lambda _: None)[0]
    peer = ("--peer", f"llama-server={SERVER}")
    document = json.loads(bench("--quality", "--model", str(model), *peer, "--limit", "3", "--json"))
    assert set(document) == {"device", "llama-server"}
    ids = [[verdict["id"] for verdict in side["verdicts"]] for side in document.values()]
    assert ids[0] == ids[1]
    assert all(verdict["answer"] for side in document.values() for verdict in side["verdicts"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--quality",), "name it with --model"),
        (("--limit", "3"), "--tasks and --limit go with --quality"),
        (("--tasks", "mine.jsonl"), "--tasks and --limit go with --quality"),
        (("--quality", "--model", "builtin:tiny", "--tasks", "nothing.jsonl"), "can't read nothing.jsonl"),
        (("--quality", "--model", "nothing.gguf"), "there is no nothing.gguf"),
    ],
)
def test_what_can_not_be_asked_is_told(arguments: tuple[str, ...], told: str) -> None:
    ended = CliRunner().invoke(app, ["bench", *arguments])
    assert told in str(ended.exception)
