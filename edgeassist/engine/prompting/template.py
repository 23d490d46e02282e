"""A model's own chat template: Jinja2 in a sandbox, with what published templates expect around them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from edgeassist.errors import ModelError


class TemplateRefusedError(Exception):
    """The template does not take these messages; the text says why."""


class Template:
    """Renders messages that are ready for it.

    Args:
        source: The Jinja2 text of the model's `tokenizer.chat_template`.
        bos: The text of the token that begins a prompt.
        eos: The text of the token that ends one.

    Raises:
        ModelError: The source is no Jinja2 template.
    """

    def __init__(self, source: str, *, bos: str = "", eos: str = "") -> None:
        self._variables = {"bos_token": bos, "eos_token": eos}
        try:
            self._template = _environment().from_string(source)
        except jinja2.TemplateError as error:
            raise ModelError(f"model.path: the model's chat template can't be read: {error}") from None

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Return the prompt's text, ready for an answer by the assistant.

        Raises:
            TemplateRefusedError: The template raised, or ran into an error of its own.
        """
        try:
            return self._template.render(messages=messages, add_generation_prompt=True, **self._variables)
        except Exception as error:
            raise TemplateRefusedError(str(error)) from error


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
    # Jinja's own filter escapes for HTML; models were trained on plain JSON.
    return json.dumps(value, ensure_ascii=False, indent=indent)


class _GenerationBlock(Extension):
    """`{% generation %}` marks the assistant's words for training; here it yields its content."""

    tags = {"generation"}  # noqa: RUF012 - as jinja2 declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Return what stands between the tags."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)
