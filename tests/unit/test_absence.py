"""For how long a machine has been away from its broker, by clocks of the test's own."""

from __future__ import annotations

import math
import time

import pytest

from edgeassist.broker.absence import Absence, passed_s


class Machine:
    """Its clocks."""

    def __init__(self) -> None:
        self.passed = 1000.0
        self.awake = 400.0

    def pass_time(self, seconds: float) -> None:
        self.passed += seconds
        self.awake += seconds

    def sleep(self, seconds: float) -> None:
        self.passed += seconds

    def absence(self, away_s: float = 0.0) -> Absence:
        return Absence(away_s, passed=lambda: self.passed, awake=lambda: self.awake)


def test_it_begins_where_an_earlier_run_ended() -> None:
    machine = Machine()
    known, unknown = machine.absence(20.0), machine.absence(math.inf)
    machine.pass_time(5)
    assert (known.away_s, unknown.away_s) == (25.0, math.inf)


def test_a_sleep_between_two_connections_counts() -> None:
    machine = Machine()
    absence = machine.absence()
    absence.heard()
    absence.ended()
    machine.pass_time(2)
    machine.sleep(3600)
    assert absence.away_s == 3602


def test_a_connection_that_broke_in_a_sleep_counts_as_gone_since_the_machine_fell_asleep() -> None:
    machine = Machine()
    absence = machine.absence()
    absence.heard()
    machine.pass_time(20)
    machine.sleep(3600)
    machine.pass_time(10)
    absence.ended()
    machine.pass_time(1)
    # Half a minute without a word is no absence: nothing had to be said.
    assert absence.away_s == 3601


def test_a_connection_that_outlived_a_sleep_was_not_gone() -> None:
    machine = Machine()
    absence = machine.absence()
    machine.sleep(30)
    absence.heard()
    machine.pass_time(5)
    absence.ended()
    machine.pass_time(1)
    assert absence.away_s == 1


def test_the_clock_is_the_one_that_goes_on_while_the_machine_sleeps() -> None:
    assert passed_s() == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=1)
