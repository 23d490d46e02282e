"""What an answer may be: schemas, patterns, lists and grammars over a model's vocabulary, with llguidance.

Nothing else imports llguidance.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from edgeassist.engine.later import Later

if TYPE_CHECKING:
    from edgeassist.engine.constraints.bound import Bound
    from edgeassist.engine.constraints.compiler import Compiler
    from edgeassist.engine.messages import Constraint, Tools
    from edgeassist.engine.prompting.calls.form import Form

log = logging.getLogger(__name__)


def make_compiler(
    pieces: Callable[[], Sequence[bytes]],
    size: int,
    ends: Sequence[int],
    tokenize: Callable[[str], list[int]],
    marks: Mapping[str, int] | None = None,
    *,
    on_made: Callable[[], None] = lambda: None,
) -> LazyCompiler | None:
    """Return what makes bounds over a vocabulary; None where that can't be had, which is logged.

    What llguidance makes of the vocabulary is made with the first bound, or when `begin` is called:
    0.3 s for 151,936 tokens on a PC, in which no other thread runs.

    Args:
        pieces: Returns the bytes of each token; none of a control token. Called once, by any thread.
        size: How many there are.
        ends: The ids of those that end an answer.
        tokenize: Returns the ids of a text. Any thread.
        marks: The ids, by their texts, of the control tokens with which the model marks its calls of tools.
        on_made: Called once that is made: what it was made from is not needed any more.
    """
    # Nobody checks what a publisher's generation_config.json names.
    known = [end for end in ends if 0 <= end < size]
    if not known:
        log.warning("the model knows no token that ends an answer, so no answer can be bounded by a schema")
        return None
    if find_spec("llguidance") is None:
        log.warning("llguidance is not installed, so no answer can be bounded: pip install llguidance")
        return None

    def make() -> Compiler:
        # Not for the backend that bounds nothing, nor for a start.
        from edgeassist.engine.constraints.compiler import Compiler  # noqa: PLC0415 - as said above
        from edgeassist.engine.constraints.vocabulary import Vocabulary  # noqa: PLC0415

        compiler = Compiler(Vocabulary(pieces(), known, tokenize, marks or {}))
        on_made()
        return compiler

    return LazyCompiler(Later(make))


class LazyCompiler:
    """A compiler that is made when it is needed: fulfils `backends.base.Compiler`."""

    def __init__(self, later: Later[Compiler]) -> None:
        self._later = later

    @property
    def made(self) -> bool:
        """Whether it is."""
        return self._later.made

    def begin(self) -> None:
        """Have it made now, in a thread of its own."""
        self._later.begin()

    def bound(self, constraint: Constraint) -> Bound:
        """Return what bounds one answer (`Compiler.bound`)."""
        return self._later.get().bound(constraint)

    def calls(self, tools: Tools, form: Form) -> Bound:
        """Return what bounds an answer that may call tools (`Compiler.calls`)."""
        return self._later.get().calls(tools, form)
