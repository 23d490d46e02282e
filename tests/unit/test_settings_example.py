import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from edgeassist.settings import Settings, live_keys, load_settings
from edgeassist.settings.keys import keys
from edgeassist.settings.watches import WatchSettings

PROJECT = Path(__file__).parents[2]
EXAMPLE = PROJECT / "config" / "edgeassist.toml"
LISTS: dict[str, type[BaseModel]] = {"watch": WatchSettings}
TABLES: dict[str, type[BaseModel]] = {
    table: LISTS.get(table) or type(getattr(Settings(), table)) for table in Settings.model_fields
}
# Without a default that a file could show: what is shown is an example.
EXAMPLES = {"device.name"} | {
    f"{table}.{key}"
    for table, kind in TABLES.items()
    for key, field in kind.model_fields.items()
    if field.default is None or field.is_required() or f"{table}.{key}" == "watch.examples"
}


def uncommented() -> str:
    """Return the example file with the # of every setting taken away."""
    return re.sub(r"^#(?=\w+ = |\[\[)", "", EXAMPLE.read_text(), flags=re.MULTILINE)


def shown(table: str) -> dict[str, object]:
    """Return what it shows of a table, or of the one that stands for a list of them."""
    found = tomllib.loads(uncommented())[table]
    return dict(found[0] if table in LISTS else found)


def test_the_example_file_changes_nothing_as_it_is() -> None:
    loaded = load_settings(EXAMPLE, environ={})
    assert loaded.settings == Settings()
    assert loaded.origins == {}


def test_the_example_file_shows_every_table_and_no_other() -> None:
    assert list(tomllib.loads(uncommented())) == list(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_the_example_file_shows_every_key_of_a_table_and_no_other(table: str) -> None:
    assert list(shown(table)) == list(TABLES[table].model_fields)


@pytest.mark.parametrize("table", TABLES)
def test_the_example_file_shows_the_true_defaults(table: str) -> None:
    defaults = {key: value for key, value in shown(table).items() if f"{table}.{key}" not in EXAMPLES}
    needed = {
        key: value for key, value in shown(table).items() if TABLES[table].model_fields[key].is_required()
    }
    assert TABLES[table].model_validate(needed | defaults) == TABLES[table].model_validate(needed)


def test_the_examples_in_the_example_file_are_values_that_can_be(tmp_path: Path) -> None:
    file = tmp_path / "edgeassist.toml"
    file.write_text(uncommented().replace("tls = false", "tls = true"))
    loaded = load_settings(file, environ={})
    assert set(loaded.origins) == set(map(".".join, keys()))


def test_the_example_file_marks_the_keys_that_can_change_while_the_daemon_runs() -> None:
    marked, table = [], ""
    for line in uncommented().splitlines():
        if match := re.fullmatch(r"\[(\w+)\]", line):
            table = match[1]
        elif match := re.fullmatch(r"\[\[(\w+)\]\]  # live", line):
            marked.append(match[1])
        elif match := re.fullmatch(r"(\w+) = .*  # live", line):
            marked.append(f"{table}.{match[1]}")
    assert marked == live_keys()


def test_the_documentation_names_the_keys_that_can_change_while_the_daemon_runs() -> None:
    page = (PROJECT / "docs" / "configuration.md").read_text()
    sentence = re.search(r"All keys of the tables\s(.*?), change at once", page, re.DOTALL)
    assert sentence is not None
    named = set(re.findall(r"`([\w.]+)`", sentence[1]))
    assert {name for name in map(".".join, keys()) if {name, name.partition(".")[0]} & named} == set(
        live_keys()
    )
    assert named <= {*TABLES, *live_keys()}
