from edgeassist.journal.ledger import MOST_REPLAYED, Bounds, Ledger
from edgeassist.journal.stamps import Stamp, elapsed_s
from edgeassist.serving.caller import Key
from edgeassist.serving.journal import Entry, Found

DAY_S = 86_400.0


def ledger(entries: int = 5, size: int = 1000, days: float = 2, remember_s: float = 60) -> Ledger:
    return Ledger(Bounds(entries, size, days, remember_s))


def taken(book: Ledger, size: int = 10) -> int:
    number = book.accept(size)
    assert number is not None
    return number


def delivered(book: Ledger, now: float, *, replayed: bool = True, size: int = 10) -> int:
    number = taken(book)
    book.end(number, size, now, replayed=replayed)
    book.deliver(number)
    return number


def found(number: int, *, end: bytes | None = None, ended_s: float = 0, delivered: bool = False) -> Found:
    entry = Entry(Key("", f"r{number}"), b"", b"0123456789", 60)
    return Found(number, entry, 1.0, began=False, starts=1, end=end, ended_s=ended_s, delivered=delivered)


def test_no_more_requests_and_bytes_are_taken_than_may_be() -> None:
    book = ledger(entries=2)
    assert [book.accept(10) for _ in range(3)] == [1, 2, None]
    book.forget(1)
    assert book.accept(10) == 3
    book = ledger(size=100)
    assert [book.accept(40) for _ in range(3)] == [1, 2, None]
    assert book.accept(20) == 3


def test_an_end_that_was_delivered_stays_as_long_as_repeats_get_it_again() -> None:
    book = ledger(remember_s=60)
    number = delivered(book, 100.0)
    assert (number in book, list(book.surplus(159.9))) == (True, [])
    assert list(book.surplus(160.0)) == [number]
    assert len(book) == 0


def test_an_error_that_was_delivered_is_forgotten() -> None:
    book = ledger()
    assert delivered(book, 100.0, replayed=False) not in book


def test_an_end_that_can_not_be_delivered_stays_for_days() -> None:
    book = ledger(days=2)
    number = taken(book)
    book.end(number, 10, 100.0, replayed=True)
    assert list(book.surplus(100.0 + 2 * DAY_S - 1)) == []
    assert list(book.surplus(100.0 + 2 * DAY_S)) == [number]


def test_what_has_ended_makes_room_the_oldest_first_and_what_runs_does_not() -> None:
    book = ledger(entries=3)
    running = taken(book)
    first, second = delivered(book, 101.0), delivered(book, 102.0)
    assert book.full
    assert list(book.surplus(103.0)) == [first]
    assert (running in book, second in book, book.full) == (True, True, False)
    book = ledger(size=100)
    first, second = delivered(book, 101.0, size=50), delivered(book, 102.0, size=50)
    assert list(book.surplus(103.0)) == [first]
    assert second in book


def test_no_more_delivered_ends_are_kept_than_are_answered_again() -> None:
    book = ledger(entries=2 * MOST_REPLAYED, size=1 << 20)
    numbers = [delivered(book, float(number)) for number in range(MOST_REPLAYED + 2)]
    assert list(book.surplus(50.0)) == numbers[:2]


def test_what_is_found_counts_and_new_numbers_come_after_it() -> None:
    book = ledger(entries=3)
    book.found(found(7), 1000.0)
    book.found(found(9, end=b"{}", ended_s=59, delivered=True), 1000.0)
    assert taken(book) == 10
    assert book.accept(10) is None
    assert list(book.surplus(1001.0)) == [9]


def test_time_passes_in_one_boot_by_its_own_clock_and_over_another_by_the_wall() -> None:
    then = Stamp("boot", 100.0, 1_000_000.0)
    assert elapsed_s(then, Stamp("boot", 130.0, 5.0)) == 30
    assert elapsed_s(then, Stamp("other", 5.0, 1_000_030.0)) == 30


def test_a_clock_that_went_back_counts_as_if_no_time_had_passed() -> None:
    then = Stamp("boot", 100.0, 1_000_000.0)
    assert elapsed_s(then, Stamp("other", 5.0, 999_999.0)) == 0
    assert elapsed_s(Stamp("", 100.0, 50.0), Stamp("", 130.0, 60.0)) == 10
