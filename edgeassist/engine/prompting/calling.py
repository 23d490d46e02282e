"""A conversation with tools, put for what the model's chat template can do with them. Sans-I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import groupby

from edgeassist.engine.messages import ChatMessage, Tools
from edgeassist.engine.prompting.calls.finding import OURS
from edgeassist.engine.prompting.calls.form import Form
from edgeassist.engine.prompting.documents import ASSISTANT, PLAIN, TOOL, Manner, Told
from edgeassist.engine.prompting.ours import call_as_text, results_as_text, with_tools


class Way(Enum):
    """How something gets into a prompt: as it is, in turns of its own, or as plain text."""

    AS_IT_IS = auto()
    APART = auto()
    AS_TEXT = auto()


@dataclass(frozen=True, slots=True)
class Calling:
    """What a chat template does with tools.

    Attributes:
        manner: How it reads them. If it reads nowhere which tools there are, all else is plain text too, in
            the form that we tell the model.
        calls: Calls.
        beside: Calls with a text before them. Apart: the text is a turn of its own.
        several: Several calls at once. Apart: each is a turn, with its result behind it.
        results: Results, as turns of their role; as plain text the user tells them.
        untold: Calls and results where there are no tools (any more).
        system: Whether the system prompt comes out behind a result, too. Mistral Nemo's stands before a last
            question, where nothing follows it.
    """

    manner: Manner = PLAIN
    calls: Way = Way.AS_IT_IS
    beside: Way = Way.AS_IT_IS
    several: Way = Way.AS_IT_IS
    results: Way = Way.AS_IT_IS
    untold: Way = Way.AS_IT_IS
    system: bool = True


NO_TOOLS = Calling(Manner(Told.NOWHERE), Way.AS_TEXT, Way.AS_TEXT, Way.AS_TEXT, Way.AS_TEXT, Way.AS_TEXT)


def uses_tools(messages: Sequence[ChatMessage], tools: Tools | None) -> bool:
    """Whether a conversation has tools, calls or results of calls."""
    return tools is not None or any(message.calls or message.call_id for message in messages)


def put(
    messages: Sequence[ChatMessage],
    tools: Tools | None,
    calling: Calling,
    form: Form,
    control: re.Pattern[str],
) -> list[ChatMessage]:
    """Return a conversation whose calls and results the template takes.

    The results behind a message with calls stand in the order of these; any other the user tells.

    Args:
        messages: Oldest first.
        tools: What may be called.
        calling: What the template does with that.
        form: In which the model writes calls, if the template tells it of tools.
        control: Matches control tokens.

    Raises:
        InvalidRequestError: A schema, or arguments, are no JSON object.
    """
    if not uses_tools(messages, tools):
        return list(messages)
    if tools is None and calling.untold is Way.AS_TEXT:
        calling = NO_TOOLS
    if calling.manner.told is Told.NOWHERE:
        form = OURS
        messages = messages if tools is None else with_tools(messages, tools)
    return [*_turns(messages, calling, lambda message: call_as_text(message, form, control))]


def _turns(
    messages: Sequence[ChatMessage], calling: Calling, write: Callable[[ChatMessage], ChatMessage]
) -> Iterator[ChatMessage]:
    """Return a conversation in which each message with calls is put together with its results."""
    asked: ChatMessage | None = None
    for is_result, group in groupby(messages, _is_result):
        if is_result:
            yield from _exchange(asked, [*group], calling, write)
            asked = None
            continue
        for message in group:
            yield from _exchange(asked, [], calling, write)
            asked = message if message.calls else None
            if asked is None:
                yield message
    yield from _exchange(asked, [], calling, write)


def _is_result(message: ChatMessage) -> bool:
    return message.role == TOOL and bool(message.call_id)


def _exchange(
    message: ChatMessage | None,
    results: Sequence[ChatMessage],
    calling: Calling,
    write: Callable[[ChatMessage], ChatMessage],
) -> Iterator[ChatMessage]:
    """Return a message with calls, if there is one, and the results that follow it."""
    calls = () if message is None else message.calls
    order = {call.id: at for at, call in enumerate(calls)}
    theirs = sorted((each for each in results if each.call_id in order), key=lambda each: order[each.call_id])
    strays = [each for each in results if each.call_id not in order]
    if message is not None:
        if _is_text(message, calling):
            yield write(message)
            as_text = calling.results is Way.AS_TEXT or calling.calls is not Way.AS_TEXT
            yield from _told(theirs, as_text=as_text)
        else:
            for each in _apart(message, calling):
                yield each
                ids = {call.id for call in each.calls}
                found = [result for result in theirs if result.call_id in ids]
                yield from _told(found, as_text=calling.results is Way.AS_TEXT)
    yield from _told(strays, as_text=True)


def _is_text(message: ChatMessage, calling: Calling) -> bool:
    return Way.AS_TEXT in {
        calling.calls,
        *([calling.beside] if message.content.strip() else []),
        *([calling.several] if len(message.calls) > 1 else []),
    }


def _apart(message: ChatMessage, calling: Calling) -> Iterator[ChatMessage]:
    """Return an assistant's message in as many turns as the template wants."""
    content = message.content
    if content.strip() and calling.beside is Way.APART:
        yield ChatMessage(ASSISTANT, content)
        content = ""
    several = [(call,) for call in message.calls] if calling.several is Way.APART else [message.calls]
    for at, calls in enumerate(several):
        yield ChatMessage(ASSISTANT, "" if at else content, calls)


def _told(results: Sequence[ChatMessage], *, as_text: bool) -> Sequence[ChatMessage]:
    return [results_as_text(results)] if results and as_text else results
