"""Thoughts with real tokens, on both backends: models of random weights, whose template opens the thought."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from edgeassist.engine.backends.base import LoadedModel
from edgeassist.engine.backends.loading import load_backend
from edgeassist.engine.kv.world import PLAIN
from edgeassist.engine.messages import (
    ChatMessage,
    Constraint,
    ConstraintKind,
    Delta,
    DeltaKind,
    Finish,
    FlashAttention,
    Load,
    Sampling,
    Thinking,
)
from edgeassist.engine.step import Token
from edgeassist.engine.worker import scheduler_for
from tests.integration.driver import Engine, start

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}{{ m.content.split('</think>')[-1] }}"
    "{{ '<|im_end|>\\n' }}{% endfor %}{{ '<|im_start|>assistant\\n<think>\\n' }}"
)
QUESTION = "Why is the sky blue? Tell me in a few words."
# A random model may end its turn at once.
ENDLESS = Sampling(temperature=0, ignore_eos=True)
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
            sampled = backend.step(plan)
            due = sampled.get(sequence.slot) and sequence.generated + len(sampled[sequence.slot]) == at
            scheduler.commit(plan, sampled, 0.01, {sequence.slot: forced} if due else {})
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


def test_a_bound_answer_comes_behind_a_thought_that_the_template_began(thinker: Engine) -> None:
    choice = Constraint(ConstraintKind.CHOICE, '["yes", "no"]')
    thinker.send(start(QUESTION, request="bound", constraint=choice, thinking=Thinking(wanted=False)))
    answer = thinker.wait("bound")
    thought, text = parts(thinker, "bound")
    assert answer.finished.reason is Finish.STOP
    assert text in {"yes", "no"}
    assert not thought.strip()
