"""Messages in, segments of a prompt out: the model's own chat template, and a shield around each message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from edgeassist.engine.messages import ChatMessage
from edgeassist.engine.prompting.shield import Segment, Shield, control_pattern
from edgeassist.engine.prompting.template import Template, TemplateRefusedError
from edgeassist.errors import InvalidRequestError


class ChatTemplate:
    """Renders conversations.

    Args:
        source: The Jinja2 text of the model's `tokenizer.chat_template`; None for a model without one,
            which gets the messages' texts as they are.
        bos: The text of the token that begins a prompt.
        eos: The text of the token that ends one.
        control: The texts of the vocabulary's control tokens.

    Attributes:
        control: Matches what would be read as a control token where it is trusted.

    Raises:
        ModelError: The source is no Jinja2 template.
    """

    def __init__(
        self, source: str | None, *, bos: str = "", eos: str = "", control: Iterable[str] = ()
    ) -> None:
        self.control = control_pattern(control)
        self._template = None if source is None else Template(source, bos=bos, eos=eos)

    def render(self, messages: Sequence[ChatMessage]) -> list[Segment]:
        """Return the prompt, ready for an answer by the assistant.

        Raises:
            InvalidRequestError: The model's template does not take such a conversation.
        """
        if self._template is None:
            return [Segment("\n".join(message.content for message in messages), trusted=False)]
        shield = Shield(self.control)
        held = [{"role": message.role, "content": shield.hold(message.content)} for message in messages]
        return shield.release(_render(self._template, held))


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
