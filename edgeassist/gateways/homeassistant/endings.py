"""What Home Assistant is told of how its prompts ended. Sans-I/O."""

from __future__ import annotations

from pydantic import JsonValue

from edgeassist.protocol.events import Done, Failed
from edgeassist.protocol.requests import PromptRequest


def answer_message(question: str | None, end: Done | Failed) -> dict[str, JsonValue]:
    """Return the event that tells Home Assistant how a prompt of its own ended.

    What has no value is left out.

    Args:
        question: What was asked; None where that can't be told.
        end: The terminal event.
    """
    event: dict[str, JsonValue] = {
        "event_type": "answered" if isinstance(end, Done) else "failed",
        "id": end.id,
        "question": question,
        "text": end.text,
    }
    if isinstance(end, Done) and end.answers is not None:
        event["answers"] = {
            name: answer.model_dump(exclude_none=True) for name, answer in end.answers.items()
        }
    match end:
        case Done(timings=timings, usage=usage):
            event |= {
                "finish_reason": end.finish_reason,
                "model": end.model,
                "session": end.session,
                "completion_tokens": usage.completion_tokens,
                "tokens_per_s": timings.decode_tokens_per_s,
                "ttft_ms": timings.ttft_ms,
                "total_ms": timings.total_ms,
                "held_back": end.held_back,
            }
        case Failed():
            event |= {"code": end.code.value, "message": end.message, "retryable": end.retryable}
    event["metadata"] = end.metadata
    return {key: value for key, value in event.items() if value is not None}


def question_of(request: PromptRequest) -> str | None:
    """Return what was asked: the prompt, or the last message of the user's."""
    if request.prompt is not None:
        return request.prompt
    asked = [turn.content for turn in request.messages or () if turn.role == "user"]
    return asked[-1] if asked else None
