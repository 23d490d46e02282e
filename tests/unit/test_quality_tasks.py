"""The tasks that come with the package, files of one's own, and what is made of answers."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from edgeassist.bench.quality import quality_notes, quality_rows
from edgeassist.bench.table import comparison_rows
from edgeassist.errors import ConfigurationError, ContextOverflowError, InvalidRequestError, ModelError
from edgeassist.evaluation.quality.confined import Confinement
from edgeassist.evaluation.quality.evaluate import (
    INTERRUPTED,
    MOST_LATE,
    evaluate_quality,
    fault_of,
    load_tasks,
)
from edgeassist.evaluation.quality.reading import Answer
from edgeassist.evaluation.quality.report import KEPT_CHARACTERS, Quality, Score
from edgeassist.evaluation.quality.tasks import (
    MAX_CODE_TOKENS,
    MAX_TOKENS,
    Kind,
    Language,
    Task,
    digest_of,
    limited,
    read_tasks,
)
from tests.quality_tasks import BUILTIN

NOWHERE = Confinement(None)
NUMBER = {"type": "number", "value": 12}
CODE = {"type": "code", "function": "f", "asserts": ["assert f(1) == 1"]}


def line(**changes: Any) -> str:
    fields = {"id": "one", "kind": "everyday", "language": "en", "prompt": "6 + 6?", "checks": [NUMBER]}
    return json.dumps({**fields, **changes})


def tasks(count: int, **changes: Any) -> list[Task]:
    lines = [line(id=f"task {number}", prompt=f"{number}", **changes) for number in range(count)]
    return read_tasks("\n".join(lines), name="tasks.jsonl")


def test_there_are_a_hundred_tasks_half_in_each_language_and_all_kinds_alike() -> None:
    assert len(BUILTIN) == 100
    assert Counter(task.language for task in BUILTIN) == {Language.EN: 50, Language.ZH: 50}
    kinds = Counter((task.kind, task.language) for task in BUILTIN)
    assert {kinds[kind, Language.EN] for kind in Kind} == {12, 13}
    assert all(kinds[kind, Language.EN] == kinds[kind, Language.ZH] for kind in Kind)
    assert len({task.prompt for task in BUILTIN}) == 100


@pytest.mark.parametrize("task", BUILTIN, ids=lambda task: task.id)
def test_a_task_has_a_right_answer_and_wrong_ones_and_takes_no_other(task: Task) -> None:
    assert task.right
    assert task.wrong
    assert (task.code is not None) is (task.kind is Kind.CODE)
    if task.code is None:
        assert task.fault(Answer.of(task.right)) is None
        for wrong in [*task.wrong, task.prompt, "I don't know.", "我不知道。"]:
            assert task.fault(Answer.of(wrong)) is not None, wrong


def test_a_prompt_is_in_its_language_and_asks_for_little_more_than_it_checks() -> None:
    for task in BUILTIN:
        is_chinese = sum("\u4e00" <= each <= "\u9fff" for each in task.prompt) > 5
        assert is_chinese is (task.language is Language.ZH), task.id
        assert len(task.prompt) < 400
        assert task.max_tokens == (MAX_TOKENS if task.code is None else MAX_CODE_TOKENS)
        if task.code is not None:
            assert f"{task.code.function}(" in task.prompt


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no tasks"),
        ("\n \n", "has no tasks"),
        ("{", "line 1: is no JSON"),
        ("[" * 100_000, "line 1: is no JSON"),
        ("[]", "line 1: Input should be a valid dictionary"),
        (line() + "\n" + line(), "line 2: id 'one' stands twice"),
        (line(kind="poems"), "line 1: kind: Input should be 'everyday'"),
        (line(language="fr"), "line 1: language: Input should be 'en' or 'zh'"),
        (line(prompt=""), "line 1: prompt: String should have at least 1 character"),
        (line(checks=[]), "line 1: checks: List should have at least 1 item"),
        (line(answer="12"), "line 1: answer: Extra inputs are not permitted"),
        (line(checks=[{"type": "numbers"}]), "line 1: checks.0: Input tag 'numbers'"),
        (line(checks=[{"type": "month", "value": 13}]), "checks.0.month.value: Input should be less than"),
        (line(checks=[CODE, CODE]), "has more than one of code"),
        (line(right="13"), "right: would be judged wrong: gives 13; 12 is right"),
        (line(wrong=["13", "twelve"]), "wrong: 'twelve' would be judged right"),
    ],
)
def test_a_file_that_holds_no_tasks_is_refused_by_its_line(text: str, told: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        read_tasks(text, name="my.jsonl")
    assert refused.value.message.startswith("my.jsonl")
    assert told in refused.value.message


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text(
        "\ufeff" + line(right="Twelve.", wrong=["13"]) + "\n\n" + line(id="two", checks=[CODE]), "utf-8"
    )
    one, two = load_tasks(str(path))
    assert (one.id, two.code is None) == ("one", False)
    with pytest.raises(ConfigurationError, match="--tasks: can't read"):
        load_tasks(str(tmp_path / "nothing"))
    path.write_bytes(b"\xff")
    with pytest.raises(InvalidRequestError, match="is not UTF-8: byte 0"):
        load_tasks(str(path))


def test_fewer_tasks_are_of_all_kinds_and_languages() -> None:
    some = limited(BUILTIN, 8)
    assert {(task.kind, task.language) for task in some} == {(a, b) for a in Kind for b in Language}
    assert some == [task for task in BUILTIN if task in some]
    assert limited(BUILTIN, None) == limited(BUILTIN, 1000) == BUILTIN
    assert digest_of(some) != digest_of(BUILTIN) == digest_of(load_tasks())


class Scripted:
    """Answers by prompt; notes what was asked."""

    def __init__(self, answers: dict[str, str | Exception]) -> None:
        self._answers = answers
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, prompt: str, max_tokens: int) -> str:
        self.asked.append((prompt, max_tokens))
        answer = self._answers[prompt]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def evaluated(what: Sequence[Task], **answers: str | Exception) -> Quality:
    return await evaluate_quality(Scripted({key[1:]: each for key, each in answers.items()}), what, NOWHERE)


async def test_right_and_wrong_answers_are_counted_by_kind_and_language() -> None:
    what = [*tasks(2), *read_tasks(line(kind="riddles", language="zh", prompt="r"), name="")]
    found = await evaluated(what, _0="12", _1="13", _r="十二")
    assert [(each.right, each.why) for each in found.verdicts] == [
        (True, ""),
        (False, "gives 13; 12 is right"),
        (True, ""),
    ]
    assert found.scores == {
        "all": Score(2, 3),
        "everyday": Score(1, 2),
        "riddles": Score(1, 1),
        "en": Score(1, 2),
        "zh": Score(1, 1),
    }
    assert (found.left_out, found.missing) == (0, None)


async def test_empty_answers_and_thoughts_alone_are_wrong_and_long_ones_kept_in_part() -> None:
    found = await evaluated(tasks(3), _0="", _1="<think>12", _2="12\n" + "x" * 9000)
    assert [each.right for each in found.verdicts] == [False, False, True]
    assert found.verdicts[0].why == found.verdicts[1].why == "is empty"
    assert len(found.verdicts[2].answer) == KEPT_CHARACTERS


async def test_code_is_left_out_and_not_run_where_it_can_not_be_confined() -> None:
    what = [*tasks(1), *read_tasks(line(kind="code", checks=[CODE], prompt="c"), name="")]
    ask = Scripted({"0": "12"})
    found = await evaluate_quality(ask, what, NOWHERE)
    assert ask.asked == [("0", MAX_TOKENS)]
    assert (found.left_out, found.scores) == (1, {name: Score(1, 1) for name in ("all", "everyday", "en")})
    assert quality_notes({"m": found}) == [
        "1 tasks with code were left out: bubblewrap is not installed: sudo apt-get install bubblewrap"
    ]
    with pytest.raises(ConfigurationError, match="bubblewrap is not installed"):
        await fault_of(what[1], "def f(n):\n    return n", NOWHERE)


async def test_a_task_that_is_refused_is_wrong_and_costs_no_other() -> None:
    found = await evaluated(tasks(2), _0=ContextOverflowError("too long"), _1="12")
    assert [(each.right, each.why) for each in found.verdicts] == [
        (False, "is refused: too long"),
        (True, ""),
    ]


async def test_a_model_that_fails_later_keeps_its_verdicts_and_one_that_fails_at_once_raises() -> None:
    found = await evaluated(tasks(2), _0="12", _1=ModelError("it fell"))
    assert (found.scores["all"], found.missing) == (Score(1, 1), "it fell")
    assert quality_notes({"m": found}) == ["m: after 1 tasks: it fell"]
    with pytest.raises(ModelError, match="it fell"):
        await evaluated(tasks(2), _0=ModelError("it fell"))


async def test_an_interruption_keeps_the_verdicts() -> None:
    task = asyncio.current_task()
    assert task is not None

    def step(number: int, count: int) -> None:
        assert count == 3
        if number == 2:
            task.cancel()

    answers = Scripted({"0": "12", "1": "12", "2": "12"})

    async def ask(prompt: str, max_tokens: int) -> str:
        await asyncio.sleep(0)
        return await answers(prompt, max_tokens)

    found = await evaluate_quality(ask, tasks(3), NOWHERE, step)
    assert (found.scores["all"], found.missing) == (Score(2, 2), INTERRUPTED)


async def test_answers_that_never_come_are_wrong_and_end_the_measurement_where_none_comes() -> None:
    async def ask(prompt: str, max_tokens: int) -> str:
        if prompt == "first":
            return "12"
        await asyncio.Event().wait()
        raise AssertionError(max_tokens)

    late = await evaluate_quality(ask, tasks(MOST_LATE + 2), NOWHERE, deadline_s=0.01)
    assert len(late.verdicts) == MOST_LATE
    assert late.missing is not None
    some = [*read_tasks(line(prompt="first"), name=""), *tasks(MOST_LATE + 1)]
    found = await evaluate_quality(ask, some, NOWHERE, deadline_s=0.01)
    assert (found.scores["all"], found.missing) == (Score(1, MOST_LATE + 2), None)
    assert found.verdicts[-1].why == "no answer within 0.01 s"


async def test_the_counts_are_rows_of_a_table_where_a_model_lacks_some() -> None:
    one = await evaluated(tasks(2), _0="12", _1="13")
    other = await evaluated(read_tasks(line(kind="riddles", language="zh", prompt="r"), name=""), _r="12")
    rows = comparison_rows(quality_rows({"a": one, "b": other}), ["a", "b", "c"])
    assert rows == [
        ["", "a", "b", "c"],
        ["right answers, of 2 ↑", "1", "1", ""],
        ["right: everyday, of 2 ↑", "1", "", ""],
        ["right: riddles, of 1 ↑", "", "1", ""],
        ["right: in English, of 2 ↑", "1", "", ""],
        ["right: in Chinese, of 1 ↑", "", "1", ""],
    ]
