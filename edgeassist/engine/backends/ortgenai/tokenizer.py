"""ONNX Runtime GenAI's tokenizer, which reads control tokens wherever they stand."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from edgeassist.engine.prompting.shield import Segment


class OrtTokenizer:
    """Fulfils `Tokenizer`.

    Args:
        tokenizer: An `onnxruntime_genai.Tokenizer`.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._lock = threading.Lock()

    def tokenize(self, segments: Sequence[Segment], *, begins: bool) -> list[int]:
        """Return token ids (`Tokenizer.tokenize`)."""
        del begins  # the library adds nothing at the beginning
        return [token for segment in segments for token in self.ids_of(segment.text)]

    def ids_of(self, text: str) -> list[int]:
        """Return the tokens of a text; control tokens where it has their texts."""
        # For the library a text ends at a NUL, and what the template wrote behind it would be lost. To
        # leave it out might join the pieces of a control token.
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
        # Two threads encode, and nothing says that the library may be called by both at once.
        with self._lock:
            return [int(token) for token in self._tokenizer.encode(text)] if text else []
