"""How a model speaks, found out from its file while llama.cpp reads it.

It is a guess at what llama.cpp will say of the vocabulary. What turns out otherwise is done again.
"""

from __future__ import annotations

from edgeassist.engine.backends.llama.lexicon import FileLexicon
from edgeassist.engine.backends.llama.speech import Speech, Templates, speech_of
from edgeassist.engine.backends.llama.spelling import Spelling
from edgeassist.errors import ModelError
from edgeassist.models.files.description import FOR_TOOLS
from edgeassist.models.files.gguf_metadata import Metadata


def guess(spelling: Spelling, metadata: Metadata, configured: str | None) -> Speech | None:
    """Return how a model probably speaks; None where its file does not tell enough.

    Args:
        spelling: Of the file's vocabulary.
        metadata: Of the file.
        configured: The text of the template that `model.template` names; None for the file's own.
    """
    for_tools = None if configured else metadata.text(f"tokenizer.chat_template.{FOR_TOOLS}", "") or None
    source = configured or metadata.text("tokenizer.chat_template", "") or None
    templates = Templates(source, for_tools, configured=configured is not None)
    try:
        return speech_of(FileLexicon(spelling, metadata), templates)
    except ModelError:
        return None  # it will be raised by what is not ahead
