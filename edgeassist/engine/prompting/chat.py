"""Messages in, segments of a prompt out: the model's own chat template, and a shield around each message."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

from edgeassist.engine.messages import ChatMessage
from edgeassist.engine.prompting.shield import Segment, Shield, control_pattern
from edgeassist.engine.prompting.template import Template, TemplateRefusedError
from edgeassist.errors import InvalidRequestError

# Of so many shapes of conversations we keep what the template writes around them.
_SHAPES = 64


class ChatTemplate:
    """Renders conversations.

    Args:
        source: The Jinja2 text of the model's `tokenizer.chat_template`; None for a model without one,
            which gets the messages' texts as they are.
        bos: The text of the token that begins a prompt.
        eos: The text of the token that ends one.
        control: The texts of the control tokens that no message may hold.
        parts: Of those that only the assistant's messages may hold: thoughts, tool calls.

    Attributes:
        control: Matches what would be read as a control token where it is trusted.
        turns: Likewise, without `parts`.

    Raises:
        ModelError: The source is no Jinja2 template.
    """

    def __init__(
        self,
        source: str | None,
        *,
        bos: str = "",
        eos: str = "",
        control: Iterable[str] = (),
        parts: Iterable[str] = (),
    ) -> None:
        turns = frozenset(control)
        self.turns = control_pattern(turns)
        self.control = control_pattern(turns.union(parts))
        self._template = None if source is None else Template(source, bos=bos, eos=eos)
        self._written = lru_cache(_SHAPES)(self._written_for)

    def render(self, messages: Sequence[ChatMessage]) -> list[Segment]:
        """Return the prompt, ready for an answer by the assistant.

        Raises:
            InvalidRequestError: The model's template does not take such a conversation.
        """
        if self._template is None:
            return [Segment("\n".join(message.content for message in messages), trusted=False)]
        segments = _fill(self._template, messages, self._hold)
        shape = tuple((message.role, bool(message.content.strip())) for message in messages)
        if self._turns_in(segments) == self._written(shape):
            return segments
        # The template turns what was written into what was not. This way it does not see it.
        return _fill(self._template, messages, _hold_all)

    def _hold(self, shield: Shield, message: ChatMessage) -> str:
        pattern = self.turns if message.role == "assistant" else self.control
        return shield.hold(message.content, pattern)

    def _written_for(self, shape: Sequence[tuple[str, bool]]) -> list[str]:
        """Return the control tokens that the template itself writes.

        Args:
            shape: Of a conversation: each message's role, and whether it has a text.
        """
        assert self._template is not None  # noqa: S101 - else there is nothing to ask
        messages = [ChatMessage(role, "x" if has_text else "") for role, has_text in shape]
        return self._turns_in(_fill(self._template, messages, _hold_all))

    def _turns_in(self, segments: Sequence[Segment]) -> list[str]:
        return [
            token for segment in segments if segment.trusted for token in self.turns.findall(segment.text)
        ]


def _hold_all(shield: Shield, message: ChatMessage) -> str:
    return shield.hold_all(message.content)


def _fill(
    template: Template, messages: Sequence[ChatMessage], hold: Callable[[Shield, ChatMessage], str]
) -> list[Segment]:
    shield = Shield()
    held = [{"role": message.role, "content": hold(shield, message)} for message in messages]
    return shield.release(_render(template, held))


def _render(template: Template, messages: Sequence[Mapping[str, str]]) -> str:
    try:
        return template.render(messages)
    except TemplateRefusedError as error:
        # Some templates have no system role; their models expect it before the first question.
        if messages[0]["role"] == "system" and len(messages) > 1:
            first, second, *rest = messages
            merged = {"role": second["role"], "content": f"{first['content']}\n\n{second['content']}"}
            return _render(template, [merged, *rest])
        raise InvalidRequestError(
            f"the model's chat template does not take this conversation: {error}",
        ) from error
