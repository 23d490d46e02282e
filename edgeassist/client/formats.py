"""The error of an answer that is not what it was to be."""

from __future__ import annotations

from edgeassist.errors import InternalError


class AnswerFormatError(InternalError):
    """The answer is not what it was to be; the model may do better when asked again."""

    retryable = True
