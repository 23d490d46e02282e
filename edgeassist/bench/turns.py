"""What all scenarios do: rest between two parts, and make an outcome of what came."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from edgeassist.bench.figures import Figure, Outcome
from edgeassist.bench.replies import Reply
from edgeassist.errors import ModelError

# Longer than a request's final messages take, and than OpenMP threads spin.
PAUSE_S = 1.2


class UnsuitedError(ModelError):
    """The model's answers left nothing to measure; other texts may."""


async def pause() -> None:
    """Wait until all sides are at rest."""
    await asyncio.sleep(PAUSE_S)


def outcome_of(values: Mapping[Figure, float], replies: Sequence[Reply]) -> Outcome:
    """Return the outcome with these values, and the answers that they come from."""
    return Outcome(
        {figure.name: value for figure, value in values.items()}, tuple(reply.answered for reply in replies)
    )
