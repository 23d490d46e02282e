"""A conversation, put for what the model's chat template can do. Sans-I/O.

What a template drops in silence or refuses is moved to where it is read: no word of a conversation is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from edgeassist.engine.messages import ChatMessage
from edgeassist.engine.prompting.documents import ASSISTANT, SYSTEM, TOOL, USER
from edgeassist.errors import InvalidRequestError


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a chat template renders; what it does not was dropped, refused, or taken for another's words.

    Attributes:
        system: A system message at the beginning.
        systems: Several there.
        late_system: A system message in the middle.
        empty_system: An empty one at the beginning, in the place of a system prompt of the template's own.
        empty_answer: An answer without text, as the turn that it is.
        tool: Results of tools.
        repeats: The roles of which two messages may follow each other.
        parts: The roles whose content has to be a list of parts.
    """

    system: bool = True
    systems: bool = True
    late_system: bool = True
    empty_system: bool = True
    empty_answer: bool = True
    tool: bool = True
    repeats: frozenset[str] = frozenset({USER, ASSISTANT})
    parts: frozenset[str] = frozenset()


# Turns of user and assistant that alternate are what every template takes.
NOTHING = Abilities(
    system=False,
    systems=False,
    late_system=False,
    empty_system=False,
    empty_answer=False,
    tool=False,
    repeats=frozenset(),
)


def shape(messages: Sequence[ChatMessage], abilities: Abilities) -> list[ChatMessage]:
    """Return a conversation that the template takes, with every word of the given one.

    What stands for the first messages does not depend on later ones, so that a session's next prompt begins
    as the last one did; but for an empty answer that is left out.

    Args:
        messages: Oldest first.
        abilities: The template's.
    """
    leading = [*takewhile(lambda message: message.role == SYSTEM, messages)]
    turns = [
        message
        for message in messages[len(leading) :]
        if abilities.empty_answer or not _is_empty_answer(message)
    ]
    if not abilities.late_system:
        turns = _into_users(turns)
    turns = [*_begin(leading, abilities), *turns]
    if not abilities.system:
        turns = _into_users(turns)
    return _join(turns, {SYSTEM, TOOL} | abilities.repeats)


def check_roles(messages: Sequence[ChatMessage], refused: Iterable[str], *, first: int = 0) -> None:
    """Raise an InvalidRequestError that names the first message of a role that the template does not take.

    The result of a call is told in any case.

    Args:
        messages: Oldest first.
        refused: Those roles.
        first: Where the request's own messages begin; they are numbered from there.
    """
    for number, message in enumerate(messages[first:]):
        if message.role in refused and not message.call_id:
            raise InvalidRequestError(
                f"messages.{number}.role: the model's chat template has no place for the role "
                f"{message.role!r}: send its text as a user's message"
            )


def _is_empty_answer(message: ChatMessage) -> bool:
    return message.role == ASSISTANT and not message.calls and not message.content.strip()


def _begin(leading: list[ChatMessage], abilities: Abilities) -> list[ChatMessage]:
    """Return the system messages at the beginning; an empty one only where it keeps away another."""
    told = [message for message in leading if message.content]
    if not told:
        return leading[:1] if abilities.empty_system else []
    return told if abilities.systems else _join(told, ())


def _into_users(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Put each system message before what the user says next, or into a turn of its own.

    None comes between a call and its result.
    """
    turns: list[ChatMessage] = []
    told: list[ChatMessage] = []
    for message in messages:
        if message.role == SYSTEM:
            told += [ChatMessage(USER, message.content)] if message.content else []
            continue
        if told and message.role == USER:
            turns.append(_merged([*told, message]))
        elif message.call_id:
            turns.append(message)
            continue
        else:
            turns += [*_join(told, ()), message]
        told = []
    return [*turns, *_join(told, ())]


def _join(messages: Sequence[ChatMessage], repeats: Iterable[str]) -> list[ChatMessage]:
    """Join neighbours of one role, but for roles that may repeat. A message with calls stays by itself."""
    turns: list[ChatMessage] = []
    for message in messages:
        repeated = turns and turns[-1].role == message.role and message.role not in repeats
        if repeated and not message.calls and not turns[-1].calls:
            turns[-1] = _merged([turns[-1], message])
        else:
            turns.append(message)
    return turns


def _merged(messages: Sequence[ChatMessage]) -> ChatMessage:
    return ChatMessage(messages[0].role, "\n\n".join(message.content for message in messages))
