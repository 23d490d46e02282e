"""ONNX Runtime GenAI's tokenizer, which reads control tokens wherever they stand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from edgeassist.engine.prompting.shield import Segment


class OrtTokenizer:
    """Fulfils `Tokenizer`.

    Args:
        tokenizer: An `onnxruntime_genai.Tokenizer`.
        control: Matches what the library would read as a control token.
    """

    def __init__(self, tokenizer: Any, control: re.Pattern[str]) -> None:
        self._tokenizer = tokenizer
        self._control = control

    def tokenize(self, segments: Sequence[Segment], *, begins: bool) -> list[int]:
        """Return token ids; an untrusted control token is cut in two (`Tokenizer.tokenize`).

        Without one, all text goes to the library at once: it may tokenize a piece that stands alone like the
        beginning of a text.
        """
        del begins  # the library adds nothing at the beginning
        if not any(self._control.search(each.text) for each in segments if not each.trusted):
            return self._ids("".join(each.text for each in segments))
        tokens: list[int] = []
        for segment in segments:
            parts = [segment.text] if segment.trusted else defuse(segment.text, self._control)
            tokens += [token for part in parts for token in self._ids(part)]
        return tokens

    def _ids(self, text: str) -> list[int]:
        return [int(token) for token in self._tokenizer.encode(text)] if text else []


def defuse(text: str, control: re.Pattern[str]) -> list[str]:
    """Cut a text so that no part holds what would be read as a control token.

    Args:
        text: Any.
        control: Matches control tokens; those of one character can't be cut and stay.
    """
    parts = []
    start = at = 0
    while match := control.search(text, at):
        at = match.start() + 1
        if len(match.group()) > 1:
            parts.append(text[start:at])
            start = at
    return [*parts, *([text[start:]] if start < len(text) else [])]
