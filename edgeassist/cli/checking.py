"""Whether a device would take what options of `edgeassist ask` say."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from edgeassist.errors import InvalidRequestError
from edgeassist.protocol.asking import explain
from edgeassist.protocol.requests import PromptRequest


def check_fields(fields: Mapping[str, object], option: str = "") -> None:
    """Raise an InvalidRequestError unless a request may have these fields.

    Args:
        fields: Of a request, without its prompt.
        option: Which said them; the message begins with it in place of the field. Empty: several did.
    """
    try:
        PromptRequest.model_validate({"prompt": "?", **fields})
    except ValidationError as error:
        reason = explain(error, PromptRequest.instead)
        if not option:
            raise InvalidRequestError(reason) from None
        for name in fields:
            reason = reason.removeprefix(f"{name}: ")
        raise InvalidRequestError(f"{option}: {reason}") from None
