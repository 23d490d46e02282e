"""Thoughts with real tokens, on both backends: models of random weights, whose template opens the thought."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from edgeassist.engine.backends.base import LoadedModel
from edgeassist.engine.backends.loading import load_backend
from edgeassist.engine.kv.world import PLAIN
from edgeassist.engine.messages import (
    Cancel,
    Cancelled,
    ChatMessage,
    Choice,
    Constraint,
    ConstraintKind,
    Delta,
    DeltaKind,
    Finish,
    Finished,
    FlashAttention,
    Load,
    Sampling,
    Start,
    Thinking,
    Tool,
    ToolCall,
    Tools,
)
from edgeassist.engine.step import Token
from edgeassist.engine.worker import scheduler_for
from tests.integration.driver import GREEDY, Engine, start

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}{{ m.content.split('</think>')[-1] }}"
    "{{ '<|im_end|>\\n' }}{% endfor %}{{ '<|im_start|>assistant\\n<think>\\n' }}"
)
QUESTION = "Why is the sky blue? Tell me in a few words."
# A random model may end its turn at once.
ENDLESS = Sampling(temperature=0, ignore_eos=True)
WARM = Sampling(temperature=1.5, top_k=0, top_p=1.0, min_p=0.0, ignore_eos=True)
NUMBERS = count(1)
LIGHT = Tool(
    "light",
    parameters='{"properties": {"on": {"type": "boolean"}, "why": {"type": "string", "maxLength": 9}},'
    ' "required": ["on", "why"], "additionalProperties": false}',
)
MODELS = {"llama": "trial_model", "onnx": "trial_onnx"}


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "thinks.jinja"
    path.write_text(CHATML)
    return path


@pytest.fixture(params=MODELS)
def thinker(request: pytest.FixtureRequest, fresh: Engine, template: Path) -> Engine:
    """An engine whose model begins with a thought and never closes it."""
    path = request.getfixturevalue(MODELS[request.param])
    fresh.load(request.param, path, template=str(template), slots=2)
    return fresh


def parts(engine: Engine, request: str) -> tuple[str, str]:
    """Return what was thought and what was said."""
    deltas = [event for event in engine.about(request) if isinstance(event, Delta)]
    thought, text = (
        "".join(delta.text for delta in deltas if delta.kind is kind)
        for kind in (DeltaKind.THOUGHT, DeltaKind.TEXT)
    )
    return thought, text


@pytest.mark.parametrize("backend", MODELS)
def test_a_model_says_whether_its_thoughts_are_known_by_their_marks(
    request: pytest.FixtureRequest, template: Path, backend: str
) -> None:
    for source, thinks in ((CHATML, True), ("{{ messages[-1].content }}", False)):
        template.write_text(source)
        with Engine() as engine:
            ready = engine.load(backend, request.getfixturevalue(MODELS[backend]), template=str(template))
            assert ready.model.thinks == thinks


def test_a_thought_is_cut_short_and_the_answer_goes_on(thinker: Engine) -> None:
    thinker.send(start(QUESTION, request="a", max_tokens=60, sampling=ENDLESS, thinking=Thinking(budget=9)))
    ended = thinker.wait("a").finished
    thought, text = parts(thinker, "a")
    assert thought
    assert text
    assert "think>" not in thought + text
    assert (ended.completion_tokens, ended.reason) == (60, Finish.LENGTH)
    assert 9 < ended.reasoning_tokens < 9 + 12


def test_a_thought_that_is_not_wanted_is_closed_in_the_prompt(thinker: Engine) -> None:
    unwanted = Thinking(wanted=False)
    thinker.send(start(QUESTION, request="a", max_tokens=20, sampling=ENDLESS, thinking=unwanted))
    ended = thinker.wait("a").finished
    thought, text = parts(thinker, "a")
    assert thought == ""
    assert text
    assert ended.reasoning_tokens == 0


def test_a_call_comes_behind_the_thought_or_without_one(thinker: Engine) -> None:
    tools = Tools((LIGHT,), Choice.REQUIRED, parallel=False)
    for number, thinking in enumerate((Thinking(budget=9), Thinking(wanted=False))):
        request = f"call-{number}"
        fields = {"max_tokens": 200, "sampling": WARM, "thinking": thinking, "tools": tools}
        thinker.send(start(QUESTION, request=request, **fields))
        ended = thinker.wait(request).finished
        *thoughts, last = [event for event in thinker.about(request) if isinstance(event, Delta)]
        assert {each.kind for each in thoughts} == ({DeltaKind.THOUGHT} if thinking.budget else set())
        assert (last.kind, ended.reason) == (DeltaKind.TOOL_CALL, Finish.TOOL_CALLS)
        call = msgspec.json.decode(last.text, type=ToolCall)
        assert call.name == LIGHT.name
        Draft202012Validator(json.loads(LIGHT.parameters)).validate(json.loads(call.arguments))


def test_the_next_turn_of_a_session_is_as_if_there_had_been_no_thoughts(thinker: Engine) -> None:
    thinker.send(start(QUESTION, request="a", max_tokens=40, sampling=ENDLESS, thinking=Thinking(budget=9)))
    asked = thinker.wait("a").finished
    _, text = parts(thinker, "a")
    turns = (ChatMessage("user", QUESTION), ChatMessage("assistant", text), ChatMessage("user", "And?"))
    thinker.send(start("", request="b", messages=turns, max_tokens=12, sampling=ENDLESS))
    again = thinker.wait("b").finished
    # The same prompt in one piece, with nothing that it could share.
    seeded = msgspec.structs.replace(ENDLESS, seed=1)
    thinker.send(start("", request="c", messages=turns, max_tokens=12, sampling=seeded))
    alone = thinker.wait("c").finished
    assert parts(thinker, "b") == parts(thinker, "c")
    assert again.prompt_tokens == alone.prompt_tokens
    # Up to where the thought was opened.
    assert 0 < again.cached_tokens <= asked.prompt_tokens
    assert alone.cached_tokens == 0


@pytest.mark.parametrize("backend", MODELS)
def test_a_system_prompt_that_tells_whether_to_think_is_read_ahead_as_requests_will_have_it(
    request: pytest.FixtureRequest, fresh: Engine, template: Path, backend: str
) -> None:
    template.write_text("{% if enable_thinking is false %}{{ 'Do not think. ' }}{% endif %}" + CHATML)
    path = request.getfixturevalue(MODELS[backend])
    unwanted = Thinking(wanted=False)
    system = "You run a house, and know each room and each lamp in it by its name. " * 4
    fresh.load(backend, path, template=str(template), slots=1, system=system, thinking=unwanted)
    messages = (ChatMessage("system", system), ChatMessage("user", "Hello?"))
    ended = fresh.answer("", messages=messages, max_tokens=1, thinking=unwanted).finished
    assert ended.cached_tokens > ended.prompt_tokens // 2


class Loop:
    """A scheduler and a backend without a worker, asked greedily and alone."""

    def __init__(self, model: LoadedModel, options: Load) -> None:
        self._model = model
        self._options = options

    def run(
        self, prompt: Sequence[int], count: int, *, at: int = -1, forced: Sequence[Token] = ()
    ) -> list[int]:
        """Return the tokens that follow a prompt, where others are forced behind the `at`-th."""
        scheduler = scheduler_for(self._options, self._model.facts)
        sequence = scheduler.admit("a", prompt, count, world=PLAIN)
        backend = self._model.backend
        backend.open(sequence.slot, ENDLESS, PLAIN)
        sequence.draft_end = at
        while sequence.generated < count:
            plan = scheduler.plan()
            yielded = backend.step(plan)
            sampled = yielded.sampled.get(sequence.slot)
            due = sampled and sequence.generated + len(sampled) == at
            scheduler.commit(plan, yielded, 0.01, {sequence.slot: forced} if due else {})
            if due:
                sequence.draft_end = None
        backend.close(sequence.slot)
        return sequence.tokens[len(prompt) :]


@pytest.mark.parametrize("backend", MODELS)
def test_what_follows_forced_tokens_is_what_follows_them_in_a_prompt(
    request: pytest.FixtureRequest, template: Path, backend: str
) -> None:
    path = request.getfixturevalue(MODELS[backend])
    options = Load(
        backend, str(path), 1024, 1, 64, slots=1, template=str(template), flash_attention=FlashAttention.OFF
    )
    model = load_backend(options, lambda _fraction: None)
    loop = Loop(model, options)
    prompt = list(model.codec.encode([ChatMessage("user", QUESTION)]).tokens)
    said = loop.run(prompt, 40, at=9, forced=model.codec.cut)
    cut = [token.id for token in model.codec.cut]
    assert said[:9] == loop.run(prompt, 9)
    assert said[9 : 9 + len(cut)] == cut
    begun = [*prompt, *said[: 9 + len(cut)]]
    assert said[9 + len(cut) :] == loop.run(begun, 40 - 9 - len(cut))


# --- bound answers ------------------------------------------------------------------------------------------

CHOICE = Constraint(ConstraintKind.CHOICE, '["yes", "no", "</think>", "<think>"]')
SCHEMA = {
    "type": "object",
    "properties": {"why": {"type": "string", "maxLength": 9}, "on": {"type": "boolean"}},
    "required": ["why", "on"],
    "additionalProperties": False,
}
OBJECT = Constraint(ConstraintKind.JSON_SCHEMA, json.dumps(SCHEMA))
LIMITS = {"max_tokens": 90, "sampling": ENDLESS}


@pytest.fixture(scope="module", params=MODELS)
def bounding(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine whose template opens a thought, with so little room that llama.cpp's sequences make room."""
    template = tmp_path_factory.mktemp("bounding") / "thinks.jinja"
    template.write_text(CHATML)
    with Engine() as engine:
        path = request.getfixturevalue(MODELS[request.param])
        engine.load(request.param, path, template=str(template), slots=3, context=260, kv_tokens=280)
        yield engine


