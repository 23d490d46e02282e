"""What a chat template does with tools, found out by rendering words that no template holds. Sans-I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product

from edgeassist.engine.messages import ChatMessage, Tool, ToolCall, Tools
from edgeassist.engine.prompting.calling import NO_TOOLS, Calling, Way
from edgeassist.engine.prompting.documents import ASSISTANT, SYSTEM, TOOL, USER, Manner, Told
from edgeassist.engine.prompting.ours import results_as_text

# What a template writes for a conversation with tools, or without any; None if it does not take that.
Write = Callable[[tuple[ChatMessage, ...], Manner, Tools | None], str | None]

_NAME, _KEY, _VALUE, _OTHER = "zqtool", "zqkey", "zqvalue", "zqother"
_DESCRIPTION = "zqdescription"
TOOLS = Tools(
    (
        Tool(
            _NAME,
            _DESCRIPTION,
            f'{{"type": "object", "properties": {{"{_KEY}": {{"type": "string", "description": "zqhint"}}}}, '
            f'"required": ["{_KEY}"]}}',
        ),
    )
)
CALL, _NEXT = (ToolCall(_NAME, f'{{"{_KEY}": "{value}"}}', id=value) for value in (_VALUE, _OTHER))
_TOLD = ChatMessage(SYSTEM, "zqsystem")
_QUESTION = ChatMessage(USER, "zqalpha")
_SAID = ChatMessage(ASSISTANT, "zqbravo")
_CALLED = ChatMessage(ASSISTANT, "", (CALL,))
_CALLED_NEXT = ChatMessage(ASSISTANT, "", (_NEXT,))
_RESULT = ChatMessage(TOOL, "zqresult", call_id=_VALUE)
_RESULT_NEXT = ChatMessage(TOOL, "zqdelta", call_id=_OTHER)
_MORE = (ChatMessage(ASSISTANT, "zqecho"), ChatMessage(USER, "zqfoxtrot"))


def find_calling(write: Write) -> Calling:
    """Return what a template does with tools."""
    told = next((each for each in Told if each is not Told.NOWHERE and _tells(write, Manner(each))), None)
    if told is None:
        return NO_TOOLS
    for results, json in product((Way.AS_IT_IS, Way.AS_TEXT), (False, True)):
        manner = Manner(told, json)
        behind = _behind([_RESULT], results)
        if _calls(write, manner, behind):
            return Calling(
                manner,
                Way.AS_IT_IS,
                _beside(write, manner, behind),
                _several(write, manner, results),
                results,
                untold=Way.AS_IT_IS if _calls(write, manner, behind, None) else Way.AS_TEXT,
                system=_exchanges(write, manner, (_TOLD, _QUESTION, _CALLED, *behind)),
            )
    as_text = (_QUESTION, _SAID, _RESULT)
    results = Way.AS_IT_IS if _exchanges(write, Manner(told), as_text) else Way.AS_TEXT
    return replace(NO_TOOLS, manner=Manner(told), results=results)


def written_for_call(write: Write, calling: Calling) -> str | None:
    """Return what a template writes for a turn that calls; None if it writes no calls."""
    if calling.calls is Way.AS_TEXT:
        return None
    asked, said, called, answered = (
        write((_QUESTION, *behind), calling.manner, TOOLS) or ""
        for behind in ((), (_SAID,), (_CALLED,), (_CALLED, *_behind([_RESULT], calling.results)))
    )
    # Some leave a call out that nothing follows.
    called = max(called, answered.partition(_RESULT.content)[0], key=lambda each: each.count(_VALUE))
    turn = called.removeprefix(asked) if asked else called
    if turn == called:
        turn = called.partition(_QUESTION.content)[2]
    return turn.removesuffix(said.rpartition(_SAID.content)[2])


def _behind(results: Sequence[ChatMessage], way: Way) -> tuple[ChatMessage, ...]:
    return tuple(results) if way is Way.AS_IT_IS else (results_as_text(results),)


def _tells(write: Write, manner: Manner) -> bool:
    """Whether it tells which tools there are, and all that is said besides."""
    return all(
        _comes_out(write, manner, conversation)
        for conversation in ((_QUESTION,), (_TOLD, _QUESTION), (_QUESTION, _SAID, _MORE[1]))
    )


def _calls(write: Write, manner: Manner, behind: Sequence[ChatMessage], tools: Tools | None = TOOLS) -> bool:
    conversation = (_QUESTION, _CALLED, *behind)
    if not _exchanges(write, manner, conversation, tools):
        return False
    written = write(conversation, manner, tools) or ""
    # An object where text is read comes out in Python, and text where an object is, as JSON in JSON.
    if f"{{'{_KEY}': '{_VALUE}'" in written or f'\\"{_KEY}\\": \\"{_VALUE}' in written:
        return False
    forged = (_QUESTION, _CALLED, ChatMessage(ASSISTANT, behind[0].content))
    return behind[0].role != TOOL or written != write(forged, manner, tools)


def _beside(write: Write, manner: Manner, behind: Sequence[ChatMessage]) -> Way:
    together = (_QUESTION, ChatMessage(ASSISTANT, _SAID.content, (CALL,)), *behind)
    if _exchanges(write, manner, together):
        return Way.AS_IT_IS
    apart = (_QUESTION, _SAID, _CALLED, *behind)
    return Way.APART if _exchanges(write, manner, apart) else Way.AS_TEXT


def _several(write: Write, manner: Manner, results: Way) -> Way:
    both = ChatMessage(ASSISTANT, "", (CALL, _NEXT))
    if _exchanges(write, manner, (_QUESTION, both, *_behind([_RESULT, _RESULT_NEXT], results))):
        return Way.AS_IT_IS
    first, last = _behind([_RESULT], results), _behind([_RESULT_NEXT], results)
    apart = (_QUESTION, _CALLED, *first, _CALLED_NEXT, *last)
    return Way.APART if _exchanges(write, manner, apart) else Way.AS_TEXT


def _exchanges(
    write: Write, manner: Manner, conversation: tuple[ChatMessage, ...], tools: Tools | None = TOOLS
) -> bool:
    """Whether all of it comes out, at the end of a conversation and in the middle of one."""
    return all(_comes_out(write, manner, each, tools) for each in (conversation, (*conversation, *_MORE)))


def _comes_out(
    write: Write, manner: Manner, conversation: tuple[ChatMessage, ...], tools: Tools | None = TOOLS
) -> bool:
    """Whether all words do: of tools and calls, each as often as it is in there."""
    written = write(conversation, manner, tools)
    if written is None:
        return False
    calls = [call for message in conversation for call in message.calls]
    words = [
        *([] if tools is None else (_NAME, _DESCRIPTION, _KEY)),
        *(word for call in calls for word in (call.name, _KEY, call.id)),
        *(message.content for message in conversation if message.content),
    ]
    return all(written.count(word) >= words.count(word) for word in words)
