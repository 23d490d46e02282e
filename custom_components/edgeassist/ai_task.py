"""AI tasks: data as Home Assistant wants it, and decisions with probabilities."""

from __future__ import annotations

import json
from typing import Any

from homeassistant.components import ai_task, conversation
from homeassistant.components.ai_task import AITaskEntityFeature
from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.json import json_dumps
from homeassistant.util import dt as dt_util
from homeassistant.util.json import json_loads

from . import EdgeAssistConfigEntry
from .const import SUBENTRY_AI_TASK
from .events import Done
from .failures import Failure, Why
from .layout import Layout
from .messages import Message, messages_of
from .options import model_fields
from .questions import Answer, AnswerError, Choice, Noul, Score, answered, asked
from .rounds import Converses
from .schemas import Schema, complete, tidied, told
from .sentences import error_of
from .structure import json_schema

PARALLEL_UPDATES = 0  # the box has a queue

# Home Assistant 2026.11 brought it; before that there is nothing to offer.
_EVALUATE = getattr(AITaskEntityFeature, "EVALUATE", None)
# A decision is one pass over its state, and says nothing until it is made.
_DECISION_S = 60.0


async def async_setup_entry(
    hass: HomeAssistant, entry: EdgeAssistConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Set up the tasks of a box."""
    for subentry in entry.subentries.values():
        if subentry.subentry_type == SUBENTRY_AI_TASK:
            async_add_entities([Task(entry, subentry)], config_subentry_id=subentry.subentry_id)


class Task(Converses, ai_task.AITaskEntity):
    """A box that does tasks."""

    def __init__(self, entry: EdgeAssistConfigEntry, subentry: ConfigSubentry) -> None:
        super().__init__(entry, subentry)
        self._attr_supported_features = self._features

    @property
    def _features(self) -> AITaskEntityFeature:
        features = AITaskEntityFeature.GENERATE_DATA
        if _EVALUATE is not None and (self.box.info is None or self.box.info.decides):
            features |= _EVALUATE
        return features

    @callback
    def _box_changed(self) -> None:
        self._attr_supported_features = self._features
        super()._box_changed()

    async def _async_generate_data(
        self, task: ai_task.GenDataTask, chat_log: conversation.ChatLog
    ) -> ai_task.GenDataTaskResult:
        """Answer with text, or with data of the structure that the task has."""
        try:
            data = await self._generate(task, chat_log)
        except Failure as failure:
            raise error_of(failure) from failure
        return ai_task.GenDataTaskResult(conversation_id=chat_log.conversation_id, data=data)

    async def _async_evaluate(self, task: ai_task.EvaluationTask) -> ai_task.EvaluationTaskResult:
        """Answer all questions about a state at once."""
        try:
            answers = await self._decide(task)
        except Failure as failure:
            raise error_of(failure) from failure
        return ai_task.EvaluationTaskResult(answers={name: _theirs(each) for name, each in answers.items()})

    async def _generate(self, task: ai_task.GenDataTask, chat_log: conversation.ChatLog) -> Any:
        if task.attachments:
            raise Failure(Why.ATTACHMENTS)
        schema = self._schema(task, chat_log)
        if chat_log.llm_api and chat_log.llm_api.tools:
            await self.async_converse(chat_log, model_fields(self.subentry.data))
            if schema is None:
                return chat_log.content[-1].content
        layout = Layout(chat_log.content[0].content)
        messages = messages_of(chat_log.content, layout, dt_util.as_local)
        done = await self._text(messages if schema is None else _telling(messages, schema), schema)
        chat_log.async_add_assistant_content_without_tools(
            conversation.AssistantContent(agent_id=self.entity_id, content=done.text)
        )
        if schema is None:
            return done.text
        if done.finish_reason != "stop":
            raise Failure(Why.CUT_OFF, {"tokens": str(done.usage.get("completion_tokens", "?"))})
        try:
            return tidied(json.loads(done.text), schema)
        except (ValueError, RecursionError) as error:
            raise Failure(Why.INTERNAL, {"message": f"no JSON: {error}"}) from error

    async def _text(self, messages: list[Message], schema: Schema | None) -> Done:
        """Ask for a text, or for JSON of a schema."""
        fields: dict[str, Any] = {**model_fields(self.subentry.data), "messages": messages}
        if schema is not None:
            fields["json_schema"] = complete(schema)
        return await self.async_answer(fields)

    async def _decide(self, task: ai_task.EvaluationTask) -> dict[str, Answer]:
        if task.attachments:
            raise Failure(Why.ATTACHMENTS)
        info = self.box.info
        if info is not None and not info.decides:
            raise Failure(Why.NO_DECISIONS, {"model": info.model or "-"})
        try:
            state = json_loads(json_dumps(task.state))
        except (TypeError, ValueError) as error:
            raise Failure(Why.STATE, {"message": str(error)}) from error
        fields = {"state": state, "questions": asked(task.questions)}
        done = await self.async_answer(fields, kind="decide", limit_s=_DECISION_S)
        try:
            return answered(task.questions, done.answers or {})
        except AnswerError as error:
            raise Failure(Why.TOO_LARGE, detail=str(error)) from error

    def _schema(self, task: ai_task.GenDataTask, chat_log: conversation.ChatLog) -> Schema | None:
        if task.structure is None:
            return None
        try:
            return json_schema(
                task.structure, chat_log.llm_api.custom_serializer if chat_log.llm_api else None
            )
        except ValueError as error:
            raise Failure(Why.STRUCTURE, {"message": str(error)}) from error


def _telling(messages: list[Message], schema: Schema) -> list[Message]:
    """Return the messages with what is to be filled in: first, as it is the same for a task each time."""
    if messages[-1]["role"] != "user":
        # After tools were called, what was read up to here is kept.
        return [*messages, {"role": "user", "content": told(schema)}]
    if messages[0]["role"] != "system":
        return [{"role": "system", "content": told(schema)}, *messages]
    return [{**messages[0], "content": f"{messages[0]['content']}\n{told(schema)}"}, *messages[1:]]


def _theirs(answer: Answer) -> ai_task.EvaluationAnswer:
    match answer:
        case Noul():
            return ai_task.NoulAnswer(noul=answer.noul)
        case Choice():
            return ai_task.ChoiceAnswer(choice=answer.choice, probabilities=answer.probabilities)
        case Score():
            return ai_task.ScoreAnswer(score=answer.score, probabilities=answer.probabilities)
