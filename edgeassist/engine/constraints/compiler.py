"""Compiles the bounds of answers, for one model."""

from __future__ import annotations

from llguidance import LLMatcher, LLParserLimits

from edgeassist.engine.constraints.bound import Bound
from edgeassist.engine.constraints.calls import grammar_of_calls
from edgeassist.engine.constraints.explanation import explain
from edgeassist.engine.constraints.grammars import grammar_of
from edgeassist.engine.constraints.vocabulary import Vocabulary
from edgeassist.engine.messages import Choice, Constraint, Tools
from edgeassist.engine.prompting.calls.form import Form
from edgeassist.errors import InvalidRequestError

# A fifth to a tenth of llguidance's own: what one client sends is to be refused, and not to take long.
LIMITS = LLParserLimits(
    initial_lexer_fuel=200_000, max_lexer_states=25_000, max_grammar_size=50_000, verbose_errors=False
)


class Compiler:
    """Makes bounds for answers.

    Args:
        vocabulary: The model's.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def bound(self, constraint: Constraint) -> Bound:
        """Return what bounds one answer. Any thread.

        Takes milliseconds, and up to a second for the largest. None is kept for the next request: copies
        share a table that grows with each answer, until llguidance's limits end one.

        Raises:
            InvalidRequestError: It can't be compiled; the message names the request's field, and the place.
        """
        return self._bound(str(constraint.kind), grammar_of(constraint))

    def calls(self, tools: Tools, form: Form) -> Bound:
        """Return what bounds an answer that may call tools: every call is valid. Any thread.

        Args:
            tools: What may be called, and whether.
            form: How the model writes calls.

        Raises:
            InvalidRequestError: It can't be compiled; the message names the tool, and the place.
        """
        grammar = grammar_of_calls(tools, form, self._vocabulary.marks, self._possible)
        try:
            return self._bound("tools", grammar)
        except InvalidRequestError:
            self._blame(tools, form)
            raise

    def _blame(self, tools: Tools, form: Form) -> None:
        """Raise an InvalidRequestError of the first tool that can't be compiled by itself."""
        for number, tool in enumerate(tools.tools):
            if tools.only in {"", tool.name}:
                one = Tools((tool,), Choice.REQUIRED, parallel=False)
                grammar = grammar_of_calls(one, form, self._vocabulary.marks, self._possible)
                self._bound(f"tools.{number}.function.parameters", grammar)

    def _matcher(self, grammar: str) -> LLMatcher:
        matcher = LLMatcher(self._vocabulary.table, grammar, log_level=0, limits=LIMITS)
        # What comes first is compiled when it is asked for: now, and not between the steps of others.
        matcher.compute_ff_tokens()
        matcher.compute_bitmask()
        return matcher

    def _possible(self, grammar: str) -> bool:
        return not self._matcher(grammar).is_error()

    def _bound(self, what: str, grammar: str) -> Bound:
        matcher = self._matcher(grammar)
        if matcher.is_error():
            raise InvalidRequestError(f"{what}: {explain(matcher.get_error())}")
        if matcher.is_stopped() and not matcher.is_accepting():
            raise InvalidRequestError(f"{what}: no answer fulfils it")
        return Bound(matcher, self._vocabulary)
