"""EdgeAssist's exception hierarchy.

Each class carries its wire code, whether a retry can help, and a command's exit status. The message is for a
person and says what to do next.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import ClassVar


class Code(StrEnum):
    """The codes of `error` events (docs/protocol.md)."""

    INVALID_REQUEST = "invalid_request"
    TOO_LARGE = "too_large"
    BUSY = "busy"
    QUOTA_EXCEEDED = "quota_exceeded"
    CONTEXT_OVERFLOW = "context_overflow"
    MODEL_LOADING = "model_loading"
    MODEL_UNAVAILABLE = "model_unavailable"
    ENGINE_CRASHED = "engine_crashed"
    INTERRUPTED = "interrupted"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    CANCELLED = "cancelled"
    SHUTTING_DOWN = "shutting_down"
    UNSUPPORTED = "unsupported"
    INTERNAL = "internal"
    # Never on the wire: what a client finds itself.
    UNREACHABLE = "unreachable"


class ExitStatus(IntEnum):
    """Exit statuses of commands; those from 64 on come from BSD's sysexits.h, whose names systemd shows."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    UNAVAILABLE = 69
    SOFTWARE = 70
    TEMPORARY = 75
    CONFIGURATION = 78


class EdgeAssistError(Exception):
    """Base of every error that EdgeAssist raises on purpose.

    Args:
        message: What is wrong and what to do, for a person.
        retry_after_ms: Milliseconds until a retry makes sense; None if unknown.
    """

    code: ClassVar[Code] = Code.INTERNAL
    retryable: bool = False
    exit_status: ClassVar[ExitStatus] = ExitStatus.SOFTWARE

    def __init__(self, message: str, *, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_ms = retry_after_ms


class InternalError(EdgeAssistError):
    """A bug in EdgeAssist, or a failure with no more specific class."""


class InvalidRequestError(EdgeAssistError):
    """The request violates the wire contract."""

    code = Code.INVALID_REQUEST
    exit_status = ExitStatus.USAGE


class TooLargeError(EdgeAssistError):
    """The payload is over the limit."""

    code = Code.TOO_LARGE
    exit_status = ExitStatus.USAGE


class BusyError(EdgeAssistError):
    """The queue is full."""

    code = Code.BUSY
    retryable = True
    exit_status = ExitStatus.TEMPORARY


class QuotaExceededError(EdgeAssistError):
    """One client has too many requests waiting or running."""

    code = Code.QUOTA_EXCEEDED
    retryable = True
    exit_status = ExitStatus.TEMPORARY


class ContextOverflowError(EdgeAssistError):
    """The prompt does not fit the model's context."""

    code = Code.CONTEXT_OVERFLOW
    exit_status = ExitStatus.USAGE

    @classmethod
    def of(cls, tokens: int | str, context: int) -> ContextOverflowError:
        """Return the error for a prompt of so many tokens."""
        return cls(
            f"the prompt has {tokens} tokens and the context holds {context}, "
            "answer included: shorten the prompt, or the state that is judged, or raise model.context"
        )


class ModelLoadingError(EdgeAssistError):
    """The model is still loading, and the queue is full."""

    code = Code.MODEL_LOADING
    retryable = True
    exit_status = ExitStatus.TEMPORARY


class ModelUnavailableError(EdgeAssistError):
    """The model can't be loaded until somebody fixes the configuration."""

    code = Code.MODEL_UNAVAILABLE
    retryable = True
    exit_status = ExitStatus.UNAVAILABLE


class EngineCrashedError(EdgeAssistError):
    """The engine crashed or hung while answering."""

    code = Code.ENGINE_CRASHED
    retryable = True
    exit_status = ExitStatus.UNAVAILABLE


class DeadlyPromptError(EngineCrashedError):
    """A prompt ended the engine, and would end the next one too."""

    retryable = False


class InterruptedRequestError(EdgeAssistError):
    """The device was restarted while it answered; what it had said so far is all that there is."""

    code = Code.INTERRUPTED
    retryable = True
    exit_status = ExitStatus.TEMPORARY


class DeadlineExceededError(EdgeAssistError):
    """The request's deadline passed while it was queued or running."""

    code = Code.DEADLINE_EXCEEDED
    retryable = True
    exit_status = ExitStatus.TEMPORARY


class CancelledRequestError(EdgeAssistError):
    """The request was cancelled."""

    code = Code.CANCELLED
    exit_status = ExitStatus.FAILURE


class ShuttingDownError(EdgeAssistError):
    """The daemon is stopping."""

    code = Code.SHUTTING_DOWN
    retryable = True
    exit_status = ExitStatus.TEMPORARY


class UnsupportedError(EdgeAssistError):
    """The request is valid but uses a feature this version lacks."""

    code = Code.UNSUPPORTED
    exit_status = ExitStatus.USAGE


class ConfigurationError(EdgeAssistError):
    """A setting is invalid; a restart without a change can't help."""

    exit_status = ExitStatus.CONFIGURATION


class ModelError(ConfigurationError):
    """The model file or its settings are unusable."""

    code = Code.MODEL_UNAVAILABLE


class MemoryShortError(ModelError):
    """The model fits this device's memory, but not what is free at the moment."""

    retryable = True
    exit_status = ExitStatus.UNAVAILABLE


class PullError(ModelUnavailableError):
    """A model can't be got from where it is published.

    Args:
        message: What is wrong and what to do.
        passing: Whether the same attempt may succeed later: no network, a busy server.
        retry_after_ms: Milliseconds that a server asked to wait.
    """

    def __init__(self, message: str, *, passing: bool = False, retry_after_ms: int | None = None) -> None:
        super().__init__(message, retry_after_ms=retry_after_ms)
        self.retryable = passing

    @property
    def passing(self) -> bool:
        """Whether the same attempt may succeed later."""
        return self.retryable


class BrokerError(EdgeAssistError):
    """The MQTT broker is unreachable or refuses the connection, or the device behind it does not answer."""

    code = Code.UNREACHABLE
    retryable = True
    exit_status = ExitStatus.UNAVAILABLE


def error_for(
    code: str, message: str, *, retryable: bool | None = None, retry_after_ms: int | None = None
) -> EdgeAssistError:
    """Rebuild an error from its wire code, after it crossed the pipe or the broker.

    An unknown code becomes an `InternalError`. Where it is said whether a retry can help, that holds.
    """
    kinds: dict[str, type[EdgeAssistError]] = {kind.code: kind for kind in EdgeAssistError.__subclasses__()}
    kinds[Code.INTERNAL] = InternalError
    error = kinds.get(code, InternalError)(message, retry_after_ms=retry_after_ms)
    if retryable is not None:
        error.retryable = retryable
    return error
