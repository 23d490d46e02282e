"""Asks an EdgeAssist device, for Python programs: docs/client.md.

`Client` blocks, `AsyncClient` is for an event loop; both have the same words.
"""

from edgeassist.broker.options import Tls
from edgeassist.client.answers import AnyEvent, Restarted
from edgeassist.client.asynchronous import AsyncClient
from edgeassist.client.blocking import Client, Stream
from edgeassist.client.decision import DecidedQuestion, Decision, choice, score, yes_no
from edgeassist.client.fields import DecisionFields, Fields, Options
from edgeassist.client.formats import AnswerFormatError
from edgeassist.client.result import Answer
from edgeassist.client.streaming import AsyncStream
from edgeassist.client.tools import ToolCall, tool
from edgeassist.errors import (
    BrokerError,
    BusyError,
    CancelledRequestError,
    Code,
    ConfigurationError,
    ContextOverflowError,
    DeadlineExceededError,
    EdgeAssistError,
    EngineCrashedError,
    InternalError,
    InterruptedRequestError,
    InvalidRequestError,
    ModelLoadingError,
    ModelUnavailableError,
    QuotaExceededError,
    ShuttingDownError,
    TooLargeError,
    UnsupportedError,
)
from edgeassist.protocol.events import Accepted, Called, Chunk, Done, Progress, Reasoning, Timings, Usage

__all__ = [
    "Accepted",
    "Answer",
    "AnswerFormatError",
    "AnyEvent",
    "AsyncClient",
    "AsyncStream",
    "BrokerError",
    "BusyError",
    "Called",
    "CancelledRequestError",
    "Chunk",
    "Client",
    "Code",
    "ConfigurationError",
    "ContextOverflowError",
    "DeadlineExceededError",
    "DecidedQuestion",
    "Decision",
    "DecisionFields",
    "Done",
    "EdgeAssistError",
    "EngineCrashedError",
    "Fields",
    "InternalError",
    "InterruptedRequestError",
    "InvalidRequestError",
    "ModelLoadingError",
    "ModelUnavailableError",
    "Options",
    "Progress",
    "QuotaExceededError",
    "Reasoning",
    "Restarted",
    "ShuttingDownError",
    "Stream",
    "Timings",
    "Tls",
    "TooLargeError",
    "ToolCall",
    "UnsupportedError",
    "Usage",
    "choice",
    "score",
    "tool",
    "yes_no",
]
