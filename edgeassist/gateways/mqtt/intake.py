"""A message on a topic for requests becomes a request with a place to answer to, or a refusal with one."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from edgeassist.errors import EdgeAssistError, InvalidRequestError
from edgeassist.gateways.mqtt.destination import ReplyTo
from edgeassist.protocol.asking import Asked
from edgeassist.protocol.decisions import parse_decision
from edgeassist.protocol.packets import Inbound
from edgeassist.protocol.requests import PromptRequest, parse_prompt
from edgeassist.protocol.salvage import salvage
from edgeassist.protocol.topics import DecideTopic, PromptTopic, Topics
from edgeassist.serving.request import AnyRequest


@dataclass(frozen=True, slots=True)
class ReplyRules:
    """Where answers may go, and the most bytes of a payload."""

    prefixes: Sequence[str]
    payload_bytes: int


@dataclass(frozen=True, slots=True)
class Taken:
    """A request that could be read."""

    request: AnyRequest
    reply_to: ReplyTo


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that is no valid request; it is refused where it would have been answered, if allowed."""

    error: EdgeAssistError
    request_id: str
    reply_to: ReplyTo
    metadata: dict[str, JsonValue] | None = None


def take_in(
    message: Inbound,
    came_on: PromptTopic | DecideTopic,
    topics: Topics,
    rules: ReplyRules,
    *,
    name: str | None = None,
) -> Taken | Refused:
    """Read a message that came on such a topic; `name` is the id that it was given before, where it was."""
    client = came_on.client
    decides = isinstance(came_on, DecideTopic)
    try:
        if client is not None:
            topics.check_client(client, decides=decides)
    except InvalidRequestError as error:
        return _refused(error, message, None, topics, rules, name=name)
    try:
        parse = parse_decision if decides else parse_prompt
        request: AnyRequest = parse(message.payload, limit=rules.payload_bytes)
    except EdgeAssistError as error:
        return _refused(error, message, client, topics, rules, name=name)
    if name is not None:
        request = request.model_copy(update={"id": name})
    wanted = message.response_topic or request.reply_to
    topic, forbidden = _topic(request.id, wanted, client, topics, rules)
    reply_to = ReplyTo(
        topic,
        message.correlation,
        format=request.format,
        stream=request.streams,
        max_packet=request.max_packet,
        end=request.end,
    )
    try:
        if forbidden is not None:
            raise forbidden
        reply_to.check(request.id, _names_of_tools(request))
    except InvalidRequestError as error:
        return Refused(error, request.id, reply_to, request.metadata)
    return Taken(request, reply_to)


def _names_of_tools(request: Asked) -> list[str]:
    tools = request.tools if isinstance(request, PromptRequest) else None
    return [tool.function.name for tool in tools or ()]


def _refused(
    error: EdgeAssistError,
    message: Inbound,
    client: str | None,
    topics: Topics,
    rules: ReplyRules,
    *,
    name: str | None,
) -> Refused:
    """Return a refusal that is sent to where, and in the form in which, the answer was wanted."""
    address = salvage(message.payload[: rules.payload_bytes])
    name = name or address.id or secrets.token_hex(8)
    topic, _ = _topic(name, message.response_topic or address.reply_to, client, topics, rules)
    reply_to = ReplyTo(
        topic, message.correlation, format=address.format, max_packet=address.max_packet, end=address.end
    )
    return Refused(error, name, reply_to)


def _topic(
    request_id: str, wanted: str | None, client: str | None, topics: Topics, rules: ReplyRules
) -> tuple[str, InvalidRequestError | None]:
    """Return where to answer: where it was wanted, or the default and why not there."""
    if wanted is None:
        return topics.reply(request_id, client), None
    try:
        return topics.check_reply(wanted, prefixes=rules.prefixes, client=client), None
    except InvalidRequestError as error:
        return topics.reply(request_id, client), error


def fingerprint_of(message: Inbound) -> bytes:
    """Return what tells one message from another: what was asked, where, and where the answer goes."""
    parts = [message.topic.encode(), (message.response_topic or "").encode(), message.correlation or b""]
    lengths = ",".join(str(len(part)) for part in parts).encode()
    return hashlib.blake2b(b"\0".join([lengths, *parts, message.payload]), digest_size=16).digest()
