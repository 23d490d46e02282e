"""The messages between daemon and engine: one line of JSON each.

The only module that both processes share. A message is a frozen struct with a schema; reading a line that
does not match raises `ValueError` (msgspec.ValidationError).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class Finish(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"


class KvType(StrEnum):
    """How values in the KV cache are stored; the smaller types need flash attention."""

    F16 = "f16"
    Q8_0 = "q8_0"
    Q4_0 = "q4_0"


class FlashAttention(StrEnum):
    """Whether attention is computed in one pass over the KV cache, without a table of all scores."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class LoadMode(StrEnum):
    """How weights get into memory: read, mapped from the file, or read and locked."""

    READ = "read"
    MMAP = "mmap"
    LOCK = "lock"


class TemplateState(StrEnum):
    """What conversations are rendered with: the model's own template, that of `model.template`, or none.

    A broken one fails with every conversation, or leaves out what is asked.
    """

    MODEL = "model"
    FILE = "file"
    NONE = "none"
    BROKEN = "broken"


class Level(StrEnum):
    """Log severity; values are Python's level names."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class _Message(msgspec.Struct, frozen=True, tag_field="type", omit_defaults=True):
    """Base of all messages: immutable, tagged with the name of its class."""


class ToolCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """A call of a tool.

    Attributes:
        name: The tool's.
        arguments: A JSON object, as text.
        id: By which its result names it; empty until the daemon gives it one.
    """

    name: str
    arguments: str
    id: str = ""


class ChatMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message of a conversation, in OpenAI's terms.

    Attributes:
        calls: What the assistant called, beside what it said.
        call_id: Which call the result of a tool belongs to.
    """

    role: str
    content: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""


class Sampling(msgspec.Struct, frozen=True, omit_defaults=True):
    """How tokens are picked.

    Attributes:
        temperature: 0 is greedy.
        seed: None is a random one.
        ignore_eos: Whether tokens that end a turn are never picked.
    """

    temperature: float = 0.7
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    seed: int | None = None
    ignore_eos: bool = False


class ConstraintKind(StrEnum):
    """What bounds an answer, and so how the text of a `Constraint` reads."""

    JSON_SCHEMA = "json_schema"
    REGEX = "regex"
    CHOICE = "choice"
    GRAMMAR = "grammar"


class Constraint(msgspec.Struct, frozen=True):
    """The texts that an answer may be.

    Attributes:
        kind: What `text` is.
        text: A JSON Schema, a regular expression, a JSON list of texts, or a grammar (Lark, or llama.cpp's
            GBNF).
    """

    kind: ConstraintKind
    text: str


