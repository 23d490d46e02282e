"""What others have written reaches a terminal as text."""

import io
import json

import pytest
from rich.table import Table

from edgeassist import harmless
from edgeassist.cli.consoles import Console

# The window's title, the clipboard (OSC 52), the cursor, one of C1, a bell, a backspace, DEL.
HOSTILE = "pi\x1b]0;owned\x07\x1b]52;c;cm0gLXJm\x07\x1b[2J\x9b31m\x08\x7f\r"


def test_a_text_within_a_line_keeps_no_control_and_no_turned_direction() -> None:
    assert harmless.line("a\tb\nc\x1b[0m\u202ed\u2028e") == "a�b�c�[0m�d�e"
    assert harmless.line("Küche 厨房 🙂") == "Küche 厨房 🙂"


def test_a_text_of_several_lines_keeps_these() -> None:
    assert harmless.lines("a\tb\r\nc\rd\x9b1m") == "a\tb\nc�d�1m"


def test_json_says_the_same_without_controls() -> None:
    document = json.dumps({"text": HOSTILE + "€"}, ensure_ascii=False)
    shown = harmless.in_json(document)
    assert json.loads(shown) == json.loads(document)
    assert not set(map(chr, range(0x7F, 0xA0))) & set(shown)
    assert "€" in shown


@pytest.mark.parametrize("width", [20, 80])
def test_what_a_command_prints_of_others_has_no_control(width: int) -> None:
    said = io.StringIO()
    console = Console(file=said, force_terminal=False, width=width)
    table = Table(title=HOSTILE)
    table.add_column(HOSTILE)
    table.add_row(HOSTILE)
    console.print(table)
    console.print(f"[red]wrong:[/] {HOSTILE} :bomb:", soft_wrap=True)
    shown = said.getvalue()
    assert harmless.lines(shown) == shown
    assert ":bomb:" in shown
