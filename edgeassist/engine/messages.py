"""What crosses the pipe between daemon and engine: JSON lines, one message a line.

The only module that both processes share. A message is a frozen struct that knows its own schema; a line
that does not fit it is a `ValueError` (msgspec.ValidationError) at the reader's side.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class Finish(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    LENGTH = "length"


class KvType(StrEnum):
    """How the values in KV memory are stored; the smaller ones need flash attention."""

    F16 = "f16"
    Q8_0 = "q8_0"
    Q4_0 = "q4_0"


class FlashAttention(StrEnum):
    """Whether attention is computed in one pass over KV memory, without a table of all scores."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class LoadMode(StrEnum):
    """How weights get into memory: read, mapped from the file, or read and locked there."""

    READ = "read"
    MMAP = "mmap"
    LOCK = "lock"


class Level(StrEnum):
    """How bad what a log line reports is; the names of Python's logging."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class _Message(msgspec.Struct, frozen=True, tag_field="type", omit_defaults=True):
    """Base of all messages: immutable, tagged with the name of its class."""


class ChatMessage(msgspec.Struct, frozen=True):
    """One turn of a conversation, in OpenAI's terms."""

    role: str
    content: str


class Sampling(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a token is picked. A temperature of 0 is greedy; a seed of None is a fresh one."""

    temperature: float = 0.7
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    seed: int | None = None


# --- daemon → engine ---------------------------------------------------------------------------------------


class Load(_Message, frozen=True, tag="load"):
    """The first line that an engine reads.

    Attributes:
        backend: `llama`, `onnx` or `scripted`.
        path: The model file; empty for a backend that needs none.
        context: Tokens that one slot can hold, prompt and answer together; the model's own limit caps it.
        threads: Threads of a step.
        step_tokens: The most tokens of one step.
        step_ms: How long a step should take while answers stream.
        slots: Sequences served at once; None: the engine chooses.
        kv_tokens: Tokens in KV memory, shared by all slots; None: the engine chooses.
        prefix_bytes: What the states of ended sequences may take; None: the engine chooses, 0: none.
        speculate: Whether a sequence that runs alone may guess its next tokens.
        memory_bytes: What weights and KV memory may take together; 0 where nobody knows.
        total_memory_bytes: What they might if nobody else took any; likewise.
        system: The system prompt that most requests will bring.
        state_folder: Where the KV state of that prompt is kept between runs; empty: nowhere.
        state_bytes: The most that such states may take there.
    """

    backend: str
    path: str
    context: int
    threads: int
    step_tokens: int
    step_ms: int = 250
    slots: int | None = None
    kv_tokens: int | None = None
    prefix_bytes: int | None = None
    kv_type: KvType = KvType.F16
    flash_attention: FlashAttention = FlashAttention.AUTO
    load_mode: LoadMode = LoadMode.READ
    speculate: bool = True
    memory_bytes: int = 0
    total_memory_bytes: int = 0
    system: str = ""
    state_folder: str = ""
    state_bytes: int = 0


class Start(_Message, frozen=True, tag="start"):
    """Begin an answer. The engine has a free slot: the daemon counts them.

    Attributes:
        id: The request's id, unique among those running.
        messages: The whole conversation, oldest first.
        droppable: How many messages, after a leading system message, are history that may be left out,
            oldest first, when the conversation outgrows the context.
        max_tokens: The most tokens to generate.
        stop: Texts that end the answer; they are not part of it.
        gather_ms: Text that comes so soon after the last waits for the next step: each message wakes a
            process that competes with the step for the cores.
    """

    id: str
    messages: tuple[ChatMessage, ...]
    sampling: Sampling
    max_tokens: int
    stop: tuple[str, ...] = ()
    droppable: int = 0
    gather_ms: float = 0.0


class Cancel(_Message, frozen=True, tag="cancel"):
    """End that request before the next step. The engine answers with `Cancelled` unless it ended already."""

    id: str


class Threads(_Message, frozen=True, tag="threads"):
    """Compute with so many threads from the next step on: steps that only decode, and those that prefill."""

    decode: int
    prefill: int


class Stop(_Message, frozen=True, tag="stop"):
    """End the engine."""


# --- engine → daemon ---------------------------------------------------------------------------------------


class Loading(_Message, frozen=True, tag="loading"):
    """The model is being read; a sign of life."""

    fraction: float


class ModelFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the loaded model is.

    Attributes:
        context: Tokens that one sequence may have.
        trained_context: What the model was trained for.
        slots: Sequences served at once.
        kv_tokens: Tokens in KV memory, shared by all slots.
        prefix_bytes: What the states of ended sequences may take.
        rewinds: Whether KV memory can be cut and shared at any token.
        guesses: Whether a step can compute several tokens of a stream and sample after each.
        threads: What it was loaded with.
        adjusts_threads: Whether it can compute with fewer, and with that many again.
        build: What the library was built with, in its own words.
        state_format: Names the form of `Backend.snapshot`; another version may not read it. Empty where it
            means nothing to another process.
    """

    name: str
    backend: str
    architecture: str = ""
    parameters: int = 0
    quantization: str = ""
    context: int = 0
    trained_context: int = 0
    size_bytes: int = 0
    slots: int = 1
    kv_tokens: int = 0
    prefix_bytes: int = 0
    rewinds: bool = True
    guesses: bool = True
    threads: int = 1
    adjusts_threads: bool = True
    chat_template: bool = False
    build: str = ""
    state_format: str = ""


class Ready(_Message, frozen=True, tag="ready"):
    """The model is loaded; requests may start."""

    model: ModelFacts
    load_ms: float


class Heartbeat(_Message, frozen=True, tag="heartbeat"):
    """The worker's loop went round: sent between steps, at most once a second, and while idle."""

    steps: int
    running: int


class Prefilled(_Message, frozen=True, tag="prefilled"):
    """So much of a prompt is in KV memory: tokens processed of total, `cached` of them without work."""

    id: str
    processed: int
    cached: int
    total: int


class DeltaKind(StrEnum):
    """What a delta adds to: the answer's text, what the model thinks before it, or a tool call's JSON."""

    TEXT = "text"
    THOUGHT = "thought"
    TOOL_CALL = "tool_call"


class Delta(_Message, frozen=True, tag="delta"):
    """The next part of an answer, of one kind. May cover several tokens.

    Its text is final: whole characters, and no beginning of a stop text.
    """

    id: str
    text: str
    kind: DeltaKind = DeltaKind.TEXT


class Finished(_Message, frozen=True, tag="finished"):
    """The answer is complete. Durations in ms: start to first token, first token to last.

    `overhead_ms` is what of both was not spent in the library that computes.
    """

    id: str
    reason: Finish
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    prefill_ms: float
    decode_ms: float
    dropped_messages: int = 0
    overhead_ms: float = 0.0


class Cancelled(_Message, frozen=True, tag="cancelled"):
    """The request ended because the daemon asked for it; its slot is free."""

    id: str


class Failed(_Message, frozen=True, tag="failed"):
    """The request ended in an error of that wire code; its slot is free."""

    id: str
    code: str
    message: str


class Unusable(_Message, frozen=True, tag="unusable"):
    """The model can't be loaded; the engine ends after it.

    Attributes:
        message: Why, and what to do.
        for_now: Whether trying again may help: the memory that is missing may be free then.
    """

    message: str
    for_now: bool = False


class Log(_Message, frozen=True, tag="log"):
    """A line for the daemon's log."""

    level: Level
    logger: str
    message: str


Command = Load | Start | Cancel | Threads | Stop
Event = Loading | Ready | Heartbeat | Prefilled | Delta | Finished | Cancelled | Failed | Unusable | Log

_encoder = msgspec.json.Encoder()
_commands: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Command)
_events: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Event)


def encode(message: Command | Event) -> bytes:
    """Return the message as one line; JSON escapes line breaks, so the only newline is the last byte."""
    return _encoder.encode(message) + b"\n"


def decode_command(line: bytes) -> Command:
    """Return the command that a line holds; a ValueError where it holds none."""
    command: Command = _decode(_commands, line)
    return command


def decode_event(line: bytes) -> Event:
    """Return the event that a line holds; a ValueError where it holds none."""
    event: Event = _decode(_events, line)
    return event


def _decode(decoder: msgspec.json.Decoder[Any], line: bytes) -> Any:
    try:
        return decoder.decode(line)
    except RecursionError:
        raise ValueError("the line is nested too deeply") from None
