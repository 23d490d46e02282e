"""Describes the requests that have not ended, for a person who looks. Sans-I/O; time is passed in."""

from __future__ import annotations

from edgeassist.protocol.decisions import DecisionRequest
from edgeassist.protocol.listing import ListedRequest, RequestList
from edgeassist.serving.admission import Admission
from edgeassist.serving.request import Request, State


def list_requests(admission: Admission, *, client: str | None, limit: int, now: float) -> RequestList:
    """Return what runs, and behind it what waits.

    Args:
        admission: The requests.
        client: Whose; "" for callers without a name, None for all.
        limit: How many at most.
        now: In seconds of the clock of requests.
    """
    running = [each for each in admission if each.state is State.RUNNING]
    positions = {each.key: position for position, each in enumerate(admission.queue())}
    asked_about = [
        each for each in (*running, *admission.queue()) if client is None or each.key.caller == client
    ]
    waiting = sum(each.key in positions for each in asked_about)
    shown = asked_about[:limit]
    return RequestList(
        requests=[_described(each, positions.get(each.key), now) for each in shown],
        running=len(asked_about) - waiting,
        waiting=waiting,
        left_out=len(asked_about) - len(shown),
    )


def _described(request: Request, position: int | None, now: float) -> ListedRequest:
    decides = isinstance(request.asked, DecisionRequest)
    known = position is None and request.prompt_tokens > 0
    return ListedRequest(
        id=request.asked.id,
        client=request.key.caller,
        kind="decision" if decides else "prompt",
        priority=request.asked.priority,
        state="running" if position is None else "waiting",
        position=position,
        age_s=round(now - request.arrived, 1),
        deadline_in_s=round(max(0.0, request.deadline - now), 1),
        prompt_tokens=request.prompt_tokens if known else None,
        processed=request.processed if known else None,
        completion_tokens=request.completion_tokens if position is None and not decides else None,
    )
