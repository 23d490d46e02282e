"""A message on a prompt topic becomes a request with a place to answer to, or a refusal with one. Pure."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from edgeassist.errors import EdgeAssistError, InvalidRequestError, UnsupportedError
from edgeassist.protocol.packets import Inbound
from edgeassist.protocol.requests import PromptRequest, parse_prompt, salvage
from edgeassist.protocol.topics import Topics
from edgeassist.serving.relay import ReplyTo


@dataclass(frozen=True, slots=True)
class ReplyRules:
    """Where answers may go, and how many bytes a payload may have."""

    prefixes: Sequence[str]
    payload_bytes: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A valid request. `expiry_s` is what its message has left to live, None for ever."""

    request: PromptRequest
    client: str | None
    reply_to: ReplyTo
    expiry_s: float | None

    @property
    def metadata(self) -> dict[str, JsonValue] | None:
        """What to echo."""
        return self.request.metadata


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that can't be; its refusal goes where its answer would have, if that is allowed."""

    error: EdgeAssistError
    request: str
    reply_to: ReplyTo
    metadata: dict[str, JsonValue] | None = None


def take_in(message: Inbound, client: str | None, topics: Topics, rules: ReplyRules) -> Asked | Refused:
    """Read a message of that client's prompt topic (None: the one that all share)."""
    try:
        request = parse_prompt(message.payload, limit=rules.payload_bytes)
    except EdgeAssistError as error:
        found, asked_topic = (None, None)
        if len(message.payload) <= rules.payload_bytes:
            found, asked_topic = salvage(message.payload)
        name = found or secrets.token_hex(8)
        topic, _ = _topic(name, message.response_topic or asked_topic, client, topics, rules)
        return Refused(error, name, ReplyTo(topic, message.correlation))
    wanted = message.response_topic or request.reply_to
    topic, forbidden = _topic(request.id, wanted, client, topics, rules)
    reply_to = ReplyTo(topic, message.correlation, request.format, request.stream)
    problem = forbidden or _unsupported(request)
    if problem is not None:
        return Refused(problem, request.id, reply_to, request.metadata)
    return Asked(request, client, reply_to, None if message.expiry_s is None else float(message.expiry_s))


def _topic(
    request: str, wanted: str | None, client: str | None, topics: Topics, rules: ReplyRules
) -> tuple[str, InvalidRequestError | None]:
    """Return where to answer: where it was wanted, or the default and why not there."""
    if wanted is None:
        return topics.reply(request, client), None
    try:
        return topics.check_reply(wanted, prefixes=rules.prefixes, client=client), None
    except InvalidRequestError as error:
        return topics.reply(request, client), error


def _unsupported(request: PromptRequest) -> UnsupportedError | None:
    asked = [name for name in ("json_schema", "grammar", "tools") if getattr(request, name) is not None]
    if not asked:
        return None
    return UnsupportedError(f"this version can't do {' or '.join(asked)} yet: leave it out")
