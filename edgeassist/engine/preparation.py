"""What an answer begins with: its prompt as tokens, what bounds it, and what reads it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from edgeassist.engine.backends.base import Bound, LoadedModel
from edgeassist.engine.deciding.branches import Inquiries, Inquiry
from edgeassist.engine.deferred import Deferred
from edgeassist.engine.messages import Choice, Decide, Start, Thinking, Tools
from edgeassist.engine.prompting.codec import Encoded, ReadsCalls
from edgeassist.engine.prompting.history import encode_within
from edgeassist.engine.prompting.marking import Marking
from edgeassist.engine.prompting.parser import AnswerParser
from edgeassist.engine.prompting.turns import check_roles


@dataclass(frozen=True, slots=True)
class Prepared:
    """An answer before its first step.

    Attributes:
        prompt: What it answers.
        dropped: How many messages of history were left out of that.
        bound: What it may be; None: anything.
        parser: Reads it.
        may_think: Whether thoughts may come in it.
    """

    prompt: Encoded
    dropped: int
    bound: Bound | None
    parser: AnswerParser
    may_think: bool


class Preparation:
    """Prepares answers of one model. Two threads may call it at once.

    Args:
        model: Whose.
    """

    def __init__(self, model: LoadedModel) -> None:
        self._inquiries = Inquiries(model)
        self._codec = model.codec
        self._compiler = model.compiler
        self._marking = model.marking
        self._context = model.facts.context

    def prepare(self, request: Start | Decide) -> Prepared | Inquiry:
        """Return what a request begins with.

        Raises:
            EdgeAssistError: As `answer` and `Inquiries.prepare`.
        """
        return self._inquiries.prepare(request) if isinstance(request, Decide) else self.answer(request)

    def answer(self, request: Start) -> Prepared:
        """Return what the answer to a request begins with.

        Raises:
            ContextOverflowError: The prompt has far too many tokens.
            InvalidRequestError: The model's chat template does not take such a conversation, or what is to
                bound the answer can't be compiled.
            ModelUnavailableError: It takes none.
        """
        check_roles(request.messages, self._codec.refused, first=request.first)
        prompt, dropped = encode_within(
            self._context - min(request.max_tokens, self._context // 4),
            self._codec,
            request.messages,
            droppable=request.droppable,
            most=self._context,
            thinking=request.thinking,
            tools=request.tools,
        )
        bound = _behind_thoughts(
            self._bound(request, prompt), self._marking, request.thinking, thinks=prompt.thinks
        )
        behind = isinstance(bound, Deferred)
        ends = self._codec.ends if request.constraint is None else ()
        parser = self._codec.parser(
            (*request.stop, *ends),
            thinks=prompt.thinks,
            thoughts=bound is None or behind,
            lead=self._marking.lead_length if behind and self._marking else None,
            calls=_reads_calls(prompt, request.tools),
        )
        return Prepared(prompt, dropped, bound, parser, may_think=bound is None or behind)

    def _bound(self, request: Start, prompt: Encoded) -> Bound | None:
        if self._compiler is None:
            return None
        if request.constraint is not None:
            return self._compiler.bound(request.constraint)
        if request.tools is not None and prompt.form is not None:
            return self._compiler.calls(request.tools, prompt.form)
        return None


def _behind_thoughts(
    bound: Bound | None, marking: Marking | None, thinking: Thinking, *, thinks: bool
) -> Bound | None:
    """Return what bounds an answer, behind its thoughts where any may come.

    Args:
        bound: What bounds it from its beginning; None: nothing.
        marking: How the model marks thoughts; None: not at all.
        thinking: Whether it may think.
        thinks: Whether the prompt ends within a thought.
    """
    if bound is None or marking is None or thinking.wanted is False:
        return bound
    return Deferred(bound, marking, thinks=thinks)


def _reads_calls(prompt: Encoded, tools: Tools | None) -> ReadsCalls | None:
    """Return what reads the calls of an answer; None where it may have none."""
    if tools is None or prompt.form is None or tools.choice is Choice.NONE:
        return None
    return partial(prompt.form.parser, tools)