def ask(engine: Engine, constraint: Constraint, **fields: Any) -> tuple[str, str, Finished]:
    """Return what was thought, what was said, and how it ended."""
    request = str(next(NUMBERS))
    engine.send(start(QUESTION, request=request, constraint=constraint, **{**LIMITS, **fields}))
    ended = engine.wait(request).finished
    return *parts(engine, request), ended


def in_bounds(constraint: Constraint, text: str) -> bool:
    if constraint is CHOICE:
        return text in json.loads(CHOICE.text)
    return bool(Draft202012Validator(SCHEMA).is_valid(json.loads(text)))


@pytest.mark.parametrize("constraint", [CHOICE, OBJECT], ids=["choice", "schema"])
def test_a_bound_answer_where_no_thought_is_wanted_comes_at_once(
    bounding: Engine, constraint: Constraint
) -> None:
    thought, text, ended = ask(bounding, constraint, thinking=Thinking(wanted=False))
    assert (ended.reason, ended.reasoning_tokens, thought) == (Finish.STOP, 0, "")
    assert in_bounds(constraint, text)


@pytest.mark.parametrize("constraint", [CHOICE, OBJECT], ids=["choice", "schema"])
@pytest.mark.parametrize(
    "thinking", [Thinking(wanted=True, budget=9), Thinking(budget=9)], ids=["on", "auto"]
)
@pytest.mark.parametrize("sampling", [ENDLESS, WARM], ids=["cold", "warm"])
def test_a_bound_answer_comes_behind_the_thought_and_is_in_its_bounds(
    bounding: Engine, constraint: Constraint, thinking: Thinking, sampling: Sampling
) -> None:
    thought, text, ended = ask(bounding, constraint, thinking=thinking, sampling=sampling)
    assert thought.strip()
    assert "think>" not in thought
    assert 9 < ended.reasoning_tokens < 9 + 12
    assert ended.reason is Finish.STOP
    assert in_bounds(constraint, text)


