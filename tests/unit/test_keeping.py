"""What a worker writes to disk, and when; what it reads from there."""

import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from pathlib import Path

import pytest

from edgeassist.engine.kv.budget import Budget
from edgeassist.engine.kv.keeping import LEAST, NEW_IDLE_S, Keeper
from edgeassist.engine.kv.prefixes import Kind, Prefix, Prefixes
from edgeassist.engine.kv.reach import Reach
from edgeassist.engine.kv.states import Saved, StateKey, StateStore
from edgeassist.engine.kv.world import PLAIN
from edgeassist.engine.prompting.transcripts import Transcript
from tests.patience import PATIENCE_S

LONG = list(range(1000))


class Memory:
    """A codec's memory of conversations."""

    def __init__(self) -> None:
        self.known: list[Transcript] = []

    def transcript_of(self, tokens: object) -> Transcript | None:
        return next((each for each in self.known if list(each.tokens) == tokens), None)

    def retell(self, transcript: Transcript) -> None:
        self.known.append(transcript)


class Run:
    """One life of an engine."""

    def __init__(
        self,
        folder: Path,
        *,
        reach: Reach = None,
        model: str = "model",
        most: int = 1 << 20,
        store: StateStore | None = None,
        spare_end: bool = False,
    ) -> None:
        sha256: Future[str] = Future()
        sha256.set_result(model)
        self.prefixes = Prefixes(most, reach)
        self.store = store or StateStore(folder, 1 << 20)
        self.memory = Memory()
        self.keeper = Keeper(
            self.store, self.prefixes, self.memory, model_sha256=sha256, form="form", spare_end=spare_end
        )
        self.keeper.start()

    def keep(self, tokens: list[int], kind: Kind = Kind.END, *, goes_on: bool = True) -> Prefix:
        prefix = Prefix(tokens, PLAIN, repr(tokens).encode(), kind, goes_on)
        self.prefixes.keep(prefix)
        return prefix

    def saved(self) -> set[int]:
        """How many tokens the saved states have."""
        return {len(each.key.tokens) for each in self.store.known}

    def brought(self, prompt: list[int], have: int = 0) -> int:
        """Read from disk; return of how many tokens of the prompt there is a state in memory then."""
        self.keeper.bring(prompt, PLAIN, have)
        return self.prefixes.best(prompt, PLAIN)[1]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Run]:
    return lambda **options: Run(tmp_path / "kv", **options)


def test_a_state_is_written_once_the_engine_has_rested(run: Callable[..., Run]) -> None:
    first = run()
    first.keep(LONG)
    first.keeper.rest(1.0)
    first.keeper.flush(0.0)
    assert first.saved() == set()
    first.keeper.rest(60.0)
    first.keeper.flush()
    assert first.saved() == {1000}
    assert run().brought([*LONG, 7, 8]) == 1000


def test_what_was_asked_once_waits_for_a_longer_rest_or_the_end(run: Callable[..., Run]) -> None:
    first = run()
    first.keep(LONG, goes_on=False)
    first.keeper.rest(60.0)
    first.keeper.rest(60.0)
    assert first.saved() == set()
    first.keeper.rest(NEW_IDLE_S)
    first.keep([5, *LONG], goes_on=False)
    first.keeper.flush(PATIENCE_S)
    assert first.saved() == {1000, 1001}


def test_conversations_are_written_before_what_was_asked_once(
    run: Callable[..., Run], tmp_path: Path
) -> None:
    budget = Budget(tmp_path / "written.json", 12_000)
    first = run(store=StateStore(tmp_path / "kv", 1 << 20, budget))
    first.keep(LONG)
    first.keep([5, *LONG], goes_on=False)
    first.keeper.flush()
    assert first.saved() == {1000}


def test_states_are_written_one_at_a_time_and_no_caller_waits_for_them(tmp_path: Path) -> None:
    begun, goes_on = threading.Event(), threading.Event()
    writers: list[str] = []

    class Slow(StateStore):
        def save(self, saved: Saved, state: bytes | bytearray, instead_of: Collection[StateKey] = ()) -> bool:
            writers.append(threading.current_thread().name)
            begun.set()
            assert goes_on.wait(PATIENCE_S)
            return super().save(saved, state, instead_of)

    slow = Run(tmp_path / "kv", store=Slow(tmp_path / "kv", 1 << 20))
    slow.keep(LONG)
    slow.keep([5, *LONG])
    slow.keeper.rest(60.0)
    assert begun.wait(PATIENCE_S)
    slow.keeper.rest(60.0)
    # A disk that hangs does not hold up the end of the engine.
    slow.keeper.flush(0.05)
    assert len(writers) == 1
    assert threading.current_thread().name not in writers
    goes_on.set()
    slow.keeper.flush(PATIENCE_S)
    assert slow.saved() == {1000, 1001}


def test_what_was_used_last_is_written_first(run: Callable[..., Run], tmp_path: Path) -> None:
    budget = Budget(tmp_path / "written.json", 12_000)
    first = run(store=StateStore(tmp_path / "kv", 1 << 20, budget))
    older = first.keep(LONG)
    first.keep([5, *LONG])
    first.prefixes.touch(older)
    first.keeper.flush()
    assert first.saved() == {1000}


