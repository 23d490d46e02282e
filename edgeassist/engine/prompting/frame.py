"""A conversation and what is around it, rendered without a client's texts, which come back as plain text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgeassist.engine.messages import ChatMessage, Tools
from edgeassist.engine.prompting.documents import Hold, Manner, Variables, documents_of
from edgeassist.engine.prompting.holds import Sealed
from edgeassist.engine.prompting.shield import Segment, Shield
from edgeassist.engine.prompting.template import Template, TemplateRefusedError


@dataclass(frozen=True, slots=True)
class Frame:
    """What a conversation is rendered with.

    Attributes:
        template: The model's.
        parts: The roles whose content is a list of parts.
        manner: How the template reads tools.
        tools: What may be called; None: nothing.
        variables: What the template is told beside.
    """

    template: Template
    parts: frozenset[str]
    manner: Manner
    tools: Tools | None
    variables: Variables

    def fill(self, turns: Sequence[ChatMessage], hold: Callable[[Shield], Hold]) -> list[Segment]:
        """Return the prompt of these turns.

        Args:
            turns: That the template takes.
            hold: Makes what keeps a client's texts from the template meanwhile.

        Raises:
            TemplateRefusedError: It does not take them.
        """
        shield = Shield()
        documents, variables = documents_of(turns, self.parts, self.manner, self.tools, hold(shield))
        return shield.release(self.template.render(documents, (*self.variables, *variables)))

    def written(self, turns: Sequence[ChatMessage], pattern: re.Pattern[str]) -> list[str] | None:
        """Return the control tokens that the template itself writes; None if it does not take such turns.

        Args:
            turns: Of other texts.
            pattern: Matches control tokens.
        """
        try:
            return control_in(self.fill(turns, Sealed), pattern)
        except TemplateRefusedError:
            return None


def control_in(segments: Sequence[Segment], pattern: re.Pattern[str]) -> list[str]:
    """Return the control tokens in a prompt, where they are read as such."""
    return [token for segment in segments if segment.trusted for token in pattern.findall(segment.text)]
