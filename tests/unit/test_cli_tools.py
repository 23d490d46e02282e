"""What `edgeassist ask` makes of its options that offer tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgeassist.cli.tools import tool_fields
from edgeassist.errors import InvalidRequestError


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}


def written(folder: Path, name: str, held: object) -> Path:
    path = folder / name
    path.write_text(json.dumps(held, indent=2))
    return path


def problem(files: list[Path], choice: str | None = None, **bound: object) -> str:
    with pytest.raises(InvalidRequestError) as refusal:
        tool_fields(files, choice, bound=bound)
    return refusal.value.message


def test_a_file_holds_a_tool_or_a_list_and_several_are_put_together(tmp_path: Path) -> None:
    one = written(tmp_path, "one.json", tool("a"))
    more = written(tmp_path, "more.json", [tool("b"), tool("c")])
    assert tool_fields([one], None) == {"tools": [tool("a")]}
    assert tool_fields([more, one], None) == {"tools": [tool("b"), tool("c"), tool("a")]}
    assert tool_fields([], None) == {}


def test_a_choice_is_a_word_or_the_name_of_a_tool(tmp_path: Path) -> None:
    files = [written(tmp_path, "one.json", [tool("a"), tool("b")])]
    for word in ("auto", "none", "required"):
        assert tool_fields(files, word)["tool_choice"] == word
    assert tool_fields(files, "b")["tool_choice"] == {"type": "function", "function": {"name": "b"}}
    assert problem(files, "c") == "--tool-choice: 'c' is none of the tools, a, b"
    assert problem([], "b") == "--tool-choice: there are no tools: give --tool FILE with it"


def test_a_file_that_can_not_be_used_is_named_with_the_reason(tmp_path: Path) -> None:
    missing = tmp_path / "none.json"
    assert problem([missing]) == f"--tool: {missing} can't be read: No such file or directory"
    broken = tmp_path / "broken.json"
    broken.write_text("{'name': 'a'}")
    assert problem([broken]).startswith(f"--tool: {broken} holds no JSON: ")
    bare = written(tmp_path, "bare.json", {"name": "a", "parameters": {}})
    assert problem([bare]) == (
        f'--tool: {bare}: tools.0: must be {{"type": "function", "function": {{"name": …, "description": …, '
        '"parameters": …}}'
    )
    empty = written(tmp_path, "empty.json", [])
    assert problem([empty]) == f"--tool: {empty}: takes 1 to 128 tools, not 0"
    fine = written(tmp_path, "fine.json", tool("a"))
    assert problem([fine, fine]) == "--tool: has the name 'a' twice: every tool needs a name of its own"


def test_tools_and_a_bound_are_one_too_many(tmp_path: Path) -> None:
    files = [written(tmp_path, "one.json", tool("a"))]
    assert problem(files, choice=None, regex="a") == (
        "tools and regex: either may bind the answer, leave out one"
    )
