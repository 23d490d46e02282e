"""docs/protocol.md names all of the contract that clients rely on."""

import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from edgeassist.errors import Code
from edgeassist.protocol import events, state, watches
from edgeassist.protocol.commands import COMMANDS
from edgeassist.protocol.requests import PromptRequest

CONTRACT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
NAME = re.compile(r"`(\w+)`")


def section(heading: str) -> str:
    """Return the text between a heading and the next one."""
    return re.split(r"^#+ ", CONTRACT.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def first_column(text: str) -> list[str]:
    """Return the names in the first column of the tables in a text."""
    cells: list[str] = re.findall(r"^\|([^|]*)\|", text, re.MULTILINE)
    return [name for cell in cells for name in NAME.findall(cell)]


def named_in_row(row: str) -> set[str]:
    """Return the names in the columns after the first of the row that begins with that text in code."""
    cells = re.findall(rf"^\| `{re.escape(row)}` \|(.*)$", CONTRACT, re.MULTILINE)
    assert len(cells) == 1
    return set(NAME.findall(cells[0]))


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ("<root>/health", state.Health),
        ("<root>/telemetry", state.Telemetry),
        ("<root>/info", state.Info),
        ("<root>/info", state.ModelInfo),
        ("<root>/watch/<name>", watches.WatchState),
        ("<root>/watch/<name>", watches.WatchAnswer),
    ],
)
def test_every_field_of_a_state_document_is_in_its_row(row: str, kind: type[BaseModel]) -> None:
    assert set(kind.model_fields) - named_in_row(row) == set()


@pytest.mark.parametrize("kind", get_args(events.AnyEvent))
def test_every_field_of_an_event_is_in_its_row(kind: type[BaseModel]) -> None:
    own = set(kind.model_fields) - {"type", "id", "seq"}
    assert own - named_in_row(kind.model_fields["type"].default) == set()


def test_every_figure_of_an_answer_is_named() -> None:
    assert set(events.Usage.model_fields) <= set(NAME.findall(section("Replies")))
    assert set(events.Timings.model_fields) <= set(first_column(section("Replies")))


def test_the_table_of_request_fields_has_every_field_and_no_other() -> None:
    assert sorted(first_column(section("Prompts"))) == sorted(PromptRequest.model_fields)


def test_the_table_of_codes_has_every_code_and_no_other() -> None:
    assert sorted(first_column(section("Codes"))) == sorted(Code)


def test_the_table_of_commands_has_every_command_and_no_other() -> None:
    assert first_column(section("Commands")) == list(COMMANDS)


def test_every_kind_of_capability_is_named() -> None:
    assert set(state.Capabilities.model_fields) <= set(NAME.findall(section("State")))
