"""How a chat template is told to let its model think or not, found out by rendering. Sans-I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgeassist.engine.messages import Thinking
from edgeassist.engine.prompting.documents import Variables

# Returns what a template writes for some conversations, with these variables; None if it refuses them.
Write = Callable[[Variables], tuple[str, ...] | None]

# What published templates ask for: the variable, and its values to think and not to.
_SWITCHES: tuple[tuple[str, object, object], ...] = (
    ("enable_thinking", True, False),
    ("thinking", True, False),
    ("thinking_mode", "enabled", "disabled"),
)
_BUDGET = "thinking_budget"
_SOME_BUDGET = 512
# Of gpt-oss: the least is not none, and the model thinks a little.
_EFFORT, _LITTLE, _MUCH = "reasoning_effort", "low", "high"


@dataclass(frozen=True, slots=True)
class Switches:
    """The variables that a template takes.

    Attributes:
        on: Those that let the model think.
        off: Those that keep it from it, or make it think little.
        budget: The variable for the most tokens of a thought; empty where there is none.
    """

    on: Variables = ()
    off: Variables = ()
    budget: str = ""

    def variables(self, thinking: Thinking) -> Variables:
        """Return what the template is to be told."""
        if thinking.wanted is False:
            return self.off
        told = self.on if thinking.wanted else ()
        if self.budget and thinking.budget is not None:
            told = (*told, (self.budget, thinking.budget))
        return told


def find_switches(write: Write) -> Switches:
    """Return what a template takes; a variable that it knows changes what it writes."""

    def known(name: str, one: object, other: object) -> bool:
        written = write(((name, one),)), write(((name, other),))
        return None not in written and written[0] != written[1]

    found = [each for each in _SWITCHES if known(*each)]
    on: Variables = tuple((name, value) for name, value, _ in found)
    off: Variables = tuple((name, value) for name, _, value in found)
    has_budget = known(_BUDGET, _SOME_BUDGET, 0)
    if has_budget:
        off = (*off, (_BUDGET, 0))
    if not off and known(_EFFORT, _LITTLE, _MUCH):
        off = ((_EFFORT, _LITTLE),)
    return Switches(on, off, _BUDGET if has_budget else "")


def written_by(switches: Switches, write: Write) -> list[str]:
    """Return the prompts of a template, with thoughts, without, and as it does by itself."""
    written: Mapping[Variables, tuple[str, ...] | None] = {
        each: write(each) for each in (switches.off, switches.on, ())
    }
    return [text for texts in written.values() for text in texts or ()]
