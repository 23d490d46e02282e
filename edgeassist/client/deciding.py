"""Asks a device for decisions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeassist.client.pending import Request
from edgeassist.client.requester import Requester
from edgeassist.errors import BrokerError
from edgeassist.protocol.decisions import DecisionAnswer
from edgeassist.protocol.events import Done, Failed
from edgeassist.protocol.packets import Inbound, Outbound


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision's answers by the names of its questions, and its end."""

    answers: Mapping[str, DecisionAnswer]
    end: Done


class Decider(Requester):
    """A requester that also wants decisions."""

    _said: dict[str, dict[str, Any]]

    async def decide(self, *, busy_s: float = 0.0, **fields: Any) -> Decided:
        """Return the answers to a `DecisionRequest`.

        Raises:
            EdgeAssistError: There are none; the class tells why.
        """
        self._said = getattr(self, "_said", {})
        async for event in self.ask(busy_s=busy_s, **fields):
            if isinstance(event, Failed):
                raise event.error()
            if isinstance(event, Done):
                answers = self._said.pop(event.id, {})
                return Decided(
                    {name: DecisionAnswer.model_validate(each) for name, each in answers.items()}, event
                )
        raise BrokerError("the answer has no terminal event")

    def _prepare(self, fields: Mapping[str, Any]) -> Request:
        request = super()._prepare(fields)
        if "questions" in fields:
            message = Outbound(f"{self.topics.root}/decide/{self.name}", request.message.payload, qos=1)
            return Request(request.id, message, streams=False)
        return request

    def _take_event(self, message: Inbound) -> None:
        document = json.loads(message.payload)
        if document.get("answers"):
            self._said[document["id"]] = document["answers"]
        super()._take_event(message)
