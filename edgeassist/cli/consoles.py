"""The console of all commands: what others have written reaches the terminal as text."""

from __future__ import annotations

from typing import Any

from rich.console import Console as RichConsole
from rich.text import Text

from edgeassist import harmless


class Console(RichConsole):
    """A console on which no text is a command to the terminal: rich leaves ESC where it stands.

    It looks at strings, in tables and titles too, and not at a `Text`, which its maker has to look at.
    """

    def __init__(self, **how: Any) -> None:
        # A name with `:bomb:` in it has no picture.
        super().__init__(emoji=False, **how)

    def render_str(self, text: str, **how: Any) -> Text:
        """Return the text, without what controls a terminal."""
        return super().render_str(harmless.lines(text), **how)
