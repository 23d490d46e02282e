"""A model's own chat template: Jinja2 in a sandbox, with what published templates expect around them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from edgeassist.engine.prompting.escapes import ASCII, JSON, note
from edgeassist.errors import ModelError

# Templates tell "no tools" by None, and add text to a token that they take to have a text.
_VARIABLES: Mapping[str, object] = {"bos_token": "", "eos_token": "", "tools": None, "documents": None}


class TemplateRefusedError(Exception):
    """The template does not take these messages; the text says why."""


class Template:
    """Renders messages that are ready for it.

    Args:
        source: A Jinja2 text.
        variables: What it may ask for beside the messages, such as `bos_token`.

    Raises:
        ModelError: The source is no Jinja2 template.
    """

    def __init__(self, source: str, variables: Mapping[str, object]) -> None:
        self._variables = {**_VARIABLES, **variables}
        try:
            self._template = _environment().from_string(source)
        # Jinja2 writes Python, which refuses a `break` outside of a loop, and nests as the template does.
        except (jinja2.TemplateError, SyntaxError, RecursionError) as error:
            raise ModelError(f"the chat template can't be read: {error}") from None

    def render(
        self, messages: Sequence[Mapping[str, object]], variables: Iterable[tuple[str, object]] = ()
    ) -> str:
        """Return the prompt's text, ready for an answer by the assistant.

        Args:
            messages: As templates read them.
            variables: More of what it may ask for.

        Raises:
            TemplateRefusedError: The template raised, or ran into an error of its own.
        """
        try:
            known = {**self._variables, **dict(variables)}
            return self._template.render(messages=messages, add_generation_prompt=True, **known)
        except Exception as error:
            raise TemplateRefusedError(str(error)) from error


def _environment() -> ImmutableSandboxedEnvironment:
    # Jinja's optimizer looks at a long sum once for each of its parts, which takes it seconds.
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, optimized=False, extensions=[loopcontrols, _GenerationBlock]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().astimezone().strftime(form)
    return environment


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,  # noqa: FBT001, FBT002 - as templates call it
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,  # noqa: FBT001, FBT002
) -> str:
    # Jinja's own filter escapes for HTML; models were trained on plain JSON.
    text = json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )
    return note(text, ASCII if ensure_ascii else JSON)


class _GenerationBlock(Extension):
    """`{% generation %}` marks the assistant's words for training; here it yields its content."""

    tags = {"generation"}  # noqa: RUF012 - as jinja2 declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Return what stands between the tags."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)
