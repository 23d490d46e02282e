"""What `edgeassist ask` makes of its options that bind an answer, and how a command prints an error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import edgeassist.cli.main as command
from edgeassist.cli.constraints import constraint_fields
from edgeassist.cli.files import MAX_FILE_BYTES
from edgeassist.errors import InvalidRequestError

NONE: dict[str, Any] = {"schema": None, "regex": None, "choice": None, "grammar": None}


def fields(**options: object) -> dict[str, Any]:
    return constraint_fields(**{**NONE, **options})


def problem(**options: object) -> str:
    with pytest.raises(InvalidRequestError) as refusal:
        fields(**options)
    return refusal.value.message


def test_a_schema_is_read_with_its_keys_in_order_and_whatever_a_windows_editor_puts_before_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "action.json"
    schema = {"properties": {"z": {}, "a": {"const": "开"}}, "type": "object"}
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(schema, indent=4).encode())
    assert json.dumps(fields(schema=path)) == json.dumps({"json_schema": schema})


def test_a_grammar_is_sent_as_it_stands_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "yes.gbnf"
    path.write_text('root ::= "yes"\n# no\n')
    assert fields(grammar=path) == {"grammar": 'root ::= "yes"\n# no\n'}


def test_a_choice_has_commas_between_its_texts_and_space_where_one_likes() -> None:
    assert fields(choice="on, off,not known") == {"choice": ["on", "off", "not known"]}
    assert fields(regex="[0-9]{2}") == {"regex": "[0-9]{2}"}
    assert fields() == {}


def test_two_options_are_one_too_many() -> None:
    assert problem(choice="a", regex="b").startswith("--regex and --choice: one of them can bind the answer")


def test_a_file_that_can_not_be_used_is_named_with_the_reason(tmp_path: Path) -> None:
    missing = tmp_path / "none.json"
    for option in ("schema", "grammar"):
        assert (
            problem(**{option: missing}) == f"--{option}: {missing} can't be read: No such file or directory"
        )
        assert problem(**{option: tmp_path}) == f"--{option}: {tmp_path} can't be read: Is a directory"
    file = tmp_path / "file"
    file.write_bytes(b"\xff\xfe{")
    assert problem(schema=file) == f"--schema: {file} is not UTF-8: byte 0 can't be read"
    file.write_text("{'type': 'object'}")
    assert problem(schema=file).startswith(f"--schema: {file} holds no JSON: Expecting property name")
    file.write_text("[" * 100_000)
    assert problem(schema=file).startswith(f"--schema: {file} holds no JSON: ")
    assert problem(schema=Path("/dev/zero")) == f"--schema: /dev/zero has more than {MAX_FILE_BYTES} bytes"


def test_what_a_device_would_refuse_is_refused_before_one_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("true")
    assert problem(schema=file) == "--schema: must be an object, not true or false"
    assert problem(choice="on,,off") == "--choice: takes no empty text"
    assert problem(regex="") == "--regex: is empty"


def test_an_error_with_square_brackets_is_printed_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise InvalidRequestError("regex: [a-z]+[/b] [red] has no end")

    monkeypatch.setattr(command, "app", fail)
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2
    assert "regex: [a-z]+[/b] [red] has no end" in capsys.readouterr().err
