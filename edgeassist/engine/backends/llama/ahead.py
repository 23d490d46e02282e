"""What of a load needs the file alone, and is done while llama.cpp reads it: most of it takes the GIL.

It is a guess at what llama.cpp will say of the vocabulary. What turns out otherwise is done again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from edgeassist.engine.backends.base import Compiler
from edgeassist.engine.backends.llama.lexicon import FileLexicon
from edgeassist.engine.backends.llama.speech import Speech, Templates, speech_of
from edgeassist.engine.backends.llama.spelling import Spelling
from edgeassist.engine.constraints import make_compiler
from edgeassist.errors import ModelError
from edgeassist.models.files.description import FOR_TOOLS
from edgeassist.models.files.gguf_metadata import Metadata

log = logging.getLogger(__name__)

Tokenize = Callable[[str], list[int]]


@dataclass(frozen=True, slots=True)
class Ahead:
    """What was done ahead.

    Attributes:
        speech: How the model speaks.
        pieces: The bytes of all tokens; none of a control token.
        compiler: Bounds answers over these; None where that can't be had.
    """

    speech: Speech
    pieces: list[bytes]
    compiler: Compiler | None


def guess(spelling: Spelling, metadata: Metadata, configured: str | None, tokenize: Tokenize) -> Ahead | None:
    """Return what can be done before the file is loaded; None where it does not tell enough.

    Args:
        spelling: Of the file's vocabulary.
        metadata: Of the file.
        configured: The text of the template that `model.template` names; None for the file's own.
        tokenize: Returns the ids of a text, once the file is loaded.
    """
    if spelling.pieces is None:
        return None
    pieces = list(spelling.pieces)
    lexicon = FileLexicon(spelling, metadata)
    for_tools = None if configured else metadata.text(f"tokenizer.chat_template.{FOR_TOOLS}", "") or None
    source = configured or metadata.text("tokenizer.chat_template", "") or None
    try:
        speech = speech_of(lexicon, Templates(source, for_tools, configured=configured is not None))
    except ModelError:
        return None  # it will be raised by what is not ahead
    shown, strike = speech.marks.values(), speech.signs.strike
    for token in lexicon.notable:
        if token in shown or (token != strike and lexicon.is_hidden(token)):
            pieces[token] = b""
    return Ahead(speech, pieces, make_compiler(pieces, speech.ends, tokenize, speech.marks))


def compiler_for(
    ahead: Ahead | None, speech: Speech, pieces: list[bytes], tokenize: Tokenize
) -> Compiler | None:
    """Return what bounds answers over a vocabulary; what was made ahead, if that was guessed right."""
    if ahead is not None:
        guessed, found = ((each.ends, each.marks) for each in (ahead.speech, speech))
        if guessed == found and ahead.pieces == pieces:
            return ahead.compiler
        log.debug("the file's vocabulary is not what llama.cpp has: the table is made again")
    return make_compiler(pieces, speech.ends, tokenize, speech.marks)
