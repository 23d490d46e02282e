"""Messages in, segments of a prompt out: the model's own chat template, and a shield around each message."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache

from edgeassist.engine.messages import AUTO, ChatMessage, TemplateState, Thinking, Tools
from edgeassist.engine.prompting.calling import NO_TOOLS, Calling, put, uses_tools
from edgeassist.engine.prompting.calling_probes import CALL, find_calling, written_for_call
from edgeassist.engine.prompting.calls.finding import OURS, find_form
from edgeassist.engine.prompting.calls.form import Form
from edgeassist.engine.prompting.documents import (
    ASSISTANT,
    SYSTEM,
    TOOL,
    USER,
    Manner,
    Told,
    Variables,
    documents_of,
)
from edgeassist.engine.prompting.frame import Frame, control_in
from edgeassist.engine.prompting.holds import Held, Sealed
from edgeassist.engine.prompting.probes import find_abilities, find_ends, find_lowers
from edgeassist.engine.prompting.shield import Segment, control_pattern
from edgeassist.engine.prompting.switches import Switches, find_switches, written_by
from edgeassist.engine.prompting.template import Template, TemplateRefusedError
from edgeassist.engine.prompting.thoughts import Marks, find_marks
from edgeassist.engine.prompting.turns import NOTHING, Abilities, shape
from edgeassist.errors import InvalidRequestError, ModelError, ModelUnavailableError

log = logging.getLogger(__name__)

_WAY_OUT = "set model.template to a file with a chat template that fits the model"
# What `tools` is where there are none: templates for tool calls alone loop over them in any case.
_UNTOLD: tuple[list[object] | None, ...] = (None, [])
# What a template is asked to find out how it lets a model think; some only say so without a system prompt.
_ASKED = (
    (ChatMessage(USER, "zqalpha"),),
    (ChatMessage(SYSTEM, "zqalpha"), ChatMessage(USER, "zqbravo")),
)
# Of so many shapes of conversations we keep what the template writes around them.
_SHAPES = 64


class ChatTemplate:
    """Renders conversations.

    Args:
        source: A Jinja2 text; None for a model without one, which gets the messages' texts as they are.
        tokens: The vocabulary's special tokens by their names in templates, such as `bos_token`.
        control: The texts of the control tokens that no message may hold.
        parts: Of those that only the assistant's messages may hold: thoughts, tool calls.
        configured: Whether the source is what the setting `model.template` names, and not the model's own.
        for_tools: A source for conversations with tools in the place of the first; None: there is none.

    Attributes:
        control: Matches what would be read as a control token where it is trusted.
        turns: Likewise, without `parts`.
        state: Where the template comes from, or that there is none that works.
        refused: The roles that it has no place for.
        ends: The control tokens that end an answer, as it tells.
        lowers: Whether the model reads what the user says in lower case.
        marks: How the model marks its thoughts; None: not at all, as far as it tells.
        calling: What it does with tools.
        form: How the model calls tools.
        shown: The control tokens in the marks of both, which have to be read in an answer.

    Raises:
        ModelError: The source is no Jinja2 template.
    """

    def __init__(
        self,
        source: str | None,
        *,
        tokens: Mapping[str, object] | None = None,
        control: Iterable[str] = (),
        parts: Iterable[str] = (),
        configured: bool = False,
        for_tools: str | None = None,
    ) -> None:
        turns = frozenset(control)
        self._vocabulary = turns.union(parts)
        self.turns = control_pattern(turns)
        self.control = control_pattern(self._vocabulary)
        self.state = TemplateState.FILE if configured else TemplateState.MODEL
        self.refused: frozenset[str] = frozenset()
        self.ends: frozenset[str] = frozenset()
        self.lowers = False
        self.marks: Marks | None = None
        self.form: Form = OURS
        self.shown: frozenset[str] = frozenset()
        self._switches = Switches()
        self._template: Template | None = None
        self._abilities = NOTHING
        self.calling = NO_TOOLS
        self._written = lru_cache(_SHAPES)(Frame.written)
        self._takes = lru_cache(_SHAPES)(self._takes_tools)
        if source is None:
            self.state = TemplateState.NONE
            log.warning("the model has no chat template: it gets bare texts; %s", _WAY_OUT)
        else:
            self._load(source, tokens or {})
        # A mark that is part of another text is none of it.
        self.shown |= self._vocabulary.intersection(self.form.marks)
        self._for_tools = None if for_tools is None else _telling_tools(for_tools, tokens, control, parts)
        if self._for_tools is not None:
            self.ends |= self._for_tools.ends
            self.shown |= self._for_tools.shown

    def render(
        self, messages: Sequence[ChatMessage], thinking: Thinking = AUTO, tools: Tools | None = None
    ) -> list[Segment]:
        """Return the prompt, ready for an answer by the assistant.

        Args:
            messages: Oldest first.
            thinking: Whether it may think before; a thought that is not wanted is closed.
            tools: What it may call; None: nothing.

        Raises:
            InvalidRequestError: The model's template does not take such a conversation, or a schema, or
                arguments of a call, are no JSON object.
            ModelUnavailableError: It takes none.
        """
        if self._for_tools is not None and uses_tools(messages, tools):
            return self._for_tools.render(messages, thinking, tools)
        if self.state is TemplateState.BROKEN:
            raise ModelUnavailableError(f"the chat template does not work: {_WAY_OUT}")
        if self._template is None:
            plain = put(messages, tools, NO_TOOLS, OURS, self.control)
            text = "\n".join(message.content for message in plain if message.content)
            return [Segment(text, trusted=False)]
        variables = self._switches.variables(thinking)
        segments = self._first_taken(self._template, messages, tools, variables)
        if thinking.wanted is False and self.marks is not None and self.ends_in_thought(segments):
            segments.append(Segment(self.marks.cut, trusted=True))
        return segments

    def form_for(self, tools: Tools) -> Form:
        """Return the form in which a prompt with these tools tells the model to call them."""
        if self._for_tools is not None:
            return self._for_tools.form_for(tools)
        return self.form if self._takes(tools) else OURS

    def ends_in_thought(self, segments: Sequence[Segment]) -> bool:
        """Whether the template has opened a thought at the end of a prompt, in which the answer goes on."""
        if self.marks is None or not segments:
            return False
        last = segments[-1]
        return last.trusted and self.marks.open_at_end(last.text)

    def _first_taken(
        self, template: Template, messages: Sequence[ChatMessage], tools: Tools | None, variables: Variables
    ) -> list[Segment]:
        """Return the prompt in the first way that the template takes."""
        refusal: TemplateRefusedError | None = None
        for way, abilities in self._ways(messages, tools):
            frame = Frame(template, abilities.parts, way.manner, tools, variables)
            try:
                return self._render(
                    frame, shape(put(messages, tools, way, self.form, self.control), abilities)
                )
            except TemplateRefusedError as error:
                refusal = refusal or error
        raise InvalidRequestError(
            f"the model's chat template does not take this conversation: {refusal}"
        ) from refusal

    def _ways(
        self, messages: Sequence[ChatMessage], tools: Tools | None
    ) -> Iterator[tuple[Calling, Abilities]]:
        """Return how a conversation may be put; what the probes found may not hold for every one."""
        abilities = self._abilities
        if uses_tools(messages, tools) and self._takes(tools):
            calling = self.calling
            yield calling, abilities if calling.system else replace(abilities, system=False)
            told = replace(NO_TOOLS, manner=calling.manner)
            yield told, abilities
            yield told, replace(NOTHING, parts=abilities.parts)
        yield NO_TOOLS, abilities
        yield NO_TOOLS, replace(NOTHING, parts=abilities.parts)

    def _takes_tools(self, tools: Tools | None) -> bool:
        """Whether the template takes them. Some refuse what is rare in a schema."""
        if tools is None or self._template is None:
            return True
        frame = Frame(self._template, self._abilities.parts, self.calling.manner, tools, ())
        return frame.written(shape([ChatMessage(USER, "x")], self._abilities), self.control) is not None

    def _render(self, frame: Frame, turns: Sequence[ChatMessage]) -> list[Segment]:
        segments = frame.fill(turns, lambda shield: Held(shield, self.turns, self.control))
        pattern = self._pattern_for(turns, frame.tools)
        outline = tuple(
            ChatMessage(turn.role, "x" if turn.content.strip() else "", turn.calls, turn.call_id)
            for turn in turns
        )
        if control_in(segments, pattern) == self._written(frame, outline, pattern):
            return segments
        # The template turns what was written into what was not. This way it does not see it.
        return frame.fill(turns, Sealed)

    def _pattern_for(self, turns: Sequence[ChatMessage], tools: Tools | None) -> re.Pattern[str]:
        """Return what matches the control tokens that only the template may have written.

        An assistant's words may hold some of their own; how many are left of them the template decides.
        """
        if uses_tools(turns, tools) and not any(
            self.control.search(turn.content) for turn in turns if turn.role == ASSISTANT
        ):
            return self.control
        return self.turns

    def _load(self, source: str, tokens: Mapping[str, object]) -> None:
        """Take the template, and find out what it can do."""
        for tools in _UNTOLD:
            template = _read(source, {**tokens, "tools": tools}, configured=self.state is TemplateState.FILE)

            @cache  # the probes ask for some conversations again
            def render(
                messages: tuple[ChatMessage, ...], parts: frozenset[str], template: Template = template
            ) -> str | None:
                try:
                    return template.render(documents_of(messages, parts)[0])
                except TemplateRefusedError:
                    return None

            abilities = find_abilities(render)
            if abilities is not None:
                self._template, self._abilities = template, abilities
                self.refused = frozenset() if abilities.tool else frozenset({TOOL})
                self.ends = find_ends(render, abilities.parts, self.turns)
                self.lowers = find_lowers(render, abilities.parts)
                self._find_thoughts(source, template, abilities)
                self._find_calling(source, template, abilities)
                log.debug("the chat template: %s", abilities)
                return
        self.state = TemplateState.BROKEN
        log.warning("the chat template fails, or leaves out what is asked: every request fails; %s", _WAY_OUT)

    def _find_thoughts(self, source: str, template: Template, abilities: Abilities) -> None:
        """Find out how the template lets the model think, and how that marks its thoughts."""

        @cache
        def write(variables: Variables) -> tuple[str, ...] | None:
            try:
                return tuple(
                    template.render(documents_of(shape(each, abilities), abilities.parts)[0], variables)
                    for each in _ASKED
                )
            except TemplateRefusedError:
                return None

        self._switches = find_switches(write)
        self.marks = find_marks(source, written_by(self._switches, write), self._vocabulary)
        if self.marks is not None:
            written = "".join((self.marks.opening, self.marks.closing, *self.marks.begins, *self.marks.ends))
            self.shown = frozenset(self.control.findall(written))
            log.debug("its thoughts: %s, %s", self.marks, self._switches)

    def _find_calling(self, source: str, template: Template, abilities: Abilities) -> None:
        """Find out what the template does with tools, and in which form the model calls them."""

        @cache
        def write(messages: tuple[ChatMessage, ...], manner: Manner, tools: Tools | None) -> str | None:
            documents, variables = documents_of(shape(messages, abilities), abilities.parts, manner, tools)
            try:
                return template.render(documents, variables)
            except TemplateRefusedError:
                return None

        calling = find_calling(write)
        # What we tell the model in place of the template we tell in a form of ours.
        if calling.manner.told is not Told.NOWHERE:
            written = written_for_call(write, calling)
            self.form = find_form(written, source, self._vocabulary)
            if self.form == OURS and written is not None and OURS.write([CALL]) not in written:
                # It tells the model to call in a way that we can neither hold it to nor read.
                calling = NO_TOOLS
        self.calling = calling
        log.debug("its tools: %s, %s", self.form.name, self.calling)


def _telling_tools(
    source: str, tokens: Mapping[str, object] | None, control: Iterable[str], parts: Iterable[str]
) -> ChatTemplate | None:
    """Return the template for tools, if it works and tells the model of them."""
    try:
        template = ChatTemplate(source, tokens=tokens, control=control, parts=parts)
    except ModelError as error:
        log.warning("the chat template for tools is left out: %s", error.message)
        return None
    return template if template.calling.manner.told is not Told.NOWHERE else None


def _read(source: str, variables: Mapping[str, object], *, configured: bool) -> Template:
    try:
        return Template(source, variables)
    except ModelError as error:
        if configured:
            raise ModelError(f"model.template: {error.message}") from None
        raise ModelError(f"model.path: {error.message}; {_WAY_OUT}") from None
