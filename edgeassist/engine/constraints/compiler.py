"""Compiles the bounds of answers, for one model."""

from __future__ import annotations

from llguidance import LLMatcher, LLParserLimits

from edgeassist.engine.constraints.bound import Bound
from edgeassist.engine.constraints.explanation import explain
from edgeassist.engine.constraints.grammars import grammar_of
from edgeassist.engine.constraints.vocabulary import Vocabulary
from edgeassist.engine.messages import Constraint
from edgeassist.errors import InvalidRequestError

# A tenth of llguidance's own, which let a compile take seconds on a small box.
_LIMITS = LLParserLimits(
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
        """Return what bounds one answer. Takes a millisecond; up to a second for the largest. Any thread.

        Raises:
            InvalidRequestError: It can't be compiled; the message names the request's field, and the place.
        """
        grammar = grammar_of(constraint)
        matcher = LLMatcher(self._vocabulary.table, grammar, log_level=0, limits=_LIMITS)
        if matcher.is_error():
            raise InvalidRequestError(f"{constraint.kind}: {explain(matcher.get_error())}")
        return Bound(matcher, self._vocabulary)
