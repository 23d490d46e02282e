"""What this version can do, for a client that would rather ask than learn it by an error."""

from __future__ import annotations

from typing import get_args

from edgeassist.protocol.asking import Priority, ReplyFormat
from edgeassist.protocol.commands import COMMANDS
from edgeassist.protocol.constraints import CONSTRAINTS
from edgeassist.protocol.decisions import DecisionRequest, Kind
from edgeassist.protocol.events import AnyEvent
from edgeassist.protocol.requests import PromptRequest
from edgeassist.protocol.state import Capabilities
from edgeassist.protocol.tools import TOOL_FIELDS
from edgeassist.protocol.turns import Turn


def capabilities(*, constrains: bool = True, decides: bool = True) -> Capabilities:
    """Return it, read off the contract itself.

    Args:
        constrains: Whether the model that runs can bind an answer.
        decides: Whether it makes decisions.
    """
    refused = () if constrains else (*CONSTRAINTS, *TOOL_FIELDS)
    return Capabilities(
        fields=[name for name in PromptRequest.model_fields if name not in refused],
        decision_fields=list(DecisionRequest.model_fields) if decides else [],
        roles=list(get_args(Turn.model_fields["role"].annotation)),
        formats=[each.value for each in ReplyFormat],
        priorities=[each.value for each in Priority],
        events=[kind.model_fields["type"].default for kind in get_args(AnyEvent)],
        commands=list(COMMANDS),
        questions=[each.value for each in Kind] if decides else [],
    )
