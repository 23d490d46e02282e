"""Messages in, prompt text out: the model's own chat template in a sandbox.

What a requester wrote never becomes a control token: text such as `<|im_end|>` inside a message is carried
past the template and given to the tokenizer as plain text, so that nobody can forge a turn.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from edgeassist.engine.messages import ChatMessage
from edgeassist.errors import InvalidRequestError, ModelError

# Stands in a rendered prompt where a text was taken out of it; a text that has one is taken out itself.
MARK = "\ue000"


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a prompt; only in a trusted one may control tokens be read."""

    text: str
    trusted: bool


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
        forgeries = sorted({MARK, *control} - {""}, key=len, reverse=True)
        self.control = re.compile("|".join(map(re.escape, forgeries)))
        self._variables = {"bos_token": bos, "eos_token": eos}
        try:
            self._template = None if source is None else _environment().from_string(source)
        except jinja2.TemplateError as error:
            raise ModelError(f"model.path: the model's chat template can't be read: {error}") from None

    def render(self, messages: Sequence[ChatMessage]) -> list[Segment]:
        """Return the prompt, ready for an answer by the assistant.

        Raises:
            InvalidRequestError: The model's template does not take such a conversation.
        """
        if self._template is None:
            return [Segment("\n".join(message.content for message in messages), trusted=False)]
        held: list[str] = []

        def hold(match: re.Match[str]) -> str:
            held.append(match.group())
            return f"{MARK}{len(held) - 1}{MARK}"

        shielded = [
            {"role": message.role, "content": self.control.sub(hold, message.content)} for message in messages
        ]
        parts = re.split(f"{MARK}(\\d+){MARK}", self._render(self._template, shielded))
        segments = [
            # A template that cuts a message in two may leave one mark of a pair, and then no text is held.
            Segment("".join(held[int(part) :][:1]), trusted=False)
            if index % 2
            else Segment(part, trusted=True)
            for index, part in enumerate(parts)
        ]
        return [segment for segment in segments if segment.text]

    def _render(self, template: jinja2.Template, messages: list[dict[str, str]]) -> str:
        try:
            return template.render(messages=messages, add_generation_prompt=True, **self._variables)
        except Exception as error:
            # Some templates know no system role; their users put the instruction before the first question.
            if messages[0]["role"] == "system" and len(messages) > 1:
                first, second, *rest = messages
                merged = {"role": second["role"], "content": f"{first['content']}\n\n{second['content']}"}
                return self._render(template, [merged, *rest])
            raise InvalidRequestError(
                f"the model's chat template does not take this conversation: {error}",
            ) from error


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _GenerationBlock]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().astimezone().strftime(form)
    return environment


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _to_json(value: Any, indent: int | None = None) -> str:
    # Jinja's own filter escapes for HTML; what models were trained on is plain JSON.
    return json.dumps(value, ensure_ascii=False, indent=indent)


class _GenerationBlock(Extension):
    """`{% generation %}` marks the assistant's words for training; here it is its content."""

    tags = {"generation"}  # noqa: RUF012 - as jinja2 declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Return what stands between the tags."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)
