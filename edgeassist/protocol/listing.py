"""What the command `requests` answers: the requests that have not ended, without what was asked in them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from edgeassist.protocol.asking import Priority


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True)


class ListedRequest(_Document):
    """One request that has not ended; what is not known yet, or is not of it, is null and left out.

    Attributes:
        id: What `cancel` takes as `request`.
        client: Whose; "" for the shared topics. What `cancel` takes as `client`.
        kind: What is asked for: an answer, or a decision.
        priority: As asked.
        state: Whether the engine has it.
        position: How many start before it; null for one that runs.
        age_s: Since it came.
        deadline_in_s: Until it ends in `deadline_exceeded`.
        prompt_tokens: Of its prompt, once that is turned into tokens.
        processed: How many of these are read.
        completion_tokens: Of its answer so far.
    """

    id: str
    client: str
    kind: Literal["prompt", "decision"]
    priority: Priority
    state: Literal["waiting", "running"]
    position: int | None = None
    age_s: float
    deadline_in_s: float
    prompt_tokens: int | None = None
    processed: int | None = None
    completion_tokens: int | None = None


class RequestList(_Document):
    """All that run and wait, or the first of them.

    Attributes:
        requests: Those that run first, then the others in the order in which they will.
        running: How many run, of all clients that were asked about.
        waiting: How many of them wait.
        left_out: How many of both are not in `requests`.
    """

    requests: list[ListedRequest]
    running: int
    waiting: int
    left_out: int
