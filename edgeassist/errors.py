"""Every error of EdgeAssist, in one tree.

A class carries what a machine needs (the wire code, whether trying again can help, the exit status of a
command that ends with it); the message is for a person and says what to do next.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import ClassVar


class Code(StrEnum):
    """What an `error` event says to a program (docs/protocol.md)."""

    INVALID_REQUEST = "invalid_request"
    TOO_LARGE = "too_large"
    BUSY = "busy"
    QUOTA_EXCEEDED = "quota_exceeded"
    CONTEXT_OVERFLOW = "context_overflow"
    MODEL_LOADING = "model_loading"
    MODEL_UNAVAILABLE = "model_unavailable"
    ENGINE_CRASHED = "engine_crashed"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    CANCELLED = "cancelled"
    SHUTTING_DOWN = "shutting_down"
    UNSUPPORTED = "unsupported"
    INTERNAL = "internal"


class ExitStatus(IntEnum):
    """How a command ends; the numbers from 64 on are those of BSD's sysexits.h, which systemd names too."""

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
        message: For a person: what is wrong and what to do.
        retry_after_ms: When the same request is worth another try, in milliseconds; None where unknown.
    """

    code: ClassVar[Code] = Code.INTERNAL
    retryable: ClassVar[bool] = False
    exit_status: ClassVar[ExitStatus] = ExitStatus.SOFTWARE

    def __init__(self, message: str, *, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_ms = retry_after_ms


class InternalError(EdgeAssistError):
    """A defect of ours, or a failure without a name of its own."""


class InvalidRequestError(EdgeAssistError):
    """The request breaks the wire contract."""

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


class ModelLoadingError(EdgeAssistError):
    """The model is still on its way, and the queue is full of requests that wait for it."""

    code = Code.MODEL_LOADING
    retryable = True
    exit_status = ExitStatus.TEMPORARY


class ModelUnavailableError(EdgeAssistError):
    """The model can't be loaded; somebody has to mend the configuration."""

    code = Code.MODEL_UNAVAILABLE
    retryable = True
    exit_status = ExitStatus.UNAVAILABLE


class EngineCrashedError(EdgeAssistError):
    """The engine died or stopped making progress while it answered."""

    code = Code.ENGINE_CRASHED
    retryable = True
    exit_status = ExitStatus.UNAVAILABLE


class DeadlineExceededError(EdgeAssistError):
    """The request's time ran out, in the queue or while it ran."""

    code = Code.DEADLINE_EXCEEDED
    retryable = True
    exit_status = ExitStatus.TEMPORARY


class CancelledRequestError(EdgeAssistError):
    """Somebody cancelled the request."""

    code = Code.CANCELLED
    exit_status = ExitStatus.FAILURE


class ShuttingDownError(EdgeAssistError):
    """The daemon is stopping."""

    code = Code.SHUTTING_DOWN
    retryable = True
    exit_status = ExitStatus.TEMPORARY


class UnsupportedError(EdgeAssistError):
    """The request is valid, but this version can't do it."""

    code = Code.UNSUPPORTED
    exit_status = ExitStatus.USAGE


class ConfigurationError(EdgeAssistError):
    """A setting is wrong; starting again without a change can't help."""

    exit_status = ExitStatus.CONFIGURATION


class ModelError(ConfigurationError):
    """The model file or its settings can't work."""

    code = Code.MODEL_UNAVAILABLE


class MemoryShortError(ModelError):
    """The model would fit into this device's memory, but not into what is free of it at the moment."""

    retryable = True
    exit_status = ExitStatus.UNAVAILABLE


class BrokerError(EdgeAssistError):
    """The MQTT broker can't be reached or refuses us."""

    retryable = True
    exit_status = ExitStatus.UNAVAILABLE


def error_for(code: str, message: str, *, retry_after_ms: int | None = None) -> EdgeAssistError:
    """Return the error of that wire code, for one that crossed the pipe or the broker.

    A code that this version does not know becomes an `InternalError`.
    """
    kinds: dict[str, type[EdgeAssistError]] = {kind.code: kind for kind in EdgeAssistError.__subclasses__()}
    kinds[Code.INTERNAL] = InternalError
    return kinds.get(code, InternalError)(message, retry_after_ms=retry_after_ms)