@pytest.mark.parametrize("text", ["<think>", "</think>", "<think></think>", "\n\n yes", "</think>no"])
@pytest.mark.parametrize("thinking", [Thinking(wanted=False), Thinking(budget=5)], ids=["off", "on"])
def test_a_bound_answer_that_reads_like_a_mark_is_text(
    bounding: Engine, text: str, thinking: Thinking
) -> None:
    only = Constraint(ConstraintKind.CHOICE, json.dumps([text]))
    _, said, ended = ask(bounding, only, thinking=thinking, sampling=GREEDY)
    assert (said, ended.reason) == (text, Finish.STOP)


def test_a_limit_counts_thought_and_answer_together(bounding: Engine) -> None:
    *whole, ended = ask(bounding, OBJECT, thinking=Thinking(budget=9))
    for limit in (1, 8, 9, 10, 12, 15, 18, 20, 24, 30):
        *cut, ending = ask(bounding, OBJECT, thinking=Thinking(budget=9), max_tokens=limit)
        assert (ending.reason, ending.completion_tokens) == (Finish.LENGTH, limit)
        assert [other.startswith(one) for one, other in zip(cut, whole, strict=True)] == [True, True]
        assert ending.reasoning_tokens <= ended.reasoning_tokens


def test_a_thought_without_a_budget_of_its_own_takes_half_of_the_answer(bounding: Engine) -> None:
    _, text, ended = ask(bounding, CHOICE, max_tokens=80)
    assert 40 < ended.reasoning_tokens < 40 + 12
    assert text in json.loads(CHOICE.text)