class Tool(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tool that the model may call.

    Attributes:
        name: 1 to 64 of A-Z a-z 0-9 _ -.
        description: What it does.
        parameters: The JSON Schema of its arguments, as text: of an object, whether it says so or not. Empty:
            there are none.
    """

    name: str
    description: str = ""
    parameters: str = "{}"


class Choice(StrEnum):
    """Whether tools are called."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"


class Tools(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the model may call.

    Attributes:
        tools: All that it is told of.
        choice: Whether it calls any.
        only: The one that it must call, with `Choice.REQUIRED`; empty: any.
        parallel: Whether it may call several at once.
    """

    tools: tuple[Tool, ...]
    choice: Choice = Choice.AUTO
    only: str = ""
    parallel: bool = True


class Thinking(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether a model may think before it answers, and how long.

    Attributes:
        wanted: None: as its chat template does by itself.
        budget: The most tokens of its thoughts; None: half of what the answer may have.
    """

    wanted: bool | None = None
    budget: int | None = None


AUTO = Thinking()


# --- daemon → engine ---------------------------------------------------------------------------------------


class Load(_Message, frozen=True, tag="load"):
    """The first line that an engine reads.

    Attributes:
        backend: `llama`, `onnx` or `scripted`.
        path: The model file; empty for a backend that needs none.
        context: Tokens of one sequence, prompt and answer together; the model's own limit caps it.
        threads: Threads of a step.
        step_tokens: The most tokens of one step.
        step_ms: Target for the duration of a step while answers stream.
        slots: Sequences served at once; None: the engine chooses.
        kv_tokens: Tokens in the KV cache, shared by all slots; None: the engine chooses.
        prefix_bytes: The most that states of ended sequences may take; None: the engine chooses, 0: none.
        speculate: Whether a sequence that runs alone may draft its next tokens.
        memory_bytes: The most that weights and KV cache may take together; 0: unknown.
        total_memory_bytes: The same if no other program used memory; 0: unknown.
        system: The system prompt of most requests.
        thinking: Whether most requests let the model think: some templates say so in the system prompt.
        template: The file with the chat template to use instead of the model's own; empty: its own.
        state_folder: Where KV states are kept between runs; empty: nowhere.
        state_bytes: The most that they may take there.
        state_day_bytes: The most of them that may be written in a day.
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
    load_mode: LoadMode = LoadMode.MMAP
    speculate: bool = True
    memory_bytes: int = 0
    total_memory_bytes: int = 0
    system: str = ""
    thinking: Thinking = AUTO
    template: str = ""
    state_folder: str = ""
    state_bytes: int = 0
    state_day_bytes: int = 512 << 20


class Start(_Message, frozen=True, tag="start"):
    """Begin an answer. The engine has a free slot: the daemon counts them.

    Attributes:
        id: The request's id, unique among those running.
        messages: The whole conversation, oldest first.
        first: Where the request's own messages begin, among all of them.
        droppable: How many messages, after a leading system message, are history. If the conversation
            outgrows the context, their oldest turns are left out.
        max_tokens: The most tokens to generate.
        stop: Texts that end the answer; they are not part of it.
        gather_ms: How soon after the last delta text waits for a later step. Each message wakes a process
            that competes with the steps for the cores.
        constraint: What the answer may be, behind thoughts; None: anything.
        thinking: Whether the model may think before it.
        tools: What it may call; None: nothing. Not beside a constraint.
    """

    id: str
    messages: tuple[ChatMessage, ...]
    sampling: Sampling
    max_tokens: int
    stop: tuple[str, ...] = ()
    first: int = 0
    droppable: int = 0
    gather_ms: float = 0.0
    constraint: Constraint | None = None
    thinking: Thinking = AUTO
    tools: Tools | None = None


class QuestionKind(StrEnum):
    """What a question asks for: one of some options, a place on a scale, or yes or no."""

    CHOICE = "choice"
    SCORE = "score"
    YES_NO = "yes_no"


class Question(msgspec.Struct, frozen=True, omit_defaults=True):
    """A question about the state of a decision.

    Attributes:
        kind: What is asked for.
        text: What is asked.
        options: What may be answered, at least two; of a scale from low to high, of yes and no in this order.
        notes: What each of them means, empty where its name says it; as many as options, or none.
    """

    kind: QuestionKind
    text: str
    options: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Right(msgspec.Struct, frozen=True):
    """The right answer to one question of a decision: its place among them, and one of its options."""

    question: int
    option: str


class Shot(msgspec.Struct, frozen=True):
    """A state of its own, and right answers to some of a decision's questions about it."""

    state: str
    answers: tuple[Right, ...]


class Decide(_Message, frozen=True, tag="decide"):
    """Score the options of questions about a state; nothing is generated. Takes a slot, as an answer does.

    Attributes:
        id: The request's id, unique among those running.
        state: What the questions are about.
        questions: At least one.
        instructions: What to know for all of them; empty: nothing more.
        shots: Right answers, told as turns before the state.
        prior: How much of what the model picks without a state is taken off each choice: 0, nothing (and it
            is not asked), to 1, all.
    """

    id: str
    state: str
    questions: tuple[Question, ...]
    instructions: str = ""
    shots: tuple[Shot, ...] = ()
    prior: float = 1.0


class Cancel(_Message, frozen=True, tag="cancel"):
    """End that request before the next step. The engine answers with `Cancelled` unless it ended already."""

    id: str


class Threads(_Message, frozen=True, tag="threads"):
    """Set the threads of the next steps: of those that only decode, and of those that prefill."""

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
        kv_tokens: Tokens in the KV cache, shared by all slots.
        prefix_bytes: The most that states of ended sequences may take.
        reach: A sequence of fewer tokens can be cut and shared at any of them, a longer one only where it
            stands. None: each can be cut; 0: none can.
        guesses: Whether a step can verify a draft: compute several tokens of a stream, sample after each.
        threads: The number that it was loaded with.
        adjusts_threads: Whether that number can be lowered, and raised again.
        build: What the library was built with, in its own words.
        template: What conversations are rendered with.
        constrains: Whether an answer can be bounded: requests with a `Constraint` may come.
        thinks: Whether it marks what it thinks, if it thinks.
        decides: Whether it scores options: a `Decide` may come.
        branches: How many prompts of decisions it reads at once, beside the slots; 0: one, in a slot.
        state_format: The format of `Backend.snapshot` and its version. Empty if no other process can use it.
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
    reach: int | None = None
    guesses: bool = True
    threads: int = 1
    adjusts_threads: bool = True
    template: TemplateState = TemplateState.NONE
    constrains: bool = False
    thinks: bool = False
    decides: bool = False
    branches: int = 0
    build: str = ""
    state_format: str = ""


class Ready(_Message, frozen=True, tag="ready"):
    """The model is loaded; requests may start."""

    model: ModelFacts
    load_ms: float


class Heartbeat(_Message, frozen=True, tag="heartbeat"):
    """The worker's loop is alive: sent between steps and while idle, at most once a second."""

    steps: int
    running: int


class Encoding(_Message, frozen=True, tag="encoding"):
    """A long prompt is being turned into tokens, or that is done; others run meanwhile.

    What is never done is no progress. If the engine ends before it is done, this prompt ended it.
    """

    id: str
    done: bool = False


class Prefilled(_Message, frozen=True, tag="prefilled"):
    """Progress of a prompt: `processed` of `total` tokens have KV entries, `cached` of them were there."""

    id: str
    processed: int
    cached: int
    total: int


class DeltaKind(StrEnum):
    """What a delta adds to the answer: text, what the model thinks before it, or a tool call."""

    TEXT = "text"
    THOUGHT = "thought"
    TOOL_CALL = "tool_call"


class Delta(_Message, frozen=True, tag="delta"):
    """The next part of an answer, of one kind. May cover several tokens.

    Its text is final: whole characters, and no beginning of a stop text. That of a tool call is a
    whole `ToolCall` as JSON. `tokens`: how many the answer has by then, thoughts and marks too.
    """

    id: str
    text: str
    kind: DeltaKind = DeltaKind.TEXT
    tokens: int = 0


class Finished(_Message, frozen=True, tag="finished"):
    """The answer is complete. Durations in ms: start to first token, first token to last.

    `overhead_ms` is the part of both that was not spent in the library that computes. `reasoning_tokens` of
    `completion_tokens` are thoughts and their marks.
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
    reasoning_tokens: int = 0


class Decided(_Message, frozen=True, tag="decided"):
    """All options are scored.

    Attributes:
        id: The request's.
        scores: For each question, the log-odds of each option: a softmax of them, divided by the model's
            temperature of calibration, are probabilities.
        prompt_tokens: How many tokens state and questions have, the state counted once; without those that
            were read for the priors.
        cached_tokens: How many of them had KV entries when it began.
        prefill_ms: From its start until all were scored.
        overhead_ms: The part of that which was not spent in the library that computes.
    """

    id: str
    scores: tuple[tuple[float, ...], ...]
    prompt_tokens: int
    cached_tokens: int
    prefill_ms: float
    overhead_ms: float = 0.0


class Cancelled(_Message, frozen=True, tag="cancelled"):
    """The request ended at the daemon's command; its slot is free."""

    id: str


class Failed(_Message, frozen=True, tag="failed"):
    """The request ended with an error of that wire code; its slot is free."""

    id: str
    code: str
    message: str


class Unusable(_Message, frozen=True, tag="unusable"):
    """The model can't be loaded; the engine ends after it.

    Attributes:
        message: Why, and what to do.
        for_now: Whether trying again may help, as memory may be free then.
    """

    message: str
    for_now: bool = False


class Log(_Message, frozen=True, tag="log"):
    """A line for the daemon's log."""

    level: Level
    logger: str
    message: str


Command = Load | Start | Decide | Cancel | Threads | Stop
Event = (
    Loading
    | Ready
    | Heartbeat
    | Encoding
    | Prefilled
    | Delta
    | Finished
    | Decided
    | Cancelled
    | Failed
    | Unusable
    | Log
)

_encoder = msgspec.json.Encoder()
_commands: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Command)
_events: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Event)


def encode(message: Command | Event) -> bytes:
    """Return the message as one line; JSON escapes line breaks, so the only newline is the last byte."""
    return _encoder.encode(message) + b"\n"


def decode_command(line: bytes) -> Command:
    """Return the command in a line.

    Raises:
        ValueError: It holds none.
    """
    command: Command = _decode(_commands, line)
    return command


def decode_event(line: bytes) -> Event:
    """Return the event in a line.

    Raises:
        ValueError: It holds none.
    """
    event: Event = _decode(_events, line)
    return event


def _decode(decoder: msgspec.json.Decoder[Any], line: bytes) -> Any:
    try:
        return decoder.decode(line)
    except RecursionError:
        raise ValueError("the line is nested too deeply") from None
