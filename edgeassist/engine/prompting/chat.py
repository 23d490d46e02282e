"""Messages in, segments of a prompt out: the model's own chat template, and a shield around each message."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache

from edgeassist.engine.messages import AUTO, ChatMessage, TemplateState, Thinking
from edgeassist.engine.prompting.calls.finding import OURS, find_form
from edgeassist.engine.prompting.calls.form import Form
from edgeassist.engine.prompting.probes import find_abilities, find_ends
from edgeassist.engine.prompting.shield import Segment, Shield, control_pattern
from edgeassist.engine.prompting.switches import Switches, Variables, find_switches, written_by
from edgeassist.engine.prompting.template import Template, TemplateRefusedError
from edgeassist.engine.prompting.thoughts import Marks, find_marks
from edgeassist.engine.prompting.turns import ASSISTANT, NOTHING, SYSTEM, TOOL, USER, Abilities, shape
from edgeassist.errors import InvalidRequestError, ModelError, ModelUnavailableError

log = logging.getLogger(__name__)

_WAY_OUT = "set model.template to a file with a chat template that fits the model"
# Templates that are for tool calls alone loop over the tools without asking whether there are any.
_NO_TOOLS: tuple[list[object] | None, ...] = (None, [])
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

    Attributes:
        control: Matches what would be read as a control token where it is trusted.
        turns: Likewise, without `parts`.
        state: Where the template comes from, or that there is none that works.
        refused: The roles that it has no place for.
        ends: The control tokens that end an answer, as it tells.
        marks: How the model marks its thoughts; None: not at all, as far as it tells.
        form: How it writes tool calls.
        shown: The control tokens in what both are marked with, which have to be read in an answer.

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
    ) -> None:
        turns = frozenset(control)
        self._vocabulary = turns.union(parts)
        self.turns = control_pattern(turns)
        self.control = control_pattern(self._vocabulary)
        self.state = TemplateState.FILE if configured else TemplateState.MODEL
        self.refused: frozenset[str] = frozenset()
        self.ends: frozenset[str] = frozenset()
        self.marks: Marks | None = None
        self.form: Form = OURS
        self.shown: frozenset[str] = frozenset()
        self._switches = Switches()
        self._template: Template | None = None
        self._abilities = NOTHING
        self._written = lru_cache(_SHAPES)(self._written_for)
        if source is None:
            self.state = TemplateState.NONE
            log.warning("the model has no chat template: it gets bare texts; %s", _WAY_OUT)
        else:
            self._load(source, tokens or {})
            self.form = find_form(None, source, self._vocabulary)
        # A mark that is part of another text is none of it.
        self.shown |= self._vocabulary.intersection(self.form.marks)

    def render(self, messages: Sequence[ChatMessage], thinking: Thinking = AUTO) -> list[Segment]:
        """Return the prompt, ready for an answer by the assistant.

        Args:
            messages: Oldest first.
            thinking: Whether it may think before; a thought that is not wanted is closed.

        Raises:
            InvalidRequestError: The model's template does not take such a conversation.
            ModelUnavailableError: It takes none.
        """
        if self.state is TemplateState.BROKEN:
            raise ModelUnavailableError(f"the chat template does not work: {_WAY_OUT}")
        if self._template is None:
            text = "\n".join(message.content for message in messages if message.content)
            return [Segment(text, trusted=False)]
        variables = self._switches.variables(thinking)
        try:
            segments = self._render(self._template, messages, self._abilities, variables)
        except TemplateRefusedError as refusal:
            try:
                # What the probes found may not hold for every conversation.
                plain = replace(NOTHING, parts=self._abilities.parts)
                segments = self._render(self._template, messages, plain, variables)
            except TemplateRefusedError:
                raise InvalidRequestError(
                    f"the model's chat template does not take this conversation: {refusal}"
                ) from refusal
        if thinking.wanted is False and self.marks is not None and self.ends_in_thought(segments):
            segments.append(Segment(self.marks.cut, trusted=True))
        return segments

    def ends_in_thought(self, segments: Sequence[Segment]) -> bool:
        """Whether the template has opened a thought at the end of a prompt, in which the answer goes on."""
        if self.marks is None or not segments:
            return False
        last = segments[-1]
        return last.trusted and self.marks.open_at_end(last.text)

    def _render(
        self,
        template: Template,
        messages: Sequence[ChatMessage],
        abilities: Abilities,
        variables: Variables,
    ) -> list[Segment]:
        turns = shape(messages, abilities)
        segments = _fill(template, turns, abilities.parts, self._hold, variables)
        outline = tuple((turn.role, bool(turn.content.strip())) for turn in turns)
        if self._turns_in(segments) == self._written(template, outline, abilities.parts, variables):
            return segments
        # The template turns what was written into what was not. This way it does not see it.
        return _fill(template, turns, abilities.parts, _hold_all, variables)

    def _hold(self, shield: Shield, message: ChatMessage) -> str:
        pattern = self.turns if message.role == ASSISTANT else self.control
        return shield.hold(message.content, pattern)

    def _written_for(
        self,
        template: Template,
        outline: Sequence[tuple[str, bool]],
        parts: frozenset[str],
        variables: Variables,
    ) -> list[str] | None:
        """Return the control tokens that the template itself writes; None if it does not take such turns.

        Args:
            template: The template.
            outline: Of a conversation: each turn's role, and whether it has a text.
            parts: The roles whose content is a list of parts.
            variables: What the template is told beside them.
        """
        turns = [ChatMessage(role, "x" if has_text else "") for role, has_text in outline]
        try:
            return self._turns_in(_fill(template, turns, parts, _hold_all, variables))
        except TemplateRefusedError:
            return None

    def _turns_in(self, segments: Sequence[Segment]) -> list[str]:
        return [
            token for segment in segments if segment.trusted for token in self.turns.findall(segment.text)
        ]

    def _load(self, source: str, tokens: Mapping[str, object]) -> None:
        """Take the template, and find out what it can do."""
        for tools in _NO_TOOLS:
            template = _read(source, {**tokens, "tools": tools}, configured=self.state is TemplateState.FILE)

            @cache  # the probes ask for some conversations again
            def render(
                messages: tuple[ChatMessage, ...], parts: frozenset[str], template: Template = template
            ) -> str | None:
                try:
                    return template.render(_documents(messages, parts))
                except TemplateRefusedError:
                    return None

            abilities = find_abilities(render)
            if abilities is not None:
                self._template, self._abilities = template, abilities
                self.refused = frozenset() if abilities.tool else frozenset({TOOL})
                self.ends = find_ends(render, abilities.parts, self.turns)
                self._find_thoughts(source, template, abilities)
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
                    template.render(_documents(shape(each, abilities), abilities.parts), variables)
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


def _hold_all(shield: Shield, message: ChatMessage) -> str:
    return shield.hold_all(message.content)


def _fill(
    template: Template,
    messages: Sequence[ChatMessage],
    parts: frozenset[str],
    hold: Callable[[Shield, ChatMessage], str],
    variables: Variables,
) -> list[Segment]:
    shield = Shield()
    held = [ChatMessage(message.role, hold(shield, message)) for message in messages]
    return shield.release(template.render(_documents(held, parts), variables))


def _read(source: str, variables: Mapping[str, object], *, configured: bool) -> Template:
    try:
        return Template(source, variables)
    except ModelError as error:
        if configured:
            raise ModelError(f"model.template: {error.message}") from None
        raise ModelError(f"model.path: {error.message}; {_WAY_OUT}") from None


def _documents(messages: Sequence[ChatMessage], parts: frozenset[str]) -> list[dict[str, object]]:
    """Return messages as templates read them."""
    return [
        {
            "role": message.role,
            "content": [{"type": "text", "text": message.content}]
            if message.role in parts
            else message.content,
        }
        for message in messages
    ]
