"""What home-assistant-datasets asks of an agent: homes, sentences, and how states must have changed.

Its rules (`entity_state/diff.py` there), written anew: after a sentence, each entity must have the state and
the attributes that it had before, with the expected changes; some attributes may be ignored. The home is that
of `_fixtures.yaml` beside a record, with what the record's `setup` says.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

# They follow from state and position, and no record declares them.
DERIVED = frozenset({"is_closed", "is_opening", "is_closing"})
# Whoever says this and has done it is counted as wrong there.
SORRY = "Sorry"

States = Mapping[str, Mapping[str, Any]]
"""By entity: `state`, and the attributes beside it."""


class Verdict(StrEnum):
    """What became of a sentence."""

    RIGHT = "right"
    NOTHING = "nothing happened"
    OTHERWISE = "the right thing, but not as asked"
    ELSEWHERE = "something else happened"
    SORRY = "right, but it said sorry"


@dataclass(frozen=True, slots=True)
class Task:
    """A sentence.

    Attributes:
        record: The folder's and the file's name.
        category: As the dataset calls it.
        said: The sentence.
        home: An inventory, as the custom component synthetic_home reads it.
        expected: What of states must change.
        ignored: Attributes by entity that may.
    """

    record: str
    category: str
    said: str
    home: Mapping[str, Any]
    expected: Mapping[str, Mapping[str, Any]]
    ignored: Mapping[str, frozenset[str]] = field(default_factory=dict)


def read_tasks(dataset: Path) -> Iterator[Task]:
    """Read a dataset of the form `assist`; records that expect no change are passed over.

    Raises:
        FileNotFoundError: There is no such dataset in this folder.
        ValueError: A record is about an entity that its home lacks.
    """
    records = sorted(path for path in dataset.glob("*/*.yaml") if not path.name.startswith("_"))
    if not records:
        raise FileNotFoundError(f"no records in {dataset}: it must be a folder such as datasets/assist-mini")
    for path in records:
        fixtures = yaml.safe_load((path.parent / "_fixtures.yaml").read_text())
        record = yaml.safe_load(path.read_text())
        for test in record["tests"]:
            for said in test["sentences"] if test.get("expect_changes") else ():
                yield Task(
                    record=f"{path.parent.name}/{path.stem}",
                    category=str(record["category"]),
                    said=said,
                    home=_home(fixtures, test.get("setup") or {}, path),
                    expected={entity: _flat(change) for entity, change in test["expect_changes"].items()},
                    ignored={
                        entity: frozenset(names)
                        for entity, names in (test.get("ignore_changes") or {}).items()
                    },
                )


def judge(task: Task, before: States, after: States, reply: str) -> tuple[Verdict, list[str]]:
    """Judge a sentence by the states before and after it, and by what was replied.

    Returns:
        The verdict, and what is not as it should be, one line for each attribute.
    """
    wrong = {
        entity: lines
        for entity in before
        if (lines := list(_differences(entity, task, before[entity], after.get(entity, {}))))
    }
    lines = [line for each in wrong.values() for line in each]
    if not wrong:
        return (Verdict.SORRY if SORRY in reply else Verdict.RIGHT), lines
    changed = {entity for entity in before if not _alike(before[entity], after.get(entity, {}))}
    if not changed:
        return Verdict.NOTHING, lines
    return (Verdict.OTHERWISE if changed <= set(task.expected) else Verdict.ELSEWHERE), lines


def _home(fixtures: Mapping[str, Any], setup: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    home = copy.deepcopy(dict(fixtures))
    entities = {entity["id"]: entity for entity in home["entities"]}
    for name, begins in setup.items():
        if name not in entities:
            raise ValueError(f"{path}: no entity {name} in its home")
        if begins.get("state") is not None:
            entities[name]["state"] = begins["state"]
        if begins.get("attributes"):
            entities[name]["attributes"] = {**entities[name].get("attributes", {}), **begins["attributes"]}
    return home


def _flat(change: Mapping[str, Any]) -> dict[str, Any]:
    state = {} if change.get("state") is None else {"state": change["state"]}
    return {**state, **(change.get("attributes") or {})}


def _differences(
    entity: str, task: Task, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[str]:
    wanted = {**before, **task.expected.get(entity, {})}
    for name in sorted({*wanted, *after} - DERIVED - task.ignored.get(entity, frozenset())):
        # An attribute that is newly there counts, even if it is null.
        if name not in wanted or not _same(wanted[name], after.get(name)):
            yield f"{entity} {name}: {wanted.get(name)!r} expected, {after.get(name)!r} found"


def _alike(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return all(_same(before.get(name), after.get(name)) for name in {*before, *after})


def _same(one: object, other: object) -> bool:
    return one == other or (
        not isinstance(one, list) and not isinstance(other, list) and str(one) == str(other)
    )