@pytest.mark.parametrize("reach", [None, 0])
def test_a_session_has_one_state_however_long_it_goes_on(run: Callable[..., Run], reach: Reach) -> None:
    first = run(reach=reach)
    for length in (200, 400, 600, 800):
        first.keep(LONG[:length])
        first.keeper.flush()
    assert first.saved() == {800}


def test_where_answers_are_put_otherwise_in_the_next_turn_the_end_before_stays(
    run: Callable[..., Run],
) -> None:
    first = run(reach=0, spare_end=True)
    for length in (200, 400, 600, 800):
        first.keep(LONG[:length])
        first.keeper.flush()
    assert first.saved() == {600, 800}


def test_a_turn_that_adds_little_is_not_written(run: Callable[..., Run]) -> None:
    first = run()
    first.keep(LONG[:900])
    first.keeper.flush()
    first.keep(LONG[:980])
    first.keeper.flush()
    assert first.saved() == {900}
    assert run().brought(LONG) == 900


def test_questions_to_one_system_prompt_are_not_written_each(run: Callable[..., Run]) -> None:
    first = run()
    for question in range(5):
        first.keep([*LONG, *[2000 + question] * 70])
        first.keeper.flush()
    assert len(first.store.known) == 1


@pytest.mark.parametrize(
    ("length", "kind"), [(1000, Kind.WAY), (1000, Kind.PINNED), (LEAST - 1, Kind.END), (LEAST - 1, Kind.FORK)]
)
def test_what_is_not_worth_it_is_not_written(run: Callable[..., Run], length: int, kind: Kind) -> None:
    first = run(reach=0)
    first.keep(LONG[:length], kind)
    first.keeper.flush()
    assert first.saved() == set()


def test_a_fork_stays_beside_what_goes_on_from_it_where_memory_can_not_be_cut(
    run: Callable[..., Run],
) -> None:
    first = run(reach=0)
    first.keep(LONG[:400], Kind.FORK)
    first.keep(LONG)
    first.keeper.flush()
    assert first.saved() == {400, 1000}
    again = run(reach=0)
    assert again.brought(LONG[:500]) == 400
    assert again.prefixes.recent[0].kind is Kind.FORK


def test_a_state_is_not_read_where_that_saves_little(run: Callable[..., Run]) -> None:
    first = run()
    first.keep(LONG)
    first.keeper.flush()
    again = run()
    assert again.brought([*LONG[:100], 5, 6]) == 0
    assert again.brought(LONG, have=900) == 0
    assert again.brought([*LONG[:300], 5, 6]) == 300


def test_a_state_that_memory_has_no_room_for_is_not_read(run: Callable[..., Run]) -> None:
    first = run()
    first.keep(LONG)
    first.keeper.flush()
    assert not run(most=1000).keeper.bring(LONG, PLAIN, 0)


def test_worlds_and_models_are_kept_apart(run: Callable[..., Run]) -> None:
    first = run()
    first.keep(LONG)
    first.keeper.flush()
    assert not run().keeper.bring(LONG, ("adapter",), 0)
    assert run(model="another").brought(LONG) == 0
    assert run().brought(LONG) == 1000


def test_a_damaged_state_gives_way_to_the_next_best(run: Callable[..., Run], tmp_path: Path) -> None:
    first = run(reach=0)
    first.keep(LONG[:400], Kind.FORK)
    first.keep(LONG)
    first.keeper.flush()
    largest = max((tmp_path / "kv").glob("*.kv"), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1])
    again = run(reach=0)
    assert again.brought(LONG) == 400
    assert again.saved() == {400}


def test_the_conversation_of_a_state_is_told_to_the_codec(run: Callable[..., Run]) -> None:
    first = run()
    told = Transcript("what was said", LONG)
    first.memory.known.append(told)
    first.keep(LONG)
    first.keeper.flush()
    (again,) = run().memory.known
    assert (again.text, list(again.tokens)) == (told.text, LONG)


def test_after_a_failure_writing_rests(tmp_path: Path) -> None:
    tried: list[str] = []

    class Full(StateStore):
        def save(self, saved: Saved, state: bytes | bytearray, instead_of: Collection[StateKey] = ()) -> bool:
            tried.append(saved.key.name)
            del state, instead_of
            return False

    first = Run(tmp_path / "kv", store=Full(tmp_path / "kv", 1 << 20))
    first.keep(LONG)
    first.keep([5, *LONG])
    for _ in range(3):
        first.keeper.rest(60.0)
    first.keeper.flush(PATIENCE_S)
    for _ in range(3):
        first.keeper.rest(60.0)
    assert len(tried) == 1


def test_what_another_engine_wrote_during_the_load_is_known_once_the_digest_is(tmp_path: Path) -> None:
    other = Run(tmp_path)
    sha256: Future[str] = Future()

    def compute() -> None:
        if not sha256.done():
            sha256.set_result("model")

    keeper = Keeper(
        StateStore(tmp_path, 1 << 20),
        Prefixes(1 << 20, None),
        Memory(),
        model_sha256=sha256,
        form="form",
        compute=compute,
    )
    other.keep(LONG)
    other.keeper.flush(PATIENCE_S)
    beginning = threading.Thread(target=keeper.start, daemon=True)
    beginning.start()
    beginning.join(PATIENCE_S)
    assert not beginning.is_alive()
    assert keeper.bring(LONG, PLAIN, 0)
