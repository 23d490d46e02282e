"""Compiles the bounds of answers, for one model."""

from __future__ import annotations

import threading
from collections import OrderedDict

from llguidance import LLMatcher, LLParserLimits

from edgeassist.engine.constraints.bound import Bound
from edgeassist.engine.constraints.explanation import explain
from edgeassist.engine.constraints.grammars import grammar_of
from edgeassist.engine.constraints.vocabulary import Vocabulary
from edgeassist.engine.messages import Constraint
from edgeassist.errors import InvalidRequestError

# A tenth of llguidance's own, which let a compile take seconds on a small box.
LIMITS = LLParserLimits(
    initial_lexer_fuel=200_000, max_lexer_states=25_000, max_grammar_size=50_000, verbose_errors=False
)
# Programs ask with one schema again and again. A megabyte each, at most.
_KEPT = 16


class Compiler:
    """Makes bounds for answers.

    Args:
        vocabulary: The model's.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._compiled: OrderedDict[Constraint, LLMatcher] = OrderedDict()
        self._lock = threading.Lock()

    def bound(self, constraint: Constraint) -> Bound:
        """Return what bounds one answer. Any thread.

        Takes milliseconds, and up to a second for the largest; microseconds for one that came lately.

        Raises:
            InvalidRequestError: It can't be compiled; the message names the request's field, and the place.
        """
        with self._lock:
            matcher = self._compiled.get(constraint) or self._compile(constraint)
            self._compiled[constraint] = matcher
            self._compiled.move_to_end(constraint)
            if len(self._compiled) > _KEPT:
                self._compiled.popitem(last=False)
        return Bound(matcher.deep_copy(), self._vocabulary)

    def _compile(self, constraint: Constraint) -> LLMatcher:
        matcher = LLMatcher(self._vocabulary.table, grammar_of(constraint), log_level=0, limits=LIMITS)
        if matcher.is_error():
            raise InvalidRequestError(f"{constraint.kind}: {explain(matcher.get_error())}")
        if matcher.is_stopped() and not matcher.is_accepting():
            raise InvalidRequestError(f"{constraint.kind}: no answer fulfils it")
        return matcher