@pytest.mark.parametrize("backend", MODELS)
@pytest.mark.parametrize("sampling", [ENDLESS, WARM], ids=["cold", "warm"])
def test_a_model_that_opens_no_thought_is_bound_from_its_first_token(
    request: pytest.FixtureRequest, fresh: Engine, template: Path, backend: str, sampling: Sampling
) -> None:
    template.write_text(CHATML.replace("<think>\\n", ""))
    fresh.load(backend, request.getfixturevalue(MODELS[backend]), template=str(template))
    for _ in range(6):
        thinking = Thinking(wanted=True, budget=5)
        thought, text, ended = ask(fresh, OBJECT, sampling=sampling, thinking=thinking)
        assert ended.reason is Finish.STOP
        assert in_bounds(OBJECT, text)
        # One of random weights may pick the mark's first token, and is made to complete it.
        assert bool(thought) <= bool(ended.reasoning_tokens)


def test_a_bound_answer_is_cancelled_in_its_thought_and_its_slot_is_free(bounding: Engine) -> None:
    long = {"thinking": Thinking(budget=150), "max_tokens": 180, "sampling": ENDLESS}
    bounding.send(start(QUESTION, request="cancelled", constraint=CHOICE, **long))
    bounding.until(lambda event: isinstance(event, Delta) and event.kind is DeltaKind.THOUGHT)
    bounding.send(Cancel("cancelled"))
    assert isinstance(bounding.wait("cancelled").ending, Cancelled)
    _, text, ended = ask(bounding, CHOICE, thinking=Thinking(budget=3))
    assert ended.reason is Finish.STOP
    assert text in json.loads(CHOICE.text)


def test_a_bound_answer_with_thoughts_is_the_same_with_drafts_and_without(
    trial_model: Path, template: Path, fresh: Engine
) -> None:
    said = []
    for speculate in (True, False):
        with Engine() as engine:
            engine.load("llama", trial_model, template=str(template), speculate=speculate)
            # A greedy model of random weights soon repeats itself, and so drafts hold.
            for budget in (1, 2, 3, 5, 8, 13, 40):
                request = f"{budget}"
                fields = {"constraint": OBJECT, "thinking": Thinking(budget=budget), "sampling": ENDLESS}
                engine.send(start(QUESTION, request=request, max_tokens=140, **fields))
                ended = engine.wait(request).finished
                said.append((*parts(engine, request), ended.completion_tokens, ended.reasoning_tokens))
    assert said[:7] == said[7:]


@dataclass(frozen=True)
class Asked:
    """A request.

    Attributes:
        apart: Whether its prompt begins otherwise than those beside it, so that no room is shared.
    """

    constraint: Constraint | None
    budget: int | None
    limit: int
    warm: bool
    apart: bool

    def start(self, request: str) -> Start:
        return start(
            (f"{request}. " if self.apart else "") + QUESTION * 3,
            request=request,
            constraint=self.constraint,
            thinking=Thinking(None if self.budget is None else self.budget > 0, budget=self.budget),
            max_tokens=self.limit,
            sampling=WARM if self.warm else ENDLESS,
        )


REQUESTS = st.builds(
    Asked,
    constraint=st.sampled_from([OBJECT, CHOICE, None]),
    budget=st.none() | st.integers(0, 40),
    limit=st.integers(1, 90),
    warm=st.booleans(),
    apart=st.booleans(),
)


@settings(max_examples=25, deadline=None)
@given(asked=st.lists(REQUESTS, min_size=1, max_size=6), cancelled=st.integers(0, 9))
def test_whatever_runs_beside_it_a_bound_answer_is_behind_its_thought_and_in_its_bounds(
    bounding: Engine, asked: list[Asked], cancelled: int
) -> None:
    requests = [one.start(str(next(NUMBERS))) for one in asked]
    for at in range(0, len(requests), bounding.slots):
        together = requests[at : at + bounding.slots]
        bounding.send(*together)
        if at <= cancelled < at + len(together):
            bounding.send(Cancel(requests[cancelled].id))
        for request in together:
            bounding.wait(request.id)
    for each, request in zip(asked, requests, strict=True):
        ending = bounding.wait(request.id).ending
        if isinstance(ending, Cancelled):
            continue
        assert isinstance(ending, Finished)
        thought, text = parts(bounding, request.id)
        budget = each.limit // 2 if each.budget is None else max(each.budget, 1)
        assert ending.completion_tokens <= each.limit
        assert ending.reasoning_tokens <= budget + 12
        assert bool(thought) <= bool(ending.reasoning_tokens)
        if each.constraint is not None and ending.reason is Finish.STOP:
            assert in_bounds(each.constraint, text)
