"""What people say to a Home Assistant, and what it answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import count
from typing import Any

from tests.home_assistant.wire import Events, Wire
from tests.patience import PATIENCE_S

_names = count(1)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as a whole.

    Attributes:
        speech: What is said.
        kind: `action_done`, `query_answer` or `error`.
        code: Of an error, such as `no_valid_targets`; None for others.
        data: Targets, and what was done and not.
        conversation: Its id, to go on with.
        goes_on: Whether the agent expects more to be said.
    """

    speech: str
    kind: str
    code: str | None
    data: dict[str, Any]
    conversation: str
    goes_on: bool

    @classmethod
    def read(cls, result: dict[str, Any]) -> Reply:
        """Read the result of `conversation/process`, which an `intent-end` has as `intent_output`."""
        response = result["response"]
        return cls(
            speech=response["speech"].get("plain", {}).get("speech", ""),
            kind=response["response_type"],
            code=response["data"].get("code"),
            data=response["data"],
            conversation=result["conversation_id"],
            goes_on=result.get("continue_conversation", False),
        )


@dataclass(frozen=True, slots=True)
class Heard:
    """An event of a pipeline.

    Attributes:
        after_s: Seconds since it was asked to run.
        kind: `run-start`, `intent-start`, `intent-progress`, `intent-end`, `run-end`, `error`.
        data: Its data.
    """

    after_s: float
    kind: str
    data: dict[str, Any]

    @property
    def delta(self) -> dict[str, Any]:
        """Of an `intent-progress`: `role`, `content`, `thinking_content`, `tool_calls`, a tool's result."""
        found: dict[str, Any] = self.data.get("chat_log_delta") or {}
        return found


class Talk:
    """Conversations, as a satellite or a chat box has them."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def command(self, kind: str, /, **fields: Any) -> Any:
        """Send a command of the WebSocket API, and return its result; raises as `Wire.command` does."""
        return await self._wire.command(kind, **fields)

    def subscribe(self, kind: str, /, **fields: Any) -> AbstractAsyncContextManager[Events]:
        """Send a command of the WebSocket API that brings events until the block ends."""
        return self._wire.subscribe(kind, **fields)

    async def say(
        self,
        text: str,
        agent: str | None = None,
        *,
        language: str = "en",
        device: str | None = None,
        conversation: str | None = None,
        patience_s: float = PATIENCE_S,
    ) -> Reply:
        """Say something to an agent, and return its whole answer.

        Args:
            text: What is said.
            agent: The agent's entity; None for Home Assistant's own.
            language: Of the text.
            device: The id of the satellite that heard it, which may be in an area.
            conversation: Which is gone on with.
            patience_s: How long to wait.
        """
        named = {"agent_id": agent, "device_id": device, "conversation_id": conversation}
        given = {key: value for key, value in named.items() if value is not None}
        result = await self.command(
            "conversation/process", patience_s=patience_s, text=text, language=language, **given
        )
        return Reply.read(result)

    async def pipeline(self, agent: str, *, language: str = "en", local_first: bool = False) -> str:
        """Make a voice pipeline with this agent, and return its id.

        Args:
            agent: The agent's entity.
            language: Of what is said.
            local_first: Whether Home Assistant's own sentences are tried before.
        """
        without = (
            "stt_engine",
            "stt_language",
            "tts_engine",
            "tts_language",
            "tts_voice",
            "wake_word_entity",
        )
        made = await self.command(
            "assist_pipeline/pipeline/create",
            name=f"test {next(_names)}",
            language=language,
            conversation_engine=agent,
            conversation_language=language,
            prefer_local_intents=local_first,
            **dict.fromkeys((*without, "wake_word_id")),
        )
        return str(made["id"])

    async def run(
        self,
        text: str,
        pipeline: str,
        *,
        device: str | None = None,
        conversation: str | None = None,
        patience_s: float = PATIENCE_S,
    ) -> AsyncGenerator[Heard]:
        """Say something to a pipeline, and give its events up to `run-end`; who closes this early cancels it.

        Args:
            text: What is said.
            pipeline: The pipeline's id.
            device: The id of the satellite that heard it.
            conversation: Which is gone on with.
            patience_s: How long to wait for an event.

        Raises:
            TimeoutError: Nothing came for too long.
        """
        fields: dict[str, Any] = {"start_stage": "intent", "end_stage": "intent", "input": {"text": text}}
        named = {"pipeline": pipeline, "device_id": device, "conversation_id": conversation}
        given = {key: value for key, value in named.items() if value is not None}
        begun = time.monotonic()
        async with self.subscribe("assist_pipeline/run", **fields, **given) as events:
            while True:
                event = await events.next(patience_s)
                yield Heard(time.monotonic() - begun, event["type"], event["data"] or {})
                if event["type"] == "run-end":
                    return

    async def streamed(self, text: str, pipeline: str, **more: Any) -> list[Heard]:
        """Say something to a pipeline, and return its events; arguments and errors are those of `run`."""
        async with asyncio.timeout(PATIENCE_S):
            return [heard async for heard in self.run(text, pipeline, **more)]


def reply(heard: list[Heard]) -> Reply:
    """Return the answer with which a pipeline ended."""
    return next(Reply.read(each.data["intent_output"]) for each in heard if each.kind == "intent-end")


def spoken(heard: list[Heard]) -> str:
    """Return the text that was streamed."""
    return "".join(each.delta.get("content") or "" for each in heard if each.kind == "intent-progress")
