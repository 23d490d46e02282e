"""Messages in, segments of a prompt out: the model's own chat template, and a shield around each message."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache

from edgeassist.engine.messages import ChatMessage, TemplateState
from edgeassist.engine.prompting.probes import find_abilities, find_ends
from edgeassist.engine.prompting.shield import Segment, Shield, control_pattern
from edgeassist.engine.prompting.template import Template, TemplateRefusedError
from edgeassist.engine.prompting.turns import ASSISTANT, NOTHING, TOOL, Abilities, shape
from edgeassist.errors import InvalidRequestError, ModelError, ModelUnavailableError

log = logging.getLogger(__name__)

_WAY_OUT = "set model.template to a file with a chat template that fits the model"
# Templates that are for tool calls alone loop over the tools without asking whether there are any.
_NO_TOOLS: tuple[list[object] | None, ...] = (None, [])
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
        self.turns = control_pattern(turns)
        self.control = control_pattern(turns.union(parts))
        self.state = TemplateState.FILE if configured else TemplateState.MODEL
        self.refused: frozenset[str] = frozenset()
        self.ends: frozenset[str] = frozenset()
        self._template: Template | None = None
        self._abilities = NOTHING
        self._written = lru_cache(_SHAPES)(self._written_for)
        if source is None:
            self.state = TemplateState.NONE
            log.warning("the model has no chat template: it gets bare texts; %s", _WAY_OUT)
        else:
            self._load(source, tokens or {})

    def render(self, messages: Sequence[ChatMessage]) -> list[Segment]:
        """Return the prompt, ready for an answer by the assistant.

        Raises:
            InvalidRequestError: The model's template does not take such a conversation.
            ModelUnavailableError: It takes none.
        """
        if self.state is TemplateState.BROKEN:
            raise ModelUnavailableError(f"the chat template does not work: {_WAY_OUT}")
        if self._template is None:
            text = "\n".join(message.content for message in messages if message.content)
            return [Segment(text, trusted=False)]
        try:
            return self._render(self._template, messages, self._abilities)
        except TemplateRefusedError as refusal:
            try:
                # What the probes found may not hold for every conversation.
                return self._render(self._template, messages, replace(NOTHING, parts=self._abilities.parts))
            except TemplateRefusedError:
                raise InvalidRequestError(
                    f"the model's chat template does not take this conversation: {refusal}"
                ) from refusal

    def _render(
        self, template: Template, messages: Sequence[ChatMessage], abilities: Abilities
    ) -> list[Segment]:
        turns = shape(messages, abilities)
        segments = _fill(template, turns, abilities.parts, self._hold)
        outline = tuple((turn.role, bool(turn.content.strip())) for turn in turns)
        if self._turns_in(segments) == self._written(template, outline, abilities.parts):
            return segments
        # The template turns what was written into what was not. This way it does not see it.
        return _fill(template, turns, abilities.parts, _hold_all)

    def _hold(self, shield: Shield, message: ChatMessage) -> str:
        pattern = self.turns if message.role == ASSISTANT else self.control
        return shield.hold(message.content, pattern)

    def _written_for(
        self, template: Template, outline: Sequence[tuple[str, bool]], parts: frozenset[str]
    ) -> list[str] | None:
        """Return the control tokens that the template itself writes; None if it does not take such turns.

        Args:
            template: The template.
            outline: Of a conversation: each turn's role, and whether it has a text.
            parts: The roles whose content is a list of parts.
        """
        turns = [ChatMessage(role, "x" if has_text else "") for role, has_text in outline]
        try:
            return self._turns_in(_fill(template, turns, parts, _hold_all))
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
                log.debug("the chat template: %s", abilities)
                return
        self.state = TemplateState.BROKEN
        log.warning("the chat template fails, or leaves out what is asked: every request fails; %s", _WAY_OUT)


def _hold_all(shield: Shield, message: ChatMessage) -> str:
    return shield.hold_all(message.content)


def _fill(
    template: Template,
    messages: Sequence[ChatMessage],
    parts: frozenset[str],
    hold: Callable[[Shield, ChatMessage], str],
) -> list[Segment]:
    shield = Shield()
    held = [ChatMessage(message.role, hold(shield, message)) for message in messages]
    return shield.release(template.render(_documents(held, parts)))


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
